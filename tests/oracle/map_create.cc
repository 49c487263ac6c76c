// SPDX-License-Identifier: Apache-2.0
#include "tests/oracle/oracle.h"

namespace oracle {

namespace {

std::string create(const MapSpec& spec) { return fd_text(bpf(BPF_MAP_CREATE, map_attr(spec))); }

std::string describe(const MapSpec& s) {
  char line[80];
  std::snprintf(line, sizeof line, "create/type %u key %u value %u entries %u flags %#x", s.type, s.key, s.value,
                s.entries, s.flags);
  return line;
}

void ask(const MapSpec& spec) { say(describe(spec), create(spec)); }

// Types whose creation does not hang on sockets, devices or the modules of the kernel at hand.
constexpr u32 kTypes[] = {BPF_MAP_TYPE_HASH,         BPF_MAP_TYPE_ARRAY,        BPF_MAP_TYPE_PROG_ARRAY,
                          BPF_MAP_TYPE_PERF_EVENT_ARRAY, BPF_MAP_TYPE_PERCPU_HASH, BPF_MAP_TYPE_PERCPU_ARRAY,
                          BPF_MAP_TYPE_STACK_TRACE,  BPF_MAP_TYPE_LRU_HASH,     BPF_MAP_TYPE_LRU_PERCPU_HASH,
                          BPF_MAP_TYPE_LPM_TRIE,     BPF_MAP_TYPE_DEVMAP,       BPF_MAP_TYPE_CPUMAP,
                          BPF_MAP_TYPE_QUEUE,        BPF_MAP_TYPE_STACK,        BPF_MAP_TYPE_DEVMAP_HASH,
                          BPF_MAP_TYPE_RINGBUF};

}  // namespace

void ask_map_create() {
  for (u32 type : kTypes) {
    ask({type});
    ask({type, 4, 8, 4});
    ask({type, 0, 4, 4});
    ask({type, 4, 0, 4});
    ask({type, 4, 4, 0});
    ask({type, 8, 8, 4});
    ask({type, 0, 0, 4096});
    ask({type, 0, 0, 5000});
    for (u32 flag = 0; flag < 14; ++flag) ask({type, 4, 4, 4, 1u << flag});
    ask({type, 4, 4, 4, BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG});
    ask({type, 4, 4, 4, BPF_F_RDONLY | BPF_F_WRONLY});
    ask({type, 4, 4, 4, 1u << 20});
  }
  for (u32 type : {0u, 31u, 32u, 33u, 34u, 100u, ~0u}) {
    if (type < 31 || type > 33) ask({type});
  }
  for (u32 key : {1u, 511u, 512u, 513u, 4096u, 1u << 20, 1u << 30, ~0u}) ask({BPF_MAP_TYPE_HASH, key, 4, 1});
  for (u32 value : {4096u, 32768u, 32769u, (1u << 22) - 1024, 1u << 30, 0x7fffffffu, 0x80000000u, ~0u}) {
    ask({BPF_MAP_TYPE_PERCPU_ARRAY, 4, value, 1});
    ask({BPF_MAP_TYPE_PERCPU_HASH, 4, value, 1, BPF_F_NO_PREALLOC});
    if (value > 1u << 23) ask({BPF_MAP_TYPE_HASH, 4, value, 1});
  }
  for (u32 entries : {1u << 31, ~0u}) ask({BPF_MAP_TYPE_HASH, 4, 4, entries, BPF_F_NO_PREALLOC});
  for (u32 key : {4u, 5u, 8u, 12u, 20u, 260u, 261u, 300u}) ask({BPF_MAP_TYPE_LPM_TRIE, key, 4, 4, BPF_F_NO_PREALLOC});
  for (u32 value : {8u, 16u, 1016u, 1024u, 12u, 2048u}) ask({BPF_MAP_TYPE_STACK_TRACE, 4, value, 4});
  for (u32 value : {4u, 8u, 12u, 16u}) {
    ask({BPF_MAP_TYPE_CPUMAP, 4, value, 1});
    ask({BPF_MAP_TYPE_DEVMAP, 4, value, 1});
    ask({BPF_MAP_TYPE_DEVMAP_HASH, 4, value, 1});
  }
  for (u32 entries : {1u, 4096u, 4097u, 8192u, 12288u, 1u << 16, 1u << 28}) ask({BPF_MAP_TYPE_RINGBUF, 0, 0, entries});
  for (u32 value : {1u, 64u, 4096u}) ask({BPF_MAP_TYPE_QUEUE, 0, value, 16});
  for (u32 value : {1u, 64u, 4096u}) ask({BPF_MAP_TYPE_BLOOM_FILTER, 0, value, 16});
  ask({BPF_MAP_TYPE_BLOOM_FILTER, 4, 4, 16});
  ask({BPF_MAP_TYPE_STACK, 0, 4, 16, BPF_F_NO_PREALLOC});

  const struct {
    const char* what;
    const char* name;
  } names[] = {{"plain", "counts"},     {"dots and digits", ".rodata_0.x"}, {"a dash", "a-b"},
               {"a space", "a b"},      {"15 bytes", "abcdefghijklmno"},    {"no end", "abcdefghijklmnop"},
               {"high bytes", "\xc3\xa4"}};
  for (auto& n : names) {
    bpf_attr attr = map_attr({BPF_MAP_TYPE_ARRAY});
    memcpy(attr.map_name, n.name, strnlen(n.name, sizeof attr.map_name));
    say(std::string("create/name of ") + n.what, fd_text(bpf(BPF_MAP_CREATE, attr)));
  }

  auto with = [](const char* what, auto set) {
    bpf_attr attr = map_attr({BPF_MAP_TYPE_HASH});
    set(attr);
    say(std::string("create/with ") + what, fd_text(bpf(BPF_MAP_CREATE, attr)));
  };
  with("map_extra", [](bpf_attr& a) { a.map_extra = 1; });
  with("ifindex", [](bpf_attr& a) { a.map_ifindex = 9999; });
  with("numa node without its flag", [](bpf_attr& a) { a.numa_node = 77; });
  with("numa node 0", [](bpf_attr& a) { a.map_flags = BPF_F_NUMA_NODE; });
  with("numa node 77", [](bpf_attr& a) { a.map_flags = BPF_F_NUMA_NODE, a.numa_node = 77; });
  with("key type only", [](bpf_attr& a) { a.btf_key_type_id = 1; });
  with("types and no BTF", [](bpf_attr& a) { a.btf_key_type_id = a.btf_value_type_id = 1, a.btf_fd = ~0u; });
  with("types and a wrong descriptor", [](bpf_attr& a) { a.btf_key_type_id = a.btf_value_type_id = 1; });
  with("a vmlinux value type", [](bpf_attr& a) { a.btf_vmlinux_value_type_id = 1; });
  with("an inner map", [](bpf_attr& a) { a.inner_map_fd = 99; });
}

}  // namespace oracle
