// SPDX-License-Identifier: Apache-2.0
// The older way to attach: BPF_PROG_ATTACH, BPF_PROG_DETACH and BPF_PROG_QUERY.
#include <cstddef>

#include "emu/bpf/attach_types.h"
#include "emu/syscalls/attachment.h"
#include "emu/syscalls/bpf.h"
#include "emu/syscalls/bpf_cgroup.h"

namespace bpfemu {

namespace {

constexpr u32 kAttachFlags = BPF_F_ALLOW_OVERRIDE | BPF_F_ALLOW_MULTI | BPF_F_REPLACE;

// Is the target of PROG_ATTACH, PROG_DETACH and PROG_QUERY what it should be: EINVAL for what is no socket map or
// network namespace.
Result<void> check_target(BpfCall& call, const AttachType& type, u32 fd) {
  if (type.to == AttachTo::kNetns) return {};  // the namespace is the caller's own
  TRY(call.task.file_id(static_cast<int>(fd)));
  if (type.to == AttachTo::kSockMap) {
    auto map = TRY(call.map(fd));
    if (!has_trait(map->map(), kSockets)) return fail(EINVAL);
    return {};
  }
  return {};
}

}  // namespace

Result<u64> prog_attach(BpfCall& call) {
  if (call.attr.attach_flags & ~kAttachFlags) return fail(EINVAL);
  const AttachType* type = attach_type(call.attr.attach_type);
  if (!type) return fail(EINVAL);
  auto program = TRY(call.program(call.attr.attach_bpf_fd));
  if (program->type != type->prog_type) return fail(EINVAL);
  if (!check_attach_type(*program, call.attr.attach_type, call.caps)) return fail(EINVAL);
  if (type->to == AttachTo::kTracing || type->to == AttachTo::kLsm || type->to == AttachTo::kXdp) return fail(EINVAL);
  if (type->prog_type == BPF_PROG_TYPE_SK_LOOKUP) return fail(EINVAL);
  if (type->to == AttachTo::kCgroup) return attach_cgroup(call, std::move(program));
  TRY(check_target(call, *type, call.attr.target_fd));
  note_attachment(call, *program, type->id);
  return fail(EINVAL);
}

Result<u64> prog_detach(BpfCall& call) {
  const AttachType* type = attach_type(call.attr.attach_type);
  if (!type || type->to == AttachTo::kTracing || type->to == AttachTo::kLsm || type->to == AttachTo::kXdp) {
    return fail(EINVAL);
  }
  if (type->prog_type == BPF_PROG_TYPE_SK_LOOKUP) return fail(EINVAL);
  if (type->to == AttachTo::kCgroup) return detach_cgroup(call, *type);
  TRY(check_target(call, *type, call.attr.target_fd));
  return fail(ENOENT);  // nothing is attached
}

Result<u64> prog_query(BpfCall& call) {
  if (!call.caps.net_admin) return fail(EPERM);
  if (call.attr.query.query_flags & ~u32{BPF_F_QUERY_EFFECTIVE}) return fail(EINVAL);
  const AttachType* type = attach_type(call.attr.query.attach_type);
  if (!type || type->to == AttachTo::kTracing || type->to == AttachTo::kLsm || type->to == AttachTo::kXdp) {
    return fail(EINVAL);
  }
  if (type->to == AttachTo::kCgroup) return query_cgroup(call);
  TRY(check_target(call, *type, call.attr.query.target_fd));
  TRY(call.put_attr(offsetof(bpf_attr, query.attach_flags), u32{0}));
  TRY(call.put_attr(offsetof(bpf_attr, query.prog_cnt), u32{0}));
  return 0;
}

}  // namespace bpfemu
