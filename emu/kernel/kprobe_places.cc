// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/kprobe_places.h"

#include <fmt/format.h>

#include <algorithm>

namespace bpfemu {

namespace {

// Itself, or what a part of it ("name.cold") belongs to (kernel: within_notrace_func).
bool is_traceable(const KernelData& kernel, std::string_view function) {
  return kernel.is_traceable(function) || kernel.is_traceable(function.substr(0, function.find('.')));
}

// One line of kprobes/blacklist: "0xffffffff81a43dc0-0xffffffff81a43e70\tdo_syscall_64". By name, for what tools may
// probe here all the same is not on our list.
bool is_blacklisted(std::string_view list, std::string_view name) {
  return list.find(fmt::format("\t{}\n", name)) != std::string_view::npos;
}

}  // namespace

KernelPlace kernel_place(const Symbols& symbols, u64 address) {
  if (!symbols.contains(address)) return {};
  const Symbol* first = symbols.at(address);
  KernelPlace place{.names = {}, .offset = address - first->address};
  const Symbol* end = symbols.all().data() + symbols.all().size();
  for (const Symbol* each = first; each != end && each->address == first->address; ++each) place.names.push_back(each->name);
  return place;
}

Result<void> check_kprobe(const KernelData& kernel, Unmodelled& unmodelled, u64 address, bool on_return) {
  KernelPlace place = kernel_place(kernel.symbols(), address);
  if (!place.in_kernel()) return fail(ENOENT);
  auto traceable = [&](std::string_view name) { return is_traceable(kernel, name); };
  auto blacklisted = [list = kernel.file("kprobes/blacklist")](std::string_view name) { return is_blacklisted(list, name); };
  if (std::ranges::none_of(place.names, traceable) || std::ranges::any_of(place.names, blacklisted)) return fail(EINVAL);
  if (place.at_entry()) return {};
  if (on_return) return fail(EINVAL);
  if (place.offset < kEntryNop) return fail(EILSEQ);
  if (place.offset == kEntryNop) return {};
  unmodelled.note("kprobe", fmt::format("{}+{:#x}", place.names[0], place.offset));
  return fail(EILSEQ);
}

}  // namespace bpfemu
