// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// A uprobe that sends a record for every call of greet() in the program that loads it.
#include <linux/bpf.h>
#include <linux/ptrace.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "hello.h"

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4096);
} events SEC(".maps");

const volatile int only_pid = 0;
long calls = 0;

SEC("uprobe")
int on_greet(struct pt_regs *ctx) {
  int pid = bpf_get_current_pid_tgid() >> 32;
  if (only_pid && pid != only_pid) return 0;
  __sync_fetch_and_add(&calls, 1);

  struct event *event = bpf_ringbuf_reserve(&events, sizeof *event, 0);
  if (!event) return 0;
  event->pid = pid;
  event->times = PT_REGS_PARM2(ctx);
  bpf_probe_read_user_str(event->name, sizeof event->name, (void *)PT_REGS_PARM1(ctx));
  bpf_ringbuf_submit(event, 0);
  return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
