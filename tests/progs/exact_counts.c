// SPDX-License-Identifier: Apache-2.0
// Every way to attach to one system call at once: each program is started as often as the call is made, by 64 threads
// and by 200 processes of a second. setpriority() is a call that nobody else makes, and a security module is asked
// about it.
#include <linux/btf.h>
#include <sys/resource.h>

#include "kernel_btf.h"
#include "probe.h"
#include "tracepoint.h"

enum { kThreads = 64, kCallsOfThread = 100, kProcesses = 200, kCallsOfProcess = 5 };

static int own_nice;

__attribute__((noinline)) static void call(void) {
  setpriority(PRIO_PROCESS, 0, own_nice);
  getsid(0);
}

// Counts; where `number` is one, when the second word of the context is this call's.
static int load_for(uint32_t type, uint32_t attach, uint32_t target, int map, int number) {
  const struct bpf_insn code[] = {
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 2, .src_reg = 1, .off = 8},
      {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 2, .off = 9, .imm = number},
      COUNT_UP(map),
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0},
      {.code = BPF_JMP | BPF_EXIT},
  };
  const int skipped = number ? 0 : 2;
  union bpf_attr attr = {.prog_type = type};
  attr.expected_attach_type = attach;
  attr.attach_btf_id = target;
  attr.insn_cnt = sizeof code / sizeof code[0] - skipped;
  attr.insns = (uintptr_t)(code + skipped);
  attr.license = (uintptr_t) "GPL";
  return bpf_call(BPF_PROG_LOAD, &attr);
}

// Through bpf(): a raw tracepoint by its name, or what the program itself says by a type of the kernel's BTF.
static struct counter count_by_link(uint32_t type, uint32_t attach, uint32_t kind, const char* target, int number) {
  struct counter counter = {counter_map(), -1};
  if (!is_open(counter.map)) return counter;
  const int program = load_for(type, attach, kind ? btf_id(kind, target) : 0, counter.map, number);
  union bpf_attr attr = {.raw_tracepoint = {.name = kind ? 0 : (uintptr_t)target, .prog_fd = (uint32_t)program}};
  if (program >= 0) counter.event = bpf_call(BPF_RAW_TRACEPOINT_OPEN, &attr);
  if (program >= 0) close(program);
  return counter;
}

static struct counter count_function(uint32_t attach, const char* function) {
  return count_by_link(BPF_PROG_TYPE_TRACING, attach, BTF_KIND_FUNC, function, 0);
}

static struct counter count_kprobe(const char* function, int at_return) {
  struct perf_event_attr event = {.type = number_in("/sys/bus/event_source/devices/kprobe/type"), .config = at_return};
  event.kprobe_func = (uintptr_t)function;
  struct counter none = {-1, -1};
  return event.type ? count_event(0, BPF_PROG_TYPE_KPROBE, &event) : none;
}

// Without a program: perf counts for this process and its children.
static int count_by_perf(const char* name) {
  struct perf_event_attr event = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof event, .config = event_id(name)};
  event.inherit = 1;
  return event.config ? (int)syscall(SYS_perf_event_open, &event, 0, -1, -1, PERF_FLAG_FD_CLOEXEC) : -1;
}

enum { kKinds = 14 };
static struct {
  const char* name;
  struct counter counter;
} kinds[kKinds];

static void attach_all(void) {
  int n = 0;
#define KIND(text, ...) kinds[n].name = text, kinds[n++].counter = __VA_ARGS__
  KIND("tracepoint at entry", count(0, "enter", "setpriority"));
  KIND("tracepoint at exit", count(0, "exit", "setpriority"));
  KIND("raw tracepoint", count_by_link(BPF_PROG_TYPE_RAW_TRACEPOINT, 0, 0, "sys_enter", SYS_setpriority));
  KIND("tp_btf", count_by_link(BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, BTF_KIND_TYPEDEF, "btf_trace_sys_enter",
                               SYS_setpriority));
  KIND("kprobe of the call", count_kprobe("__x64_sys_setpriority", 0));
  KIND("kprobe", count_kprobe("security_task_setnice", 0));
  KIND("kretprobe", count_kprobe("security_task_setnice", 1));
  KIND("fentry of the call", count_function(BPF_TRACE_FENTRY, "__x64_sys_setpriority"));
  KIND("fentry", count_function(BPF_TRACE_FENTRY, "security_task_setnice"));
  KIND("fexit", count_function(BPF_TRACE_FEXIT, "security_task_setnice"));
  KIND("fmod_ret", count_function(BPF_MODIFY_RETURN, "security_task_setnice"));
  KIND("LSM", count_by_link(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, BTF_KIND_FUNC, "bpf_lsm_task_setnice", 0));
  KIND("uprobe", probe_function(kEveryone, call, 0));
  KIND("uretprobe", probe_function(kEveryone, call, 1));
#undef KIND
}

static void check_all(const char* when, int perf, long expected) {
  uint64_t counts = 0;
  if (demanded() && (read(perf, &counts, sizeof counts) != sizeof counts || (long)counts != expected))
    printf("perf, %s: %lu, not %ld\n", when, (unsigned long)counts, expected);
  for (int i = 0; i < kKinds && demanded(); ++i) {
    const long value = counted(kinds[i].counter, expected);
    if (value != expected) printf("%s, %s: %ld, not %ld\n", kinds[i].name, when, value, expected);
  }
}

static void* make_calls(void* unused) {
  for (int i = 0; i < kCallsOfThread; ++i) call();
  return unused;
}

static void run_threads(void) {
  pthread_t threads[kThreads];
  for (int i = 0; i < kThreads; ++i) CHECK(pthread_create(&threads[i], NULL, make_calls, NULL) == 0);
  for (int i = 0; i < kThreads; ++i) pthread_join(threads[i], NULL);
}

static void run_processes(void) {
  enum { kAtOnce = 8 };
  pid_t children[kProcesses];
  for (int i = 0; i < kProcesses; ++i) {
    children[i] = fork();
    if (children[i] == 0) {
      for (int n = 0; n < kCallsOfProcess; ++n) call();
      _exit(0);
    }
    if (i >= kAtOnce) CHECK(ended(children[i - kAtOnce]) == 0);
  }
  for (int i = kProcesses - kAtOnce; i < kProcesses; ++i) CHECK(ended(children[i]) == 0);
}

int main(void) {
  own_nice = getpriority(PRIO_PROCESS, 0);
  const int perf = count_by_perf("sys_enter_getsid");
  attach_all();
  run_threads();
  check_all("64 threads", perf, kThreads * kCallsOfThread);
  run_processes();
  check_all("200 processes more", perf, kThreads * kCallsOfThread + kProcesses * kCallsOfProcess);
  printf("done\n");
}
