// SPDX-License-Identifier: Apache-2.0
// tracefs and the parts of debugfs around it. Events are recorded facts of the claimed kernel; what tools define
// themselves goes to DynamicEvents, which of them the trace buffer records to EventSwitches.
#include <fcntl.h>
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <ranges>

#include "emu/base/proc_files.h"
#include "emu/kernel/kstrtox.h"
#include "emu/vfs/filesystems.h"

namespace bpfemu {

namespace {

// One of "[global] local ...": a write moves the brackets.
Result<void> choose(std::string& list, std::string_view wanted) {
  std::string plain;
  for (char c : list) {
    if (c != '[' && c != ']') plain += c;
  }
  std::string padded = " " + plain.substr(0, plain.size() - 1) + " ";
  size_t at = padded.find(" " + std::string(wanted) + " ");
  if (wanted.empty() || at == std::string::npos) return fail(EINVAL);
  plain.insert(at + wanted.size(), "]");
  plain.insert(at, "[");
  list = plain;
  return {};
}

// kprobe_events, uprobe_events and dynamic_events.
class DefinitionsFile : public FileNode {
 public:
  DefinitionsFile(VfsWorld& world, DynamicEvents::Sort sort) : FileNode(0640, kTracefs), world_(world), sort_(sort) {}
  Result<std::string> read(Task*) override { return world_.dynamic_events.listing(sort_); }
  Result<Opened> open(Task* task, int flags) override {
    if ((flags & O_ACCMODE) != O_RDONLY && (flags & O_TRUNC)) TRY(world_.dynamic_events.clear(sort_));
    return FileNode::open(task, flags);
  }
  Result<u64> write(Task* task, std::string_view data) override {
    TRY(world_.dynamic_events.write(sort_, data, task));
    return data.size();
  }

 private:
  VfsWorld& world_;
  DynamicEvents::Sort sort_;
};

// Writing says nothing; opening it with O_TRUNC empties it.
class ErrorLogFile : public FileNode {
 public:
  explicit ErrorLogFile(VfsWorld& world) : FileNode(0640, kTracefs), log_(world.dynamic_events.errors) {}
  Result<std::string> read(Task*) override { return log_.listing(); }
  Result<Opened> open(Task* task, int flags) override {
    if ((flags & O_ACCMODE) != O_RDONLY && (flags & O_TRUNC)) log_.clear();
    return FileNode::open(task, flags);
  }
  Result<u64> write(Task*, std::string_view data) override { return data.size(); }

 private:
  ErrorLog& log_;
};

// Reading waits for lines natively, on a pipe.
class TracePipeFile : public FileNode {
 public:
  explicit TracePipeFile(VfsWorld& world) : FileNode(0440, kTracefs), world_(world) {}
  Result<std::string> read(Task*) override { return std::string(); }
  Result<Opened> open(Task*, int flags) override {
    return Opened{TRY(world_.trace_log.open_pipe((flags & O_NONBLOCK) != 0)), false};
  }

 private:
  VfsWorld& world_;
};

// `trace` shows without consuming; opening it with O_TRUNC empties it.
class TraceFile : public FileNode {
 public:
  explicit TraceFile(VfsWorld& world, int cpu = -1) : FileNode(0640, kTracefs), world_(world), cpu_(cpu) {}
  // `cpu` -1: of all.
  Result<std::string> read(Task*) override { return world_.trace_log.listing(world_.cpus_online, cpu_); }
  Result<Opened> open(Task* task, int flags) override {
    if ((flags & O_ACCMODE) != O_RDONLY && (flags & O_TRUNC)) world_.trace_log.clear(cpu_);
    return FileNode::open(task, flags);
  }
  Result<u64> write(Task*, std::string_view data) override { return data.size(); }

 private:
  VfsWorld& world_;
  int cpu_;
};

// set_event, set_event_pid: a write adds to the list, and opening it with O_TRUNC empties that.
class ListFile : public FileNode {
 public:
  ListFile(std::function<std::string()> read, std::function<Result<void>(std::string_view)> add, std::function<void()> clear)
      : FileNode(0640, kTracefs), read_(std::move(read)), add_(std::move(add)), clear_(std::move(clear)) {}
  Result<std::string> read(Task*) override { return read_(); }
  Result<Opened> open(Task* task, int flags) override {
    if ((flags & O_ACCMODE) != O_RDONLY && (flags & O_TRUNC)) clear_();
    return FileNode::open(task, flags);
  }
  Result<u64> write(Task*, std::string_view data) override {
    TRY(add_(data));
    return data.size();
  }

 private:
  std::function<std::string()> read_;
  std::function<Result<void>(std::string_view)> add_;
  std::function<void()> clear_;
};

// What is written is a line of the trace (kernel: tracing_mark_write).
class MarkerFile : public FileNode {
 public:
  explicit MarkerFile(VfsWorld& world) : FileNode(0220, kTracefs), world_(world) {}
  Result<std::string> read(Task*) override { return fail(EINVAL); }
  Result<u64> write(Task* task, std::string_view data) override {
    if (!world_.trace_options.on("markers")) return fail(EINVAL);
    constexpr size_t kMost = 1024;  // kernel: TRACE_BUF_SIZE
    constexpr u64 kWithin = 0xdd;   // where in the function 6.1 says it is (kernel: _THIS_IP_)
    const size_t size = std::min(data.size(), kMost);
    std::string text(data.substr(0, size));
    if (!text.ends_with('\n')) text += '\n';
    std::string comm = task ? read_proc(task->tid(), "comm").value_or("") : "";
    while (comm.ends_with('\n')) comm.pop_back();
    const std::string stat = task ? read_proc(task->tid(), "stat").value_or("") : "";
    constexpr size_t kProcessor = 36;
    const auto fields = stat_fields(stat);
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    world_.trace_log.add({.comm = comm,
                          .pid = task ? static_cast<u32>(task->tid()) : 0,
                          .tgid = task ? static_cast<u32>(task->tgid()) : 0,
                          .cpu = fields.size() > kProcessor ? static_cast<u32>(atoi(std::string(fields[kProcessor]).c_str())) : 0,
                          .time_ns = static_cast<u64>(now.tv_sec) * 1'000'000'000 + static_cast<u64>(now.tv_nsec),
                          .flags = "....."},
                         "tracing_mark_write: " + text,
                         fmt::format("# {:x} {}", world_.kernel.symbols().address("tracing_mark_write") + kWithin, text));
    return size;
  }

 private:
  VfsWorld& world_;
};

// instances/NAME would be a trace buffer of its own.
class InstancesFolder : public Directory {
 public:
  explicit InstancesFolder(VfsWorld& world) : Directory(0750, kTracefs), world_(world) {}
  Result<NodePtr> make_folder(const std::string&, u32, u32, u32) override {
    world_.unmodelled.note("tracefs: instances");
    return fail(EPERM);
  }

 private:
  VfsWorld& world_;
};

// Later ones come to the front (kernel: trace_create_new_event).
std::string available_events(const VfsWorld& world) {
  std::string out;
  for (const auto& event : world.dynamic_events.all() | std::views::reverse)
    out += event->group + ":" + event->name + "\n";
  for (const TraceEvent& event : world.kernel.events().all()) {
    if (event.system != "ftrace") out.append(event.system).append(":").append(event.name).append("\n");
  }
  return out;
}

struct Fixed {
  const char* name;
  u32 mode;
  const char* text;  // null: as recorded
};
// What an idle tracer shows. Only reading is modelled.
constexpr Fixed kFixed[] = {
    {"README", 0440, nullptr},
    {"available_tracers", 0440, nullptr},
    {"buffer_percent", 0640, "50\n"},
    {"dyn_ftrace_total_info", 0440, nullptr},
    {"enabled_functions", 0440, ""},
    {"free_buffer", 0200, ""},
    {"max_graph_depth", 0640, "0\n"},
    {"printk_formats", 0440, nullptr},
    {"saved_cmdlines", 0440, ""},
    {"saved_cmdlines_size", 0640, "6552\n"},
    {"saved_tgids", 0440, ""},
    {"set_ftrace_filter", 0640, "#### all functions enabled ####\n"},
    {"set_ftrace_notrace", 0640, "#### no functions disabled ####\n"},
    {"set_ftrace_notrace_pid", 0640, "no pid\n"},
    {"set_ftrace_pid", 0640, "no pid\n"},
    {"set_graph_function", 0640, "#### all functions enabled ####\n"},
    {"set_graph_notrace", 0640, "#### no functions disabled ####\n"},
    {"snapshot", 0640, nullptr},
    {"stack_max_size", 0640, "0\n"},
    {"stack_trace", 0440, nullptr},
    {"stack_trace_filter", 0640, "#### all functions enabled ####\n"},
    {"synthetic_events", 0640, ""},
    {"timestamp_mode", 0440, "[delta] absolute\n"},
    {"trace_marker_raw", 0220, ""},
    {"tracing_max_latency", 0640, "0\n"},
    {"tracing_thresh", 0640, "0\n"},
};

void add_fixed(VfsWorld& world, Directory& root, const Fixed& file) {
  std::string name = file.name;
  auto read = [&world, text = file.text, path = "trace/" + name] {
    return text ? std::string(text) : std::string(world.kernel.file(path));
  };
  TextFile::Writer write;
  if (file.mode & 0222) {
    write = [&world, name](std::string_view) -> Result<void> {
      world.unmodelled.note("tracefs: writing to " + name);
      return fail(EINVAL);
    };
  }
  root.add_text(name, file.mode, read, write);
}

// trace_options and options/NAME, recorded as lines "NAME VALUE". What is in the folder alone belongs to tracers that are
// not modelled, and stays.
void add_options(VfsWorld& world, Directory& root) {
  root.add_text(
      "trace_options", 0640, [&world] { return world.trace_options.listing(); },
      [&world](std::string_view text) { return world.trace_options.write(text); });
  auto options = root.add_folder("options", 0750);
  std::string_view lines = world.kernel.file("trace/options");
  for (size_t end; (end = lines.find('\n')) != std::string_view::npos; lines.remove_prefix(end + 1)) {
    const size_t space = lines.find(' ');
    const std::string name(lines.substr(0, space)), recorded(lines.substr(space + 1, end - space - 1));
    options->add_text(
        name, 0640,
        [&world, name, recorded] {
          const TraceOptions& known = world.trace_options;
          return known.knows(name) ? known.on(name) ? "1\n" : "0\n" : recorded + "\n";
        },
        [&world, name, recorded](std::string_view text) -> Result<void> {
          const u64 value = TRY(kstrtoul(text, 10));
          if (value > 1) return fail(EINVAL);
          if (world.trace_options.knows(name)) return world.trace_options.set(name, value != 0);
          if (recorded == (value ? "1" : "0")) return {};
          world.unmodelled.note("trace option", name);
          return fail(EINVAL);
        });
  }
}

void add_event_lists(VfsWorld& world, Directory& root) {
  EventSwitches& switches = world.event_switches;
  root.add("set_event", std::make_shared<ListFile>([&] { return switches.set_events_listing(); },
                                                   [&](std::string_view text) {
                                                     world.trace_log.expand();
                                                     return switches.set_events(text);
                                                   },
                                                   [&] { (void)switches.enable_system("", false); }));
  auto pids = [&](const char* name, EventSwitches::Pids& list) {
    root.add(name, std::make_shared<ListFile>([&list] { return list.listing(); },
                                              [&list](std::string_view text) { return list.add(text); },
                                              [&list] { list.listed.clear(); }));
  };
  pids("set_event_pid", switches.only);
  pids("set_event_notrace_pid", switches.never);
}

TextFile::Writer resize(VfsWorld& world) {
  return [&world](std::string_view text) -> Result<void> { return world.trace_log.resize(TRY(kstrtoul(text, 10))); };
}

// One bit a CPU, as tracing_cpumask shows it.
std::string cpu_mask(u32 count) {
  std::string out;
  for (u32 word = (count + 31) / 32; word > 0; --word) {
    u32 bits = std::min(count - (word - 1) * 32, u32{32});
    u32 mask = bits == 32 ? ~u32{0} : (u32{1} << bits) - 1;
    out += out.empty() ? fmt::format("{:x}", mask) : fmt::format(",{:08x}", mask);
  }
  return out + "\n";
}

std::shared_ptr<Directory> make_tracefs(VfsWorld& world) {
  auto root = std::make_shared<Directory>(0700, kTracefs);
  for (const Fixed& file : kFixed) add_fixed(world, *root, file);
  add_options(world, *root);
  add_event_lists(world, *root);
  auto cpus = root->add_folder("per_cpu", 0750);
  for (u32 cpu = 0; cpu < world.cpus_possible; ++cpu) {
    auto folder = cpus->add_folder("cpu" + std::to_string(cpu), 0750);
    folder->add_text("buffer_size_kb", 0640, [&world] { return world.trace_log.size_text(1); }, resize(world));
    folder->add("trace", std::make_shared<TraceFile>(world, static_cast<int>(cpu)));
  }
  root->add("events", make_trace_events(world));
  root->add("instances", std::make_shared<InstancesFolder>(world));
  root->add("kprobe_events", std::make_shared<DefinitionsFile>(world, DynamicEvents::Sort::kKprobe));
  root->add("uprobe_events", std::make_shared<DefinitionsFile>(world, DynamicEvents::Sort::kUprobe));
  root->add("dynamic_events", std::make_shared<DefinitionsFile>(world, DynamicEvents::Sort::kAny));
  root->add_text("kprobe_profile", 0440, [&world] { return world.dynamic_events.profile(false); });
  root->add_text("uprobe_profile", 0440, [&world] { return world.dynamic_events.profile(true); });
  root->add("error_log", std::make_shared<ErrorLogFile>(world));
  root->add_text("buffer_size_kb", 0640, [&world] { return world.trace_log.size_text(1); }, resize(world));
  root->add_text("buffer_total_size_kb", 0440, [&world] { return world.trace_log.size_text(world.cpus_possible); });
  root->add("trace_marker", std::make_shared<MarkerFile>(world));
  root->add_text("tracing_cpumask", 0640, [&world] { return cpu_mask(world.cpus_possible); });
  root->add("trace", std::make_shared<TraceFile>(world));
  root->add("trace_pipe", std::make_shared<TracePipeFile>(world));
  root->add_text("available_events", 0440, [&world] { return available_events(world); });
  root->add_text("available_filter_functions", 0440, [&world] { return world.kernel.traceable_functions(); });
  root->add_text(
      "tracing_on", 0640, [&world] { return world.trace_log.enabled ? "1\n" : "0\n"; },
      [&world](std::string_view text) -> Result<void> {
        world.trace_log.enabled = TRY(kstrtoul(text, 10)) != 0;
        return {};
      });
  auto clock = std::make_shared<std::string>("local [global] counter uptime perf mono mono_raw boot tai x86-tsc\n");
  root->add_text(
      "trace_clock", 0640, [clock] { return *clock; },
      [clock](std::string_view text) { return choose(*clock, trimmed_end(text)); });
  root->add_text(
      "current_tracer", 0640, [] { return "nop\n"; },
      [&world](std::string_view text) -> Result<void> {
        const std::string_view name = trimmed_end(text);
        if (name == "nop") return {};
        const std::string known = " " + std::string(trimmed_end(world.kernel.file("trace/available_tracers"))) + " ";
        if (known.find(" " + std::string(name) + " ") != std::string::npos) world.unmodelled.note("tracer", name);
        return fail(EINVAL);
      });
  return root;
}

}  // namespace

void place_tracefs(Vfs& vfs) {
  VfsWorld& world = vfs.world();
  auto tracefs = make_tracefs(world);
  vfs.place(kTracefsMount, tracefs);

  auto debugfs = std::make_shared<Directory>(0700, kDebugfs);
  debugfs->add("tracing", tracefs);
  auto kprobes = debugfs->add_folder("kprobes", 0755);
  kprobes->add_text("blacklist", 0400, [&world] { return std::string(world.kernel.file("kprobes/blacklist")); });
  kprobes->add_text("enabled", 0600, [] { return "1\n"; });
  kprobes->add_text("list", 0400, [] { return ""; });
  vfs.place(kDebugfsMount, debugfs);
}

}  // namespace bpfemu
