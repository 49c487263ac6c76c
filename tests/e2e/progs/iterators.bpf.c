// SPDX-License-Identifier: Apache-2.0
// One iterator an object file, by -D: bpftool pins them.
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define KERNEL __attribute__((preserve_access_index))

struct bpf_iter_meta {
  struct seq_file* seq;
  __u64 seq_num;
} KERNEL;
struct bpf_map {
  __u32 id, max_entries;
  char name[16];
} KERNEL;
struct task_struct {
  int tgid;
  char comm[16];
  struct task_struct* group_leader;
} KERNEL;
struct file {
  const void* f_op;
  void* private_data;
} KERNEL;
struct kallsym_iter {
  unsigned long value;
  char name[128];
} KERNEL;

#if defined MAPS
struct bpf_iter__bpf_map {
  struct bpf_iter_meta* meta;
  struct bpf_map* map;
} KERNEL;

SEC("iter/bpf_map")
int list(struct bpf_iter__bpf_map* ctx) {
  struct bpf_map* map = ctx->map;
  if (!map)
    BPF_SEQ_PRINTF(ctx->meta->seq, "end after %d\n", ctx->meta->seq_num);
  else
    BPF_SEQ_PRINTF(ctx->meta->seq, "%d: %s of %d\n", ctx->meta->seq_num, map->name, map->max_entries);
  return 0;
}
#elif defined ELEMENTS
struct bpf_iter__bpf_map_elem {
  struct bpf_iter_meta* meta;
  struct bpf_map* map;
  void *key, *value;
} KERNEL;

SEC("iter/bpf_map_elem")
int list(struct bpf_iter__bpf_map_elem* ctx) {
  const __u32 *key = ctx->key, *value = ctx->value;
  if (key && value) BPF_SEQ_PRINTF(ctx->meta->seq, "%s[%d] = %d\n", ctx->map->name, *key, *value);
  return 0;
}
#elif defined OWNERS
struct bpf_iter__task_file {
  struct bpf_iter_meta* meta;
  struct task_struct* task;
  __u32 fd;
  struct file* file;
} KERNEL;
extern const void bpf_map_fops __ksym;

// As bpftool looks for the processes that hold a map.
SEC("iter/task_file")
int list(struct bpf_iter__task_file* ctx) {
  char comm[16] = "";
  struct task_struct* task = ctx->task;
  struct file* file = ctx->file;
  if (!file || !task || file->f_op != &bpf_map_fops) return 0;
  bpf_probe_read_kernel_str(comm, sizeof comm, task->group_leader->comm);
  const __u32 id = BPF_CORE_READ((struct bpf_map*)file->private_data, id);
  BPF_SEQ_PRINTF(ctx->meta->seq, "%s has %d as %d\n", comm, id, ctx->fd);
  return 0;
}
#else
struct bpf_iter__ksym {
  struct bpf_iter_meta* meta;
  struct kallsym_iter* ksym;
} KERNEL;

SEC("iter/ksym")
int list(struct bpf_iter__ksym* ctx) {
  struct kallsym_iter* symbol = ctx->ksym;
  if (symbol) BPF_SEQ_PRINTF(ctx->meta->seq, "%016lx %s\n", symbol->value, symbol->name);
  return 0;
}
#endif

char _license[] SEC("license") = "GPL";
