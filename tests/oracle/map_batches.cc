// SPDX-License-Identifier: Apache-2.0
#include "tests/oracle/oracle.h"

namespace oracle {

namespace {

struct Answer {
  long result;
  u32 count;
};

Answer batch(int command, int map, void* in, void* out, void* keys, void* values, u32 count, u64 elem_flags = 0,
             u64 flags = 0) {
  bpf_attr attr{};
  attr.batch.map_fd = static_cast<u32>(map);
  attr.batch.in_batch = ptr(static_cast<u8*>(in));
  attr.batch.out_batch = ptr(static_cast<u8*>(out));
  attr.batch.keys = ptr(static_cast<u8*>(keys));
  attr.batch.values = ptr(static_cast<u8*>(values));
  attr.batch.count = count;
  attr.batch.elem_flags = elem_flags;
  attr.batch.flags = flags;
  long result = bpf_raw(command, &attr, sizeof attr);
  return {result, attr.batch.count};
}

void said(const std::string& name, Answer a) { say(name, text(a.result) + " count " + std::to_string(a.count)); }

void ask_type(const std::string& name, u32 type, u32 flags = 0) {
  int map = make_map({type, 4, 4, 16, flags});
  std::vector<u32> keys(32), values(4096), cursor(2), read_keys(32), read_values(4096);
  for (u32 i = 0; i < 32; ++i) keys[i] = i, values[i] = i * 10;
  said(name + "/update 0", batch(BPF_MAP_UPDATE_BATCH, map, nullptr, nullptr, keys.data(), values.data(), 0));
  said(name + "/update 5", batch(BPF_MAP_UPDATE_BATCH, map, nullptr, nullptr, keys.data(), values.data(), 5));
  said(name + "/update 20", batch(BPF_MAP_UPDATE_BATCH, map, nullptr, nullptr, keys.data(), values.data(), 20));
  said(name + "/update, null keys", batch(BPF_MAP_UPDATE_BATCH, map, nullptr, nullptr, nullptr, values.data(), 5));
  said(name + "/update, flag", batch(BPF_MAP_UPDATE_BATCH, map, nullptr, nullptr, keys.data(), values.data(), 5, 1));
  said(name + "/update, lock", batch(BPF_MAP_UPDATE_BATCH, map, nullptr, nullptr, keys.data(), values.data(), 5, 4));
  auto look = [&](const char* what, int command, u32 count, u64 elem_flags = 0, u64 batch_flags = 0) {
    said(name + "/" + what, batch(command, map, nullptr, cursor.data(), read_keys.data(), read_values.data(), count,
                                  elem_flags, batch_flags));
  };
  look("lookup all", BPF_MAP_LOOKUP_BATCH, 32);
  look("lookup none", BPF_MAP_LOOKUP_BATCH, 0);
  look("lookup, flag", BPF_MAP_LOOKUP_BATCH, 32, 1);
  look("lookup, batch flag", BPF_MAP_LOOKUP_BATCH, 32, 0, 1);
  said(name + "/lookup, null out", batch(BPF_MAP_LOOKUP_BATCH, map, nullptr, nullptr, read_keys.data(),
                                         read_values.data(), 32));
  cursor[0] = ~0u;
  said(name + "/lookup from a wrong place", batch(BPF_MAP_LOOKUP_BATCH, map, cursor.data(), cursor.data(),
                                                  read_keys.data(), read_values.data(), 32));
  said(name + "/delete 3", batch(BPF_MAP_DELETE_BATCH, map, nullptr, nullptr, keys.data(), nullptr, 3));
  said(name + "/delete them again", batch(BPF_MAP_DELETE_BATCH, map, nullptr, nullptr, keys.data(), nullptr, 3));
  look("take all", BPF_MAP_LOOKUP_AND_DELETE_BATCH, 32);
  look("take from an empty map", BPF_MAP_LOOKUP_AND_DELETE_BATCH, 32);
  look("lookup in an empty map", BPF_MAP_LOOKUP_BATCH, 32);
  close(map);
}

}  // namespace

void ask_map_batches() {
  ask_type("batch of hash", BPF_MAP_TYPE_HASH);
  ask_type("batch of hash without preallocation", BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC);
  ask_type("batch of percpu hash", BPF_MAP_TYPE_PERCPU_HASH);
  ask_type("batch of array", BPF_MAP_TYPE_ARRAY);
  ask_type("batch of percpu array", BPF_MAP_TYPE_PERCPU_ARRAY);
  int queue = make_map({BPF_MAP_TYPE_QUEUE, 0, 4, 4});
  for (int command = BPF_MAP_LOOKUP_BATCH; command <= BPF_MAP_DELETE_BATCH; ++command) {
    u32 cell = 0;
    said("batch of a queue/" + std::to_string(command), batch(command, queue, nullptr, &cell, &cell, &cell, 1));
    said("batch of nothing/" + std::to_string(command), batch(command, -1, nullptr, &cell, &cell, &cell, 1));
  }
  close(queue);
}

}  // namespace oracle
