// SPDX-License-Identifier: Apache-2.0
// Operations on many elements at once: batches, mappings, rings.
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <algorithm>

#include "tests/fuzz/diff_shapes.h"

namespace bpfemu::fuzz {

namespace {

constexpr size_t kPage = 4096;

void batch(Sequence& s) {
  static constexpr int commands[] = {BPF_MAP_LOOKUP_BATCH, BPF_MAP_LOOKUP_AND_DELETE_BATCH, BPF_MAP_UPDATE_BATCH,
                                     BPF_MAP_DELETE_BATCH};
  Random& random = s.random();
  HeldMap& map = s.map();
  const int command = random.pick(commands);
  const bool reads = command == BPF_MAP_LOOKUP_BATCH || command == BPF_MAP_LOOKUP_AND_DELETE_BATCH;
  const u32 count = static_cast<u32>(random.below(7));
  std::vector<u8> keys(64 * 8), values(512 * 8);
  u32 in = map.cursor, out[16] = {};
  for (u32 i = 0; i < count && !reads; ++i) {
    alignas(8) u8 key[64] = {}, value[512] = {};
    fill_key(s, map, key);
    fill_value(s, map, value);
    memcpy(&keys[i * map.key_size], key, map.key_size);
    memcpy(&values[i * user_size(map)], value, std::min<u64>(user_size(map), sizeof value));
  }
  bpf_attr attr{};
  attr.batch.map_fd = static_cast<u32>(map.fd);
  attr.batch.keys = address(keys.data());
  attr.batch.values = address(values.data());
  attr.batch.count = count;
  attr.batch.out_batch = address(out);
  if (random.one_in(3)) attr.batch.in_batch = address(&in);
  if (random.one_in(20)) attr.batch.elem_flags = 1ull << random.below(4);
  if (random.one_in(30)) attr.batch.flags = 1;
  s.say_name(map);
  s.say(std::to_string(command) + " of " + std::to_string(count) + (attr.batch.in_batch ? " on" : ""));
  s.say_result(call(command, attr));
  s.say("count", attr.batch.count);
  if (!reads) return;
  s.say_bytes(out, 4);
  for (u32 i = 0; i < std::min(count, attr.batch.count); ++i) {
    say_key(s, map, &keys[i * map.key_size]);
    say_value(s, map, &values[i * user_size(map)]);
  }
  map.cursor = out[0];
}

void map_memory(Sequence& s) {
  HeldMap& map = s.map();
  Random& random = s.random();
  static constexpr int protections[] = {PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC, PROT_WRITE};
  static constexpr size_t lengths[] = {kPage, kPage, kPage, 2 * kPage, 3 * kPage};
  const int protection = random.pick(protections), sharing = random.one_in(8) ? MAP_PRIVATE : MAP_SHARED;
  const size_t length = random.pick(lengths), offset = random.one_in(8) ? kPage : 0, write_at = random.below(20);
  s.say_name(map);
  s.say(std::to_string(protection) + " " + std::to_string(length) + " at " + std::to_string(offset));
  void* at = mmap(nullptr, length, protection, sharing, map.fd, static_cast<off_t>(offset));
  if (at == MAP_FAILED) return s.say_result(-errno);
  s.say("mapped");
  if (protection & PROT_READ) s.say_bytes(at, 32);
  if (protection & PROT_WRITE && map.type == BPF_MAP_TYPE_ARRAY) memset(static_cast<u8*>(at) + write_at, 0x5a, 4);
  munmap(at, length);
}

// What a consumer of a BPF_MAP_TYPE_RINGBUF reads: positions and records; then all is consumed.
void drain(Sequence& s) {
  HeldMap& map = s.map();
  s.say_name(map);
  if (map.type != BPF_MAP_TYPE_RINGBUF) return s.say("none");
  void* mine = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, map.fd, 0);
  void* theirs = mmap(nullptr, kPage + 2 * map.entries, PROT_READ, MAP_SHARED, map.fd, kPage);
  if (mine == MAP_FAILED || theirs == MAP_FAILED) {
    s.say_result(-errno);
  } else {
    u64 &consumed = *static_cast<u64*>(mine), produced = *static_cast<u64*>(theirs);
    s.say(std::to_string(consumed) + " to " + std::to_string(produced));
    const u8* data = static_cast<const u8*>(theirs) + kPage;
    // The second word of a record's header says where in the ring's memory it lies.
    s.say_bytes(data + consumed % map.entries, std::min<u64>(produced - consumed, map.entries));
    consumed = produced;
  }
  if (mine != MAP_FAILED) munmap(mine, kPage);
  if (theirs != MAP_FAILED) munmap(theirs, kPage + 2 * map.entries);
}

}  // namespace

const std::vector<Operation> kBulkOperations = {{"batch", 10, batch}, {"mmap", 3, map_memory}, {"drain", 3, drain}};

}  // namespace bpfemu::fuzz
