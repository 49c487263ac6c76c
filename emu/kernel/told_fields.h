// SPDX-License-Identifier: Apache-2.0
// Which members of the claimed kernel's structs the model fills in, and at which of the others programs look: those are
// zero here, whatever they are there, and that is said.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "emu/btf/btf.h"
#include "emu/btf/field_read.h"

namespace bpfemu {

class ToldFields {
 public:
  explicit ToldFields(std::shared_ptr<const Btf> btf) : btf_(std::move(btf)) {}

  // The model knows these bytes of a struct, and so those of the structs within.
  void tell(u32 type, u32 offset, u32 size) { tell_within(type, offset, size, 0); }
  // A program looks at them.
  void read(const FieldRead& read);
  // "task_struct.nr_dirtied": what programs have looked at and nobody has told by now, of structs that there are.
  std::set<std::string> untold() const;

 private:
  void tell_within(u32 type, u32 offset, u32 size, u32 depth);
  bool is_told(const FieldRead& read, u32 depth = 0) const;
  std::string name(const FieldRead& read) const;

  std::shared_ptr<const Btf> btf_;
  std::unordered_map<u32, std::vector<bool>> told_;  // by the struct's id: each of its bytes
  std::set<FieldRead> reads_;
};

}  // namespace bpfemu
