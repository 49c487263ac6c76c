// SPDX-License-Identifier: Apache-2.0
// Arguments that are valid but for what chance makes of them.
#pragma once

#include <linux/bpf.h>

#include <vector>

#include "tests/fuzz/memory.h"
#include "tests/fuzz/random.h"

namespace bpfemu::fuzz {

enum class Kind { kMap, kProgram, kBtf, kLink, kPerf };

// The descriptors that the tracee holds.
struct Descriptor {
  int fd;
  Kind kind;
  u32 key_size = 8, value_size = 8;  // of a map
};

class Pool {
 public:
  void add(Descriptor descriptor) { open_.push_back(descriptor); }
  // One of that kind mostly, else of another, or none.
  const Descriptor& pick(Random& random, Kind kind) const;
  u32 fd(Random& random, Kind kind) const { return static_cast<u32>(pick(random, kind).fd); }
  void close_one(Random& random);
  void close_all();
  size_t size() const { return open_.size(); }

 private:
  std::vector<Descriptor> open_;
};

struct Source {
  Random& random;
  Memory& memory;
  Pool& pool;

  // A pointer to a buffer of `size` bytes; now and then to a shorter one, or to nothing.
  u64 buffer(u64 size);
  u64 text(const char* text) { return random.one_in(50) ? random.next() : memory.text(text); }
};

// Arguments for `command`, all plausible.
bpf_attr plausible_attr(Source& source, u32 command);

const char* random_path(Random& random);

}  // namespace bpfemu::fuzz
