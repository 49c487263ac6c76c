// SPDX-License-Identifier: Apache-2.0
// A sequence of bpf() calls: what it holds, and how it tells what it got. Objects lie in a few places each; an operation
// that finds a place empty makes its call with descriptor -1.
#pragma once

#include <linux/bpf.h>

#include <map>
#include <string>
#include <vector>

#include "tests/fuzz/random.h"

namespace bpfemu::fuzz {

inline constexpr u32 kMaps = 5, kProgs = 4, kLinks = 3;

struct HeldMap {
  int fd = -1;
  u32 type = 0, key_size = 4, value_size = 4, entries = 1;
  u32 cursor = 0;  // out_batch of the last batch
};
struct HeldProg {
  int fd = -1;
  u32 type = 0;
};

// Maps, programs and links have ids of their own each.
enum class Kind : u64 { kMap, kProg, kLink };

class Sequence {
 public:
  explicit Sequence(u64 seed);
  ~Sequence();
  Sequence(const Sequence&) = delete;
  Sequence& operator=(const Sequence&) = delete;

  // Operation `index` of the sequence: it depends on the seed and its number alone, so others may be left out.
  void run(u32 index);
  std::string& text() { return text_; }

  Random& random() { return random_; }
  HeldMap& map() { return maps_[random_.below(kMaps)]; }
  HeldProg& prog() { return progs_[random_.below(kProgs)]; }
  int& link() { return links_[random_.below(kLinks)]; }
  int cgroup() const { return cgroup_; }
  std::string pin();

  // Adds to the line of this operation.
  void say(const std::string& what) { text_ += " " + what; }
  void say_result(long result);
  void say_bytes(const void* data, size_t size);
  void say_name(const HeldMap& map) { say("map" + std::to_string(&map - maps_)); }
  void say_name(const HeldProg& prog) { say("prog" + std::to_string(&prog - progs_)); }
  void say_name(const int& link) { say("link" + std::to_string(&link - links_)); }
  // Ids are told by the operation that made the object.
  void say_id(Kind kind, u32 id);
  // A descriptor that an operation got: its id is known from now on.
  void keep(int& place, long fd);

 private:
  u64 seed_;
  Random random_;
  u32 index_ = 0;
  HeldMap maps_[kMaps];
  HeldProg progs_[kProgs];
  int links_[kLinks] = {-1, -1, -1};
  int cgroup_ = -1;
  std::string folder_;
  std::map<std::pair<Kind, u32>, std::string> ids_;
  std::string text_;
};

// bpf(): a result or -errno.
long call(int command, bpf_attr& attr);
template <class T>
u64 address(T* p) {
  return reinterpret_cast<u64>(p);
}

// The operations, each with how often it comes.
struct Operation {
  const char* name;
  u32 weight;
  void (*run)(Sequence&);
};
extern const std::vector<Operation> kMapOperations, kProgOperations, kLinkOperations;

// Instructions of a small program that may use the maps; its expected_attach_type.
std::vector<bpf_insn> small_program(Sequence& s, u32 type);

}  // namespace bpfemu::fuzz
