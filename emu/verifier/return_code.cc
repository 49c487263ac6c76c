// SPDX-License-Identifier: Apache-2.0
// What a program may return (kernel: check_return_code).
#include <optional>

#include "emu/verifier/checker.h"

namespace bpfemu {

namespace {

// The range that R0 must be in; nothing: anything goes. `denied` by kind of program: ENOTSUPP.
struct Demand {
  std::optional<Tnum> range;
  bool unsupported = false;
};

Demand demand_of_sock_addr(u32 attach) {
  switch (attach) {
    case BPF_CGROUP_UDP4_RECVMSG:
    case BPF_CGROUP_UDP6_RECVMSG:
    case BPF_CGROUP_INET4_GETPEERNAME:
    case BPF_CGROUP_INET6_GETPEERNAME:
    case BPF_CGROUP_INET4_GETSOCKNAME:
    case BPF_CGROUP_INET6_GETSOCKNAME: return {Tnum::constant(1)};
    case BPF_CGROUP_INET4_BIND:
    case BPF_CGROUP_INET6_BIND: return {Tnum::range(0, 3)};
    default: return {Tnum::range(0, 1)};
  }
}

Demand demand_of_tracing(u32 attach) {
  switch (attach) {
    case BPF_TRACE_FENTRY:
    case BPF_TRACE_FEXIT: return {Tnum::constant(0)};
    case BPF_TRACE_RAW_TP:
    case BPF_MODIFY_RETURN: return {};
    case BPF_TRACE_ITER: return {Tnum::range(0, 1)};
    default: return {{}, true};
  }
}

Demand demand_of(const ProgInfo& info) {
  u32 attach = info.expected_attach_type;
  switch (info.resolved_type()) {
    case BPF_PROG_TYPE_CGROUP_SOCK_ADDR: return demand_of_sock_addr(attach);
    case BPF_PROG_TYPE_CGROUP_SKB: return {attach == BPF_CGROUP_INET_EGRESS ? Tnum::range(0, 3) : Tnum::range(0, 1)};
    case BPF_PROG_TYPE_CGROUP_SOCK:
    case BPF_PROG_TYPE_SOCK_OPS:
    case BPF_PROG_TYPE_CGROUP_DEVICE:
    case BPF_PROG_TYPE_CGROUP_SYSCTL:
    case BPF_PROG_TYPE_CGROUP_SOCKOPT:
    case BPF_PROG_TYPE_SK_LOOKUP: return {Tnum::range(0, 1)};
    case BPF_PROG_TYPE_RAW_TRACEPOINT: return info.attach_btf_id ? Demand{Tnum::constant(0)} : Demand{};
    case BPF_PROG_TYPE_TRACING: return demand_of_tracing(attach);
    case BPF_PROG_TYPE_LSM:
      if (attach != BPF_LSM_CGROUP) return {};
      return {info.attach_func_proto->type ? Tnum::range(0, 1) : Tnum::constant(1)};
    default: return {};
  }
}

}  // namespace

Check Checker::check_return_code() {
  const Frame& main = *cur_.frames[0];
  bool is_subprog = main.subprog != 0;
  u32 type = info_.resolved_type();
  bool lsm_cgroup = type == BPF_PROG_TYPE_LSM && info_.expected_attach_type == BPF_LSM_CGROUP;
  bool of_void_hook = (type == BPF_PROG_TYPE_LSM || type == BPF_PROG_TYPE_STRUCT_OPS) && info_.attach_func_proto &&
                      !info_.attach_func_proto->type;
  if (!is_subprog && of_void_hook && !lsm_cgroup) return {};
  TRY(use_reg(BPF_REG_0, Use::kRead));
  const Reg& result = reg(BPF_REG_0);
  if (is_pointer_leak(result)) return reject(EACCES, "R0 leaks addr as return value\n");
  if (main.in_async_callback) {
    if (!result.is_scalar()) {
      return reject(EINVAL, "In async callback the register R0 is not a known value ({})\n", type_text(result.type));
    }
    if (!Tnum::constant(0).contains(result.var_off)) {
      print_bad_scalar(result, Tnum::constant(0), "async callback", "R0");
      return fail(EINVAL);
    }
    return {};
  }
  if (is_subprog) {
    if (!result.is_scalar()) {
      return reject(EINVAL, "At subprogram exit the register R0 is not a scalar value ({})\n", type_text(result.type));
    }
    return {};
  }
  Demand demand = demand_of(info_);
  if (demand.unsupported) return fail(ENOTSUPP);
  if (!demand.range) return {};
  if (!result.is_scalar()) {
    return reject(EINVAL, "At program exit the register R0 is not a known value ({})\n", type_text(result.type));
  }
  if (!demand.range->contains(result.var_off)) {
    print_bad_scalar(result, *demand.range, "program exit", "R0");
    if (lsm_cgroup && of_void_hook) {
      log_.print("Note, BPF_LSM_CGROUP that attach to void LSM hooks can't modify return value!\n");
    }
    return fail(EINVAL);
  }
  // Egress programs that use the congestion results must be attached as such.
  if (type == BPF_PROG_TYPE_CGROUP_SKB && info_.expected_attach_type == BPF_CGROUP_INET_EGRESS &&
      Tnum::range(2, 3).contains(result.var_off)) {
    info_.enforce_expected_attach_type = true;
  }
  return {};
}

}  // namespace bpfemu
