// SPDX-License-Identifier: Apache-2.0
// The maps of generated programs: what they are, their descriptors, their contents before and after a run.
#pragma once

#include <linux/bpf.h>

#include <array>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "tests/fuzz/verifier_program.h"

namespace bpfemu::fuzz {

enum MapNumber : int {
#define FUZZ_MAP(name, ...) name,
#include "tests/fuzz/verifier_maps.inc"
#undef FUZZ_MAP
  kMapCount,
};

struct MapSpec {
  u32 type, key, value, entries, flags;
};
const MapSpec& map_spec(int number);

inline constexpr u32 kLockOffset = 0,
                     kTimerOffset = 8;  // of struct bpf_spin_lock and bpf_timer in values of maps with one
inline constexpr char kReadOnlyText[33] =
    "%d %s %x\0"
    "12345\0abc\0%lu\0%p %llu\0\0";

// Types of the maps' BTF: functions without arguments, and with one, an int.
inline constexpr u32 kStaticFunction = 9, kGlobalFunction = 11;

long bpf(int command, bpf_attr& attr);
u64 hash_bytes(u64 hash, const void* data, size_t size);
inline constexpr u64 kHashStart = 0xcbf29ce484222325;

class Maps {
 public:
  // What cannot be made is said on stderr and has no descriptor.
  void make();
  int btf() const { return btf_; }
  // A program array belongs to programs of one kind: their type, attach type and target.
  int fd(int number, const Program& user);
  // The contents that every run starts with.
  void reset();
  // Of the contents of all maps that a run can change.
  u64 contents() const;

 private:
  void make_one(int number);
  void fill(int number) const;
  void clear(int number) const;

  std::array<int, kMapCount> fds_{};
  int btf_ = -1;
  std::map<std::tuple<u32, u32, std::string>, int> programs_;
};

}  // namespace bpfemu::fuzz
