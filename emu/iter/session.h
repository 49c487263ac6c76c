// SPDX-License-Identifier: Apache-2.0
// One open iterator: its walk, the text that the program has made and nobody has read, and the program's context
// (kernel: struct bpf_iter_priv_data and the struct seq_file of it).
#pragma once

#include <memory>

#include "emu/iter/target.h"
#include "emu/ports/task.h"
#include "emu/runtime/seq_file.h"

namespace bpfemu {

class IterSession {
 public:
  // `reader` opens it. ENOMEM, and what the subject's walk() says.
  static Result<std::unique_ptr<IterSession>> open(IterWorld& world, IterSubject& subject,
                                                   std::shared_ptr<Program> program, Task& reader);
  ~IterSession();

  // The next piece of the text: so many bytes at the task's `address`, 0 at its end. E2BIG: one object's text is larger
  // than the kernel's buffer; EAGAIN: the program wants the first object to be shown again; EFAULT, and what the walk
  // says (kernel: bpf_seq_read).
  Result<u64> read(Task& task, u64 address, u64 size);
  // How much was read.
  u64 position() const { return position_; }

 private:
  struct Memory;
  IterSession(IterWorld& world, std::shared_ptr<Program> program) : world_(world), program_(std::move(program)) {}
  Result<void> allocate();
  Memory& memory() const { return *reinterpret_cast<Memory*>(extent_.address); }
  SeqFile& text() const;
  Result<void> fill(Task& task, u64 size);
  Result<void> walk_on(RunScope& scope, u64 size);
  Result<void> show(RunScope& scope);

  IterWorld& world_;
  std::shared_ptr<Program> program_;
  std::unique_ptr<IterWalk> walk_;
  Extent extent_;
  u64 number_ = 0;  // kernel: seq_num
  u64 position_ = 0;
  bool before_first_ = false;  // the heading is to come
  bool done_ = false;          // the program was told that the walk is over
  bool busy_ = false;          // a read of it stands aside
};

}  // namespace bpfemu
