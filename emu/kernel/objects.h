// SPDX-License-Identifier: Apache-2.0
// Kernel objects of traced threads, laid out in the arena as the profile's BTF says, so that programs find task_struct
// and what hangs on it where they look. Made when somebody first asks for a thread's task_struct.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "emu/arena/arena.h"
#include "emu/btf/btf.h"
#include "emu/ports/host.h"

namespace bpfemu {

class KernelObjects {
 public:
  using FactsOf = std::function<Result<TaskFacts>(pid_t tid)>;
  // `vmlinux` may be null: then there are no objects.
  KernelObjects(Arena& arena, std::shared_ptr<const Btf> vmlinux, FactsOf facts_of);
  ~KernelObjects();
  KernelObjects(const KernelObjects&) = delete;
  KernelObjects& operator=(const KernelObjects&) = delete;

  // The address of the thread's task_struct, brought up to date with `facts`; 0: no BTF or no memory.
  u64 task_struct(const TaskFacts& facts);
  // The thread is gone or has another program now: its objects go.
  void forget(pid_t tid);
  size_t count() const { return blocks_.size(); }

 private:
  // Which object of a thread's block, and which field of it.
  enum class Part : u8;
  enum class Field : u8;
  struct Block;

  void lay_out();
  Block* block_of(const TaskFacts& facts);
  void fill(Block& block, const TaskFacts& facts);
  void refresh(Block& block, const TaskFacts& facts);
  void link(Block& block, const TaskFacts& facts);
  u64 task_of(pid_t tgid);
  u64 address(const Block& block, Part part) const;
  template <class T>
  void set(const Block& block, Part part, Field field, T value);

  Arena& arena_;
  std::shared_ptr<const Btf> btf_;
  FactsOf facts_of_;
  std::vector<u32> part_offsets_;  // in a block; empty until laid out
  std::vector<std::optional<u32>> field_offsets_;
  u32 block_size_ = 0;
  std::map<pid_t, std::unique_ptr<Block>> blocks_;
  u32 depth_ = 0;  // of parents of parents
};

}  // namespace bpfemu
