// SPDX-License-Identifier: Apache-2.0
#include "emu/verifier/prog_types.h"

#include "emu/abi/kernel_version.h"
#include "emu/bpf/attach_types.h"
#include "emu/verifier/btf_access.h"
#include "emu/verifier/ctx_access.h"
#include "emu/verifier/helper_sets.h"

namespace bpfemu {
namespace {

bool reads_packet(const ProgInfo&, Access access) {
  return access == Access::kRead;
}
bool reads_and_writes_packet(const ProgInfo&, Access) {
  return true;
}

// --- One entry a kind of program -----------------------------------------------------------------------------------

constexpr ProgTypeOps kSocketFilter{
    .is_valid_access = socket_filter_access, .helper = socket_filter_helpers, .ld_abs = true};
constexpr ProgTypeOps kSched{.is_valid_access = sched_access,
                             .helper = sched_helpers,
                             .ld_abs = true,
                             .direct_packet = reads_and_writes_packet,
                             .gen_prologue = true,
                             .btf_struct_access = connection_access};
constexpr ProgTypeOps kXdp{.is_valid_access = xdp_access,
                           .helper = xdp_helpers,
                           .direct_packet = reads_and_writes_packet,
                           .gen_prologue = true,
                           .btf_struct_access = connection_access};
constexpr ProgTypeOps kCgroupSkb{
    .is_valid_access = cgroup_skb_access, .helper = cgroup_skb_helpers, .direct_packet = reads_packet};
constexpr ProgTypeOps kCgroupSock{.is_valid_access = cgroup_sock_access, .helper = cgroup_sock_helpers};
constexpr ProgTypeOps kCgroupSockAddr{.is_valid_access = cgroup_sock_addr_access, .helper = cgroup_sock_addr_helpers};
constexpr ProgTypeOps kLwtIn{.is_valid_access = lwt_access, .helper = lwt_in_helpers, .direct_packet = reads_packet};
constexpr ProgTypeOps kLwtOut{.is_valid_access = lwt_access, .helper = lwt_out_helpers, .direct_packet = reads_packet};
constexpr ProgTypeOps kLwtXmit{.is_valid_access = lwt_access,
                               .helper = lwt_xmit_helpers,
                               .direct_packet = reads_and_writes_packet,
                               .gen_prologue = true};
constexpr ProgTypeOps kLwtSeg6local{
    .is_valid_access = lwt_access, .helper = lwt_seg6local_helpers, .direct_packet = reads_packet};
constexpr ProgTypeOps kSockOps{.is_valid_access = sock_ops_access, .helper = sock_ops_helpers};
constexpr ProgTypeOps kSkSkb{.is_valid_access = sk_skb_access,
                             .helper = sk_skb_helpers,
                             .direct_packet = reads_and_writes_packet,
                             .gen_prologue = true};
constexpr ProgTypeOps kSkMsg{.is_valid_access = sk_msg_access,
                             .helper = sk_msg_helpers,
                             .direct_packet = reads_and_writes_packet,
                             .gen_prologue = true};
constexpr ProgTypeOps kFlowDissector{
    .is_valid_access = flow_dissector_access, .helper = flow_dissector_helpers, .direct_packet = reads_packet};
constexpr ProgTypeOps kSkReuseport{
    .is_valid_access = sk_reuseport_access, .helper = sk_reuseport_helpers, .direct_packet = reads_packet};
constexpr ProgTypeOps kSkLookup{.is_valid_access = sk_lookup_access, .helper = sk_lookup_helpers};
constexpr ProgTypeOps kCgroupDevice{.is_valid_access = cgroup_device_access, .helper = cgroup_device_helpers};
constexpr ProgTypeOps kCgroupSysctl{.is_valid_access = cgroup_sysctl_access, .helper = cgroup_sysctl_helpers};
constexpr ProgTypeOps kCgroupSockopt{.is_valid_access = cgroup_sockopt_access,
                                     .helper = cgroup_sockopt_helpers,
                                     .direct_packet = reads_and_writes_packet,
                                     .gen_prologue = true};
constexpr ProgTypeOps kLirc{.is_valid_access = lirc_access, .helper = lirc_helpers};

constexpr ProgTypeOps kKprobe{.is_valid_access = kprobe_access, .helper = kprobe_helpers};
constexpr ProgTypeOps kTracepoint{.is_valid_access = tracepoint_access, .helper = tracepoint_helpers};
constexpr ProgTypeOps kPerfEvent{.is_valid_access = perf_event_access, .helper = perf_event_helpers};
constexpr ProgTypeOps kRawTracepoint{.is_valid_access = raw_tracepoint_access, .helper = raw_tracepoint_helpers};
constexpr ProgTypeOps kRawTracepointWritable{.is_valid_access = raw_tracepoint_writable_access,
                                             .helper = raw_tracepoint_helpers};
constexpr ProgTypeOps kTracing{.is_valid_access = tracing_access, .helper = tracing_helpers};
constexpr ProgTypeOps kLsm{.is_valid_access = lsm_access, .helper = lsm_helpers};
constexpr ProgTypeOps kStructOps{
    .is_valid_access = struct_ops_access, .helper = struct_ops_helpers, .btf_struct_access = struct_ops_field_access};
constexpr ProgTypeOps kSyscall{.is_valid_access = syscall_access, .helper = syscall_helpers};
// Takes over the rules of the program it replaces a function of.
constexpr ProgTypeOps kExtension{};

// --- The tables ----------------------------------------------------------------------------------------------------

constexpr ProgTypeEntry kProgTypes[] = {
#define PROG_TYPE(id, NAME, name, major, minor, rights, context, ops) \
  {BPF_PROG_TYPE_##NAME, #name, kernel_version(major, minor), rights, context, &ops},
#include "emu/abi/prog_types.inc"
};

// Program types that need an expected attach type of their own.
bool needs_attach_type(u32 type) {
  switch (type) {
    case BPF_PROG_TYPE_CGROUP_SOCK:
    case BPF_PROG_TYPE_CGROUP_SOCK_ADDR:
    case BPF_PROG_TYPE_CGROUP_SKB:
    case BPF_PROG_TYPE_CGROUP_SOCKOPT:
    case BPF_PROG_TYPE_SK_LOOKUP:
    case BPF_PROG_TYPE_SK_REUSEPORT: return true;
    default: return false;
  }
}

bool has_btf_target(u32 type) {
  return type == BPF_PROG_TYPE_TRACING || type == BPF_PROG_TYPE_LSM || type == BPF_PROG_TYPE_STRUCT_OPS ||
         type == BPF_PROG_TYPE_EXT;
}

bool may_target_program(u32 type) {
  return type == BPF_PROG_TYPE_TRACING || type == BPF_PROG_TYPE_EXT;
}

constexpr u32 kMaxBtfType = 0x000fffff;  // kernel: BTF_MAX_TYPE

}  // namespace

std::span<const ProgTypeEntry> prog_type_entries() {
  return kProgTypes;
}

const ProgTypeEntry* prog_type_entry(u32 type) {
  return type >= 1 && type <= std::size(kProgTypes) ? &kProgTypes[type - 1] : nullptr;
}

const ProgTypeOps* prog_type_ops(u32 type) {
  const ProgTypeEntry* entry = prog_type_entry(type);
  return entry && !(entry->rights & kNotBuilt) ? entry->ops : nullptr;
}

Result<void> check_load_rights(u32 type, const Capabilities& caps) {
  const ProgTypeEntry* entry = prog_type_entry(type);
  u32 rights = entry ? entry->rights : u32{kBpf};
  if (!(rights & kUnprivileged) && !caps.bpf && !caps.sys_admin) return fail(EPERM);
  if ((rights & kNetAdmin) && !caps.net_admin && !caps.sys_admin) return fail(EPERM);
  if ((rights & kPerfmon) && !caps.perfmon && !caps.sys_admin) return fail(EPERM);
  return {};
}

u32 effective_attach_type(u32 type, u32 expected_attach_type) {
  if (expected_attach_type != 0) return expected_attach_type;
  if (type == BPF_PROG_TYPE_CGROUP_SOCK) return BPF_CGROUP_INET_SOCK_CREATE;
  if (type == BPF_PROG_TYPE_SK_REUSEPORT) return BPF_SK_REUSEPORT_SELECT;
  return 0;
}

Result<void> check_load_attach(u32 type, u32 expected_attach_type, bool has_attach_btf, u32 attach_btf_id,
                               bool has_target_program) {
  if (attach_btf_id != 0) {
    if (attach_btf_id > kMaxBtfType || (!has_attach_btf && !has_target_program)) return fail(EINVAL);
    if (!has_btf_target(type)) return fail(EINVAL);
  }
  if (has_attach_btf && (attach_btf_id == 0 || has_target_program)) return fail(EINVAL);
  if (has_target_program && !may_target_program(type)) return fail(EINVAL);

  if (needs_attach_type(type)) {
    for (const AttachType& entry : attach_types()) {
      if (entry.id == expected_attach_type && entry.prog_type == type) return {};
    }
    return fail(EINVAL);
  }
  if ((type == BPF_PROG_TYPE_SYSCALL || type == BPF_PROG_TYPE_EXT) && expected_attach_type != 0) return fail(EINVAL);
  return {};
}

}  // namespace bpfemu
