// SPDX-License-Identifier: Apache-2.0
// tracefs' events: a folder for every event of the claimed kernel and for those that tools define.
#include <dirent.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>

#include "emu/kernel/kstrtox.h"
#include "emu/vfs/filesystems.h"

namespace bpfemu {

namespace {

// "0" or "1" (kernel: event_enable_write).
Result<bool> switch_value(std::string_view text) {
  const u64 value = TRY(kstrtoul(text, 10));
  if (value > 1) return fail(EINVAL);
  return value != 0;
}

std::shared_ptr<TextFile> event_switch(VfsWorld& world, u32 id) {
  return std::make_shared<TextFile>(
      0640, kTracefs, [&world, id] { return world.event_switches.enabled(id) ? "1\n" : "0\n"; },
      [&world, id](std::string_view text) -> Result<void> {
        const bool on = TRY(switch_value(text));
        world.trace_log.expand();
        return world.event_switches.enable(id, on);
      });
}

// Of a system, or with "" of all.
std::shared_ptr<TextFile> system_switch(VfsWorld& world, const std::string& system) {
  return std::make_shared<TextFile>(
      0640, kTracefs, [&world, system] { return std::string{world.event_switches.state(system), '\n'}; },
      [&world, system](std::string_view text) -> Result<void> {
        const bool on = TRY(switch_value(text));
        world.trace_log.expand();
        return world.event_switches.enable_system(system, on);
      });
}

std::shared_ptr<TextFile> event_filter(VfsWorld& world, u32 id) {
  return std::make_shared<TextFile>(
      0640, kTracefs, [&world, id] { return world.event_switches.filter_text(id); },
      [&world, id](std::string_view text) { return world.event_switches.set_filter(id, text); });
}

std::shared_ptr<TextFile> system_filter(VfsWorld& world, const std::string& system) {
  return std::make_shared<TextFile>(
      0640, kTracefs, [] { return EventSwitches::system_filter_text(); },
      [&world, system](std::string_view text) { return world.event_switches.set_system_filter(system, text); });
}

// What a histogram would begin with, had one been asked for.
constexpr const char* kNoTrigger =
    "# Available triggers:\n# traceon traceoff snapshot stacktrace enable_event disable_event enable_hist disable_hist "
    "hist\n";

std::shared_ptr<TextFile> no_trigger(VfsWorld& world) {
  return std::make_shared<TextFile>(
      0640, kTracefs, [] { return kNoTrigger; },
      [&world](std::string_view text) -> Result<void> {
        if (trimmed_end(text).empty()) return {};
        world.unmodelled.note("tracefs: event triggers");
        return fail(EINVAL);
      });
}

// The tracer's own records, which are not switched (kernel: TRACE_EVENT_FL_IGNORE_ENABLE).
constexpr std::string_view kOwnSystem = "ftrace";

// events/SYSTEM/EVENT (kernel: event_create_dir, in whose order the files are made).
std::shared_ptr<Directory> event_folder(VfsWorld& world, std::string_view system, std::string_view name, u32 id,
                                        std::string format) {
  auto folder = std::make_shared<NewestFirstFolder>(0750, kTracefs);
  const bool own = system == kOwnSystem;
  // Of the tracer's own, those that can be enabled from within.
  const bool registers = !own || name == "function" || name == "print";
  if (!own) folder->add("enable", event_switch(world, id));
  if (registers) folder->add_text("id", 0440, [id] { return std::to_string(id) + "\n"; });
  if (!own) folder->add("filter", event_filter(world, id));
  if (!own || name == "print") folder->add("trigger", no_trigger(world));
  folder->add_text("hist", 0440, [] { return ""; });
  folder->add_text("format", 0440, [format = std::move(format)] { return format; });
  return folder;
}

// Folders by when they were made. Events get their ids one by one, each with its folder; those of the tracer's own are
// fixed, and made in another order.
using FoldersByAge = std::map<std::string, u32, std::less<>>;
constexpr u32 age_of(u32 id) { return 2 * id; }

constexpr std::string_view kMadeBeforeOwn = "cgroup";
constexpr std::string_view kOwnEvents[] = {
    "timerlat",       "osnoise",        "func_repeats",    "hwlat",      "branch",       "mmiotrace_map",
    "mmiotrace_rw",   "bputs",          "raw_data",        "print",      "bprint",       "user_stack",
    "kernel_stack",   "wakeup",         "context_switch",  "funcgraph_exit", "funcgraph_entry", "function"};

u32 age_of_own(std::string_view name) {
  return static_cast<u32>(std::ranges::find(kOwnEvents, name) - std::begin(kOwnEvents));
}

std::vector<DirEntry> with_files(const FoldersByAge& folders, std::vector<DirEntry> files) {
  std::vector<std::pair<u32, std::string>> by_age;
  for (const auto& [name, age] : folders) by_age.emplace_back(age, name);
  std::ranges::sort(by_age, std::greater());
  std::vector<DirEntry> entries;
  for (auto& [age, name] : by_age) entries.push_back({std::move(name), DT_DIR});
  std::ranges::move(files, std::back_inserter(entries));
  return entries;
}

// events/SYSTEM: made on demand, since there are a thousand events.
class SystemFolder : public NewestFirstFolder {
 public:
  SystemFolder(VfsWorld& world, std::string system)
      : NewestFirstFolder(0750, kTracefs), world_(world), system_(std::move(system)) {
    if (system_ == kOwnSystem) return;
    add("filter", system_filter(world, system_));
    add("enable", system_switch(world, system_));
  }
  Result<NodePtr> child(std::string_view name) override {
    if (const TraceEvent* event = world_.kernel.events().find(system_, name)) {
      return event_folder(world_, system_, name, event->id, std::string(event->format));
    }
    if (auto event = world_.dynamic_events.find(system_, name)) {
      return event_folder(world_, system_, name, event->id, event->format());
    }
    return Directory::child(name);
  }
  std::vector<DirEntry> list() override {
    FoldersByAge events;
    const bool own = system_ == kOwnSystem;
    for (const TraceEvent* event : world_.kernel.events().of_system(system_))
      events.emplace(event->name, own ? age_of_own(event->name) : age_of(event->id));
    for (const auto& event : world_.dynamic_events.all()) {
      if (event->group == system_) events.emplace(event->name, age_of(event->id));
    }
    return with_files(events, NewestFirstFolder::list());
  }

 private:
  VfsWorld& world_;
  std::string system_;
};

class EventsFolder : public NewestFirstFolder {
 public:
  explicit EventsFolder(VfsWorld& world) : NewestFirstFolder(0750, kTracefs), world_(world) {
    add("enable", system_switch(world, ""));
    for (const char* name : {"header_page", "header_event"}) {
      add_text(name, 0440,
               [&world, path = std::string("trace/events/") + name] { return std::string(world.kernel.file(path)); });
    }
  }
  Result<NodePtr> child(std::string_view name) override {
    if (has_system(name)) return std::make_shared<SystemFolder>(world_, std::string(name));
    return Directory::child(name);
  }
  std::vector<DirEntry> list() override {
    FoldersByAge systems;
    const auto add = [&](std::string_view system, u32 id) {
      u32& first = systems.try_emplace(std::string(system), age_of(id)).first->second;
      first = std::min(first, age_of(id));
    };
    for (const TraceEvent& event : world_.kernel.events().all()) add(event.system, event.id);
    for (const auto& event : world_.dynamic_events.all()) add(event->group, event->id);
    if (const auto before = systems.find(kMadeBeforeOwn); before != systems.end())
      systems.insert_or_assign(std::string(kOwnSystem), before->second + 1);
    return with_files(systems, NewestFirstFolder::list());
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

}  // namespace

std::shared_ptr<Directory> make_trace_events(VfsWorld& world) {
  return std::make_shared<EventsFolder>(world);
}

}  // namespace bpfemu
