// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/path_table.h"

#include <fcntl.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <atomic>
#include <cstring>

namespace bpfemu {

namespace {

constexpr u64 kAtNoFollow = 0x100, kAtEmptyPath = 0x1000, kTmpFile = 020000000;
constexpr size_t kFirstRow = PathTable::kNumbers * sizeof(s32);
constexpr u32 kMostRows = (PathTable::kSize - kFirstRow) / sizeof(PathRow);
static_assert(kFirstRow % 64 == 0 && sizeof(PathRow) % 64 == 0);

constexpr PathShape kShapes[] = {
    {SYS_stat, 0, -1, {}, 0, true, false},
    {SYS_lstat, 0, -1, {}, 0, false, false},
    {SYS_access, 0, -1, {}, 0, true, false},
    {SYS_readlink, 0, -1, {}, 0, false, false},
    {SYS_statfs, 0, -1, {}, 0, true, false},
    {SYS_getxattr, 0, -1, {}, 0, true, false},
    {SYS_lgetxattr, 0, -1, {}, 0, false, false},
    {SYS_listxattr, 0, -1, {}, 0, true, false},
    {SYS_llistxattr, 0, -1, {}, 0, false, false},
    {SYS_faccessat, 1, -1, {}, 0, true, false},
    {SYS_readlinkat, 1, -1, {}, 0, false, false},
    {SYS_newfstatat, 1, 3, {1}, 1, true, false},
    {SYS_statx, 1, 2, {1}, 1, true, false},
    {SYS_faccessat2, 1, 3, {1}, 1, true, false},
    {SYS_open, 0, 1, {2, 0}, 2, true, true},
    {SYS_openat, 1, 2, {2, 0}, 2, true, true},
    {SYS_execve, 0, -1, {}, 0, true, false},
    {SYS_mmap, -1, -1, {}, 0, false, false},
    {SYS_bpf, -1, -1, {}, 0, false, false, true},
};

void store(s32& word, s32 value) {
  std::atomic_ref(word).store(value, std::memory_order_release);
}

}  // namespace

std::span<const PathShape> path_shapes() { return kShapes; }

const PathShape* path_shape(long number) {
  auto shape = std::ranges::find(kShapes, number, &PathShape::number);
  return shape == std::end(kShapes) ? nullptr : &*shape;
}

const SyscallSet& decided_calls() {
  static const SyscallSet set = [] {
    SyscallSet s;
    for (auto& shape : kShapes) s.set(static_cast<size_t>(shape.number), !shape.inside);
    return s;
  }();
  return set;
}

Result<std::unique_ptr<PathTable>> PathTable::create() {
  int key = ::shmget(IPC_PRIVATE, kSize, SHM_NORESERVE | S_IRUSR | S_IWUSR);
  if (key < 0) return fail(errno);
  void* memory = ::shmat(key, nullptr, 0);
  int error = errno;
  // Nobody else writes to it, not even by mprotect().
  shmid_ds mode{};
  mode.shm_perm.uid = ::geteuid(), mode.shm_perm.gid = ::getegid(), mode.shm_perm.mode = S_IRUSR;
  ::shmctl(key, IPC_SET, &mode);
  ::shmctl(key, IPC_RMID, nullptr);
  if (memory == reinterpret_cast<void*>(-1)) return fail(error);
  return std::unique_ptr<PathTable>(new PathTable(key, static_cast<u8*>(memory)));
}

PathTable::~PathTable() { ::shmdt(memory_); }

PathTable::PathTable(int key, u8* memory) : key_(key), memory_(memory) {
  ask_ = new_row(0);
  native_ = new_row(ask_);
  row(ask_).verdict = PathRow::kAsk;
  row(native_).verdict = PathRow::kNative;
  any_name_ = new_row(rows_);
  lead(any_name_, 0, native_);
  lead(any_name_, '/', ask_);
  names_ = new_row(any_name_);
  lead(names_, 0, ask_);
  lead(names_, '/', ask_);
  for (Row& trie : absolute_) trie = new_row(ask_);
  for (auto& pair : starts_)
    for (Row& start : pair) start = new_row(ask_);
  at_flags_ = new_row(ask_);
  open_flags_ = new_row(ask_);
  Row low_flags[2] = {new_row(starts_[0][0]), new_row(starts_[1][0])};
  for (u64 byte = 0; byte < 256; ++byte) {
    lead(at_flags_, static_cast<u8>(byte), starts_[!(byte << 8 & kAtNoFollow)][(byte << 8 & kAtEmptyPath) != 0]);
    lead(open_flags_, static_cast<u8>(byte), byte << 16 & kTmpFile ? ask_ : low_flags[!(byte << 16 & O_NOFOLLOW)]);
    for (Row low : low_flags)
      if (byte & O_CREAT) lead(low, static_cast<u8>(byte), ask_);
  }
  deny("."), deny("..");
  SyscallSet all;
  ask(all.set());
}

PathRow& PathTable::row(Row number) const {
  return *reinterpret_cast<PathRow*>(memory_ + kFirstRow + number * sizeof(PathRow));
}

// A row from which every byte leads `everywhere`, which may be itself; kNone: no room.
PathTable::Row PathTable::new_row(Row everywhere) {
  if (rows_ == kMostRows) return kNone;
  Row made = rows_++;
  for (int byte = 0; byte < 256; ++byte) lead(made, static_cast<u8>(byte), everywhere);
  return made;
}

PathTable::Row PathTable::target(Row from, u8 byte) const {
  return static_cast<Row>(static_cast<s64>(from) + row(from).next[byte] / static_cast<s64>(sizeof(PathRow)));
}

void PathTable::lead(Row from, u8 byte, Row to) {
  s64 rows = static_cast<s64>(to) - static_cast<s64>(from);
  store(row(from).next[byte], static_cast<s32>(rows * static_cast<s64>(sizeof(PathRow))));
}

PathTable::Row PathTable::first_row(long number) const {
  const PathShape* shape = path_shape(number);
  if (!shape) return ask_;
  if (shape->path < 0) return gates_[static_cast<size_t>(shape->inside ? Gate::kMaps : Gate::kMapping)] ? native_ : ask_;
  if (shape->count == 0) return starts_[shape->follows][0];
  return shape->opens ? open_flags_ : at_flags_;
}

void PathTable::ask(const SyscallSet& calls) {
  asked_ = calls;
  lead_calls();
}

void PathTable::lead_calls() {
  s32* firsts = reinterpret_cast<s32*>(memory_);
  for (size_t number = 0; number < kNumbers; ++number) {
    Row first = number >= asked_.size() || asked_[number] ? ask_ : first_row(static_cast<long>(number));
    store(firsts[number], static_cast<s32>(kFirstRow + first * sizeof(PathRow)));
  }
}

void PathTable::open(Gate gate, bool open) {
  bool& now = gates_[static_cast<size_t>(gate)];
  if (now == open) return;
  now = open;
  if (gate == Gate::kMapping || gate == Gate::kMaps) return lead_calls();
  for (bool follow : {false, true})
    for (bool empty : {false, true}) fill_start(follow, empty);
}

void PathTable::fill_start(bool follow, bool empty) {
  auto is_open = [&](Gate gate) { return gates_[static_cast<size_t>(gate)]; };
  Row start = starts_[follow][empty];
  for (int byte = 1; byte < 256; ++byte)
    lead(start, static_cast<u8>(byte),
         !follow && is_open(Gate::kRelative) ? target(names_, static_cast<u8>(byte)) : ask_);
  lead(start, '/', is_open(Gate::kAbsolute) ? absolute_[follow] : ask_);
  lead(start, 0, empty && is_open(Gate::kEmpty) ? native_ : ask_);
}

void PathTable::deny(std::string_view name) {
  Row at = names_;
  for (char c : name) {
    u8 byte = static_cast<u8>(c);
    Row next = target(at, byte);
    if (next == any_name_) {
      next = new_row(any_name_);
      if (next == kNone) return open(Gate::kRelative, false);
      lead(next, 0, native_);
      lead(next, '/', ask_);
      lead(at, byte, next);
    }
    at = next;
  }
  lead(at, 0, ask_);
  for (bool follow : {false, true})
    for (bool empty : {false, true}) fill_start(follow, empty);
}

bool PathTable::admit(std::string_view path, bool follow) {
  Row at = absolute_[follow];
  for (char c : path.substr(1)) {
    u8 byte = static_cast<u8>(c);
    Row next = target(at, byte);
    if (next == ask_) {
      next = new_row(ask_);
      if (next == kNone) return false;
      lead(at, byte, next);
    }
    at = next;
  }
  if (target(at, 0) == native_) return true;
  lead(at, 0, native_);
  admitted_.push_back(at);
  return true;
}

void PathTable::forget() {
  for (Row end : admitted_) lead(end, 0, ask_);
  admitted_.clear();
}

bool PathTable::passes(long number, const std::array<u64, 6>& args, std::string_view path) const {
  const PathShape* shape = path_shape(number);
  if (!shape) return false;
  s32 first = reinterpret_cast<const s32*>(memory_)[number];
  Row at = static_cast<Row>((static_cast<size_t>(first) - kFirstRow) / sizeof(PathRow));
  for (int i = 0; i < shape->count; ++i)
    at = target(at, static_cast<u8>(args[static_cast<size_t>(shape->flags)] >> 8 * shape->bytes[i]));
  for (char c : path) at = target(at, static_cast<u8>(c));
  if (row(at).verdict == PathRow::kGoOn) at = target(at, 0);
  return row(at).verdict == PathRow::kNative;
}

}  // namespace bpfemu
