// SPDX-License-Identifier: Apache-2.0
// What programs find around a task: values of its own, its mappings and registers, timers, records of the tool's.
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

struct {
  __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, long);
} calls SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_USER_RINGBUF);
  __uint(max_entries, 4096);
} orders SEC(".maps");

struct timed {
  struct bpf_timer timer;
  int left;
};
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 4);
  __type(key, int);
  __type(value, struct timed);
} alarms SEC(".maps");

pid_t tool;
__u64 text_at, data_at, code_flags, data_flags, call_ip, ordered, renames, closed;
long no_vma, sum, rung, sooner, later, unknown_timer;
char last_name[16], last_path[32];

struct found {
  __u64 flags;
};
static long look(struct task_struct* task, struct vm_area_struct* vma, struct found* found) {
  found->flags = vma->vm_flags & 7;
  return 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(on_call, struct pt_regs* regs, long id) {
  struct task_struct* task = bpf_get_current_task_btf();
  if (task->tgid != tool || id != 121 /* getpgid */) return 0;
  long* count = bpf_task_storage_get(&calls, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
  if (count) ++*count;
  struct found found = {};
  bpf_find_vma(task, text_at, look, &found, 0);
  code_flags = found.flags;
  bpf_find_vma(task, data_at, look, &found, 0);
  data_flags = found.flags;
  no_vma = bpf_find_vma(task, 16, look, &found, 0);
  struct pt_regs* own = (struct pt_regs*)bpf_task_pt_regs(task);
  call_ip = own->ip;
  return 0;
}

static long take(struct bpf_dynptr* record, void* context) {
  __u64* value = bpf_dynptr_data(record, 0, sizeof *value);
  if (value) sum += *value;
  return 0;
}

static int ring(void* map, int* key, struct timed* value) {
  ++rung;
  if (--value->left > 0) {
    bpf_timer_start(&value->timer, 1000, 0);
    return 0;
  }
  bpf_map_delete_elem(map, key);
  unknown_timer = bpf_timer_start(&value->timer, 1000, 0);
  return 0;
}

SEC("fentry/bpf_fentry_test1")
int BPF_PROG(on_test, int a) {
  const int key = 1;
  struct timed first = {.left = 3}, *value;
  ordered = bpf_user_ringbuf_drain(&orders, take, 0, 0);
  bpf_map_update_elem(&alarms, &key, &first, 0);
  value = bpf_map_lookup_elem(&alarms, &key);
  if (!value) return 0;
  bpf_timer_init(&value->timer, &alarms, 1 /* CLOCK_MONOTONIC */);
  bpf_timer_set_callback(&value->timer, ring);
  bpf_timer_start(&value->timer, 1ull << 40, 0);
  sooner = bpf_timer_cancel(&value->timer);
  later = bpf_timer_start(&value->timer, 0, 0);  // no callback any longer
  bpf_timer_set_callback(&value->timer, ring);
  bpf_timer_start(&value->timer, 0, 0);
  return 0;
}

SEC("raw_tp/task_rename")
int BPF_PROG(on_rename, struct task_struct* task, const char* name) {
  if (BPF_CORE_READ(task, tgid) != tool) return 0;
  ++renames;
  bpf_probe_read_kernel_str(last_name, sizeof last_name, name);
  return 0;
}

SEC("fentry/filp_close")
int BPF_PROG(on_close, struct file* file) {
  if (bpf_get_current_pid_tgid() >> 32 != tool) return 0;
  ++closed;
  bpf_d_path(&file->f_path, last_path, sizeof last_path);
  return 0;
}
