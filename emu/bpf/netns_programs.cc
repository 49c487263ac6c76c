// SPDX-License-Identifier: Apache-2.0
#include "emu/bpf/netns_programs.h"

#include <fmt/format.h>

#include <utility>

namespace bpfemu {

namespace {

// Kernel: netns_bpf_max_progs.
size_t most_programs(u32 type) {
  return type == BPF_FLOW_DISSECTOR ? 1 : 64;
}

}  // namespace

bool NetnsPrograms::any(u32 type) const {
  const auto there = attached_.find(type);
  return there != attached_.end() && (there->second.program || !there->second.links.empty());
}

std::vector<u32> NetnsPrograms::ids(u32 type) const {
  std::vector<u32> ids;
  const auto there = attached_.find(type);
  if (there == attached_.end()) return ids;
  if (there->second.program) ids.push_back(there->second.program->id());
  for (const NetnsLink* link : there->second.links) ids.push_back(link->program()->id());
  return ids;
}

Result<void> NetnsPrograms::attach(u32 type, std::shared_ptr<Program> program, bool elsewhere) {
  Attached& there = attached_[type];
  if (!there.links.empty()) return fail(EEXIST);
  if (type != BPF_FLOW_DISSECTOR) return fail(EINVAL);
  if (elsewhere) return fail(EEXIST);
  if (there.program == program) return fail(EINVAL);
  there.program = std::move(program);
  return {};
}

Result<void> NetnsPrograms::detach(u32 type, const Program& program) {
  Attached& there = attached_[type];
  if (!there.links.empty()) return fail(EINVAL);
  if (there.program.get() != &program) return fail(ENOENT);
  there.program.reset();
  return {};
}

Result<void> NetnsPrograms::join(NetnsLink& link, bool elsewhere) {
  Attached& there = attached_[link.attach_type()];
  if (there.links.size() >= most_programs(link.attach_type())) return fail(E2BIG);
  if (there.program || elsewhere) return fail(EEXIST);
  there.links.push_back(&link);
  return {};
}

void NetnsPrograms::leave(const NetnsLink& link) {
  std::erase(attached_[link.attach_type()].links, &link);
}

void NetnsPrograms::gone() {
  for (auto& [type, there] : std::exchange(attached_, {}))
    for (NetnsLink* link : there.links) link->orphan();
}

Result<void> NetnsLink::join(std::shared_ptr<NetnsPrograms> netns, bool elsewhere) {
  TRY(netns->join(*this, elsewhere));
  netns_ = std::move(netns);
  return {};
}

void NetnsLink::leave() {
  if (netns_) netns_->leave(*this);
  netns_.reset();
}

void NetnsLink::fill_info(bpf_link_info& info, std::string&) const {
  info.netns.netns_ino = netns_ ? netns_->inode() : 0;
  info.netns.attach_type = attach_type_;
}

std::string NetnsLink::fdinfo() const {
  return fmt::format("netns_ino:\t{}\nattach_type:\t{}\n", netns_ ? netns_->inode() : 0, attach_type_);
}

Result<void> NetnsLink::detach() {
  leave();
  return {};
}

Result<void> NetnsLink::update(std::shared_ptr<Program> program, u32, std::shared_ptr<Program> old) {
  if (old && old != program_) return fail(EPERM);
  if (program->type != program_->type) return fail(EINVAL);
  if (!netns_) return fail(ENOLINK);
  program_ = std::move(program);
  return {};
}

}  // namespace bpfemu
