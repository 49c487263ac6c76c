// SPDX-License-Identifier: Apache-2.0
// An index that can be anything.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct histogram {
  __u64 slots[32];
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct histogram);
} sizes SEC(".maps");

struct write_args {
  __u64 unused;
  __s64 number;
  __u64 fd, buffer, count;
};

SEC("tracepoint/syscalls/sys_enter_write")
int measure_writes(struct write_args *args) {
  __u32 zero = 0;
  struct histogram *histogram = bpf_map_lookup_elem(&sizes, &zero);
  if (!histogram) return 0;
  __u32 slot = args->count / 64;
  histogram->slots[slot]++;
  return 0;
}

char LICENSE[] SEC("license") = "GPL";
