// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/survivor.h"

#include "tests/progs/probe.h"

namespace bpfemu::fuzz {

namespace {

constexpr u32 kElements = 64, kAnswer = 77;

__attribute__((noipa, noinline)) int probed(int n) {
  return n + 3;
}

bool good(bool condition, const char* what) {
  if (!condition) printf("lost: %s (errno %d)\n", what, errno);
  return condition;
}

int create(u32 type, u32 flags) {
  bpf_attr attr{};
  attr.map_type = type;
  attr.key_size = 4;
  attr.value_size = 8;
  attr.max_entries = kElements;
  attr.map_flags = flags;
  return static_cast<int>(bpf_call(BPF_MAP_CREATE, &attr));
}

long element(int command, int map, u32 key, u64* value) {
  bpf_attr attr{};
  attr.map_fd = static_cast<u32>(map);
  attr.key = reinterpret_cast<u64>(&key);
  attr.value = reinterpret_cast<u64>(value);
  return bpf_call(command, &attr);
}

u32 id_of(int fd) {
  // The id stands at the same place in the info of maps and of programs.
  u32 info[64] = {};
  bpf_attr attr{};
  attr.info.bpf_fd = static_cast<u32>(fd);
  attr.info.info_len = 8;
  attr.info.info = reinterpret_cast<u64>(info);
  return bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attr) == 0 ? info[1] : 0;
}

int load_constant() {
  const bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = kAnswer},
                           {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  bpf_attr attr{};
  attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  attr.insn_cnt = 2;
  attr.insns = reinterpret_cast<u64>(code);
  attr.license = reinterpret_cast<u64>("GPL");
  return static_cast<int>(bpf_call(BPF_PROG_LOAD, &attr));
}

}  // namespace

Survivor::Survivor() {
  map_ = create(BPF_MAP_TYPE_HASH, 0);
  array_ = create(BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE);
  program_ = load_constant();
  map_id_ = id_of(map_);
  program_id_ = id_of(program_);
  void* const mapped = mmap(nullptr, kElements * 8, PROT_READ | PROT_WRITE, MAP_SHARED, array_, 0);
  mapped_ = mapped == MAP_FAILED ? nullptr : static_cast<u64*>(mapped);
  const struct counter probe = probe_function(kOnlyUs, reinterpret_cast<const void*>(probed), 0);
  counter_ = probe.map;
  event_ = probe.event;
}

bool Survivor::check_elements() {
  const u32 key = static_cast<u32>(round_ * 7 % kElements);
  u64 value = round_ * 0x9e3779b97f4a7c15;
  if (!good(element(BPF_MAP_UPDATE_ELEM, map_, key, &value) == 0, "updating an element")) return false;
  expected_[key] = value;
  const u32 other = static_cast<u32>(round_ * 13 % kElements);
  const bool there = element(BPF_MAP_LOOKUP_ELEM, map_, other, &value) == 0;
  const auto it = expected_.find(other);
  if (!good(there == (it != expected_.end()) && (!there || value == it->second), "an element")) return false;
  // Through the mapping, and through bpf().
  if (!mapped_) return good(false, "the mapping");
  mapped_[key] = round_;
  if (!good(element(BPF_MAP_LOOKUP_ELEM, array_, key, &value) == 0 && value == round_, "the mapped array"))
    return false;
  if (round_ % 16 != 15) return true;
  expected_.erase(key);
  return good(element(BPF_MAP_DELETE_ELEM, map_, key, nullptr) == 0, "deleting an element");
}

bool Survivor::check_program() {
  char data[64] = {};
  bpf_attr attr{};
  attr.test.prog_fd = static_cast<u32>(program_);
  attr.test.data_size_in = sizeof data;
  attr.test.data_in = reinterpret_cast<u64>(data);
  attr.test.repeat = 3;
  return good(bpf_call(BPF_PROG_TEST_RUN, &attr) == 0 && attr.test.retval == kAnswer, "the program");
}

bool Survivor::check_probe() {
  for (int i = 0; i < 3; ++i, ++calls_) probed(i);
  const long hits = counted({counter_, event_}, static_cast<long>(calls_));
  return good(event_ >= 0 && hits == static_cast<long>(calls_), "hits of the probe");
}

bool Survivor::check_ids() {
  bpf_attr attr{};
  attr.map_id = map_id_;
  const int fd = static_cast<int>(bpf_call(BPF_MAP_GET_FD_BY_ID, &attr));
  const bool same = fd >= 0 && id_of(fd) == map_id_ && id_of(program_) == program_id_;
  if (fd >= 0) close(fd);
  return good(same, "ids");
}

bool Survivor::check() {
  ++round_;
  return check_elements() && check_program() && check_probe() && check_ids();
}

}  // namespace bpfemu::fuzz
