// SPDX-License-Identifier: Apache-2.0
// fentry and fexit: what their programs are told, and what a real 6.1 answers to attaching them.
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "trampolines.h"

static struct bpf_object *object;

static struct bpf_program *program(const char *name) { return bpf_object__find_program_by_name(object, name); }

// Its kernel is built without what it takes.
static int multi(const char *name, const char **symbols, unsigned count) {
  LIBBPF_OPTS(bpf_link_create_opts, options, .kprobe_multi.syms = symbols, .kprobe_multi.cnt = count);
  int fd = bpf_link_create(bpf_program__fd(program(name)), 0, BPF_TRACE_KPROBE_MULTI, &options);
  return fd < 0 ? -errno : fd;
}

static unsigned long long runs(const char *name) {
  struct bpf_prog_info info = {};
  __u32 size = sizeof info;
  bpf_obj_get_info_by_fd(bpf_program__fd(program(name)), &info, &size);
  return info.run_cnt;
}

int main(int argc, char **argv) {
  (void)argc;
  object = bpf_object__open(argv[1]);
  if (!object || bpf_object__load(object)) return 1;
  static const char *const attached[] = {"on_open", "on_opened", "on_handler", "on_silent"};
  struct bpf_link *links[4];
  for (int i = 0; i < 4; i++) {
    links[i] = bpf_program__attach(program(attached[i]));
    if (!links[i]) return 2;
  }
  int again = bpf_raw_tracepoint_open(0, bpf_program__fd(program("on_open"))), error = errno;
  const char *symbols[] = {"__x64_sys_getppid", "__x64_sys_getpgid"};
  printf("kprobe.multi: %d\n", multi("on_entry", symbols, 2));
  int id = bpf_map__fd(bpf_object__find_map_by_name(object, ".bss"));
  struct Seen *seen = mmap(0, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED, id, 0);
  if (seen == MAP_FAILED) return 4;
  seen->watched = getpid();
  syscall(SYS_openat, AT_FDCWD, "/no/such/file", O_RDONLY);
  seen->watched = 0;

  printf("fentry: %d opens of %s, flags 0%lo\n", seen->opens, seen->name,
         seen->flags);
  printf("fexit: %ld, function address %s, %d arguments, result by helper %ld\n", seen->result,
         seen->wrong ? "wrong" : "right", seen->arguments, seen->by_helper);
  printf("again: %d\n", again < 0 ? -error : again);
  printf("handler: %d, descriptor %d\n", seen->handlers, seen->descriptor);
  printf("silent handler: %d\n", seen->silent);

  printf("not counted: run_cnt %llu\n", runs("on_open"));
  int knob = open("/proc/sys/kernel/bpf_stats_enabled", O_WRONLY);
  if (write(knob, "1\n", 2) != 2) return 5;
  syscall(SYS_openat, AT_FDCWD, "/no/such/file", O_RDONLY);
  if (write(knob, "0\n", 2) != 2) return 6;
  printf("counted: run_cnt %llu\n", runs("on_open"));
  for (int i = 0; i < 4; i++) bpf_link__destroy(links[i]);
  return 0;
}
