// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/sysctls.h"

#include <algorithm>
#include <climits>

#include "emu/kernel/kstrtox.h"

namespace bpfemu {

namespace {

constexpr s64 kIntMin = INT_MIN, kIntMax = INT_MAX;
constexpr Sysctl kTable[] = {
#define SYSCTL(path, mode, value, least, most) {path, mode, value, least, most},
#include "emu/abi/sysctls.inc"
#undef SYSCTL
};
constexpr std::string_view kSpace = " \t\n";
constexpr size_t kLongest = 22;  // kernel: TMPBUFLEN

// kernel: proc_get_long.
Result<s64> first_number(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  text = text.substr(0, text.find_first_of(kSpace));
  bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  if (text.empty() || text.size() >= kLongest || text[0] < '0' || text[0] > '9') return fail(EINVAL);
  u64 value = simple_strtoul(text);
  if (!text.empty() || value > static_cast<u64>(INT_MAX) + negative) return fail(EINVAL);
  return negative ? -static_cast<s64>(value) : static_cast<s64>(value);
}

}  // namespace

Sysctls::Sysctls() {
  for (const Sysctl& each : kTable) values_[each.path] = each.value;
}

std::span<const Sysctl> Sysctls::all() { return kTable; }

Result<void> Sysctls::write(const Sysctl& sysctl, std::string_view text) {
  if (text.empty()) return {};
  s64 value = TRY(first_number(text));
  if (value < sysctl.least || value > sysctl.most) return fail(EINVAL);
  s64& now = values_.find(sysctl.path)->second;
  bool locked = std::string_view(sysctl.path) == "kernel/unprivileged_bpf_disabled" && now == 1;
  if (locked && value != 1) return fail(EPERM);
  now = value;
  return {};
}

}  // namespace bpfemu
