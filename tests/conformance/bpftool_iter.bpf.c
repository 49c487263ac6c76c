// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// An iterator that bpftool pins: the names of all maps.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct seq_file;

struct bpf_iter_meta {
  struct seq_file* seq;
  __u64 session_id;
  __u64 seq_num;
} __attribute__((preserve_access_index));

struct bpf_map {
  char name[16];
} __attribute__((preserve_access_index));

struct bpf_iter__bpf_map {
  struct bpf_iter_meta* meta;
  struct bpf_map* map;
} __attribute__((preserve_access_index));

SEC("iter/bpf_map")
int maps(struct bpf_iter__bpf_map* context)
{
  struct bpf_map* map = context->map;
  if (map)
    BPF_SEQ_PRINTF(context->meta->seq, "%s\n", map->name);
  return 0;
}

char LICENSE[] SEC("license") = "GPL";
