// SPDX-License-Identifier: Apache-2.0
#include "emu/btf/verifier_log.h"

#include <algorithm>

namespace bpfemu {

namespace {
// The kernel formats each message in a buffer of this size, NUL included.
constexpr size_t kMessageBuffer = 1024;
}  // namespace

void VerifierLog::append(std::string_view text) {
  if (!wanted()) return;
  size_t room = size_ - 1 - text_.size();
  text_.append(text.substr(0, std::min({text.size(), kMessageBuffer - 1, room})));
}

}  // namespace bpfemu
