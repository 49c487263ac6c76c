// SPDX-License-Identifier: Apache-2.0
// Who runs: ids, name, task_struct, cgroup, CPU; and signals to it.
#include <linux/bpf.h>

#include "emu/base/bytes.h"
#include "emu/runtime/helpers/comm.h"
#include "emu/runtime/helpers/call.h"

namespace bpfemu {

namespace {

constexpr u32 kLastSignal = 64;  // _NSIG
constexpr u64 kRootCgroup = 1;

u64 pair(u32 low, u32 high) {
  return low | u64{high} << 32;
}

u64 send(Run* run, u64 signal, bool to_group) {
  if (low32(signal) > kLastSignal) return result(-EINVAL);
  return result(run->env->send_signal(run->env->self, low32(signal), to_group));
}

}  // namespace

HELPER(help_get_current_pid_tgid) {
  return pair(run->task->tid, run->task->tgid);
}
HELPER(help_get_current_uid_gid) {
  return pair(run->task->uid, run->task->gid);
}
HELPER(help_get_smp_processor_id) {
  return run->cpu->id;
}
HELPER(help_get_numa_node_id) {
  return 0;
}
HELPER(help_get_current_cgroup_id) {
  return run->task->cgroup_id;
}

HELPER(help_get_current_comm) {
  give_comm(pointer_to<char>(r1), low32(r2), run->task->comm);
  return 0;
}

HELPER(help_get_current_task) {
  if (!run->task->task_struct && run->env->task_struct) {
    run->task->task_struct = run->env->task_struct(run->env->self, run);
  }
  return run->task->task_struct;
}

HELPER(help_task_pt_regs) {
  return r1 && run->env->task_regs ? run->env->task_regs(run->env->self, run, r1) : 0;
}

// Kernel: bpf_find_vma.
HELPER(help_find_vma) {
  if (r5) return result(-EINVAL);
  const u64 area = r1 && run->env->find_vma ? run->env->find_vma(run->env->self, r1, r2) : 0;
  if (!area) return result(-ENOENT);
  reinterpret_cast<MapCallback>(r3)(r1, area, r4, 0, 0, run);
  return 0;
}

HELPER(help_d_path) {
  if (!r3) return 0;
  if (!run->env->path_text) return result(-EFAULT);
  return result(run->env->path_text(run->env->self, r1, pointer_to<char>(r2), r3));
}

HELPER(help_get_ns_current_pid_tgid) {
  auto* to = pointer_to<bpf_pidns_info>(r3);
  if (low32(r4) == sizeof *to && low32(r1) == r1 && r1 == run->task->ns_dev && r2 == run->task->ns_ino) {
    to->pid = run->task->ns_tid;
    to->tgid = run->task->ns_tgid;
    return 0;
  }
  __builtin_memset(to, 0, low32(r4));
  return result(-EINVAL);
}

HELPER(help_get_current_ancestor_cgroup_id) {
  const s32 level = static_cast<s32>(r1);
  if (level < 0) return 0;
  if (run->env->cgroup_at) return run->env->cgroup_at(run->env->self, run, static_cast<u32>(level));
  return level == 0 ? kRootCgroup : 0;
}

HELPER(help_send_signal) {
  return send(run, r1, true);
}
HELPER(help_send_signal_thread) {
  return send(run, r1, false);
}

}  // namespace bpfemu
