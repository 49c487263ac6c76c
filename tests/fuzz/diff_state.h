// SPDX-License-Identifier: Apache-2.0
// A sequence of bpf() calls: what it holds, and how it tells what it got. Objects lie in a few places each; an operation
// that finds a place empty makes its call with descriptor -1. Two processes take part, each with places of its own; what
// they share are the ids, the pins and the cgroup.
#pragma once

#include <linux/bpf.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "tests/fuzz/diff_peer.h"
#include "tests/fuzz/random.h"

namespace bpfemu::fuzz {

inline constexpr u32 kMaps = 5, kProgs = 4, kLinks = 3;
// How often an operation that makes something tries, each time with something else.
inline constexpr int kTries = 3;

// Descriptors that both processes have, where no place's lies.
enum FixedFd : int { kSocketFd = 200, kCgroupFd, kNetnsFd, kTaskFd, kFirstPeerFd };

struct HeldMap {
  int fd = -1;
  u32 type = 0, key_size = 4, value_size = 4, entries = 1;
  u32 cursor = 0;  // out_batch of the last batch
  u32 id = 0;
};
struct HeldProg {
  int fd = -1;
  u32 type = 0, attach_type = 0;
  u32 id = 0;
};
struct Held {
  HeldMap maps[kMaps];
  HeldProg progs[kProgs];
  int links[kLinks] = {-1, -1, -1};
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
  // A place to use, mostly one that holds something if there is one.
  HeldMap& map() { return used(held_->maps); }
  HeldProg& prog() { return used(held_->progs); }
  int& link() { return used(held_->links); }
  // A place for something new.
  HeldMap& new_map() { return held_->maps[random_.below(kMaps)]; }
  HeldProg& new_prog() { return held_->progs[random_.below(kProgs)]; }
  int& new_link() { return held_->links[random_.below(kLinks)]; }
  // A map of one of these types; nullptr: there is none.
  HeldMap* map_of(const std::vector<u32>& types) { return of(held_->maps, types); }
  // Mostly a program of one of these types, if there is one.
  HeldProg& prog_of(const std::vector<u32>& types) {
    HeldProg* fitting = random_.one_in(12) ? nullptr : of(held_->progs, types);
    return fitting ? *fitting : prog();
  }
  std::string pin();

  // Adds to the line of this operation.
  void say(const std::string& what) { text_ += " " + what; }
  void say(const char* what, u64 number) { text_ += std::string(" ") + what + " " + std::to_string(number); }
  void say_result(long result);
  void say_bytes(const void* data, size_t size);
  void say_name(const HeldMap& map) { say("map" + std::to_string(&map - held_->maps)); }
  void say_name(const HeldProg& prog) { say("prog" + std::to_string(&prog - held_->progs)); }
  void say_name(const int& link) { say("link" + std::to_string(&link - held_->links)); }
  // Ids are told by the operation that made the object.
  void say_id(Kind kind, u32 id);
  // One of the ids so far, whether the object is still there or not; seldom one that no object had.
  u32 known_id(Kind kind);
  // Does one of the two processes hold it? What nobody holds is there until the kernel finds the time to free it.
  bool is_held(Kind kind, u32 id) const;
  // A descriptor that an operation got: its id is known from now on, and is returned.
  u32 keep(int& place, long fd);

 private:
  static int fd_of(const HeldMap& map) { return map.fd; }
  static int fd_of(const HeldProg& prog) { return prog.fd; }
  static int fd_of(int link) { return link; }
  template <class Place, size_t n>
  Place& used(Place (&places)[n]) {
    const u64 first = random_.below(n);
    if (random_.one_in(12)) return places[first];
    for (u64 i = 0; i < n; ++i)
      if (fd_of(places[(first + i) % n]) >= 0) return places[(first + i) % n];
    return places[first];
  }
  template <class Place, size_t n>
  Place* of(Place (&places)[n], const std::vector<u32>& types) {
    const u64 first = random_.below(n);
    for (u64 i = 0; i < n; ++i) {
      Place& place = places[(first + i) % n];
      if (place.fd >= 0 && std::find(types.begin(), types.end(), place.type) != types.end()) return &place;
    }
    return nullptr;
  }
  static void run_one(void* self);
  void close_all();

  u64 seed_;
  Random random_;
  u32 index_ = 0;
  const struct Operation* operation_ = nullptr;
  Held main_, other_;
  Held* held_ = &main_;
  Peer peer_;
  Child child_;
  bool joined_ = false;
  std::string folder_;
  std::map<std::pair<Kind, u32>, std::string> ids_;
  std::string text_;
};

// 0, 1, which is the loopback interface, or the index of no network interface on any machine.
inline u32 interface_index(u32 number) { return number < 2 ? number : 0x7fffff00; }

// bpf(): a result or -errno.
long call(int command, bpf_attr& attr);
// BPF_OBJ_GET_INFO_BY_FD, with a struct bpf_*_info.
template <class Info>
long info_of(int fd, Info& info) {
  bpf_attr attr{};
  attr.info.bpf_fd = static_cast<u32>(fd);
  attr.info.info_len = sizeof info;
  attr.info.info = reinterpret_cast<u64>(&info);
  return call(BPF_OBJ_GET_INFO_BY_FD, attr);
}
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
extern const std::vector<Operation> kMapOperations, kBulkOperations, kPinOperations, kProgOperations, kLinkOperations, kEventOperations;

}  // namespace bpfemu::fuzz
