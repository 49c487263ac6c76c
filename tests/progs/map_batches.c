// SPDX-License-Identifier: Apache-2.0
// Batches whose arrays end in the midst: what has been copied until then, and what the count says. Silent when all is
// well.
#include "event_programs.h"

enum { kElements = 600, kArea = 0x4000, kUntouched = 0xee };

struct arrays {
  uint8_t *keys, *values;
};

// Memory that ends behind so many bytes of an array of keys and one of values, all kUntouched.
static uint8_t* area(size_t room) {
  uint8_t* const start = mmap(NULL, 2 * kArea, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(start != MAP_FAILED && munmap(start + kArea, kArea) == 0);
  memset(start, kUntouched, kArea);
  return start + kArea - room;
}

static size_t touched(const uint8_t* bytes, size_t size) {
  while (size && bytes[size - 1] == kUntouched) --size;
  return size;
}

// The count that is left behind, or -errno.
static long batch(int command, int map, struct arrays of, uint32_t* count) {
  uint32_t next = 7;
  union bpf_attr attr = {.batch = {.map_fd = (uint32_t)map, .count = kElements}};
  attr.batch.keys = (uintptr_t)of.keys;
  attr.batch.values = (uintptr_t)of.values;
  if (command == BPF_MAP_LOOKUP_BATCH) attr.batch.out_batch = (uintptr_t)&next;
  const long result = bpf_call(command, &attr) == 0 ? 0 : -errno;
  *count = attr.batch.count;
  return result;
}

static void check(const char* what, unsigned kind, long result, long expected, uint32_t count,
                  uint32_t expected_count) {
  if (result != expected || count != expected_count)
    printf("%s, %u: %ld and %u, not %ld and %u\n", what, kind, result, count, expected, expected_count);
}

static int filled(unsigned type) {
  const int map = make_map(type, 4, 8, kElements, 0);
  for (uint64_t i = 0; i < kElements; ++i) {
    const uint64_t value = i | UINT64_C(0x0101010100000000);
    CHECK(ask_map(BPF_MAP_UPDATE_ELEM, map, i, &value, 0) == 0);
  }
  return map;
}

int main(void) {
  static const struct {
    size_t keys, values;            // bytes there is room for
    size_t read_keys, read_values;  // that a lookup writes
    uint32_t whole;                 // elements
  } kinds[] = {{kElements * 4, kElements * 8, kElements * 4, kElements * 8, kElements},
               {37 * 4 + 2, kElements * 8, 37 * 4 + 2, 37 * 8, 37},
               {kElements * 4, 21 * 8 + 3, 22 * 4, 21 * 8 + 3, 21},
               {37 * 4, 36 * 8, 37 * 4, 36 * 8, 36}};
  if (!can_count()) return 0;
  for (unsigned kind = 0; kind < LENGTH(kinds); ++kind) {
    const int array = filled(BPF_MAP_TYPE_ARRAY), hash = filled(BPF_MAP_TYPE_HASH);
    const struct arrays found = {area(kinds[kind].keys), area(kinds[kind].values)};
    const int fits = kinds[kind].whole == kElements;
    uint32_t count;
    long result = batch(BPF_MAP_LOOKUP_BATCH, array, found, &count);
    check("lookup", kind, result, fits ? 0 : -EFAULT, count, fits ? kElements : 0);
    CHECK(touched(found.keys, kinds[kind].keys) == kinds[kind].read_keys);
    CHECK(touched(found.values, kinds[kind].values) == kinds[kind].read_values);
    result = batch(BPF_MAP_LOOKUP_BATCH, hash, found, &count);
    check("lookup in a hash", kind, result, fits ? -ENOENT : -EFAULT, count, fits ? kElements : 0);
    for (uint32_t i = 0; i < kElements; ++i) {
      if (4 * (i + 1) <= kinds[kind].keys) memcpy(found.keys + 4 * i, &i, 4);
      if (8 * (i + 1) <= kinds[kind].values) memcpy(found.values + 8 * i, &(uint64_t){5000 + i}, 8);
    }
    result = batch(BPF_MAP_UPDATE_BATCH, array, found, &count);
    check("update", kind, result, fits ? 0 : -EFAULT, count, kinds[kind].whole);
    uint64_t value;
    for (uint64_t i = 0; i < kElements; ++i)
      CHECK(ask_map(BPF_MAP_LOOKUP_ELEM, array, i, &value, 0) == 0 && (value == 5000 + i) == (i < kinds[kind].whole));
    const struct arrays keys = {found.keys, NULL};
    const uint32_t deleted = (uint32_t)(kinds[kind].keys / 4);
    result = batch(BPF_MAP_DELETE_BATCH, hash, keys, &count);
    check("delete", kind, result, deleted == kElements ? 0 : -EFAULT, count, deleted);
    CHECK(ask_map(BPF_MAP_LOOKUP_ELEM, hash, deleted - 1, &value, 0) == -ENOENT);
    close(array), close(hash);
  }
}
