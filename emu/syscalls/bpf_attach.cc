// SPDX-License-Identifier: Apache-2.0
// The older way to attach: BPF_PROG_ATTACH, BPF_PROG_DETACH and BPF_PROG_QUERY.
#include <fmt/format.h>

#include "emu/bpf/attach_types.h"
#include "emu/syscalls/bpf.h"
#include "emu/syscalls/bpf_cgroup.h"
#include "emu/syscalls/bpf_network.h"

namespace bpfemu {

namespace {

constexpr u32 kAttachFlags = BPF_F_ALLOW_OVERRIDE | BPF_F_ALLOW_MULTI | BPF_F_REPLACE;

// Kernel: sock_map_get_from_fd. Data that goes through sockets of the map passes no program, which is noted.
Result<u64> attach_socket_map(BpfCall& call, std::shared_ptr<Program> program) {
  const auto& attr = call.attr;
  if (attr.attach_flags || attr.replace_bpf_fd) return fail(EINVAL);
  const auto map = TRY(call.map(attr.target_fd));
  TRY(check_runnable(call.system, *program));
  TRY(call.system.socket_maps->set_program(*map, attr.attach_type, std::move(program), nullptr));
  call.system.unmodelled.note(fmt::format("data for {} programs", attach_types()[attr.attach_type].name));
  return 0;
}

// Kernel: sock_map_prog_detach.
Result<u64> detach_socket_map(BpfCall& call, const AttachType& type) {
  if (call.attr.attach_flags || call.attr.replace_bpf_fd) return fail(EINVAL);
  const auto map = TRY(call.map(call.attr.target_fd));
  const auto program = TRY(call.program(call.attr.attach_bpf_fd));
  if (program->type != type.prog_type) return fail(EINVAL);
  TRY(call.system.socket_maps->set_program(*map, type.id, nullptr, program.get()));
  return 0;
}

// Kernel: sock_map_bpf_prog_query.
Result<u64> query_socket_map(BpfCall& call) {
  const auto& query = call.attr.query;
  if (query.query_flags) return fail(EINVAL);
  const auto map = TRY(call.map(query.target_fd));
  const auto program = call.system.socket_maps->program(*map, query.attach_type);
  std::vector<u32> ids;
  if (program && *program) ids.push_back((*program)->id());
  TRY(put_queried(call, std::move(ids)));
  if (!program) return fail(program.error().value);
  return 0;
}

// BPF_LSM_MAC is no place of a cgroup, which shows when there is one (kernel: bpf_cgroup_atype_find).
Result<u64> refuse_in_cgroup(BpfCall& call) {
  TRY(cgroup_of_fd(call.system, call.task, call.attr.target_fd));
  return fail(EINVAL);
}

}  // namespace

Result<u64> prog_attach(BpfCall& call) {
  if (call.attr.attach_flags & ~kAttachFlags) return fail(EINVAL);
  const AttachType* type = attach_type(call.attr.attach_type);
  if (!type) return fail(EINVAL);
  auto program = TRY(call.program(call.attr.attach_bpf_fd));
  if (program->type != type->prog_type) return fail(EINVAL);
  if (!check_attach_type(*program, call.attr.attach_type, call.caps)) return fail(EINVAL);
  if (type->to == AttachTo::kTracing || type->to == AttachTo::kXdp) return fail(EINVAL);
  if (type->prog_type == BPF_PROG_TYPE_SK_LOOKUP) return fail(EINVAL);
  if (program->type == BPF_PROG_TYPE_LSM && program->expected_attach_type != BPF_LSM_CGROUP) return fail(EINVAL);
  if (type->to == AttachTo::kLsm) return refuse_in_cgroup(call);
  if (type->to == AttachTo::kCgroup) return attach_cgroup(call, std::move(program));
  if (type->to == AttachTo::kNetns) return attach_netns(call, std::move(program));
  if (type->to == AttachTo::kSockMap) return attach_socket_map(call, std::move(program));
  return fail(EINVAL);
}

Result<u64> prog_detach(BpfCall& call) {
  const AttachType* type = attach_type(call.attr.attach_type);
  if (!type || type->to == AttachTo::kTracing || type->to == AttachTo::kXdp) return fail(EINVAL);
  if (type->prog_type == BPF_PROG_TYPE_SK_LOOKUP) return fail(EINVAL);
  if (type->to == AttachTo::kLsm) return refuse_in_cgroup(call);
  if (type->to == AttachTo::kCgroup) return detach_cgroup(call, *type);
  if (type->to == AttachTo::kNetns) return detach_netns(call, *type);
  if (type->to == AttachTo::kSockMap) return detach_socket_map(call, *type);
  return fail(EINVAL);
}

Result<u64> prog_query(BpfCall& call) {
  if (!call.caps.net_admin) return fail(EPERM);
  if (call.attr.query.query_flags & ~u32{BPF_F_QUERY_EFFECTIVE}) return fail(EINVAL);
  const AttachType* type = attach_type(call.attr.query.attach_type);
  if (!type || type->to == AttachTo::kTracing || type->to == AttachTo::kLsm || type->to == AttachTo::kXdp) {
    return fail(EINVAL);
  }
  if (type->to == AttachTo::kCgroup) return query_cgroup(call);
  if (type->to == AttachTo::kNetns) return query_netns(call);
  if (type->to == AttachTo::kSockMap) return query_socket_map(call);
  return fail(EINVAL);
}

}  // namespace bpfemu
