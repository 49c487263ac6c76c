// SPDX-License-Identifier: Apache-2.0
// Programs that do nothing may hang at every place of the kernel, as loaders try out; at places that do not exist nothing may.
#include "kernel_btf.h"

static const struct bpf_insn kNothing[] = {
    {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0},
    {.code = BPF_JMP | BPF_EXIT},
};

static int load(uint32_t type, uint32_t attach_type, const char* function) {
  union bpf_attr attr = {.prog_type = type, .insn_cnt = 2, .expected_attach_type = attach_type};
  attr.insns = (uintptr_t)kNothing;
  attr.license = (uintptr_t) "GPL";
  if (function) attr.attach_btf_id = btf_id(BTF_KIND_FUNC, function);
  return bpf_call(BPF_PROG_LOAD, &attr);
}

static int open_raw(int program, const char* name) {
  union bpf_attr attr = {.raw_tracepoint = {.prog_fd = program, .name = (uintptr_t)name}};
  const int link = bpf_call(BPF_RAW_TRACEPOINT_OPEN, &attr);
  return link < 0 ? -errno : link;
}

static int probe(const char* function) {
  struct perf_event_attr event = {.type = number_in("/sys/bus/event_source/devices/kprobe/type"), .size = sizeof event};
  event.kprobe_func = (uintptr_t)function;
  const int fd = syscall(SYS_perf_event_open, &event, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

static int tracepoint(const char* id_file) {
  struct perf_event_attr event = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof event, .sample_period = 1};
  event.config = number_in(id_file);
  const int fd = syscall(SYS_perf_event_open, &event, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

int main(void) {
  const int raw = load(BPF_PROG_TYPE_RAW_TRACEPOINT, 0, NULL);
  if (!is_open(raw)) {
    if (demanded()) printf("cannot load: errno %d\n", errno);
    return 0;
  }
  CHECK(open_raw(raw, "cgroup_mkdir") >= 0);
  CHECK(open_raw(raw, "no_such_tracepoint") == -ENOENT);
  CHECK(probe("no_such_function") == -ENOENT);
  if (!demanded()) return 0;  // what follows is of the claimed kernel; others have other functions

  const int fentry = load(BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, "inet_dgram_connect");
  CHECK(fentry >= 0 && open_raw(fentry, NULL) >= 0);

  const int kprobe = load(BPF_PROG_TYPE_KPROBE, 0, NULL), function = probe("vprintk");
  CHECK(function >= 0 && ioctl(function, PERF_EVENT_IOC_SET_BPF, kprobe) == 0);

  const int on_event = load(BPF_PROG_TYPE_TRACEPOINT, 0, NULL);
  const int event = tracepoint("/sys/kernel/tracing/events/printk/console/id");
  CHECK(event >= 0 && ioctl(event, PERF_EVENT_IOC_SET_BPF, on_event) == 0);
  return 0;
}
