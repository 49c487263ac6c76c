// SPDX-License-Identifier: Apache-2.0
// A map lookup finds nothing for a new key.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __type(key, __u32);
  __type(value, __u64);
} opens SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_openat")
int count_opens(void *ctx) {
  __u32 pid = bpf_get_current_pid_tgid() >> 32;
  __u64 *count = bpf_map_lookup_elem(&opens, &pid);
  *count += 1;
  return 0;
}

char LICENSE[] SEC("license") = "GPL";
