// SPDX-License-Identifier: Apache-2.0
// Maps, programs, links and BTF have descriptors, but are no files to read or to write (kernel: bpf_dummy_read).
#include "counter.h"

// What reads and writes of some sizes fail with, all alike; or what they should, where there is no bpf().
static void show(const char* what, int fd, const char* expected) {
  char bytes[512] = {0};
  int failed[2] = {0, 0};
  if (!is_open(fd) && !demanded()) {
    printf("%s: %s\n", what, expected);
    return;
  }
  for (size_t size = 1; size <= sizeof bytes; size *= 8) {
    CHECK(read(fd, bytes, size) == -1 && (size == 1 || failed[0] == errno));
    failed[0] = errno;
    CHECK(write(fd, bytes, size) == -1 && (size == 1 || failed[1] == errno));
    failed[1] = errno;
  }
  printf("%s: read %s, write %s\n", what, strerrorname_np(failed[0]), strerrorname_np(failed[1]));
  close(fd);
}

static int make_map(int type, unsigned key_size, unsigned entries, unsigned flags) {
  union bpf_attr attr = {.map_type = type, .key_size = key_size, .value_size = key_size, .max_entries = entries};
  attr.map_flags = flags;
  return bpf_call(BPF_MAP_CREATE, &attr);
}

// What is no object of bpf() is read and written as ever, also from the number that an object had.
static void files_are_files(void) {
  char byte = 'x';
  int ends[2];
  CHECK(pipe(ends) == 0 && write(ends[1], &byte, 1) == 1 && read(ends[0], &byte, 1) == 1 && byte == 'x');
  close(ends[0]), close(ends[1]);
}

int main(void) {
  const char both[] = "read EINVAL, write EINVAL", read_only[] = "read EINVAL, write EBADF";
  const int map = counter_map(), program = load_counter(BPF_PROG_TYPE_RAW_TRACEPOINT, map, getpid());
  show("link", open_raw_tracepoint(program), read_only);
  show("program", program, both);
  show("array", map, both);
  show("hash, read only", make_map(BPF_MAP_TYPE_HASH, 4, 1, BPF_F_RDONLY), read_only);
  show("hash, write only", make_map(BPF_MAP_TYPE_HASH, 4, 1, BPF_F_WRONLY), "read EBADF, write EINVAL");
  show("ring buffer", make_map(BPF_MAP_TYPE_RINGBUF, 0, 4096, 0), both);
  show("BTF", load_int_btf(), read_only);
  files_are_files();
}
