// SPDX-License-Identifier: Apache-2.0
// The tool of object_helpers.bpf.c: does what its programs look at, and prints what they found.
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "object_helpers.skel.h"

static int writable;

// A producer without libbpf's help: two records, one of them discarded.
static void order(int map) {
  char* consumer = mmap(NULL, 4096, PROT_READ, MAP_SHARED, map, 0);
  char* producer = mmap(NULL, 4096 + 2 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, map, 4096);
  if (consumer == MAP_FAILED || producer == MAP_FAILED) return perror("mmap");
  const struct {
    unsigned length, pad;
    unsigned long value;
  } records[] = {{8, 0, 40}, {8 | 1u << 30, 0, 1000}, {8, 0, 2}};
  memcpy(producer + 4096, records, sizeof records);
  atomic_store((_Atomic unsigned long*)producer, sizeof records);
}

static void own_value(int map, const char* when) {
  int self = syscall(SYS_pidfd_open, getpid(), 0);
  long value = -1;
  const int status = bpf_map_lookup_elem(map, &self, &value);
  printf("value %s: %ld, %s\n", when, value, status ? strerror(errno) : "there");
  close(self);
}

int main(void) {
  struct object_helpers* skel = object_helpers__open_and_load();
  if (!skel) return 1;
  const int calls = bpf_map__fd(skel->maps.calls);
  skel->bss->tool = getpid();
  skel->bss->text_at = (unsigned long)main;
  skel->bss->data_at = (unsigned long)&writable;
  own_value(calls, "before");
  if (object_helpers__attach(skel)) return 2;
  for (int i = 0; i < 3; ++i) syscall(SYS_getpgid, 0);
  own_value(calls, "after three calls");
  printf("mappings: %llu %llu, none: %ld; registers: %s\n", skel->bss->code_flags, skel->bss->data_flags, skel->bss->no_vma,
         skel->bss->call_ip ? "there" : "none");
  const int bad = 99;
  printf("no process: %s\n", bpf_map_delete_elem(calls, &bad) ? strerror(errno) : "deleted");

  order(bpf_map__fd(skel->maps.orders));
  LIBBPF_OPTS(bpf_test_run_opts, options);
  if (bpf_prog_test_run_opts(bpf_program__fd(skel->progs.on_test), &options)) perror("test run");
  for (int i = 0; i < 100 && skel->bss->rung < 3; ++i) usleep(10000);
  printf("orders: %llu, sum %ld; timers: %ld %ld, rung %ld, %ld\n", skel->bss->ordered, skel->bss->sum, skel->bss->sooner,
         skel->bss->later, skel->bss->rung, skel->bss->unknown_timer);

  prctl(PR_SET_NAME, "other name, too long");
  printf("renamed %llu times: %s\n", skel->bss->renames, skel->bss->last_name);
  const int comm = open("/proc/self/comm", O_WRONLY);
  if (write(comm, "third", 5) != 5) perror("comm");
  printf("renamed %llu times: %s\n", skel->bss->renames, skel->bss->last_name);
  const int null = open("/dev/null", O_RDONLY);
  const unsigned long long before = skel->bss->closed;
  close(null);
  printf("closed: %llu, %s\n", skel->bss->closed - before, skel->bss->last_path);
  object_helpers__destroy(skel);
}
