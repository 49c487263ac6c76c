// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// Programs that bpftool attaches by itself (`prog load ... autoattach`), and an iterator.
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

__u64 passed;

SEC("kprobe/do_nanosleep")
int probed(struct pt_regs* regs)
{
  passed += 1;
  return 0;
}

SEC("kretprobe/do_nanosleep")
int returned(struct pt_regs* regs)
{
  passed += 1;
  return 0;
}

SEC("tp/syscalls/sys_enter_nanosleep")
int traced(void* context)
{
  passed += 1;
  return 0;
}

SEC("raw_tp/sched_switch")
int raw(void* context)
{
  passed += 1;
  return 0;
}

SEC("fentry/do_nanosleep")
int entered(void* context)
{
  passed += 1;
  return 0;
}

SEC("fexit/do_nanosleep")
int left(void* context)
{
  passed += 1;
  return 0;
}

SEC("lsm/file_open")
int opened(void* context)
{
  return 0;
}

char LICENSE[] SEC("license") = "GPL";
