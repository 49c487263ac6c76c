// SPDX-License-Identifier: Apache-2.0
// The symbols of the claimed kernel (kernel: kallsyms), with the aliases of decision 15 and without those that would
// make tools use what the model lacks.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "emu/base/name_index.h"
#include "emu/base/types.h"

namespace bpfemu {

struct Symbol {
  u64 address = 0;
  char type = 't';
  std::string_view name;
  std::string_view module;  // "[ext4]"; empty: the kernel's image
};

// Where an address lies.
struct SymbolPlace {
  std::string_view name;
  u64 offset = 0;  // from the symbol's start
  u64 size = 0;    // of the symbol
};

class Symbols {
 public:
  // `text`: lines "DELTA TYPE NAME", the first delta from 0, in hexadecimal, sorted by address.
  // `modules`: the same, behind, each name followed by a tab and "[MODULE]".
  explicit Symbols(std::string text, std::string modules = {});
  Symbols(const Symbols&) = delete;
  Symbols& operator=(const Symbols&) = delete;

  // 0: unknown; of several, the lowest (kernel: kallsyms_lookup_name).
  u64 address(std::string_view name) const;
  // How many symbols have this name.
  size_t count(std::string_view name) const;
  // The symbol of a function or object that contains `address`, null below the first.
  const Symbol* at(u64 address) const;
  // The next symbol's address, which is where this one ends.
  u64 end_of(const Symbol& symbol) const;
  // Of the kernel's image, or of a module?
  bool contains(u64 address) const;
  // Nothing outside of that (kernel: kallsyms_lookup).
  std::optional<SymbolPlace> locate(u64 address) const;
  // /proc/kallsyms of root with kernel.kptr_restrict=0, or with zeroed addresses.
  std::string listing(bool with_addresses) const;
  const std::vector<Symbol>& all() const { return symbols_; }

 private:
  void read(const std::string& text);

  std::string text_, modules_;
  std::vector<Symbol> symbols_;  // by address
  mutable NameIndex names_;      // built at the first look-up

  // The numbers in symbols_ of those with this name.
  std::vector<u32> named(std::string_view name) const;
};

}  // namespace bpfemu
