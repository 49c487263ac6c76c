// SPDX-License-Identifier: Apache-2.0
// Walking the ids of living objects, and descriptors by id. All need CAP_SYS_ADMIN.
#include <climits>
#include <cstddef>

#include "emu/syscalls/bpf.h"

namespace bpfemu {

namespace {

constexpr u32 kFdFlags = BPF_F_RDONLY | BPF_F_WRONLY;  // BPF_OBJ_FLAG_MASK

// Kernel: bpf_obj_get_next_id.
template <class T>
Result<u64> next_id(BpfCall& call, IdSpace<T>& ids) {
  if (call.attr.start_id >= INT_MAX) return fail(EINVAL);
  if (!call.caps.sys_admin) return fail(EPERM);
  u32 id = TRY(ids.next(call.attr.start_id));
  TRY(call.put_attr(offsetof(bpf_attr, next_id), id));
  return 0;
}

}  // namespace

Result<u64> prog_get_next_id(BpfCall& call) { return next_id(call, call.system.programs); }
Result<u64> map_get_next_id(BpfCall& call) { return next_id(call, call.system.maps); }
Result<u64> btf_get_next_id(BpfCall& call) { return next_id(call, call.system.btfs); }
Result<u64> link_get_next_id(BpfCall& call) { return next_id(call, call.system.links); }

Result<u64> prog_get_fd_by_id(BpfCall& call) {
  if (!call.caps.sys_admin) return fail(EPERM);
  return call.install(std::make_shared<ProgramFile>(TRY(call.system.programs.find(call.attr.prog_id))));
}

Result<u64> map_get_fd_by_id(BpfCall& call) {
  if (call.attr.open_flags & ~kFdFlags) return fail(EINVAL);
  if (!call.caps.sys_admin) return fail(EPERM);
  u32 flags = TRY(open_flag(call.attr.open_flags));
  return install_map(call, TRY(call.system.maps.find(call.attr.map_id)), flags);
}

Result<u64> btf_get_fd_by_id(BpfCall& call) {
  if (!call.caps.sys_admin) return fail(EPERM);
  return call.install(std::make_shared<BtfFile>(TRY(call.system.btfs.find(call.attr.btf_id))));
}

Result<u64> link_get_fd_by_id(BpfCall& call) {
  if (!call.caps.sys_admin) return fail(EPERM);
  return call.install(std::make_shared<LinkFile>(TRY(call.system.links.find(call.attr.link_id)), false));
}

}  // namespace bpfemu
