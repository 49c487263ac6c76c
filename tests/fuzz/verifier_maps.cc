// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/verifier_maps.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>

#include "tests/fuzz/value_btf.h"

namespace bpfemu::fuzz {

namespace {

constexpr MapSpec kSpecs[] = {
#define FUZZ_MAP(name, type, key, value, entries, flags) {type, key, value, entries, flags},
#include "tests/fuzz/verifier_maps.inc"
#undef FUZZ_MAP
};

constexpr u32 kMostCpus = 256;
constexpr u32 kMostBytes = 64;  // of a key or value

template <class T>
u64 ptr(const T* p) {
  return reinterpret_cast<u64>(p);
}

int make_btf() {
  const std::vector<u8> blob = value_btf();
  bpf_attr attr{};
  attr.btf = ptr(blob.data());
  attr.btf_size = static_cast<u32>(blob.size());
  return static_cast<int>(bpf(BPF_BTF_LOAD, attr));
}

long element(int command, int map, const void* key, const void* value, u64 flags = 0) {
  bpf_attr attr{};
  attr.map_fd = static_cast<u32>(map);
  attr.key = ptr(key);
  attr.value = ptr(value);
  attr.flags = flags;
  return bpf(command, attr);
}

bool per_cpu(u32 type) {
  return type == BPF_MAP_TYPE_PERCPU_ARRAY || type == BPF_MAP_TYPE_PERCPU_HASH;
}
bool has_elements(u32 type) {
  switch (type) {
    case BPF_MAP_TYPE_ARRAY:
    case BPF_MAP_TYPE_HASH:
    case BPF_MAP_TYPE_PERCPU_ARRAY:
    case BPF_MAP_TYPE_PERCPU_HASH:
    case BPF_MAP_TYPE_LRU_HASH:
    case BPF_MAP_TYPE_LPM_TRIE: return true;
    default: return false;
  }
}
bool has_queue(u32 type) {
  return type == BPF_MAP_TYPE_QUEUE || type == BPF_MAP_TYPE_STACK;
}

}  // namespace

long bpf(int command, bpf_attr& attr) {
  long r = syscall(SYS_bpf, command, &attr, sizeof attr);
  return r < 0 ? -errno : r;
}

u64 hash_bytes(u64 hash, const void* data, size_t size) {
  for (const u8 *p = static_cast<const u8*>(data), *end = p + size; p != end; ++p) hash = (hash ^ *p) * 0x100000001b3;
  return hash;
}

const MapSpec& map_spec(int number) {
  return kSpecs[number];
}

void Maps::make_one(int number) {
  const MapSpec& spec = kSpecs[number];
  bpf_attr attr{};
  attr.map_type = spec.type;
  attr.key_size = spec.key;
  attr.value_size = spec.value;
  attr.max_entries = spec.entries;
  attr.map_flags = spec.flags;
  if (number == kArrayOfMaps || number == kHashOfMaps) attr.inner_map_fd = static_cast<u32>(fds_[kArray8]);
  if (number == kLocked || number == kLockedHash || number == kTimed || number == kSocketStorage) {
    attr.btf_fd = static_cast<u32>(btf_);
    attr.btf_key_type_id = 1;
    attr.btf_value_type_id = number == kTimed ? 6 : 4;
  }
  long r = bpf(BPF_MAP_CREATE, attr);
  if (r < 0) std::fprintf(stderr, "map %d of type %u: errno %ld\n", number, spec.type, -r);
  fds_[static_cast<size_t>(number)] = static_cast<int>(r);
}

void Maps::make() {
  btf_ = make_btf();
  if (btf_ < 0) std::fprintf(stderr, "BTF: errno %d\n", -btf_);
  for (int number = 0; number < kMapCount; ++number) make_one(number);
  u32 zero = 0;
  u64 key = 1;
  element(BPF_MAP_UPDATE_ELEM, fds_[kReadOnly], &zero, kReadOnlyText);
  bpf_attr attr{};
  attr.map_fd = static_cast<u32>(fds_[kReadOnly]);
  bpf(BPF_MAP_FREEZE, attr);
  element(BPF_MAP_UPDATE_ELEM, fds_[kArrayOfMaps], &zero, &fds_[kArray8]);
  element(BPF_MAP_UPDATE_ELEM, fds_[kHashOfMaps], &key, &fds_[kArray8]);
}

int Maps::fd(int number, const Program& user) {
  if (number < 0 || number >= kMapCount) return -1;
  if (number != kPrograms) return fds_[static_cast<size_t>(number)];
  auto [at, fresh] = programs_.try_emplace({user.type, user.attach, user.target}, -1);
  if (!fresh) return at->second;
  make_one(kPrograms);
  at->second = fds_[kPrograms];
  // One program to reach; types that need more than this to load have none.
  const bpf_insn answer[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 1},
                             {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  bpf_attr attr{};
  attr.prog_type = user.type;
  attr.expected_attach_type = user.attach;
  attr.insns = ptr(answer);
  attr.insn_cnt = 2;
  attr.license = ptr("GPL");
  long program = bpf(BPF_PROG_LOAD, attr);
  if (program >= 0) {
    u32 first = 0;
    int value = static_cast<int>(program);
    element(BPF_MAP_UPDATE_ELEM, at->second, &first, &value);
    close(value);
  }
  return at->second;
}

void Maps::clear(int number) const {
  int map = fds_[static_cast<size_t>(number)];
  const MapSpec& spec = kSpecs[number];
  u8 key[kMostBytes] = {}, value[kMostBytes * kMostCpus] = {};
  if (has_queue(spec.type)) {
    while (element(BPF_MAP_LOOKUP_AND_DELETE_ELEM, map, nullptr, value) == 0) {
    }
  } else if (spec.type != BPF_MAP_TYPE_ARRAY && spec.type != BPF_MAP_TYPE_PERCPU_ARRAY) {
    while (element(BPF_MAP_GET_NEXT_KEY, map, nullptr, key) == 0) {
      if (element(BPF_MAP_DELETE_ELEM, map, key, nullptr) != 0) break;
    }
  }
}

// Element i holds the bytes i + 1, i + 2, ...; two elements, so that programs find some and miss some.
void Maps::fill(int number) const {
  int map = fds_[static_cast<size_t>(number)];
  const MapSpec& spec = kSpecs[number];
  bool array = spec.type == BPF_MAP_TYPE_ARRAY || spec.type == BPF_MAP_TYPE_PERCPU_ARRAY;
  for (u32 i = 0; i < (array ? spec.entries : 2); ++i) {
    u8 key[kMostBytes] = {}, value[kMostBytes * kMostCpus];
    memcpy(key, &i, sizeof i);
    if (spec.type == BPF_MAP_TYPE_LPM_TRIE) key[0] = 32, key[4] = static_cast<u8>(i);
    for (size_t at = 0; at < sizeof value; ++at) value[at] = static_cast<u8>(i + 1 + at % ((spec.value + 7) & ~7u));
    element(BPF_MAP_UPDATE_ELEM, map, has_queue(spec.type) ? nullptr : key, value);
  }
}

void Maps::reset() {
  for (int number = 0; number < kMapCount; ++number) {
    u32 type = kSpecs[number].type;
    if (number == kReadOnly || (!has_elements(type) && !has_queue(type))) continue;
    clear(number);
    fill(number);
  }
  for (int number : {kRing, kBloom}) {
    close(fds_[static_cast<size_t>(number)]);
    make_one(number);
  }
}

u64 Maps::contents() const {
  u64 hash = kHashStart;
  u8 value[kMostBytes * kMostCpus] = {};
  for (int number = 0; number < kMapCount; ++number) {
    const MapSpec& spec = kSpecs[number];
    int map = fds_[static_cast<size_t>(number)];
    if (has_queue(spec.type)) {
      while (element(BPF_MAP_LOOKUP_AND_DELETE_ELEM, map, nullptr, value) == 0)
        hash = hash_bytes(hash, value, spec.value);
    }
    if (!has_elements(spec.type)) continue;
    // In the order of the keys: that of a hash table is its own.
    std::map<std::array<u8, kMostBytes>, u64> elements;
    std::array<u8, kMostBytes> key{};
    u8* at = key.data();
    for (bool first = true; element(BPF_MAP_GET_NEXT_KEY, map, first ? nullptr : at, at) == 0; first = false) {
      u64 of_value = 0;
      if (element(BPF_MAP_LOOKUP_ELEM, map, at, value) == 0) {
        // A run may be on any CPU: the values of all together.
        u32 stride = (spec.value + 7) & ~7u;
        long cpus = per_cpu(spec.type) ? sysconf(_SC_NPROCESSORS_CONF) : 1;
        for (long cpu = 0; cpu < cpus; ++cpu) of_value += hash_bytes(kHashStart, value + cpu * stride, spec.value);
      }
      elements[key] = of_value;
      if (elements.size() > spec.entries) break;
    }
    for (auto& [bytes, of_value] : elements) {
      hash = hash_bytes(hash_bytes(hash, bytes.data(), spec.key), &of_value, sizeof of_value);
    }
  }
  return hash;
}

}  // namespace bpfemu::fuzz
