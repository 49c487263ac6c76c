// SPDX-License-Identifier: Apache-2.0
// Map commands that work on many elements. Hash tables are read bucket by bucket (in_batch and out_batch are bucket
// numbers), other types key by key (they are keys).
#include <algorithm>
#include <cstddef>

#include "emu/base/room.h"
#include "emu/syscalls/batch_copies.h"
#include "emu/syscalls/map_elements.h"
#include "emu/syscalls/map_run.h"

namespace bpfemu {

namespace {

constexpr size_t kCount = offsetof(bpf_attr, batch.count);

// One batch on its way: the map, what was asked, and how far it got.
struct Batch {
  BpfCall& call;
  std::shared_ptr<File> file;
  std::shared_ptr<MapObject> object;
  u64 key_size, value_size;
  u32 wanted, done = 0;

  Map& map() const { return object->map(); }
  Result<void> put_count() { return call.put_attr(kCount, done); }
  // Between two elements: there may be 2^32. No signal ends a batch (kernel: cond_resched), but who is gone needs none.
  Result<void> breathe() const { return call.system.host.breathe(&call.task) ? fail(EINTR) : Result<void>{}; }
};

Result<Batch> open_batch(BpfCall& call, u8 operation, u32 access) {
  auto file = TRY(call.file(call.attr.batch.map_fd, ObjectKind::kMap));
  auto object = std::static_pointer_cast<MapObject>(file->object());
  if (access & ~map_permissions(*file, *object)) return fail(EPERM);
  if (!(object->ops().batches & operation)) return fail(ENOTSUPP);
  u64 flags = call.attr.batch.elem_flags;
  if (flags & ~u64{BPF_F_LOCK}) return fail(EINVAL);
  if ((flags & BPF_F_LOCK) && !object->spin_lock_offset) return fail(EINVAL);
  TRY(room_for(2 * (u64{object->map().key_size} + user_value_size(object->map()))));
  return Batch{.call = call, .file = std::move(file), .object = object, .key_size = object->map().key_size,
               .value_size = user_value_size(object->map()), .wanted = call.attr.batch.count};
}

// Calls `step(index)` for each element until one fails, then reports how many went well: a failure of an element is
// the command's result all the same (kernel: generic_map_update_batch, generic_map_delete_batch).
template <class Step>
Result<u64> for_each_element(Batch& batch, Step step) {
  if (batch.wanted == 0) return 0;
  TRY(batch.put_count());
  Result<void> result;
  while (result && batch.done < batch.wanted) {
    TRY(batch.breathe());
    result = step(batch.done);
    if (result) ++batch.done;
  }
  TRY(batch.put_count());
  if (!result) return fail(result.error().value);
  return 0;
}

// Kernel: generic_map_lookup_batch.
Result<u64> lookup_by_key(Batch& batch) {
  BpfCall& call = batch.call;
  if (batch.wanted == 0) return 0;
  TRY(batch.put_count());
  std::vector<u8> previous(batch.key_size), key(batch.key_size), value(batch.value_size);
  BatchOutput output(call, batch.key_size, batch.value_size);
  bool started = call.attr.batch.in_batch != 0;
  if (started) TRY(call.task.read(call.attr.batch.in_batch, previous.data(), batch.key_size));

  int error = 0;
  while (batch.done < batch.wanted) {
    TRY(batch.breathe());
    s64 next = batch.object->ops().get_next_key(batch.map(), started ? previous.data() : nullptr, key.data());
    if (next) {
      error = static_cast<int>(-next);
      break;
    }
    auto read = read_element(call, *batch.object, key.data(), value);
    if (!read && read.error().value != ENOENT) return fail(read.error().value);
    if (read) {
      TRY(output.add(key, value));
      ++batch.done;
    }
    error = read ? 0 : ENOENT;
    std::swap(previous, key);
    started = true;
  }
  TRY(output.flush());
  TRY(batch.put_count());
  if (batch.done) TRY(call.copy_out(call.attr.batch.out_batch, previous.data(), batch.key_size));
  if (error) return fail(error);
  return 0;
}

Result<void> delete_keys(Batch& batch, const std::vector<u8>& keys, u32 count) {
  for (u32 i = 0; i < count; ++i) TRY(erase_element(batch.call, *batch.object, keys.data() + i * batch.key_size));
  return {};
}

// Ids of the inner maps in place of what the table holds.
Result<void> resolve_values(Batch& batch, const std::vector<u8>& keys, std::vector<u8>& values, u32 count) {
  if (batch.object->ops().elements == ElementKind::kBytes) return {};
  std::vector<u8> value(batch.value_size);
  for (u32 i = 0; i < count; ++i) {
    TRY(read_fd_element(*batch.object, keys.data() + i * batch.key_size, value));
    std::copy(value.begin(), value.end(), values.begin() + static_cast<s64>(i * batch.value_size));
  }
  return {};
}

// The bucket's elements, if they are no more than there is room for; how many there are. Processes may change the map
// meanwhile.
Result<u32> copy_bucket(Batch& batch, u32 bucket, u32 room, std::vector<u8>& keys, std::vector<u8>& values) {
  const MapOps& ops = batch.object->ops();
  MapRun run(batch.call.system, batch.call.task, batch.map());
  u32 count = ops.copy_bucket(run, batch.map(), bucket, nullptr, nullptr, 0);
  for (u32 fits = 0; count > fits && count <= room;) {
    fits = count;
    TRY(room_for(fits * (batch.key_size + batch.value_size)));
    keys.resize(fits * batch.key_size);
    values.resize(fits * batch.value_size);
    count = ops.copy_bucket(run, batch.map(), bucket, keys.data(), values.data(), fits);
  }
  if (count <= room) {
    keys.resize(count * batch.key_size);
    values.resize(count * batch.value_size);
  }
  return count;
}

// Kernel: __htab_map_lookup_and_delete_batch. A bucket goes out whole or not at all.
Result<u64> lookup_by_bucket(Batch& batch, bool erase) {
  BpfCall& call = batch.call;
  const MapOps& ops = batch.object->ops();
  if (call.attr.batch.flags) return fail(EINVAL);
  if (batch.wanted == 0) return 0;
  TRY(batch.put_count());
  u32 bucket = 0, buckets = ops.bucket_count(batch.map());
  if (call.attr.batch.in_batch) TRY(call.task.read(call.attr.batch.in_batch, &bucket, sizeof bucket));
  if (bucket >= buckets) return fail(ENOENT);

  int error = 0;
  std::vector<u8> keys, values;
  BatchOutput output(call, batch.key_size, batch.value_size);
  while (bucket < buckets) {
    TRY(batch.breathe());
    const u32 room = batch.wanted - batch.done;
    const u32 count = TRY(copy_bucket(batch, bucket, room, keys, values));
    if (count > room) {
      if (batch.done == 0) error = ENOSPC;
      break;
    }
    TRY(resolve_values(batch, keys, values, count));
    if (erase) TRY(delete_keys(batch, keys, count));
    if (count) TRY(output.add(keys, values));
    if (erase) TRY(output.flush());  // what others have is not to go when the caller cannot have this
    batch.done += count;
    ++bucket;
  }
  TRY(output.flush());
  if (bucket == buckets) error = ENOENT;
  TRY(call.put(call.attr.batch.out_batch, bucket));
  TRY(batch.put_count());
  if (error) return fail(error);
  return 0;
}

}  // namespace

Result<u64> map_lookup_batch(BpfCall& call) {
  auto batch = TRY(open_batch(call, kBatchLookup, kModeRead));
  return batch.object->ops().bucket_count ? lookup_by_bucket(batch, false) : lookup_by_key(batch);
}

Result<u64> map_lookup_and_delete_batch(BpfCall& call) {
  auto batch = TRY(open_batch(call, kBatchLookupAndDelete, kModeRead | kModeWrite));
  return lookup_by_bucket(batch, true);
}

Result<u64> map_update_batch(BpfCall& call) {
  auto batch = TRY(open_batch(call, kBatchUpdate, kModeWrite));
  BatchInput keys(call.task, call.attr.batch.keys, batch.key_size, batch.wanted);
  BatchInput values(call.task, call.attr.batch.values, batch.value_size, batch.wanted);
  return for_each_element(batch, [&](u64 index) -> Result<void> {
    const void* const key = TRY(keys.at(index));
    return write_element(call, *batch.file, *batch.object, key, TRY(values.at(index)), call.attr.batch.elem_flags);
  });
}

Result<u64> map_delete_batch(BpfCall& call) {
  auto batch = TRY(open_batch(call, kBatchDelete, kModeWrite));
  BatchInput keys(call.task, call.attr.batch.keys, batch.key_size, batch.wanted);
  return for_each_element(batch, [&](u64 index) -> Result<void> {
    return erase_element(call, *batch.object, TRY(keys.at(index)));
  });
}

}  // namespace bpfemu
