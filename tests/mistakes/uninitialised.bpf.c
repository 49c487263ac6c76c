// SPDX-License-Identifier: Apache-2.0
// The result is forgotten: the compiler only warns.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

__u64 opens;

SEC("tracepoint/syscalls/sys_enter_openat")
int count_all(void *ctx) {
  int result;
  if (ctx) __sync_fetch_and_add(&opens, 1);
  return result;
}

char LICENSE[] SEC("license") = "GPL";
