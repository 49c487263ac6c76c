// SPDX-License-Identifier: Apache-2.0
// The verifier's log: what goes into a tool's log_buf, with 6.1's truncation rule.
#pragma once

#include <fmt/format.h>

#include <string>

#include "emu/base/types.h"

namespace bpfemu {

class VerifierLog {
 public:
  // `level`: 0 none, 1 (BPF_LOG_LEVEL1) what leads to the verdict, 2 every state, 4 statistics. `size`: the tool's buffer.
  VerifierLog(u32 level, u32 size) : level_(level), size_(size) {}

  u32 level() const { return level_; }
  bool wanted() const { return level_ != 0 && !full_; }
  template <class... Args>
  void print(fmt::format_string<Args...> format, Args&&... args) {
    if (wanted()) append(fmt::format(format, std::forward<Args>(args)...));
  }
  void append(std::string_view text);
  // Drops what was written since `mark` (level 1 forgets the log of paths that turned out well; kernel: bpf_vlog_reset).
  void reset(size_t mark) { text_.resize(mark < text_.size() ? mark : text_.size()); }
  size_t position() const { return text_.size(); }

  const std::string& text() const { return text_; }
  // The buffer was too small: BPF_PROG_LOAD and BPF_BTF_LOAD answer ENOSPC (kernel: bpf_verifier_log_full).
  bool overflowed() const { return full_; }

 private:
  u32 level_, size_;
  bool full_ = false;
  std::string text_;
};

}  // namespace bpfemu
