// SPDX-License-Identifier: Apache-2.0
#include <sys/mman.h>

#include "tests/oracle/oracle.h"

namespace oracle {

namespace {

std::string mapped(int fd, size_t size, int protection, int flags, off_t offset) {
  void* at = mmap(nullptr, size, protection, flags, fd, offset);
  if (at == MAP_FAILED) return text(-errno);
  munmap(at, size);
  return "mapped";
}

void ask_array(const std::string& name, u32 flags) {
  int map = make_map({BPF_MAP_TYPE_ARRAY, 4, 8, 1000, flags});
  constexpr int kRead = PROT_READ, kBoth = PROT_READ | PROT_WRITE;
  say(name + "/shared", mapped(map, 8192, kBoth, MAP_SHARED, 0));
  say(name + "/read-only", mapped(map, 8192, kRead, MAP_SHARED, 0));
  say(name + "/private", mapped(map, 8192, kBoth, MAP_PRIVATE, 0));
  say(name + "/second page", mapped(map, 4096, kBoth, MAP_SHARED, 4096));
  say(name + "/past the end", mapped(map, 8192, kBoth, MAP_SHARED, 4096));
  say(name + "/too long", mapped(map, 12288, kBoth, MAP_SHARED, 0));
  say(name + "/part of a page", mapped(map, 100, kBoth, MAP_SHARED, 0));
  say(name + "/odd offset", mapped(map, 4096, kBoth, MAP_SHARED, 100));
  say(name + "/no bytes", mapped(map, 0, kBoth, MAP_SHARED, 0));
  say(name + "/neither shared nor private", mapped(map, 4096, kBoth, 0, 0));
  close(map);
}

void ask_live() {
  int map = make_map({BPF_MAP_TYPE_ARRAY, 4, 8, 4, BPF_F_MMAPABLE});
  auto* values = static_cast<u64*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0));
  if (values == MAP_FAILED) return say("mmap/live", text(-errno));
  values[2] = 77;
  u32 key = 2;
  u64 value = 0;
  lookup(map, &key, &value);
  say("mmap/a store shows in lookup", std::to_string(value));
  value = 88;
  update(map, &key, &value);
  say("mmap/an update shows in memory", std::to_string(values[2]));
  bpf_attr freeze{};
  freeze.map_fd = static_cast<u32>(map);
  say("mmap/freeze while mapped", bpf(BPF_MAP_FREEZE, freeze));
  munmap(values, 4096);
  say("mmap/freeze when unmapped", bpf(BPF_MAP_FREEZE, freeze));
  say("mmap/frozen, writable", mapped(map, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 0));
  say("mmap/frozen, readable", mapped(map, 4096, PROT_READ, MAP_SHARED, 0));
  void* readable = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, map, 0);
  say("mmap/frozen, made writable", mprotect(readable, 4096, PROT_READ | PROT_WRITE) ? -errno : 0);
  munmap(readable, 4096);
  close(map);
}

void ask_ring() {
  int ring = make_map({BPF_MAP_TYPE_RINGBUF, 0, 0, 4096});
  constexpr int kRead = PROT_READ, kBoth = PROT_READ | PROT_WRITE;
  say("mmap ring/consumer page", mapped(ring, 4096, kBoth, MAP_SHARED, 0));
  say("mmap ring/producer and data", mapped(ring, 3 * 4096, kRead, MAP_SHARED, 4096));
  say("mmap ring/producer and data, writable", mapped(ring, 3 * 4096, kBoth, MAP_SHARED, 4096));
  say("mmap ring/two pages, writable", mapped(ring, 2 * 4096, kBoth, MAP_SHARED, 0));
  say("mmap ring/everything, readable", mapped(ring, 4 * 4096, kRead, MAP_SHARED, 0));
  say("mmap ring/too much", mapped(ring, 5 * 4096, kRead, MAP_SHARED, 0));
  say("mmap ring/private", mapped(ring, 4096, kRead, MAP_PRIVATE, 0));
  close(ring);
}

}  // namespace

void ask_map_mmap() {
  ask_array("mmap array", BPF_F_MMAPABLE);
  ask_array("mmap array without the flag", 0);
  ask_array("mmap array, read-only for programs", BPF_F_MMAPABLE | BPF_F_RDONLY_PROG);
  ask_array("mmap array, read-only descriptor", BPF_F_MMAPABLE | BPF_F_RDONLY);
  ask_array("mmap array, write-only descriptor", BPF_F_MMAPABLE | BPF_F_WRONLY);
  ask_live();
  ask_ring();
  int hash = make_map({BPF_MAP_TYPE_HASH});
  say("mmap hash/shared", mapped(hash, 4096, PROT_READ, MAP_SHARED, 0));
  close(hash);
  int program = make_program(BPF_PROG_TYPE_SOCKET_FILTER, nothing());
  say("mmap program/shared", mapped(program, 4096, PROT_READ, MAP_SHARED, 0));
  close(program);
}

}  // namespace oracle
