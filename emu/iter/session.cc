// SPDX-License-Identifier: Apache-2.0
#include "emu/iter/session.h"

#include <algorithm>
#include <utility>

#include "emu/arena/layout.h"
#include "emu/base/bytes.h"

namespace bpfemu {

namespace {

constexpr u64 kBufferSize = 8 * kPageSize;
constexpr u32 kMostObjects = 1'000'000;  // kernel: MAX_ITER_OBJECTS
constexpr size_t kContextWords = 4;      // behind the pointer to the bpf_iter_meta
constexpr u64 kSeqFileRoom = 512;        // for all of struct seq_file

// kernel: struct bpf_iter_meta.
struct IterMeta {
  u64 seq;
  u64 session_id;
  u64 number;
};

struct Busy {
  explicit Busy(bool& flag) : flag(flag) { flag = true; }
  ~Busy() { flag = false; }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;
  bool& flag;
};

}  // namespace

// In the arena, where the program sees it: one page, then the buffer, then what the walk wants.
struct IterSession::Memory {
  SeqFile file;
  u8 rest_of_file[kSeqFileRoom - sizeof(SeqFile)];
  IterMeta meta;
  u64 context[1 + kContextWords];
};

SeqFile& IterSession::text() const {
  return memory().file;
}

Result<std::unique_ptr<IterSession>> IterSession::open(IterWorld& world, IterSubject& subject,
                                                       std::shared_ptr<Program> program, Task& reader) {
  std::unique_ptr<IterSession> session(new IterSession(world, std::move(program)));
  session->walk_ = TRY(subject.walk(reader));
  session->before_first_ = session->walk_->begins_with_heading();
  if (session->before_first_) --session->number_;
  TRY(session->allocate());
  return session;
}

Result<void> IterSession::allocate() {
  static_assert(sizeof(Memory) <= kPageSize);
  extent_ = TRY(world_.arena.allocate(kPageSize + kBufferSize + walk_->memory_size()));
  Memory& m = memory();
  m.file = {reinterpret_cast<char*>(extent_.address + kPageSize), kBufferSize, 0, 0};
  m.meta = {reinterpret_cast<u64>(&m.file), ++world_.sessions, 0};
  m.context[0] = reinterpret_cast<u64>(&m.meta);
  walk_->take_memory(extent_.address + kPageSize + kBufferSize);
  return {};
}

IterSession::~IterSession() {
  walk_.reset();
  if (extent_.size) world_.arena.release(extent_);
}

Result<u64> IterSession::read(Task& task, u64 address, u64 size) {
  // One reads at a time (kernel: seq_file's mutex).
  while (busy_)
    if (world_.host.breathe(&task)) return fail(EINTR);
  const Busy busy(busy_);
  SeqFile& file = text();
  if (!file.count) TRY(fill(task, size));
  const u64 bytes = std::min(file.count, size);
  TRY(task.write(address, file.buffer + file.from, bytes));
  file.count -= bytes;
  file.from += bytes;
  position_ += bytes;
  return bytes;
}

Result<void> IterSession::fill(Task& task, u64 size) {
  SeqFile& file = text();
  file.from = 0;
  RunScope scope(world_.runner, &task, &task.regs(), needs_of(*program_));
  if (!scope) return fail(ESRCH);
  auto result = walk_on(scope, size);
  if (!result) file.count = 0;
  return result;
}

// Objects until the reader's bytes are there, the buffer is full or the walk is over. An object whose text does not fit
// is shown again at the next read, without what it has written.
Result<void> IterSession::walk_on(RunScope& scope, u64 size) {
  SeqFile& file = text();
  bool found = TRY(walk_->start());
  if (found && std::exchange(before_first_, false)) ++number_;
  for (u32 objects = 0; found; ++objects) {
    const u64 before = file.count;
    auto shown = objects == kMostObjects ? fail(EAGAIN) : show(scope);
    if (!shown) {
      walk_->pause();
      file.count = before;
      return before ? Result<void>() : shown;
    }
    found = walk_->next();
    if (!found) break;
    ++number_;
    if (file.count >= size) {
      walk_->pause();
      return {};
    }
    scope.breathe();
  }
  const u64 before = file.count;
  if (done_) return {};
  (void)show(scope);  // whatever it returns
  if (!file.overflowed()) {
    done_ = true;
    return {};
  }
  file.count = before;
  return before ? Result<void>() : fail(E2BIG);
}

// Kernel: bpf_iter_run_prog. E2BIG: the text did not fit; EAGAIN: the program wants the object again.
Result<void> IterSession::show(RunScope& scope) {
  Memory& m = memory();
  m.meta.number = number_;
  const std::span<u64> words(m.context + 1, kContextWords);
  std::ranges::fill(words, 0);
  walk_->show(words, scope.run());
  TRY(walk_->returned(scope.call(*program_, m.context)));
  return m.file.overflowed() ? fail(E2BIG) : Result<void>();
}

}  // namespace bpfemu
