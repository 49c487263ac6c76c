// SPDX-License-Identifier: Apache-2.0
// tracefs and the parts of debugfs around it. Events are recorded facts of the claimed kernel; what tools define
// themselves goes to DynamicEvents. Turning an event on by its enable file, which would fill the trace buffer, is not
// modelled: programs attach by perf_event_open.
#include <dirent.h>
#include <fcntl.h>

#include <algorithm>

#include "emu/vfs/filesystems.h"

namespace bpfemu {

namespace {

std::string_view trimmed(std::string_view text) {
  size_t end = text.find_last_not_of(" \t\n");
  return end == std::string_view::npos ? std::string_view() : text.substr(0, end + 1);
}

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

// A switch that is off and that the model cannot turn on.
std::shared_ptr<TextFile> off_switch(VfsWorld& world, std::string what) {
  return std::make_shared<TextFile>(
      0640, kTracefs, [] { return "0\n"; },
      [&world, what = std::move(what)](std::string_view text) -> Result<void> {
        if (trimmed(text) == "0") return {};
        world.unmodelled.note("tracefs: enabling " + what);
        return fail(EINVAL);
      });
}

std::shared_ptr<TextFile> no_filter(VfsWorld& world) {
  return std::make_shared<TextFile>(
      0640, kTracefs, [] { return "none\n"; },
      [&world](std::string_view text) -> Result<void> {
        if (trimmed(text) == "0") return {};
        world.unmodelled.note("tracefs: event filters");
        return fail(EINVAL);
      });
}

// events/SYSTEM/EVENT.
std::shared_ptr<Directory> event_folder(VfsWorld& world, std::string path, u32 id, std::string format) {
  auto folder = std::make_shared<Directory>(0750, kTracefs);
  folder->add_text("id", 0440, [id] { return std::to_string(id) + "\n"; });
  folder->add_text("format", 0440, [format = std::move(format)] { return format; });
  if (path.starts_with("ftrace/")) return folder;  // the tracer's own records cannot be switched
  folder->add("enable", off_switch(world, "events/" + path));
  folder->add("filter", no_filter(world));
  return folder;
}

// events/SYSTEM: made on demand, since there are a thousand events.
class SystemFolder : public Directory {
 public:
  SystemFolder(VfsWorld& world, std::string system)
      : Directory(0750, kTracefs), world_(world), system_(std::move(system)) {
    add("enable", off_switch(world, "events/" + system_));
    add("filter", no_filter(world));
  }
  Result<NodePtr> child(std::string_view name) override {
    std::string path = system_ + "/" + std::string(name);
    if (const TraceEvent* event = world_.kernel.events().find(system_, name)) {
      return event_folder(world_, path, event->id, std::string(event->format));
    }
    if (auto event = world_.dynamic_events.find(system_, name)) {
      return event_folder(world_, path, event->id, world_.dynamic_events.format(*event));
    }
    return Directory::child(name);
  }
  std::vector<DirEntry> list() override {
    std::vector<DirEntry> entries = Directory::list();
    for (const TraceEvent* event : world_.kernel.events().of_system(system_)) {
      entries.push_back({std::string(event->name), DT_DIR});
    }
    for (const auto& event : world_.dynamic_events.all()) {
      if (event->group == system_) entries.push_back({event->name, DT_DIR});
    }
    return entries;
  }

 private:
  VfsWorld& world_;
  std::string system_;
};

class EventsFolder : public Directory {
 public:
  explicit EventsFolder(VfsWorld& world) : Directory(0750, kTracefs), world_(world) {
    add("enable", off_switch(world, "events"));
    for (const char* name : {"header_event", "header_page"}) {
      add_text(name, 0440,
               [&world, path = std::string("trace/events/") + name] { return std::string(world.kernel.file(path)); });
    }
  }
  Result<NodePtr> child(std::string_view name) override {
    if (has_system(name)) return std::make_shared<SystemFolder>(world_, std::string(name));
    return Directory::child(name);
  }
  std::vector<DirEntry> list() override {
    std::vector<DirEntry> entries = Directory::list();
    for (std::string_view system : world_.kernel.events().systems()) {
      entries.push_back({std::string(system), DT_DIR});
    }
    for (const auto& event : world_.dynamic_events.all()) {
      bool known =
          std::any_of(entries.begin(), entries.end(), [&](const DirEntry& e) { return e.name == event->group; });
      if (!known) entries.push_back({event->group, DT_DIR});
    }
    return entries;
  }

 private:
  bool has_system(std::string_view name) const {
    auto of_system = [&](const auto& event) { return event.system == name; };
    auto of_group = [&](const auto& event) { return event->group == name; };
    auto all = world_.kernel.events().all();
    const auto& dynamic = world_.dynamic_events.all();
    return std::any_of(all.begin(), all.end(), of_system) || std::any_of(dynamic.begin(), dynamic.end(), of_group);
  }

  VfsWorld& world_;
};

// kprobe_events and uprobe_events: a write holds one or more commands (kernel: trace_parse_run_command).
class DefinitionsFile : public FileNode {
 public:
  DefinitionsFile(VfsWorld& world, bool uprobe) : FileNode(0640, kTracefs), world_(world), uprobe_(uprobe) {}
  Result<std::string> read(Task*) override { return world_.dynamic_events.listing(uprobe_); }
  Result<Opened> open(Task* task, int flags) override {
    if ((flags & O_ACCMODE) != O_RDONLY && (flags & O_TRUNC)) TRY(world_.dynamic_events.clear(uprobe_));
    return FileNode::open(task, flags);
  }
  Result<u64> write(Task* task, std::string_view data) override {
    for (std::string_view rest = data; !rest.empty();) {
      std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(line.size() + 1, rest.size()));
      if (line.size() > kLongestLine) return fail(EINVAL);
      auto done = world_.dynamic_events.command(uprobe_, line, task);
      if (!done) {
        if (done.error().value == EINVAL && line.find(' ', line.find(' ') + 1) != std::string_view::npos) {
          world_.unmodelled.note("fetch arguments in kprobe_events and uprobe_events");
        }
        return std::unexpected(done.error());
      }
    }
    return data.size();
  }

 private:
  static constexpr size_t kLongestLine = 4094;  // kernel: WRITE_BUFSIZE - 2
  VfsWorld& world_;
  bool uprobe_;
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
  const char* text;
};
// What an idle tracer shows. Only reading is modelled.
constexpr Fixed kFixed[] = {
    {"buffer_size_kb", 0640, "7 (expanded: 1408)\n"},
    {"enabled_functions", 0440, ""},
    {"error_log", 0640, ""},
    {"kprobe_profile", 0440, ""},
    {"saved_cmdlines", 0440, ""},
    {"saved_cmdlines_size", 0640, "128\n"},
    {"set_event", 0640, ""},
    {"set_event_pid", 0640, ""},
    {"set_ftrace_filter", 0640, "#### all functions enabled ####\n"},
    {"set_ftrace_pid", 0640, "no pid\n"},
    {"synthetic_events", 0640, ""},
    {"uprobe_profile", 0440, ""},
};
constexpr const char* kRecorded[] = {"README", "available_tracers", "dyn_ftrace_total_info", "printk_formats",
                                     "trace_options"};

std::shared_ptr<Directory> make_tracefs(VfsWorld& world) {
  auto root = std::make_shared<Directory>(0700, kTracefs);
  for (const Fixed& file : kFixed) {
    root->add_text(file.name, file.mode, [text = file.text] { return std::string(text); });
  }
  for (const char* name : kRecorded) {
    root->add_text(name, 0440,
                   [&world, path = std::string("trace/") + name] { return std::string(world.kernel.file(path)); });
  }
  root->add("events", std::make_shared<EventsFolder>(world));
  root->add_folder("instances", 0750);
  root->add("kprobe_events", std::make_shared<DefinitionsFile>(world, false));
  root->add("uprobe_events", std::make_shared<DefinitionsFile>(world, true));
  root->add_text("dynamic_events", 0640,
                 [&world] { return world.dynamic_events.listing(false) + world.dynamic_events.listing(true); });
  root->add("trace", std::make_shared<TraceFile>(world));
  root->add("trace_pipe", std::make_shared<TracePipeFile>(world));
  root->add_text("available_events", 0440, [&world] { return available_events(world); });
  root->add_text("available_filter_functions", 0440, [&world] { return world.kernel.traceable_functions(); });
  root->add_text(
      "tracing_on", 0640, [&world] { return world.trace_log.enabled ? "1\n" : "0\n"; },
      [&world](std::string_view text) -> Result<void> {
        if (trimmed(text) != "0" && trimmed(text) != "1") return fail(EINVAL);
        world.trace_log.enabled = trimmed(text) == "1";
        return {};
      });
  auto clock = std::make_shared<std::string>("local [global] counter uptime perf mono mono_raw boot tai x86-tsc\n");
  root->add_text(
      "trace_clock", 0640, [clock] { return *clock; },
      [clock](std::string_view text) { return choose(*clock, trimmed(text)); });
  root->add_text(
      "current_tracer", 0640, [] { return "nop\n"; },
      [&world](std::string_view text) -> Result<void> {
        if (trimmed(text) == "nop") return {};
        world.unmodelled.note("tracefs: current_tracer " + std::string(trimmed(text)));
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
