// SPDX-License-Identifier: Apache-2.0
// What mappings of maps and rings cannot become afterwards. Expected: what a real 6.1 answers.
#include "probe.h"

enum { kPage = 4096 };

static int create(unsigned type, unsigned key, unsigned value, unsigned entries, unsigned flags) {
  union bpf_attr attr = {
      .map_type = type, .key_size = key, .value_size = value, .max_entries = entries, .map_flags = flags};
  return bpf_call(BPF_MAP_CREATE, &attr);
}

static const char* outcome(long result) {
  return result == -1 ? strerrorname_np(errno) : "ok";
}

static const char* kExpected =
    "exec EACCES, rw ok\n"
    "half of it EACCES, beside it ok\n"
    "ring exec EACCES, doubled EFAULT, grown EFAULT, moved ok, unmapped copy EINVAL\n"
    "anonymous exec ok, grown ok\n";

int main(void) {
  const int array = create(BPF_MAP_TYPE_ARRAY, 4, kPage, 4, BPF_F_MMAPABLE);
  const int ring = create(BPF_MAP_TYPE_RINGBUF, 0, 0, kPage, 0);
  char* anonymous = mmap(NULL, 2 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (!is_open(array) || !is_open(ring)) return fputs(kExpected, stdout) < 0;
  char* map = mmap(NULL, 4 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, array, 0);
  printf("exec %s,", outcome(mprotect(map, kPage, PROT_READ | PROT_EXEC)));
  printf(" rw %s\n", outcome(mprotect(map, kPage, PROT_READ | PROT_WRITE)));
  printf("half of it %s,", outcome(mprotect(map + 2 * kPage, kPage, PROT_EXEC)));
  printf(" beside it %s\n", outcome(mprotect(anonymous, kPage, PROT_READ | PROT_EXEC)));
  char* position = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, ring, 0);
  printf("ring exec %s,", outcome(mprotect(position, kPage, PROT_EXEC)));
  printf(" doubled %s,", outcome((long)mremap(position, 0, kPage, MREMAP_MAYMOVE)));
  printf(" grown %s,", outcome((long)mremap(position, kPage, 2 * kPage, MREMAP_MAYMOVE)));
  char* place = mmap(NULL, kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  position = mremap(position, kPage, kPage, MREMAP_MAYMOVE | MREMAP_FIXED, place);
  printf(" moved %s,", outcome((long)position));
  printf(" unmapped copy %s\n", outcome((long)mremap(position, kPage, kPage, MREMAP_MAYMOVE | 4 /* DONTUNMAP */)));
  printf("anonymous exec %s,", outcome(mprotect(anonymous, kPage, PROT_READ | PROT_EXEC)));
  mprotect(anonymous, kPage, PROT_READ | PROT_WRITE);
  anonymous = mremap(anonymous, 2 * kPage, 8 * kPage, MREMAP_MAYMOVE);
  printf(" grown %s\n", outcome((long)anonymous));
  return 0;
}
