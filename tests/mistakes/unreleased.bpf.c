// SPDX-License-Identifier: Apache-2.0
// A record of a ring buffer is forgotten on the way out.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct event {
  __u32 pid;
  char comm[16];
};

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4096);
} events SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_execve")
int report_execs(void *ctx) {
  struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
  if (!event) return 0;
  event->pid = bpf_get_current_pid_tgid() >> 32;
  if (bpf_get_current_comm(event->comm, sizeof(event->comm))) return 0;
  bpf_ringbuf_submit(event, 0);
  return 0;
}

char LICENSE[] SEC("license") = "GPL";
