// SPDX-License-Identifier: Apache-2.0
// tracefs and the parts of debugfs around it. Events are recorded facts of the claimed kernel; what tools define
// themselves goes to DynamicEvents. Turning an event on by its enable file, which would fill the trace buffer, is not
// modelled: programs attach by perf_event_open.
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

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
  explicit TraceFile(VfsWorld& world) : FileNode(0640, kTracefs), world_(world) {}
  Result<std::string> read(Task*) override { return world_.trace_log.listing(world_.cpus_online); }
  Result<Opened> open(Task* task, int flags) override {
    if ((flags & O_ACCMODE) != O_RDONLY && (flags & O_TRUNC)) world_.trace_log.clear();
    return FileNode::open(task, flags);
  }
  Result<u64> write(Task*, std::string_view data) override { return data.size(); }

 private:
  VfsWorld& world_;
};

std::string available_events(const VfsWorld& world) {
  std::string out;
  for (const TraceEvent& event : world.kernel.events().all()) {
    if (event.system != "ftrace") out.append(event.system).append(":").append(event.name).append("\n");
  }
  for (const auto& event : world.dynamic_events.all()) out += event->group + ":" + event->name + "\n";
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
    {"buffer_size_kb", 0640, "7 (expanded: 1408)\n"},
    {"dyn_ftrace_total_info", 0440, nullptr},
    {"enabled_functions", 0440, ""},
    {"free_buffer", 0200, ""},
    {"max_graph_depth", 0640, "0\n"},
    {"printk_formats", 0440, nullptr},
    {"saved_cmdlines", 0440, ""},
    {"saved_cmdlines_size", 0640, "6552\n"},
    {"saved_tgids", 0440, ""},
    {"set_event", 0640, ""},
    {"set_event_notrace_pid", 0640, ""},
    {"set_event_pid", 0640, ""},
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
    {"trace_marker", 0220, ""},
    {"trace_marker_raw", 0220, ""},
    {"trace_options", 0640, nullptr},
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

// options/NAME, recorded as lines "NAME VALUE".
void add_options(VfsWorld& world, Directory& root) {
  auto options = root.add_folder("options", 0750);
  std::string_view lines = world.kernel.file("trace/options");
  for (size_t end; (end = lines.find('\n')) != std::string_view::npos; lines.remove_prefix(end + 1)) {
    size_t space = lines.find(' ');
    std::string name(lines.substr(0, space)), value(lines.substr(space + 1, end - space - 1));
    options->add_text(
        name, 0640, [value] { return value + "\n"; },
        [&world, name, value](std::string_view text) -> Result<void> {
          if (trimmed_end(text) == value) return {};
          world.unmodelled.note("tracefs: options/" + name);
          return fail(EINVAL);
        });
  }
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
  auto cpus = root->add_folder("per_cpu", 0750);
  for (u32 cpu = 0; cpu < world.cpus_possible; ++cpu) {
    cpus->add_folder("cpu" + std::to_string(cpu), 0750)->add_text("buffer_size_kb", 0640, [] { return "7\n"; });
  }
  root->add("events", make_trace_events(world));
  root->add_folder("instances", 0750);
  root->add("kprobe_events", std::make_shared<DefinitionsFile>(world, DynamicEvents::Sort::kKprobe));
  root->add("uprobe_events", std::make_shared<DefinitionsFile>(world, DynamicEvents::Sort::kUprobe));
  root->add("dynamic_events", std::make_shared<DefinitionsFile>(world, DynamicEvents::Sort::kAny));
  root->add_text("kprobe_profile", 0440, [&world] { return world.dynamic_events.profile(false); });
  root->add_text("uprobe_profile", 0440, [&world] { return world.dynamic_events.profile(true); });
  root->add("error_log", std::make_shared<ErrorLogFile>(world));
  root->add_text("buffer_total_size_kb", 0440, [&world] {
    return fmt::format("{} (expanded: {})\n", 7 * world.cpus_possible, 1408 * world.cpus_possible);
  });
  root->add_text("tracing_cpumask", 0640, [&world] { return cpu_mask(world.cpus_possible); });
  root->add("trace", std::make_shared<TraceFile>(world));
  root->add("trace_pipe", std::make_shared<TracePipeFile>(world));
  root->add_text("available_events", 0440, [&world] { return available_events(world); });
  root->add_text("available_filter_functions", 0440, [&world] { return world.kernel.traceable_functions(); });
  root->add_text(
      "tracing_on", 0640, [&world] { return world.trace_log.enabled ? "1\n" : "0\n"; },
      [&world](std::string_view text) -> Result<void> {
        if (trimmed_end(text) != "0" && trimmed_end(text) != "1") return fail(EINVAL);
        world.trace_log.enabled = trimmed_end(text) == "1";
        return {};
      });
  auto clock = std::make_shared<std::string>("local [global] counter uptime perf mono mono_raw boot tai x86-tsc\n");
  root->add_text(
      "trace_clock", 0640, [clock] { return *clock; },
      [clock](std::string_view text) { return choose(*clock, trimmed_end(text)); });
  root->add_text(
      "current_tracer", 0640, [] { return "nop\n"; },
      [&world](std::string_view text) -> Result<void> {
        if (trimmed_end(text) == "nop") return {};
        world.unmodelled.note("tracefs: current_tracer " + std::string(trimmed_end(text)));
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
