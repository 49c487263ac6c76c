// SPDX-License-Identifier: Apache-2.0
// What programs whose memory keeps others waiting have in common.
#pragma once

#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline long bpf_call(int command, union bpf_attr* attr) {
  return syscall(SYS_bpf, command, attr, sizeof *attr);
}

// What the array's only element is after an update from `value`.
static inline unsigned through_map(const void* value) {
  uint32_t key = 0, found = 0;
  union bpf_attr create = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
  union bpf_attr element = {.map_fd = (uint32_t)bpf_call(BPF_MAP_CREATE, &create)};
  element.key = (uintptr_t)&key;
  element.value = (uintptr_t)value;
  if (bpf_call(BPF_MAP_UPDATE_ELEM, &element)) return 0;
  element.value = (uintptr_t)&found;
  return bpf_call(BPF_MAP_LOOKUP_ELEM, &element) ? 1 : found;
}

static inline void bystander(void) {
  int calls = 0;
  for (struct stat file; calls < 200 && stat("/etc/passwd", &file) == 0; ++calls) usleep(1000);
  printf("bystander: %d calls\n", calls);
  fflush(stdout);
  _exit(0);
}
