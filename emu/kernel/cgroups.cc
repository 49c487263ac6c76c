// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/cgroups.h"

#include <dirent.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

namespace bpfemu {

namespace {

// Those below know those above and the other way round.
void let_go(Cgroup& cgroup) {
  for (auto& [name, child] : std::exchange(cgroup.children, {})) let_go(*child);
}

// Kernel: cgroup_check_hierarchy_limits.
bool has_room(const Cgroup& parent) {
  s64 level = 1;
  for (const Cgroup* each = &parent; each; each = each->parent().get(), ++level) {
    if (each->max_descendants >= 0 && each->descendants() >= each->max_descendants) return false;
    if (each->max_depth >= 0 && level > each->max_depth) return false;
  }
  return true;
}

constexpr size_t kSweepSpan = 4096;

// Inodes of the sockets that traced processes have open, one for each descriptor.
std::multiset<u64> open_sockets(Host& host) {
  std::multiset<u64> inodes;
  for (pid_t tgid : host.thread_groups()) {
    const std::string folder = fmt::format("/proc/{}/fd", tgid);
    DIR* const list = ::opendir(folder.c_str());
    if (!list) continue;
    while (const dirent* const entry = ::readdir(list)) {
      char target[64] = {};
      const ssize_t size = ::readlinkat(::dirfd(list), entry->d_name, target, sizeof target - 1);
      if (size > 0 && std::string_view(target).starts_with("socket:["))
        inodes.insert(::strtoull(target + 8, nullptr, 10));
    }
    ::closedir(list);
  }
  return inodes;
}

}  // namespace

Cgroups::Cgroups(Host& host) : host_(host), root_(std::make_shared<Cgroup>(1, "", nullptr)) {}

Cgroups::~Cgroups() {
  let_go(*root_);
}

Result<std::shared_ptr<Cgroup>> Cgroups::make(const std::shared_ptr<Cgroup>& parent, const std::string& name, u64 ids) {
  if (parent->dead) return fail(ENODEV);
  if (!has_room(*parent)) return fail(EAGAIN);
  auto made = std::make_shared<Cgroup>(next_id_, name, parent);
  next_id_ += ids;
  parent->children[name] = made;
  return made;
}

Result<void> Cgroups::remove(Cgroup& cgroup) {
  if (!cgroup.parent() || !cgroup.children.empty() || populated(cgroup)) return fail(EBUSY);
  cgroup.dead = true;
  if (removed) removed(cgroup);
  cgroup.parent()->children.erase(cgroup.name());
  return {};
}

const std::shared_ptr<Cgroup>& Cgroups::of(pid_t tid) const {
  const auto member = members_.find(tid);
  return member != members_.end() ? member->second : root_;
}

std::shared_ptr<Cgroup> Cgroups::find(u64 id) const {
  std::vector<std::shared_ptr<Cgroup>> left{root_};
  while (!left.empty()) {
    const std::shared_ptr<Cgroup> each = std::move(left.back());
    left.pop_back();
    if (each->id() == id) return each;
    for (const auto& [name, child] : each->children) left.push_back(child);
  }
  return nullptr;
}

Result<void> Cgroups::move(pid_t tgid, const std::shared_ptr<Cgroup>& to) {
  if (to->dead) return fail(ENODEV);
  bool told = to == root_;
  for (pid_t tid : host_.threads()) {
    Task* const task = host_.find_task(tid);
    if (!task || task->tgid() != tgid) continue;
    if (to == root_) {
      members_.erase(tid);
    } else {
      members_[tid] = to;
      if (!std::exchange(told, true) && entered) entered(*task);
    }
  }
  return {};
}

std::vector<pid_t> Cgroups::threads(const Cgroup& cgroup) const {
  std::vector<pid_t> out;
  for (pid_t tid : host_.threads())
    if (of(tid).get() == &cgroup) out.push_back(tid);
  std::ranges::sort(out);
  return out;
}

std::vector<pid_t> Cgroups::processes(const Cgroup& cgroup) const {
  std::vector<pid_t> out;
  for (pid_t tid : threads(cgroup))
    if (const Task* const task = host_.find_task(tid)) out.push_back(task->tgid());
  std::ranges::sort(out);
  out.erase(std::ranges::unique(out).begin(), out.end());
  return out;
}

bool Cgroups::populated(const Cgroup& cgroup) const {
  return std::ranges::any_of(members_, [&](const auto& member) { return member.second->is_under(cgroup); });
}

std::shared_ptr<Cgroup> Cgroups::of_socket(u64 inode) const {
  const auto socket = sockets_.find(inode);
  return socket != sockets_.end() ? socket->second : root_;
}

void Cgroups::keep_socket(u64 inode, const std::shared_ptr<Cgroup>& cgroup) {
  if (cgroup == root_) return;
  if (sockets_.size() >= sweep_at_) {
    const std::multiset<u64> open = open_sockets(host_);
    std::erase_if(sockets_, [&](const auto& socket) { return !open.contains(socket.first); });
    sweep_at_ = 2 * sockets_.size() + kSweepSpan;
  }
  sockets_[inode] = cgroup;
}

size_t Cgroups::descriptors_of_socket(u64 inode) const {
  return open_sockets(host_).count(inode);
}

void Cgroups::forked(pid_t parent, pid_t child) {
  if (const auto member = members_.find(parent); member != members_.end()) members_[child] = member->second;
}

void Cgroups::executed(pid_t tid, pid_t old_tid) {
  if (tid == old_tid) return;
  const std::shared_ptr<Cgroup> cgroup = of(old_tid);
  members_.erase(old_tid);
  if (cgroup != root_) members_[tid] = cgroup;
}

}  // namespace bpfemu
