// SPDX-License-Identifier: Apache-2.0
// A loop with an end that is too far away.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("tracepoint/syscalls/sys_enter_getpid")
int shuffle(void *ctx) {
  __u32 sum = 0;
  for (__u32 i = 0; i < 500000; ++i) sum += bpf_get_prandom_u32() ^ i;
  return sum & 1;
}

char LICENSE[] SEC("license") = "GPL";
