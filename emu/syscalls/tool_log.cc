// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/tool_log.h"

#include <climits>

namespace bpfemu {

namespace {

constexpr u32 kMinLogSize = 128;

}  // namespace

bool ToolLog::valid() const {
  constexpr u32 known = VerifierLog::kLevels | VerifierLog::kStats;
  return size >= kMinLogSize && size <= UINT_MAX >> 2 && level && buffer && !(level & ~known);
}

int ToolLog::finish(BpfCall& call, const VerifierLog& log, int result) const {
  if (!level) return result;
  // The kernel writes as it goes; without a message the buffer stays as it was.
  const std::string& text = log.text();
  if (!text.empty() && !call.copy_out(buffer, text.c_str(), text.size() + 1)) return EFAULT;
  return log.overflowed() ? ENOSPC : result;
}

}  // namespace bpfemu
