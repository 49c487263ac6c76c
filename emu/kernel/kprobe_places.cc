// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/kprobe_places.h"

#include <fmt/format.h>

namespace bpfemu {

namespace {

// Itself, or what a part of it ("name.cold") belongs to (kernel: within_notrace_func).
bool is_traceable(const KernelData& kernel, std::string_view function) {
  size_t dot = function.find('.');
  return kernel.is_traceable(function) || (dot != function.npos && kernel.is_traceable(function.substr(0, dot)));
}

// One line of kprobes/blacklist: "0xffffffff81a43dc0-0xffffffff81a43e70\tdo_syscall_64". By name, for what tools may
// probe here all the same is not on our list.
bool is_blacklisted(std::string_view list, std::string_view name) {
  return list.find(fmt::format("\t{}\n", name)) != std::string_view::npos;
}

}  // namespace

KernelPlace kernel_place(const Symbols& symbols, u64 address) {
  if (address < symbols.address("_text") || address >= symbols.address("_end")) return {};
  const Symbol* symbol = symbols.at(address);
  return {.function = std::string(symbol->name), .offset = address - symbol->address};
}

Result<void> check_kprobe(const KernelData& kernel, Unmodelled& unmodelled, u64 address, bool on_return) {
  KernelPlace place = kernel_place(kernel.symbols(), address);
  if (place.function.empty()) return fail(ENOENT);
  if (!is_traceable(kernel, place.function)) return fail(EINVAL);
  if (is_blacklisted(kernel.file("kprobes/blacklist"), place.function)) return fail(EINVAL);
  if (place.at_entry()) return {};
  if (on_return) return fail(EINVAL);
  if (place.offset < kEntryNop) return fail(EILSEQ);
  if (place.offset == kEntryNop) return {};
  unmodelled.note("kprobe", fmt::format("{}+{:#x}", place.function, place.offset));
  return fail(EILSEQ);
}

}  // namespace bpfemu
