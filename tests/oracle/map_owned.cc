// SPDX-License-Identifier: Apache-2.0
// Maps whose values belong to a kernel object (socket, inode, task) or are one (struct_ops).
#include <fcntl.h>

#include "tests/oracle/oracle.h"

namespace oracle {

namespace {

constexpr u32 info(u32 kind, u32 vlen = 0) { return kind << 24 | vlen; }

// 1 int, 2 char, 3 struct { int; int }, 4 pointer, 5 struct bpf_spin_lock, 6 struct { int; bpf_spin_lock }.
int own_btf() {
  const std::string strings("\0int\0char\0pair\0a\0b\0bpf_spin_lock\0val\0locked\0", 44);
  const std::vector<u32> types = {1,  info(BTF_KIND_INT), 4, 1u << 24 | 32,
                                  5,  info(BTF_KIND_INT), 1, 8,
                                  10, info(BTF_KIND_STRUCT, 2), 8, 15, 1, 0, 17, 1, 32,
                                  0,  info(BTF_KIND_PTR), 1,
                                  19, info(BTF_KIND_STRUCT, 1), 4, 33, 1, 0,
                                  37, info(BTF_KIND_STRUCT, 2), 8, 15, 1, 0, 17, 5, 32};
  return make_btf(btf_blob(types, strings));
}

struct Storage {
  const char* what;
  u32 key = 4, value = 8, entries = 0, flags = BPF_F_NO_PREALLOC, key_id = 1, value_id = 3;
};

void ask_storage(u32 type, const char* name, int btf) {
  const Storage cases[] = {{"as it should be"},
                           {"entries", 4, 8, 1},
                           {"no flag", 4, 8, 0, 0},
                           {"clone", 4, 8, 0, BPF_F_NO_PREALLOC | BPF_F_CLONE},
                           {"read only", 4, 8, 0, BPF_F_NO_PREALLOC | BPF_F_RDONLY},
                           {"read only for programs", 4, 8, 0, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG},
                           {"numa node", 4, 8, 0, BPF_F_NO_PREALLOC | BPF_F_NUMA_NODE},
                           {"key of 8 bytes", 8, 8},
                           {"no value", 4, 0},
                           {"no key type", 4, 8, 0, BPF_F_NO_PREALLOC, 0},
                           {"no value type", 4, 8, 0, BPF_F_NO_PREALLOC, 1, 0},
                           {"key type of another size", 4, 8, 0, BPF_F_NO_PREALLOC, 2},
                           {"struct key", 8, 8, 0, BPF_F_NO_PREALLOC, 3},
                           {"lock as key", 4, 8, 0, BPF_F_NO_PREALLOC, 5},
                           {"value type of another size", 4, 8, 0, BPF_F_NO_PREALLOC, 1, 1},
                           {"pointer value", 4, 8, 0, BPF_F_NO_PREALLOC, 1, 4},
                           {"value with a lock", 4, 8, 0, BPF_F_NO_PREALLOC, 1, 6},
                           {"largest value", 4, 65407},
                           {"value too large", 4, 65408}};
  for (const Storage& c : cases) {
    bpf_attr attr = map_attr({type, c.key, c.value, c.entries, c.flags});
    attr.btf_fd = static_cast<u32>(btf);
    attr.btf_key_type_id = c.key_id;
    attr.btf_value_type_id = c.value_id;
    say(std::string(name) + "/" + c.what, fd_text(bpf(BPF_MAP_CREATE, attr)));
  }
  bpf_attr attr = map_attr({type, 4, 8, 0, BPF_F_NO_PREALLOC});
  attr.btf_fd = static_cast<u32>(btf);
  attr.btf_key_type_id = 1;
  attr.btf_value_type_id = 3;
  int map = static_cast<int>(bpf(BPF_MAP_CREATE, attr));
  u32 key = 0;
  say(std::string(name) + "/next key", next_key(map, nullptr, &key));
  bpf_attr outer = map_attr({BPF_MAP_TYPE_ARRAY_OF_MAPS});
  outer.inner_map_fd = static_cast<u32>(map);
  say(std::string(name) + "/inside a map", fd_text(bpf(BPF_MAP_CREATE, outer)));
  bpf_attr freeze{};
  freeze.map_fd = static_cast<u32>(map);
  say(std::string(name) + "/freeze", bpf(BPF_MAP_FREEZE, freeze));
  close(map);
}

void ask_struct_ops(int btf) {
  for (const char* structure : {"tcp_congestion_ops", "bpf_dummy_ops"}) {
    std::string name = std::string("struct_ops ") + structure;
    KernelType value = kernel_type(BTF_KIND_STRUCT, std::string("bpf_struct_ops_") + structure),
               inner = kernel_type(BTF_KIND_STRUCT, structure);
    bpf_attr good = map_attr({BPF_MAP_TYPE_STRUCT_OPS, 4, value.size, 1});
    good.btf_fd = static_cast<u32>(btf);
    good.btf_vmlinux_value_type_id = value.id;
    auto with = [&](const char* what, auto change) {
      bpf_attr attr = good;
      change(attr);
      say(name + "/" + what, fd_text(bpf(BPF_MAP_CREATE, attr)));
    };
    with("as it should be", [](bpf_attr&) {});
    with("no value type", [](bpf_attr& a) { a.btf_vmlinux_value_type_id = 0; });
    with("the structure itself", [&](bpf_attr& a) { a.btf_vmlinux_value_type_id = inner.id; });
    with("a type beyond", [](bpf_attr& a) { a.btf_vmlinux_value_type_id = ~0u; });
    with("another value size", [](bpf_attr& a) { a.value_size += 8; });
    with("key of 8 bytes", [](bpf_attr& a) { a.key_size = 8; });
    with("two entries", [](bpf_attr& a) { a.max_entries = 2; });
    with("a flag", [](bpf_attr& a) { a.map_flags = BPF_F_NO_PREALLOC; });
    with("a value type of its own", [](bpf_attr& a) { a.btf_value_type_id = 1; });
    with("no BTF", [](bpf_attr& a) { a.btf_fd = 0; });
    with("BTF of nothing", [](bpf_attr& a) { a.btf_fd = 1000; });
    int map = static_cast<int>(bpf(BPF_MAP_CREATE, good));
    u32 key = 0, one = 1;
    std::vector<u8> bytes(value.size, 0xff);
    say(name + "/first key", next_key(map, nullptr, &key));
    say(name + "/next key", next_key(map, &key, &key));
    say(name + "/lookup", lookup(map, &key, bytes.data()));
    say(name + "/value", bytes == std::vector<u8>(value.size) ? "zero" : "not zero");
    say(name + "/lookup of 1", lookup(map, &one, bytes.data()));
    say(name + "/delete", erase(map, &key));
    say(name + "/update with flags", update(map, &key, bytes.data(), BPF_EXIST));
    say(name + "/update of 1", update(map, &one, bytes.data()));
    bpf_attr outer = map_attr({BPF_MAP_TYPE_ARRAY_OF_MAPS});
    outer.inner_map_fd = static_cast<u32>(map);
    say(name + "/inside a map", fd_text(bpf(BPF_MAP_CREATE, outer)));
    bpf_attr freeze{};
    freeze.map_fd = static_cast<u32>(map);
    say(name + "/freeze", bpf(BPF_MAP_FREEZE, freeze));
    close(map);
  }
}

}  // namespace

void ask_map_owned() {
  int btf = own_btf();
  ask_storage(BPF_MAP_TYPE_SK_STORAGE, "sk_storage", btf);
  ask_storage(BPF_MAP_TYPE_INODE_STORAGE, "inode_storage", btf);
  ask_storage(BPF_MAP_TYPE_TASK_STORAGE, "task_storage", btf);
  ask_struct_ops(btf);
  close(btf);
}

}  // namespace oracle
