// SPDX-License-Identifier: Apache-2.0
// For a light skeleton: the kernel itself finds where the members are, and whether they are.
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct task_struct___mine {
  int tgid, none;
  char comm[16];
} __attribute__((preserve_access_index));

int tool, calls, has_comm, has_none, comm_size;

SEC("raw_tp/sys_enter")
int on_call(const void* context) {
  struct task_struct___mine* task = (void*)bpf_get_current_task();
  if (BPF_CORE_READ(task, tgid) != tool) return 0;
  ++calls;
  has_comm = bpf_core_field_exists(task->comm);
  has_none = bpf_core_field_exists(task->none);
  comm_size = bpf_core_field_size(task->comm);
  return 0;
}
