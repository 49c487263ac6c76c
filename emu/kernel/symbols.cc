// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/symbols.h"

#include <algorithm>
#include <charconv>

namespace bpfemu {

Symbols::Symbols(std::string text, std::string modules) : text_(std::move(text)), modules_(std::move(modules)) {
  symbols_.reserve((text_.size() + modules_.size()) / 26);
  read(text_);
  read(modules_);
}

void Symbols::read(const std::string& text) {
  const char *at = text.data(), *end = at + text.size();
  u64 address = 0;
  while (at < end) {
    const char* line = std::find(at, end, '\n');
    u64 delta = 0;
    auto [after, error] = std::from_chars(at, line, delta, 16);
    if (error != std::errc() || line - after < 4) break;
    address += delta;
    const std::string_view name(after + 3, static_cast<size_t>(line - after - 3));
    const size_t tab = std::min(name.find('\t'), name.size());
    symbols_.push_back({address, after[1], name.substr(0, tab), name.substr(std::min(tab + 1, name.size()))});
    at = line + 1;
  }
}

std::vector<u32> Symbols::named(std::string_view name) const {
  if (names_.empty()) names_.build(symbols_.size(), [&](size_t i) { return symbols_[i].name; });
  std::vector<u32> found;
  names_.any_of(name, [&](u32 i) {
    if (symbols_[i].name == name) found.push_back(i);
    return false;
  });
  return found;
}

u64 Symbols::address(std::string_view name) const {
  std::vector<u32> found = named(name);
  return found.empty() ? 0 : symbols_[found[0]].address;
}

size_t Symbols::count(std::string_view name) const {
  return named(name).size();
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

bool Symbols::contains(u64 place) const {
  if (place >= address("_text") && place < address("_end")) return true;
  const Symbol* symbol = at(place);
  return symbol && !symbol->module.empty() && place < end_of(*symbol);
}

std::optional<SymbolPlace> Symbols::locate(u64 place) const {
  if (!contains(place) || place < address("_stext")) return std::nullopt;
  const Symbol* symbol = at(place);
  return SymbolPlace{symbol->name, place - symbol->address, end_of(*symbol) - symbol->address};
}

std::string Symbols::listing(bool with_addresses) const {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(text_.size() + modules_.size() + symbols_.size() * 18);
  char head[20] = "0000000000000000 t ";
  for (const Symbol& symbol : symbols_) {
    u64 address = with_addresses ? symbol.address : 0;
    for (int i = 15; i >= 0; --i, address >>= 4) head[i] = kDigits[address & 15];
    head[17] = symbol.type;
    out.append(head, 19).append(symbol.name);
    if (!symbol.module.empty()) out.append(1, '\t').append(symbol.module);
    out.push_back('\n');
  }
  return out;
}

}  // namespace bpfemu
