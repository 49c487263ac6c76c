// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/symbols.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace bpfemu {

Symbols::Symbols(std::string text) : text_(std::move(text)) {
  symbols_.reserve(text_.size() / 26);
  const char *at = text_.data(), *end = at + text_.size();
  u64 address = 0;
  while (at < end) {
    const char* line = std::find(at, end, '\n');
    u64 delta = 0;
    auto [after, error] = std::from_chars(at, line, delta, 16);
    if (error != std::errc() || line - after < 4) break;
    address += delta;
    symbols_.push_back({address, after[1], {after + 3, static_cast<size_t>(line - after - 3)}});
    at = line + 1;
  }
}

void Symbols::index_names() const {
  if (!by_name_.empty()) return;
  by_name_.reserve(symbols_.size());
  for (const Symbol& symbol : symbols_) by_name_.emplace(symbol.name, symbol.address);
}

// Of several, the lowest address.
u64 Symbols::address(std::string_view name) const {
  index_names();
  u64 lowest = 0;
  for (auto [it, end] = by_name_.equal_range(name); it != end; ++it) {
    if (lowest == 0 || it->second < lowest) lowest = it->second;
  }
  return lowest;
}

size_t Symbols::count(std::string_view name) const {
  index_names();
  return by_name_.count(name);
}

const Symbol* Symbols::at(u64 address) const {
  auto after = std::upper_bound(symbols_.begin(), symbols_.end(), address,
                                [](u64 wanted, const Symbol& symbol) { return wanted < symbol.address; });
  if (after == symbols_.begin()) return nullptr;
  // Of several names for one address, the first is the kernel's answer (kernel: get_symbol_pos).
  u64 start = std::prev(after)->address;
  return &*std::lower_bound(symbols_.begin(), after, start,
                            [](const Symbol& symbol, u64 wanted) { return symbol.address < wanted; });
}

u64 Symbols::end_of(const Symbol& symbol) const {
  auto next = std::upper_bound(symbols_.begin(), symbols_.end(), symbol.address,
                               [](u64 wanted, const Symbol& s) { return wanted < s.address; });
  return next == symbols_.end() ? symbol.address : next->address;
}

std::string Symbols::listing(bool with_addresses) const {
  std::string out;
  out.reserve(text_.size() + symbols_.size() * 18);
  auto to = std::back_inserter(out);
  for (const Symbol& symbol : symbols_) {
    fmt::format_to(to, "{:016x} {} {}\n", with_addresses ? symbol.address : 0, symbol.type, symbol.name);
  }
  return out;
}

}  // namespace bpfemu
