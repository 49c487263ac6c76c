// SPDX-License-Identifier: Apache-2.0
// Programs of cgroups, with values of the cgroup's own: every bind() counts, and that to port 7003 is refused.
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct {
  __uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
  __type(key, struct bpf_cgroup_storage_key);
  __type(value, __u64);
} binds SEC(".maps");

SEC("cgroup/bind4") int refuses(struct bpf_sock_addr* context) {
  __u64* count = bpf_get_local_storage(&binds, 0);
  __sync_fetch_and_add(count, 1);
  return context->user_port != bpf_htons(7003);
}

char LICENSE[] SEC("license") = "GPL";
