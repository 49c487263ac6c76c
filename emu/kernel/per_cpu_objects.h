// SPDX-License-Identifier: Apache-2.0
// Per-CPU variables of the claimed kernel that BTF describes, for programs that take one as a kernel symbol.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "emu/base/log.h"
#include "emu/kernel/object_space.h"

namespace bpfemu {

class PerCpuObjects {
 public:
  using AddressOf = std::function<u64(std::string_view symbol)>;
  PerCpuObjects(ObjectSpace& space, std::shared_ptr<const Btf> btf, Unmodelled& unmodelled, AddressOf address_of)
      : space_(space), btf_(std::move(btf)), unmodelled_(unmodelled), address_of_(std::move(address_of)) {}

  // One CPU's copy of the variable that kallsyms has at `symbol`: its arena address, 0 when BTF knows no such. What of
  // it is not filled in is zero, and noted.
  u64 variable(u64 symbol, u32 cpu);

 private:
  struct Variable {
    std::string name, structure;  // structure: empty when it is of no struct
    u32 size = 0;
  };
  void find_all();

  ObjectSpace& space_;
  std::shared_ptr<const Btf> btf_;
  Unmodelled& unmodelled_;
  AddressOf address_of_;
  std::map<u64, Variable> variables_;  // by kallsyms' address
};

}  // namespace bpfemu
