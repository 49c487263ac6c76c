// SPDX-License-Identifier: Apache-2.0
#include "emu/vfs/vfs.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>

namespace bpfemu {
namespace {

struct World {
  Profile profile = default_profile();
  KernelData kernel{profile};
  Unmodelled unmodelled;
  DynamicEvents dynamic_events{kernel, unmodelled, 4};
  TraceLog trace_log;
  VfsWorld world{
      .profile = profile,
      .kernel = kernel,
      .dynamic_events = dynamic_events,
      .trace_log = trace_log,
      .unmodelled = unmodelled,
      .cpus_online = 2,
      .cpus_possible = 4,
      .privileged = true,
      .vmlinux = kernel.btf().value_or(nullptr),
      .program_symbols = [] { return std::string("ffffffffc0001000 t bpf_prog_0011223344556677_x\t[bpf]\n"); },
      .set_bpf_stats = {}};
};

class Tree : public World {
 public:
  std::string text(const std::string& path, int flags = O_RDONLY) {
    auto found = vfs.lookup(path);
    if (!found || !found->ours()) return "(no file)";
    auto opened = vfs.open(*found, nullptr, flags);
    if (!opened) return "(error " + std::to_string(opened.error().value) + ")";
    std::string out;
    char buffer[65536];
    for (ssize_t n; (n = ::read(opened->fd.get(), buffer, sizeof buffer)) > 0;)
      out.append(buffer, static_cast<size_t>(n));
    return out;
  }
  int write(const std::string& path, std::string_view data, int flags = O_WRONLY) {
    auto found = vfs.lookup(path);
    if (!found || !found->ours()) return ENOENT;
    auto opened = vfs.open(*found, nullptr, flags);
    if (!opened) return opened.error().value;
    CHECK(opened->writes);
    auto written = found->file()->write(nullptr, data);
    return written ? 0 : written.error().value;
  }
  int lookup_error(const std::string& path, bool follow = true) {
    auto found = vfs.lookup(path, follow);
    return found ? 0 : found.error().value;
  }
  std::vector<std::string> names(const std::string& path) {
    std::vector<std::string> out;
    auto found = vfs.lookup(path);
    if (!found || !found->directory()) return out;
    for (const DirEntry& entry : found->directory()->list()) out.push_back(entry.name);
    return out;
  }
  bool lists(const std::string& path, const std::string& name) {
    auto all = names(path);
    return std::find(all.begin(), all.end(), name) != all.end();
  }

  Vfs vfs{world};
};

int error_of(const Result<void>& r) {
  return r ? 0 : r.error().value;
}

TEST_CASE("paths of the host stay the host's") {
  Tree tree;
  CHECK(tree.vfs.concerns("/sys/kernel/tracing"));
  CHECK_FALSE(tree.vfs.concerns("/etc/passwd"));
  for (const char* path : {"/sys", "/sys/kernel", "/sys/kernel/mm", "/proc", "/proc/cpuinfo", "/proc/1/status",
                           "/proc/self/maps", "/sys/devices/system/cpu", "/boot/vmlinuz"}) {
    INFO(path);
    CHECK(tree.vfs.lookup(path)->where == Found::Where::kHost);
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
  auto found = tree.vfs.lookup("/sys/kernel/tracing/events/sched/sched_switch/id");
  struct stat st;
  tree.vfs.stat(*found, st);
  CHECK(st.st_mode == (S_IFREG | 0440));
  CHECK(found->node->type->magic == TRACEFS_MAGIC);
}

TEST_CASE("switches that the model cannot turn on say so") {
  Tree tree;
  CHECK(tree.write("/sys/kernel/tracing/events/sched/enable", "0\n") == 0);
  CHECK(tree.unmodelled.counts().empty());
  CHECK(tree.write("/sys/kernel/tracing/events/sched/enable", "1\n") == EINVAL);
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

TEST_CASE("trace_pipe is a pipe that waits for lines") {
  Tree tree;
  auto opened = tree.vfs.open(*tree.vfs.lookup("/sys/kernel/tracing/trace_pipe"), nullptr, O_RDONLY | O_NONBLOCK);
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
  CHECK(tree.vfs.lookup("/sys/bus/event_source/devices/kprobe", false)->link());
  CHECK(tree.vfs.lookup("/sys/bus/event_source/devices/kprobe")->path == "/sys/devices/kprobe");
  CHECK(tree.text("/sys/devices/system/cpu/online") == "0-1\n");
  CHECK(tree.text("/sys/devices/system/cpu/possible") == "0-3\n");
  CHECK(tree.text("/sys/kernel/security/lockdown").starts_with("[none]"));
  std::string btf = tree.text("/sys/kernel/btf/vmlinux");
  CHECK(btf.size() > 4000000);
  CHECK(btf.starts_with("\x9f\xeb"));
  struct stat st;
  tree.vfs.stat(*tree.vfs.lookup("/sys/kernel/btf/vmlinux"), st);
  CHECK(static_cast<size_t>(st.st_size) == btf.size());
}

TEST_CASE("procfs") {
  Tree tree;
  std::string symbols = tree.text("/proc/kallsyms");
  CHECK(symbols.find(" T __x64_sys_bpf\n") != std::string::npos);
  CHECK(symbols.ends_with("bpf_prog_0011223344556677_x\t[bpf]\n"));
  CHECK(tree.text("/proc/config.gz").starts_with("\x1f\x8b"));
  CHECK(tree.text("/proc/version").starts_with("Linux version 6.1.0-"));
  CHECK(tree.text("/proc/sys/kernel/osrelease") == tree.profile.release + "\n");
  CHECK(tree.text("/proc/sys/kernel/unprivileged_bpf_disabled") == "2\n");
  CHECK(tree.write("/proc/sys/kernel/unprivileged_bpf_disabled", "1\n") == 0);
  CHECK(tree.write("/proc/sys/kernel/unprivileged_bpf_disabled", "0\n") == EPERM);
  CHECK(tree.write("/proc/sys/net/core/bpf_jit_harden", "7") == EINVAL);
  CHECK(tree.write("/proc/sys/net/core/bpf_jit_harden", "x") == EINVAL);
  CHECK(tree.text("/proc/mounts").find("bpf /sys/fs/bpf bpf rw") != std::string::npos);
  CHECK(tree.text("/proc/" + std::to_string(::getpid()) + "/mountinfo").find(" - tracefs tracefs rw\n") !=
        std::string::npos);
  CHECK(tree.text("/proc/filesystems").find("nodev\tbpf\n") != std::string::npos);
  CHECK(tree.text("/boot/config-" + tree.profile.release).find("CONFIG_BPF=y\n") != std::string::npos);
}

struct Pinned : Object {
  Pinned() : Object(ObjectKind::kProgram) {}
};

TEST_CASE("bpffs") {
  Tree tree;
  Vfs& vfs = tree.vfs;
  auto object = std::make_shared<Pinned>();
  CHECK(error_of(vfs.mkdir("/sys/fs/bpf/a", 0755)) == 0);
  CHECK(error_of(vfs.mkdir("/sys/fs/bpf/a", 0755)) == EEXIST);
  CHECK(error_of(vfs.mkdir("/sys/fs/bpf/none/b", 0755)) == ENOENT);
  CHECK(error_of(vfs.mkdir("/sys/fs/bpf/a.b", 0755)) == EPERM);
  CHECK(error_of(vfs.mkdir("/sys/kernel/tracing/x", 0755)) == EPERM);
  CHECK(error_of(vfs.pin("/sys/fs/bpf/a/prog", object)) == 0);
  CHECK(error_of(vfs.pin("/sys/fs/bpf/a/prog", object)) == EEXIST);
  CHECK(error_of(vfs.pin("/sys/kernel/tracing/prog", object)) == EPERM);
  CHECK(error_of(vfs.pin("/tmp/prog", object)) == EPERM);
  CHECK(vfs.pinned("/sys/fs/bpf/a/prog", R_OK | W_OK).value() == object);
  CHECK(vfs.pinned("/sys/fs/bpf/a", R_OK).error().value == EACCES);
  CHECK(vfs.pinned("/sys/fs/bpf/none", R_OK).error().value == ENOENT);
  CHECK(vfs.open(*vfs.lookup("/sys/fs/bpf/a/prog"), nullptr, O_RDONLY).error().value == EIO);
  CHECK(error_of(vfs.rmdir("/sys/fs/bpf/a")) == ENOTEMPTY);
  CHECK(error_of(vfs.rmdir("/sys/fs/bpf/a/prog")) == ENOTDIR);
  CHECK(error_of(vfs.unlink("/sys/fs/bpf/a")) == EISDIR);
  CHECK(error_of(vfs.symlink("a/prog", "/sys/fs/bpf/link")) == 0);
  CHECK(vfs.pinned("/sys/fs/bpf/link", R_OK).value() == object);
  CHECK(vfs.lookup("/sys/fs/bpf/link", false)->link()->target() == "a/prog");
  CHECK(error_of(vfs.rename("/sys/fs/bpf/a/prog", "/sys/fs/bpf/moved", RENAME_NOREPLACE)) == 0);
  CHECK(error_of(vfs.rename("/sys/fs/bpf/moved", "/sys/fs/bpf/link", RENAME_NOREPLACE)) == EEXIST);
  CHECK(error_of(vfs.rename("/sys/fs/bpf/moved", "/sys/fs/bpf/link", RENAME_EXCHANGE)) == EINVAL);
  CHECK(error_of(vfs.rename("/sys/fs/bpf/a", "/sys/fs/bpf/a/b", 0)) == EINVAL);
  CHECK(error_of(vfs.rename("/sys/fs/bpf/moved", "/sys/fs/bpf/link", 0)) == 0);
  CHECK(error_of(vfs.unlink("/sys/fs/bpf/link")) == 0);
  CHECK(object.use_count() == 1);
  CHECK(error_of(vfs.rmdir("/sys/fs/bpf/a")) == 0);
  CHECK(tree.names("/sys/fs/bpf").empty());
  struct stat st;
  vfs.stat(*vfs.lookup("/sys/fs/bpf"), st);
  CHECK(st.st_mode == (S_IFDIR | 01777));
}

TEST_CASE("a link that leads to itself") {
  Tree tree;
  CHECK(error_of(tree.vfs.symlink("loop", "/sys/fs/bpf/loop")) == 0);
  CHECK(tree.lookup_error("/sys/fs/bpf/loop") == ELOOP);
  CHECK(error_of(tree.vfs.symlink("/etc/passwd", "/sys/fs/bpf/out")) == 0);
  auto found = tree.vfs.lookup("/sys/fs/bpf/out");
  CHECK(found->where == Found::Where::kElsewhere);
  CHECK(found->path == "/etc/passwd");
}

TEST_CASE("mounting a second bpffs") {
  Tree tree;
  CHECK(error_of(tree.vfs.mount("ext4", "/mnt")) == ENODEV);
  CHECK(error_of(tree.vfs.mount("bpf", "/sys/fs/bpf")) == 0);
  CHECK(error_of(tree.vfs.mount("bpf", "/mnt")) == 0);
  CHECK(tree.vfs.concerns("/mnt/x"));
  CHECK(error_of(tree.vfs.pin("/mnt/x", std::make_shared<Pinned>())) == 0);
  CHECK(tree.names("/sys/fs/bpf").empty());
  CHECK(tree.text("/proc/mounts").find("bpf /mnt bpf rw") != std::string::npos);
}

// Whatever a tool writes or asks for: an errno, never a crash.
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
    (void)tree.vfs.mkdir("/sys/fs/bpf" + path, 0755);
    (void)tree.vfs.rename("/sys/fs/bpf" + path, "/sys/fs/bpf/" + words(), 0);
    (void)tree.vfs.rmdir("/sys/fs/bpf" + path);
    bool uprobe = random() % 2;
    defined += tree.write(uprobe ? "/sys/kernel/tracing/uprobe_events" : "/sys/kernel/tracing/kprobe_events",
                          words() + " " + words()) == 0;
  }
  CHECK(found > 0);
  CHECK(defined > 0);
}

TEST_CASE("without privilege the root-only places are closed") {
  Tree tree;
  if (::geteuid() == 0) return;  // then the nodes' owner is who asks
  tree.world.privileged = false;
  CHECK(tree.lookup_error("/sys/kernel/tracing/events") == EACCES);
  CHECK(tree.lookup_error("/sys/kernel/debug/tracing") == EACCES);
  CHECK(tree.text("/proc/sys/net/core/bpf_jit_limit") == "(error 13)");
  CHECK(tree.text("/proc/kallsyms").starts_with("0000000000000000 "));
}

}  // namespace
}  // namespace bpfemu
