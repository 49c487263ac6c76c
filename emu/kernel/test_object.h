// SPDX-License-Identifier: Apache-2.0
// The kernel's prog_test_struct, which its test functions hand out: one object for all programs, made when the first
// asks for it.
#pragma once

#include <memory>
#include <optional>

#include "emu/arena/arena.h"
#include "emu/btf/btf.h"

namespace bpfemu {

class TestObject {
 public:
  // `vmlinux` may be null: then there is no object.
  TestObject(Arena& arena, std::shared_ptr<const Btf> vmlinux) : arena_(arena), btf_(std::move(vmlinux)) {}
  ~TestObject();
  TestObject(const TestObject&) = delete;
  TestObject& operator=(const TestObject&) = delete;

  // Where it is in the arena; 0: no BTF, a kernel without it, or no memory.
  u64 address();

 private:
  Result<Extent> make() const;

  Arena& arena_;
  std::shared_ptr<const Btf> btf_;
  std::optional<Extent> extent_;
};

}  // namespace bpfemu
