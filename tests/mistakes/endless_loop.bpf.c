// SPDX-License-Identifier: Apache-2.0
// Waiting for something that may never happen.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("tracepoint/syscalls/sys_enter_nanosleep")
int wait_a_little(void *ctx) {
  __u64 end = bpf_ktime_get_ns() + 1000;
  while (bpf_ktime_get_ns() < end) {
  }
  return 0;
}

char LICENSE[] SEC("license") = "GPL";
