// SPDX-License-Identifier: Apache-2.0
// A call stops as often for three hooks on its way as for one: who stands at a stop has given up the CPU, which the kernel
// counts. On a bare kernel nobody stops for hooks.
#include "tracepoint.h"

#include <sys/resource.h>

enum { kCalls = 1000, kOthers = kCalls / 10 };

static unsigned kprobe_type;  // looked up once: that reads, too

static struct counter count_calls(pid_t pid, const char* function, int at_return) {
  struct counter counter = {-1, -1};
  struct perf_event_attr event = {.type = kprobe_type, .config = at_return};
  event.kprobe_func = (uintptr_t)function;
  if (event.type) counter = count_event(pid, BPF_PROG_TYPE_KPROBE, &event);
  if (counter.event < 0 && demanded()) printf("cannot probe %s: errno %d\n", function, errno);
  return counter;
}

static long switches(void) {
  struct rusage usage;
  CHECK(getrusage(RUSAGE_THREAD, &usage) == 0);
  return usage.ru_nvcsw;
}

// How often the thread stopped in kCalls reads.
static long stops_of_reads(int file) {
  char byte;
  const long before = switches();
  for (int i = 0; i < kCalls; ++i) CHECK(read(file, &byte, 1) == 1);
  return switches() - before;
}

static void compare(const char* where, int stops, long one, long three) {
  const int right = three <= one + kOthers;
  printf("%s: three stop as often as one %d\n", where, right);
  if (!right) printf("%ld and %ld stops\n", one, three);
  // Or nothing was compared.
  if (demanded() && one < (long)stops * kCalls) printf("%s: %ld stops in %d calls\n", where, one, kCalls);
}

int main(void) {
  const char* const functions[] = {"ksys_read", "vfs_read", "security_file_permission"};
  struct counter entries[3], returns[3];
  const int file = open("/dev/zero", O_RDONLY);
  const pid_t self = getpid();
  CHECK(file >= 0);
  kprobe_type = number_in("/sys/bus/event_source/devices/kprobe/type");
  entries[0] = count_calls(self, functions[0], 0);
  const long one = stops_of_reads(file);
  for (int i = 1; i < 3; ++i) entries[i] = count_calls(self, functions[i], 0);
  compare("entries", 1, one, stops_of_reads(file));
  for (int i = 0; i < 3; ++i) printf("%s: %ld\n", functions[i], end_count(entries[i], (i ? 1 : 2) * kCalls));
  returns[0] = count_calls(self, functions[0], 1);
  const long one_return = stops_of_reads(file);
  for (int i = 1; i < 3; ++i) returns[i] = count_calls(self, functions[i], 1);
  compare("returns", 2, one_return, stops_of_reads(file));
  for (int i = 0; i < 3; ++i)
    printf("%s returned: %ld\n", functions[i], end_count(returns[i], (i ? 1 : 2) * kCalls));
  return 0;
}
