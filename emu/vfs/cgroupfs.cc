// SPDX-License-Identifier: Apache-2.0
// cgroup2: a folder for each cgroup of the model, however often it is mounted. What its interface files would count or
// control and the model does not is refused when it is opened, as a kernel built without refuses it, and noted.
#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "emu/kernel/cgroups.h"
#include "emu/kernel/kstrtox.h"
#include "emu/vfs/filesystems.h"

namespace bpfemu {

namespace {

// A file of a cgroup, as one that is open sees it.
struct Context {
  VfsWorld& world;
  const std::shared_ptr<Cgroup>& cgroup;
  Task* task;  // null: the model itself
};

// A line each, as the reader's pid namespace numbers them.
std::string lines(const Context& at, const std::vector<pid_t>& numbers) {
  std::string text;
  for (pid_t number : numbers)
    text += fmt::format("{}\n", at.task && at.world.number_for ? at.world.number_for(*at.task, number) : number);
  return text;
}

std::string limit(s64 value) {
  return value < 0 ? "max\n" : fmt::format("{}\n", value);
}

// "max", or a number from 0 on (kernel: cgroup_max_descendants_write).
Result<void> set_limit(s64& limit, std::string_view text) {
  text = trimmed_end(text);
  if (text == "max") {
    limit = -1;
    return {};
  }
  const s64 value = TRY(kstrtol(text));
  if (value < 0 || value > INT_MAX) return fail(ERANGE);
  limit = value;
  return {};
}

// Who "0" or a number means to the writer: his process' number (kernel: cgroup_procs_write_start).
Result<pid_t> process_named(const Context& at, std::string_view text) {
  const auto number = kstrtol(trimmed_end(text));
  if (!number || *number < 0 || *number > INT_MAX || !at.task) return fail(EINVAL);
  if (*number == 0) return at.task->tgid();
  const Task* const named = at.world.find_task(*at.task, static_cast<pid_t>(*number));
  if (!named) return fail(ESRCH);
  return named->tgid();
}

Result<void> move_process(const Context& at, std::string_view text) {
  const pid_t tgid = TRY(process_named(at, text));
  if (!at.cgroup->dead && at.world.cgroups.attaching) at.world.cgroups.attaching(*at.task, *at.cgroup, tgid);
  return at.world.cgroups.move(tgid, at.cgroup);
}

// A thread stays where the rest of its process is, since no cgroup is threaded (kernel: cgroup_attach_permissions).
Result<void> move_thread(const Context& at, std::string_view text) {
  const pid_t tgid = TRY(process_named(at, text));
  if (at.world.cgroups.of(tgid) != at.cgroup) return fail(EOPNOTSUPP);
  return {};
}

constexpr std::string_view kControllers[] = {"cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc"};

// "+memory -pids" (kernel: cgroup_subtree_control_write).
Result<void> enable(const Context& at, std::string_view text) {
  Result<void> done;
  for (text = trimmed_end(text); !text.empty();) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    if (word.empty()) continue;
    const std::string_view name = word.substr(1);
    if ((word[0] != '+' && word[0] != '-') || std::ranges::find(kControllers, name) == std::end(kControllers))
      return fail(EINVAL);
    if (word[0] == '-') continue;
    at.world.unmodelled.note("cgroup controller", name);
    done = fail(ENOENT);
  }
  return done;
}

Result<void> set_type(const Context& at, std::string_view text) {
  if (trimmed_end(text) != "threaded") return fail(EINVAL);
  at.world.unmodelled.note("threaded cgroups");
  return fail(EOPNOTSUPP);
}

Result<void> freeze(const Context& at, std::string_view text) {
  const s64 wanted = TRY(kstrtol(trimmed_end(text)));
  if (wanted < 0 || wanted > 1) return fail(ERANGE);
  if (wanted == 0) return {};
  at.world.unmodelled.note("freezing cgroups");
  return fail(EOPNOTSUPP);
}

constexpr int kKill = 9;  // SIGKILL

// Kernel: cgroup_kill.
void kill_all(const Cgroups& cgroups, const Cgroup& cgroup) {
  for (pid_t process : cgroups.processes(cgroup)) (void)::syscall(SYS_kill, process, kKill);
  for (const auto& [name, child] : cgroup.children) kill_all(cgroups, *child);
}

Result<void> kill_members(const Context& at, std::string_view text) {
  if (TRY(kstrtol(trimmed_end(text))) != 1) return fail(ERANGE);
  kill_all(at.world.cgroups, *at.cgroup);
  return {};
}

// An interface file (kernel: cgroup_base_files). Its own and its folder's numbers follow each other in this order.
struct Interface {
  const char* name;
  u32 mode;
  bool in_root;
  bool modelled;
  std::string (*show)(const Context& at);                           // null: EINVAL
  Result<void> (*store)(const Context& at, std::string_view text);  // null: EINVAL
};
constexpr Interface kFiles[] = {
    {"cgroup.type", 0644, false, true, [](const Context&) { return std::string("domain\n"); }, set_type},
    {"cgroup.procs", 0644, true, true,
     [](const Context& at) { return lines(at, at.world.cgroups.processes(*at.cgroup)); }, move_process},
    {"cgroup.threads", 0644, true, true,
     [](const Context& at) { return lines(at, at.world.cgroups.threads(*at.cgroup)); }, move_thread},
    {"cgroup.controllers", 0444, true, true, [](const Context&) { return std::string(); }, nullptr},
    {"cgroup.subtree_control", 0644, true, true, [](const Context&) { return std::string(); }, enable},
    {"cgroup.events", 0444, false, true,
     [](const Context& at) {
       return fmt::format("populated {:d}\nfrozen 0\n", at.world.cgroups.populated(*at.cgroup));
     },
     nullptr},
    {"cgroup.max.descendants", 0644, true, true, [](const Context& at) { return limit(at.cgroup->max_descendants); },
     [](const Context& at, std::string_view text) { return set_limit(at.cgroup->max_descendants, text); }},
    {"cgroup.max.depth", 0644, true, true, [](const Context& at) { return limit(at.cgroup->max_depth); },
     [](const Context& at, std::string_view text) { return set_limit(at.cgroup->max_depth, text); }},
    {"cgroup.stat", 0444, true, true,
     [](const Context& at) {
       return fmt::format("nr_descendants {}\nnr_dying_descendants 0\n", at.cgroup->descendants());
     },
     nullptr},
    {"cgroup.freeze", 0644, false, true, [](const Context&) { return std::string("0\n"); }, freeze},
    {"cgroup.kill", 0200, false, true, nullptr, kill_members},
    {"cpu.stat", 0444, true, false, nullptr, nullptr},
    {"io.pressure", 0644, true, false, nullptr, nullptr},
    {"memory.pressure", 0644, true, false, nullptr, nullptr},
    {"cpu.pressure", 0644, true, false, nullptr, nullptr},
    {"cgroup.pressure", 0644, true, false, nullptr, nullptr},
};

class CgroupFile : public FileNode {
 public:
  CgroupFile(VfsWorld& world, std::shared_ptr<Cgroup> cgroup, const Interface& interface)
      : FileNode(interface.mode, kCgroup2), world_(world), cgroup_(std::move(cgroup)), interface_(interface) {}
  Result<std::string> read(Task* task) override {
    if (!interface_.show) return fail(EINVAL);
    return interface_.show({world_, cgroup_, task});
  }
  Result<u64> write(Task* task, std::string_view text) override {
    if (cgroup_->dead) return fail(ENODEV);
    if (!interface_.store) return fail(EINVAL);
    TRY(interface_.store({world_, cgroup_, task}, text));
    return text.size();
  }
  Result<Opened> open(Task* task, int flags) override {
    if (cgroup_->dead) return fail(ENODEV);
    if (interface_.modelled) return FileNode::open(task, flags);
    world_.unmodelled.note("cgroup file", interface_.name);
    return fail(EOPNOTSUPP);
  }

 private:
  VfsWorld& world_;
  std::shared_ptr<Cgroup> cgroup_;
  const Interface& interface_;
};

class CgroupDirectory : public Directory {
 public:
  CgroupDirectory(u32 mode, u32 uid, u32 gid, VfsWorld& world, std::shared_ptr<Cgroup> cgroup)
      : Directory(mode, kCgroup2), world_(world), cgroup_(std::move(cgroup)) {
    this->uid = uid, this->gid = gid;
    ino = cgroup_->id();
    u64 next = ino;
    for (const Interface& interface : kFiles) {
      if (!cgroup_->parent() && !interface.in_root) continue;
      auto file = std::make_shared<CgroupFile>(world, cgroup_, interface);
      file->uid = uid, file->gid = gid;
      file->ino = ++next;
      add(interface.name, std::move(file));
    }
  }
  const std::shared_ptr<Cgroup>& cgroup() const { return cgroup_; }

  // Kernel: cgroup_mkdir.
  Result<NodePtr> make_folder(const std::string& name, u32 mode, u32 uid, u32 gid) override {
    if (name.find('\n') != name.npos) return fail(EINVAL);
    auto made = TRY(world_.cgroups.make(cgroup_, name, 1 + std::size(kFiles)));
    return std::make_shared<CgroupDirectory>(mode, uid, gid, world_, std::move(made));
  }
  // Kernel: cgroup_rmdir.
  Result<void> remove_folder(const std::string& name, Directory& folder) override {
    if (!cgroup_of(folder)) return fail(EBUSY);  // something is mounted there
    auto& removed = static_cast<CgroupDirectory&>(folder);
    TRY(world_.cgroups.remove(*removed.cgroup_));
    removed.entries_.clear();
    drop(name);
    return {};
  }

 private:
  VfsWorld& world_;
  std::shared_ptr<Cgroup> cgroup_;
};

}  // namespace

void place_cgroupfs(Vfs& vfs) {
  VfsWorld& world = vfs.world();
  vfs.place(kCgroupMount, std::make_shared<CgroupDirectory>(0555, 0, 0, world, world.cgroups.root()));
}

std::shared_ptr<Cgroup> cgroup_of(const Node& node) {
  const bool is_one = node.type == &kCgroup2 && node.kind() == Node::Kind::kDirectory;
  return is_one ? static_cast<const CgroupDirectory&>(node).cgroup() : nullptr;
}

}  // namespace bpfemu
