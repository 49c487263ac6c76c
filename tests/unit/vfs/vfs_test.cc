// SPDX-License-Identifier: Apache-2.0
#include "emu/vfs/vfs.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>

#include "emu/vfs/filesystems.h"
#include "emu/vfs/namei.h"
#include "tests/fakes/ports.h"

namespace bpfemu {
namespace {

// A host of which the test says what is no folder.
struct FakeHost : HostTree {
  std::map<std::string, HostEntry> entries;
  HostEntry look(const std::string& path) override {
    auto it = entries.find(path);
    return it == entries.end() ? HostEntry{} : it->second;
  }
};

struct World {
  Profile profile = default_profile();
  KernelData kernel{profile};
  Unmodelled unmodelled;
  DynamicEvents dynamic_events{kernel, unmodelled, 4};
  TraceLog trace_log;
  TraceOptions trace_options{kernel.file("trace/trace_options"), unmodelled};
  EventSwitches event_switches{kernel, dynamic_events, unmodelled};
  fakes::FakeHost tasks;
  Cgroups cgroups{tasks};
  CongestionControls congestion_controls;
  VfsWorld world{
      .profile = profile,
      .kernel = kernel,
      .dynamic_events = dynamic_events,
      .trace_log = trace_log,
      .trace_options = trace_options,
      .event_switches = event_switches,
      .unmodelled = unmodelled,
      .cgroups = cgroups,
      .congestion_controls = congestion_controls,
      .cpus_online = 2,
      .cpus_possible = 4,
      .privileged = true,
      .vmlinux = kernel.btf().value_or(nullptr),
      .program_symbols = [] { return std::string("ffffffffc0001000 t bpf_prog_0011223344556677_x\t[bpf]\n"); },
      .set_bpf_stats = {}};
};

class Tree : public World {
 public:
  Result<Found> lookup(std::string_view path, bool follow = true, u64 resolve = 0, const Found& start = {.path = "/"}) {
    return look_up(vfs, host, {.text = path, .start = start, .who = who, .follow = follow, .resolve = resolve});
  }
  int lookup_error(std::string_view path, bool follow = true, u64 resolve = 0, const Found& start = {.path = "/"}) {
    auto found = lookup(path, follow, resolve, start);
    return found ? 0 : found.error().value;
  }
  // The errno of a change in the folder above `path`.
  template <class Change>
  int change(std::string_view path, Change change) {
    auto parent = look_up_parent(vfs, host, {.text = path, .start = {.path = "/"}, .who = who});
    if (!parent) return parent.error().value;
    if (!parent->folder.ours() && !parent->entry()) return ENXIO;
    Result<void> done = change(*parent);
    return done ? 0 : done.error().value;
  }
  int mkdir(std::string_view path, u32 mode = 0755) {
    return change(path, [&](const Parent& at) { return vfs.mkdir(who, at, mode); });
  }
  int rmdir(std::string_view path) {
    return change(path, [&](const Parent& at) { return vfs.rmdir(who, at); });
  }
  int unlink(std::string_view path) {
    return change(path, [&](const Parent& at) { return vfs.unlink(who, at); });
  }
  int symlink(std::string_view target, std::string_view path) {
    return change(path, [&](const Parent& at) { return vfs.symlink(who, target, at); });
  }
  int link(std::string_view from, std::string_view path) {
    auto found = lookup(from, false);
    if (!found) return found.error().value;
    return change(path, [&](const Parent& at) { return vfs.link(who, *found, at); });
  }
  int rename(std::string_view from, std::string_view to, u32 flags) {
    return change(from, [&](const Parent& source) -> Result<void> {
      auto target = TRY(look_up_parent(vfs, host, {.text = to, .start = {.path = "/"}, .who = who}));
      if (!target.folder.ours()) return fail(EXDEV);
      return vfs.rename(who, source, target, flags);
    });
  }
  int pin(std::string_view path, const std::shared_ptr<Object>& object) {
    auto at = look_up_parent(vfs, host, {.text = path, .start = {.path = "/"}, .who = who});
    if (!at) return at.error().value;
    auto done = vfs.pin(who, *at, object);
    return done ? 0 : done.error().value;
  }
  Result<std::shared_ptr<Object>> pinned(std::string_view path, int mask) {
    return vfs.pinned(who, TRY(lookup(path)), mask);
  }
  int mount(std::string_view type, std::string_view path) {
    auto done = vfs.mount(type, *lookup(path));
    return done ? 0 : done.error().value;
  }
  struct stat stat(std::string_view path, bool follow = true) {
    struct stat st {};
    if (auto found = lookup(path, follow); found && found->ours()) vfs.stat(*found, st);
    return st;
  }

  std::string text(const std::string& path, int flags = O_RDONLY) {
    auto found = lookup(path);
    if (!found || !found->ours()) return "(no file)";
    auto opened = vfs.open(who, *found, nullptr, flags);
    if (!opened) return "(error " + std::to_string(opened.error().value) + ")";
    std::string out;
    char buffer[65536];
    for (ssize_t n; (n = ::read(opened->fd.get(), buffer, sizeof buffer)) > 0;)
      out.append(buffer, static_cast<size_t>(n));
    return out;
  }
  int write(const std::string& path, std::string_view data, int flags = O_WRONLY) {
    auto found = lookup(path);
    if (!found || !found->ours()) return ENOENT;
    auto opened = vfs.open(who, *found, nullptr, flags);
    if (!opened) return opened.error().value;
    CHECK(opened->writes);
    auto written = found->file()->write(nullptr, data);
    return written ? 0 : written.error().value;
  }
  std::vector<std::string> names(const std::string& path) {
    std::vector<std::string> out;
    auto found = lookup(path);
    if (!found || !found->directory()) return out;
    for (const DirEntry& entry : found->directory()->list()) out.push_back(entry.name);
    return out;
  }
  bool lists(const std::string& path, const std::string& name) {
    auto all = names(path);
    return std::find(all.begin(), all.end(), name) != all.end();
  }

  Credentials who;
  FakeHost host;
  Vfs vfs{world};
};

TEST_CASE("paths of the host stay the host's") {
  Tree tree;
  CHECK(tree.vfs.concerns("/sys/kernel/tracing"));
  CHECK_FALSE(tree.vfs.concerns("/etc/passwd"));
  for (const char* path : {"/sys", "/sys/kernel", "/sys/kernel/mm", "/proc", "/proc/cpuinfo", "/proc/1/status",
                           "/proc/self/maps", "/sys/devices/system/cpu", "/boot/vmlinuz"}) {
    INFO(path);
    CHECK(tree.lookup(path)->where == Found::Where::kHost);
  }
  CHECK(tree.lookup_error("/sys/kernel/tracing/nothing") == ENOENT);
  CHECK(tree.lookup_error("/sys/kernel/tracing/README/x") == ENOTDIR);
  CHECK(tree.lookup_error("/proc/version_signature") == ENOENT);
  CHECK(tree.lookup_error("/sys/kernel/btf/nf_tables") == ENOENT);
}

TEST_CASE("tracefs shows the events, at both places") {
  Tree tree;
  for (std::string root : {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}) {
    CHECK(tree.text(root + "/events/syscalls/sys_enter_openat/id") == "659\n");
    CHECK(tree.text(root + "/events/raw_syscalls/sys_enter/format").starts_with("name: sys_enter\n"));
    CHECK(tree.lists(root + "/events", "sched"));
    CHECK(tree.lists(root + "/events/sched", "sched_process_exec"));
    CHECK(tree.lists(root, "kprobe_events"));
  }
  CHECK(tree.text("/sys/kernel/tracing/available_events").find("sched:sched_process_exec\n") != std::string::npos);
  CHECK(tree.text("/sys/kernel/tracing/available_filter_functions").find("\nksys_read\n") != std::string::npos);
  CHECK(tree.lookup_error("/sys/kernel/tracing/events/sched/nothing") == ENOENT);
  CHECK(tree.lookup_error("/sys/kernel/tracing/events/nothing/id") == ENOENT);
  auto found = tree.lookup("/sys/kernel/tracing/events/sched/sched_switch/id");
  struct stat st;
  tree.vfs.stat(*found, st);
  CHECK(st.st_mode == (S_IFREG | 0440));
  CHECK(found->node->type->magic == TRACEFS_MAGIC);
}

TEST_CASE("switches that the model cannot turn on say so") {
  Tree tree;
  CHECK(tree.write("/sys/kernel/tracing/events/sched/enable", "0\n") == 0);
  CHECK(tree.write("/sys/kernel/tracing/events/sched/enable", "1\n") == EINVAL);
  for (const char* bad : {"2", "x", "-1", "1x", " 1", "on"}) {
    INFO(bad);
    CHECK(tree.write("/sys/kernel/tracing/events/sched/sched_switch/enable", bad) == EINVAL);
    CHECK(tree.write("/sys/kernel/tracing/events/enable", bad) == EINVAL);
  }
  CHECK(tree.unmodelled.counts().empty());
  CHECK(tree.write("/sys/kernel/tracing/events/sched/sched_switch/enable", "1\n") == EINVAL);
  CHECK(tree.unmodelled.counts().size() == 1);
  CHECK(tree.write("/sys/kernel/tracing/tracing_on", "0") == 0);
  CHECK_FALSE(tree.trace_log.enabled);
  CHECK(tree.text("/sys/kernel/debug/tracing/tracing_on") == "0\n");
  CHECK(tree.write("/sys/kernel/tracing/trace_clock", "mono\n") == 0);
  CHECK(tree.text("/sys/kernel/tracing/trace_clock") ==
        "local global counter uptime perf [mono] mono_raw boot tai x86-tsc\n");
  CHECK(tree.write("/sys/kernel/tracing/trace_clock", "sundial") == EINVAL);
}

TEST_CASE("defining events by writing") {
  Tree tree;
  const std::string file = "/sys/kernel/tracing/kprobe_events";
  CHECK(tree.write(file, "p:aya/one do_sys_openat2\np:aya/two ksys_read\n", O_WRONLY | O_APPEND) == 0);
  CHECK(tree.text(file) == "p:aya/one do_sys_openat2\np:aya/two ksys_read\n");
  CHECK(tree.lists("/sys/kernel/tracing/events", "aya"));
  CHECK(tree.lists("/sys/kernel/tracing/events/aya", "two"));
  std::string id = tree.text("/sys/kernel/tracing/events/aya/one/id");
  CHECK(id == std::to_string(tree.kernel.events().next_id()) + "\n");
  CHECK(tree.write(file, "p:aya/three no_such_function", O_WRONLY | O_APPEND) == ENOENT);
  CHECK(tree.write(file, "-:aya/two", O_WRONLY | O_APPEND) == 0);
  CHECK_FALSE(tree.lists("/sys/kernel/tracing/events/aya", "two"));
  CHECK(tree.write(file, "\n", O_WRONLY | O_TRUNC) == 0);
  CHECK(tree.text(file).empty());
  CHECK(tree.lookup_error("/sys/kernel/tracing/events/aya") == ENOENT);
}

TEST_CASE("tracefs has the files of 6.1") {
  Tree tree;
  const std::string root = "/sys/kernel/tracing/";
  for (const char* name :
       {"README", "available_events", "available_filter_functions", "available_tracers", "buffer_percent",
        "buffer_size_kb", "buffer_total_size_kb", "current_tracer", "dyn_ftrace_total_info", "dynamic_events",
        "enabled_functions", "error_log", "events", "free_buffer", "instances", "kprobe_events", "kprobe_profile",
        "max_graph_depth", "options", "per_cpu", "printk_formats", "saved_cmdlines", "saved_cmdlines_size",
        "saved_tgids", "set_event", "set_event_notrace_pid", "set_event_pid", "set_ftrace_filter", "set_ftrace_notrace",
        "set_ftrace_notrace_pid", "set_ftrace_pid", "set_graph_function", "set_graph_notrace", "snapshot",
        "stack_max_size", "stack_trace", "stack_trace_filter", "synthetic_events", "timestamp_mode", "trace",
        "trace_clock", "trace_marker", "trace_marker_raw", "trace_options", "trace_pipe", "tracing_cpumask",
        "tracing_max_latency", "tracing_on", "tracing_thresh", "uprobe_events", "uprobe_profile"}) {
    INFO(name);
    CHECK(tree.lists(root, name));
  }
  CHECK(tree.names(root).size() == 51);
  CHECK(tree.names(root + "options").size() == 44);
  CHECK(tree.text(root + "options/overwrite") == "1\n");
  CHECK(tree.text(root + "options/verbose") == "0\n");
  CHECK(tree.text(root + "snapshot").find("* Snapshot is freed *") != std::string::npos);
  CHECK(tree.text(root + "tracing_cpumask") == "f\n");
  for (const char* name : {"enable", "filter", "format", "hist", "id", "trigger"}) {
    CHECK(tree.lists(root + "events/sched/sched_switch", name));
  }
  CHECK(tree.write(root + "trace_options", "noirq-info") == 0);
  CHECK(tree.text(root + "options/irq-info") == "0\n");
  CHECK(tree.write(root + "options/irq-info", "1\n") == 0);
  CHECK(tree.text(root + "trace_options").find("\nirq-info\n") != std::string::npos);
  for (const char* bad : {"nosuch", "no"}) CHECK(tree.write(root + "trace_options", bad) == EINVAL);
  CHECK(tree.write(root + "options/irq-info", "2") == EINVAL);
  CHECK(tree.unmodelled.counts().empty());
  CHECK(tree.write(root + "trace_options", "latency-format") == EINVAL);
  CHECK(tree.unmodelled.counts().size() == 1);
}

TEST_CASE("error_log says what is wrong with a definition, until it is opened with O_TRUNC") {
  Tree tree;
  const std::string log = "/sys/kernel/tracing/error_log", file = "/sys/kernel/tracing/kprobe_events";
  CHECK(tree.write(file, "p:g/x ksys_read arg=%zz\n", O_WRONLY | O_APPEND) == EINVAL);
  CHECK(tree.text(log).ends_with("] trace_kprobe: error: Invalid register name\n"
                                 "  Command: p:g/x ksys_read arg=%zz\n"
                                 "                               ^\n"));
  for (int i = 0; i < 9; ++i) CHECK(tree.write(file, "p no_such" + std::to_string(i), O_WRONLY | O_APPEND) == ENOENT);
  std::string text = tree.text(log);
  CHECK(std::count(text.begin(), text.end(), '^') == 8);
  CHECK(text.find("no_such0") == std::string::npos);
  CHECK(tree.write(log, "\n", O_WRONLY | O_TRUNC) == 0);
  CHECK(tree.text(log).empty());
  CHECK(tree.write("/sys/kernel/tracing/dynamic_events", "s:syn int a") == EINVAL);
  CHECK(tree.unmodelled.counts().contains("synthetic events"));
}

TEST_CASE("trace_pipe is a pipe that waits for lines") {
  Tree tree;
  auto opened = tree.vfs.open(tree.who, *tree.lookup("/sys/kernel/tracing/trace_pipe"), nullptr, O_RDONLY | O_NONBLOCK);
  REQUIRE(opened);
  char buffer[256];
  CHECK(::read(opened->fd.get(), buffer, sizeof buffer) == -1);
  CHECK(errno == EAGAIN);
  tree.trace_log.bpf_printk({.comm = "sh", .pid = 7, .cpu = 0, .time_ns = 1000000000}, "hello");
  ssize_t size = ::read(opened->fd.get(), buffer, sizeof buffer);
  REQUIRE(size > 0);
  CHECK(std::string_view(buffer, static_cast<size_t>(size)).ends_with("bpf_trace_printk: hello\n"));
}

TEST_CASE("sysfs") {
  Tree tree;
  CHECK(tree.text("/sys/bus/event_source/devices/kprobe/type") == "6\n");
  CHECK(tree.text("/sys/bus/event_source/devices/uprobe/type") == "7\n");
  CHECK(tree.text("/sys/bus/event_source/devices/uprobe/format/ref_ctr_offset") == "config:32-63\n");
  CHECK(tree.lookup_error("/sys/bus/event_source/devices/kprobe/format/ref_ctr_offset") == ENOENT);
  CHECK(tree.lookup("/sys/bus/event_source/devices/kprobe", false)->link());
  CHECK(tree.lookup("/sys/bus/event_source/devices/kprobe")->path == "/sys/devices/kprobe");
  CHECK(tree.text("/sys/devices/system/cpu/online") == "0-1\n");
  CHECK(tree.text("/sys/devices/system/cpu/possible") == "0-3\n");
  CHECK(tree.text("/sys/kernel/security/lockdown").starts_with("[none]"));
  std::string btf = tree.text("/sys/kernel/btf/vmlinux");
  CHECK(btf.size() > 4000000);
  CHECK(btf.starts_with("\x9f\xeb"));
  struct stat st;
  tree.vfs.stat(*tree.lookup("/sys/kernel/btf/vmlinux"), st);
  CHECK(static_cast<size_t>(st.st_size) == btf.size());
}

TEST_CASE("procfs") {
  Tree tree;
  std::string symbols = tree.text("/proc/kallsyms");
  CHECK(symbols.find(" T __x64_sys_bpf\n") != std::string::npos);
  CHECK(symbols.ends_with("bpf_prog_0011223344556677_x\t[bpf]\n"));
  CHECK(tree.lookup_error("/proc/config.gz") == ENOENT);  // Debian's kernel has none; see /boot
  CHECK(tree.text("/proc/version").starts_with("Linux version 6.1.0-"));
  CHECK(tree.text("/proc/sys/kernel/osrelease") == tree.profile.release + "\n");
  CHECK(tree.text("/proc/sys/kernel/unprivileged_bpf_disabled") == "2\n");
  CHECK(tree.write("/proc/sys/kernel/unprivileged_bpf_disabled", "1\n") == 0);
  CHECK(tree.write("/proc/sys/kernel/unprivileged_bpf_disabled", "0\n") == EPERM);
  CHECK(tree.text("/proc/mounts").find("bpf /sys/fs/bpf bpf rw") != std::string::npos);
  CHECK(tree.text("/proc/" + std::to_string(::getpid()) + "/mountinfo").find(" - tracefs tracefs rw\n") !=
        std::string::npos);
  CHECK(tree.text("/proc/filesystems").find("nodev\tbpf\n") != std::string::npos);
  CHECK(tree.text("/boot/config-" + tree.profile.release).find("CONFIG_BPF=y\n") != std::string::npos);
}

// What a real 6.1 answered.
TEST_CASE("sysctls") {
  Tree tree;
  bool stats = false;
  tree.world.set_bpf_stats = [&](bool on) { stats = on; };
  auto answer = [&](const std::string& name, std::string_view written) {
    int error = tree.write("/proc/sys/" + name, written);
    std::string now = tree.text("/proc/sys/" + name);
    return (error ? "EINVAL " : "") + now.substr(0, now.size() - 1);
  };
  const std::string stats_enabled = "kernel/bpf_stats_enabled";
  CHECK(answer(stats_enabled, "-1") == "EINVAL 0");
  CHECK(answer(stats_enabled, "1\n") == "1");
  CHECK(stats);
  for (std::string_view bad : {"2", "x", "1x", "\n", "+1", "99999999999999999999", "4294967297"}) {
    CHECK(answer(stats_enabled, bad) == "EINVAL 1");
  }
  CHECK(tree.write("/proc/sys/kernel/bpf_stats_enabled", std::string_view("1\0", 2)) == EINVAL);
  for (std::string_view good : {"", "1 2", " 1", "0x1", "01", "1\n\n", "1 "}) CHECK(answer(stats_enabled, good) == "1");
  CHECK(answer("kernel/perf_event_paranoid", "-2") == "-2");
  CHECK(answer("kernel/perf_event_paranoid", "2147483647") == "2147483647");
  CHECK(answer("kernel/perf_event_paranoid", "2147483648") == "EINVAL 2147483647");
  CHECK(answer("kernel/perf_event_max_sample_rate", "0") == "EINVAL 100000");
  CHECK(answer("kernel/perf_event_max_contexts_per_stack", "1001") == "EINVAL 8");
  CHECK(answer("net/core/bpf_jit_limit", "2147483647") == "EINVAL 528482304");
  CHECK(answer("net/core/bpf_jit_harden", "3") == "EINVAL 0");
  CHECK(tree.write("/proc/sys/kernel/unprivileged_bpf_disabled", "0") == 0);
  CHECK(tree.write("/proc/sys/kernel/unprivileged_bpf_disabled", "1") == 0);
  CHECK(tree.write("/proc/sys/kernel/unprivileged_bpf_disabled", "2") == EPERM);
  CHECK(tree.write("/proc/sys/kernel/unprivileged_bpf_disabled", "3") == EINVAL);
  CHECK(tree.write("/proc/sys/kernel/unprivileged_bpf_disabled", "1") == 0);
}

TEST_CASE("kernel.kptr_restrict hides addresses") {
  Tree tree;
  auto hidden = [&] { return tree.text("/proc/kallsyms").find("\nffffffff81000000 T _text\n") == std::string::npos; };
  CHECK_FALSE(hidden());
  CHECK(tree.write("/proc/sys/kernel/kptr_restrict", "2") == 0);
  CHECK(hidden());
  CHECK(tree.write("/proc/sys/kernel/kptr_restrict", "1") == 0);
  CHECK_FALSE(hidden());
  CHECK(tree.text("/proc/kallsyms").find("[bpf]") != std::string::npos);
  CHECK(tree.write("/proc/sys/net/core/bpf_jit_harden", "1") == 0);
  CHECK(tree.text("/proc/kallsyms").find("[bpf]") == std::string::npos);
}

struct Pinned : Object {
  Pinned() : Object(ObjectKind::kProgram) {}
};

TEST_CASE("bpffs") {
  Tree tree;
  auto object = std::make_shared<Pinned>();
  CHECK(tree.mkdir("/sys/fs/bpf") == EEXIST);
  CHECK(tree.mkdir("/sys/fs/bpf/a") == 0);
  CHECK(tree.mkdir("/sys/fs/bpf/a") == EEXIST);
  CHECK(tree.mkdir("/sys/fs/bpf/.") == EEXIST);
  CHECK(tree.mkdir("/sys/fs/bpf/none/b") == ENOENT);
  CHECK(tree.mkdir("/sys/fs/bpf/a.b") == EPERM);
  CHECK(tree.mkdir("/sys/fs/bpf/" + std::string(256, 'x')) == ENAMETOOLONG);
  CHECK(tree.mkdir("/sys/kernel/tracing/x") == EPERM);
  CHECK(tree.pin("/sys/fs/bpf/a/prog", object) == 0);
  CHECK(tree.pin("/sys/fs/bpf/a/prog", object) == EEXIST);
  CHECK(tree.pin("/sys/fs/bpf/a/other/", object) == ENOENT);
  CHECK(tree.pin("/sys/kernel/tracing/prog", object) == EPERM);
  CHECK(tree.pin("/tmp/prog", object) == EPERM);
  CHECK(tree.pinned("/sys/fs/bpf/a/prog", R_OK | W_OK).value() == object);
  CHECK(tree.pinned("/sys/fs/bpf/a", R_OK).error().value == EACCES);
  CHECK(tree.pinned("/sys/fs/bpf/none", R_OK).error().value == ENOENT);
  CHECK(tree.vfs.open(tree.who, *tree.lookup("/sys/fs/bpf/a/prog"), nullptr, O_RDONLY).error().value == EIO);
  CHECK(tree.rmdir("/sys/fs/bpf/a") == ENOTEMPTY);
  CHECK(tree.rmdir("/sys/fs/bpf/a/prog") == ENOTDIR);
  CHECK(tree.rmdir("/sys/fs/bpf") == EBUSY);
  CHECK(tree.rmdir("/sys/fs/bpf/a/.") == EINVAL);
  CHECK(tree.rmdir("/sys/fs/bpf/a/..") == ENOTEMPTY);
  CHECK(tree.unlink("/sys/fs/bpf/a") == EISDIR);
  CHECK(tree.unlink("/sys/fs/bpf/a/prog/") == ENOTDIR);
  CHECK(tree.symlink("a/prog", "/sys/fs/bpf/link") == 0);
  CHECK(tree.pinned("/sys/fs/bpf/link", R_OK).value() == object);
  CHECK(tree.lookup("/sys/fs/bpf/link", false)->link()->target() == "a/prog");
  CHECK(tree.link("/sys/fs/bpf/a/prog", "/sys/fs/bpf/again") == 0);
  CHECK(tree.stat("/sys/fs/bpf/again").st_nlink == 2);
  CHECK(tree.stat("/sys/fs/bpf/again").st_ino == tree.stat("/sys/fs/bpf/a/prog").st_ino);
  CHECK(tree.link("/sys/fs/bpf/a", "/sys/fs/bpf/folder") == EPERM);
  CHECK(tree.unlink("/sys/fs/bpf/again") == 0);
  CHECK(tree.rename("/sys/fs/bpf/a/prog", "/sys/fs/bpf/moved", RENAME_NOREPLACE) == 0);
  CHECK(tree.rename("/sys/fs/bpf/moved", "/sys/fs/bpf/link", RENAME_NOREPLACE) == EEXIST);
  CHECK(tree.rename("/sys/fs/bpf/a", "/sys/fs/bpf/a/b", 0) == EINVAL);
  CHECK(tree.rename("/sys/fs/bpf/a", "/sys/kernel/tracing/a", 0) == EXDEV);
  CHECK(tree.rename("/sys/fs/bpf/a", "/sys/fs/bpf/moved", 0) == ENOTDIR);
  CHECK(tree.rename("/sys/fs/bpf/a", "/sys/fs/bpf/moved", RENAME_EXCHANGE) == 0);
  CHECK(tree.lookup("/sys/fs/bpf/a")->pin());
  CHECK(tree.rename("/sys/fs/bpf/a", "/sys/fs/bpf/moved", RENAME_EXCHANGE) == 0);
  CHECK(tree.rename("/sys/fs/bpf/moved", "/sys/fs/bpf/link", 0) == 0);
  CHECK(tree.unlink("/sys/fs/bpf/link") == 0);
  CHECK(object.use_count() == 1);
  CHECK(tree.stat("/sys/fs/bpf").st_nlink == 3);
  CHECK(tree.rmdir("/sys/fs/bpf/a") == 0);
  CHECK(tree.names("/sys/fs/bpf").empty());
  CHECK(tree.stat("/sys/fs/bpf").st_mode == (S_IFDIR | 01777));
}

TEST_CASE("attributes stay with what they were given to") {
  Tree tree;
  CHECK(tree.mkdir("/sys/fs/bpf/a", 0700) == 0);
  for (const char* path : {"/sys/fs/bpf/a", "/sys/kernel/tracing/events/sched/sched_switch/id"}) {
    INFO(path);
    AttributeChange change{.mode = 0604, .uid = 5, .gid = 6, .access = timespec{1, 2}};
    CHECK(tree.vfs.change(tree.who, *tree.lookup(path), change));
    struct stat st = tree.stat(path);
    CHECK((st.st_mode & 07777) == 0604);
    CHECK(st.st_uid == 5);
    CHECK(st.st_gid == 6);
    CHECK(st.st_atim.tv_nsec == 2);
  }
  CHECK(tree.vfs.change(tree.who, *tree.lookup("/proc/sys/kernel/osrelease"), {.mode = 0666}).error().value == EPERM);
  Credentials other{.uid = 7, .gid = 7, .dac_override = false, .dac_read_search = false, .chown = false, .fowner = false};
  CHECK(tree.vfs.change(other, *tree.lookup("/sys/fs/bpf/a"), {.mode = 0777}).error().value == EPERM);
  CHECK(tree.vfs.permits(other, *tree.lookup("/sys/fs/bpf/a"), R_OK));
  CHECK(tree.vfs.permits(other, *tree.lookup("/sys/fs/bpf/a"), W_OK).error().value == EACCES);
}

TEST_CASE("a link that leads to itself") {
  Tree tree;
  CHECK(tree.symlink("loop", "/sys/fs/bpf/loop") == 0);
  CHECK(tree.lookup_error("/sys/fs/bpf/loop") == ELOOP);
  CHECK(tree.symlink("/etc/passwd", "/sys/fs/bpf/out") == 0);
  auto found = tree.lookup("/sys/fs/bpf/out");
  CHECK(found->where == Found::Where::kElsewhere);
  CHECK(found->path == "/etc/passwd");
}

TEST_CASE("walks lead through both trees") {
  Tree tree;
  tree.host.entries["/tmp/to"] = {.kind = HostEntry::Kind::kLink, .target = "/sys/kernel/tracing"};
  tree.host.entries["/tmp/up"] = {.kind = HostEntry::Kind::kLink, .target = "../sys/fs/bpf/"};
  tree.host.entries["/etc/passwd/."] = {.kind = HostEntry::Kind::kMissing};
  tree.host.entries["/none"] = {.kind = HostEntry::Kind::kMissing};
  CHECK(tree.lookup("/tmp/to/events/sched")->path == "/sys/kernel/tracing/events/sched");
  CHECK(tree.lookup("/tmp/up")->path == "/sys/fs/bpf");
  CHECK(tree.lookup("/tmp/up", false)->where == Found::Where::kHost);
  CHECK(tree.lookup("/sys/kernel/tracing/../../../etc/fstab")->where == Found::Where::kElsewhere);
  CHECK(tree.lookup("/sys/kernel/tracing/../../../etc/fstab")->path == "/etc/fstab");
  CHECK(tree.lookup("/none/../sys/kernel/tracing")->where == Found::Where::kHost);
  CHECK(tree.lookup("/etc/passwd/../../sys/kernel/tracing")->where == Found::Where::kHost);
  CHECK(tree.lookup_error("/sys/kernel/tracing/README/") == ENOTDIR);
  CHECK(tree.lookup_error("/sys/kernel/tracing/README/..") == ENOTDIR);
  Found events = *tree.lookup("/sys/kernel/tracing/events");
  CHECK(tree.lookup("sched", true, 0, events)->path == "/sys/kernel/tracing/events/sched");
  CHECK(tree.lookup("../README", true, 0, events)->file());
  CHECK(tree.lookup_error("../README", true, RESOLVE_BENEATH, events) == EXDEV);
  CHECK(tree.lookup("/sys", true, RESOLVE_BENEATH, events)->where == Found::Where::kHost);  // which says EXDEV
  CHECK(tree.lookup("/../sched", true, RESOLVE_IN_ROOT, events)->path == "/sys/kernel/tracing/events/sched");
  CHECK(tree.lookup_error("../../debug", true, RESOLVE_NO_XDEV, events) == EXDEV);
  CHECK(tree.lookup_error("kernel/tracing", true, RESOLVE_NO_XDEV, {.path = "/sys"}) == EXDEV);
  CHECK(tree.symlink("none", "/sys/fs/bpf/link") == 0);
  CHECK(tree.lookup_error("/sys/fs/bpf/link", false, RESOLVE_NO_SYMLINKS) == 0);
  CHECK(tree.lookup_error("/sys/fs/bpf/link", true, RESOLVE_NO_SYMLINKS) == ELOOP);
}

TEST_CASE("mounting a second bpffs") {
  Tree tree;
  CHECK(tree.mount("ext4", "/mnt") == ENODEV);
  CHECK(tree.mount("tracefs", "/sys/kernel/tracing") == EBUSY);
  CHECK(tree.mkdir("/sys/fs/bpf/below") == 0);
  CHECK(tree.mount("bpf", "/sys/fs/bpf") == 0);
  CHECK(tree.names("/sys/fs/bpf").empty());
  CHECK(tree.vfs.umount(*tree.lookup("/sys/fs/bpf")));
  CHECK(tree.names("/sys/fs/bpf").size() == 1);
  CHECK(tree.mount("bpf", "/mnt") == 0);
  CHECK(tree.vfs.concerns("/mnt/x"));
  CHECK(tree.stat("/mnt").st_dev != tree.stat("/sys/fs/bpf").st_dev);
  CHECK(tree.pin("/mnt/x", std::make_shared<Pinned>()) == 0);
  CHECK(tree.rename("/mnt/x", "/sys/fs/bpf/x", 0) == EXDEV);
  CHECK(tree.names("/sys/fs/bpf").size() == 1);
  CHECK(tree.text("/proc/mounts").find("bpf /mnt bpf rw") != std::string::npos);
  CHECK(tree.vfs.umount(*tree.lookup("/mnt")));
  CHECK(tree.lookup("/mnt")->where == Found::Where::kHost);
}

// Whatever a tool writes or asks for: an errno, never a crash.
TEST_CASE("cgroup2 makes and removes cgroups, and nothing else") {
  Tree tree;
  CHECK(tree.mkdir("/sys/fs/cgroup/a") == 0);
  CHECK(tree.mkdir("/sys/fs/cgroup/a") == EEXIST);
  CHECK(tree.mkdir("/sys/fs/cgroup/cgroup.procs") == EEXIST);
  CHECK(tree.mkdir("/sys/fs/cgroup/a/b") == 0);
  CHECK(tree.mkdir("/sys/fs/cgroup/x\ny") == EINVAL);
  CHECK(tree.lists("/sys/fs/cgroup/a", "cgroup.type"));
  CHECK_FALSE(tree.lists("/sys/fs/cgroup", "cgroup.type"));
  const auto found = tree.lookup("/sys/fs/cgroup/a/b");
  REQUIRE(found);
  const auto cgroup = cgroup_of(*found->node);
  REQUIRE(cgroup);
  CHECK(cgroup->path() == "/a/b");
  CHECK(tree.stat("/sys/fs/cgroup/a/b").st_ino == cgroup->id());
  CHECK(tree.text("/sys/fs/cgroup/cgroup.stat") == "nr_descendants 2\nnr_dying_descendants 0\n");
  CHECK(tree.text("/sys/fs/cgroup/a/cgroup.controllers").empty());
  CHECK(tree.write("/sys/fs/cgroup/a/cgroup.subtree_control", "+memory\n") == ENOENT);
  CHECK(tree.write("/sys/fs/cgroup/a/cgroup.subtree_control", "+nothing\n") == EINVAL);
  CHECK(tree.write("/sys/fs/cgroup/a/cgroup.max.depth", "0\n") == 0);
  CHECK(tree.text("/sys/fs/cgroup/a/cgroup.max.depth") == "0\n");
  CHECK(tree.mkdir("/sys/fs/cgroup/a/c") == EAGAIN);
  CHECK(tree.write("/sys/fs/cgroup/a/cgroup.max.depth", "-1\n") == ERANGE);
  CHECK(tree.symlink("a", "/sys/fs/cgroup/s") == EPERM);
  CHECK(tree.unlink("/sys/fs/cgroup/a/cgroup.type") == EPERM);
  CHECK(tree.rename("/sys/fs/cgroup/a/b", "/sys/fs/cgroup/b", 0) == EPERM);
  CHECK(tree.rmdir("/sys/fs/cgroup/a") == EBUSY);
  CHECK(tree.mount("cgroup2", "/sys/fs/cgroup") == EBUSY);
  CHECK(tree.mount("cgroup2", "/sys/kernel/debug") == 0);
  CHECK(tree.rmdir("/sys/kernel/debug/a/b") == 0);
  CHECK(tree.rmdir("/sys/fs/cgroup/a") == 0);
  CHECK(tree.lookup_error("/sys/kernel/debug/a") == ENOENT);
  CHECK(tree.text("/proc/" + std::to_string(::getpid()) + "/cgroup") == "0::/\n");
}

TEST_CASE("random paths and definitions") {
  Tree tree;
  constexpr const char* kPieces[] = {"/",
                                     "..",
                                     "sys",
                                     "kernel",
                                     "tracing",
                                     "events",
                                     "sched",
                                     "fs",
                                     "bpf",
                                     "proc",
                                     "1",
                                     "self",
                                     "p:",
                                     "r",
                                     "-:",
                                     "a/b",
                                     " ",
                                     "+",
                                     "0x10",
                                     "do_sys_openat2",
                                     ":",
                                     "%return",
                                     "(",
                                     ")",
                                     "/proc/self/exe:0x1",
                                     "#",
                                     "\n",
                                     "99999999999999999999",
                                     ".",
                                     ""};
  u64 seed = 7;
  auto random = [&] { return (seed = seed * 6364136223846793005u + 1442695040888963407u) >> 33; };
  auto words = [&] {
    std::string out;
    for (u64 n = random() % 8; n > 0; --n) out += kPieces[random() % std::size(kPieces)];
    return out;
  };
  u32 found = 0, defined = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string path = "/" + words();
    found += tree.lookup_error(path) == 0;
    (void)tree.mkdir("/sys/fs/bpf" + path);
    (void)tree.rename("/sys/fs/bpf" + path, "/sys/fs/bpf/" + words(), 0);
    (void)tree.rmdir("/sys/fs/bpf" + path);
    bool uprobe = random() % 2;
    defined += tree.write(uprobe ? "/sys/kernel/tracing/uprobe_events" : "/sys/kernel/tracing/kprobe_events",
                          words() + " " + words()) == 0;
  }
  CHECK(found > 0);
  CHECK(defined > 0);
}

TEST_CASE("without privilege the root-only places are closed") {
  Tree tree;
  tree.world.privileged = false;
  tree.who = {.uid = 7, .gid = 7, .dac_override = false, .dac_read_search = false, .chown = false, .fowner = false};
  CHECK(tree.lookup_error("/sys/kernel/tracing/events") == EACCES);
  CHECK(tree.lookup_error("/sys/kernel/debug/tracing") == EACCES);
  CHECK(tree.text("/proc/sys/net/core/bpf_jit_limit") == "(error 13)");
  CHECK(tree.text("/proc/kallsyms").starts_with("0000000000000000 "));
}

}  // namespace
}  // namespace bpfemu
