// SPDX-License-Identifier: Apache-2.0
// The verifier's log: what goes into a tool's log_buf, with 6.1's truncation rule.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "emu/base/types.h"

namespace bpfemu {

// A message before it became text: what it was made from, for those who explain it.
struct LogMessage {
  using Argument = std::variant<s64, std::string>;
  std::string format, text;
  std::vector<Argument> arguments;

  template <class... Args>
  static LogMessage of(fmt::format_string<Args...> format, Args&... args) {
    fmt::string_view view = format;
    return {{view.data(), view.size()}, fmt::format(fmt::runtime(view), args...), {argument(args)...}};
  }

 private:
  template <class T>
  static Argument argument(const T& value) {
    if constexpr (std::is_integral_v<T>) {
      return static_cast<s64>(value);
    } else {
      return fmt::format("{}", value);
    }
  }
};

class VerifierLog {
 public:
  static constexpr u32 kLevel1 = 1, kLevel2 = 2, kStats = 4;
  static constexpr u32 kLevels = kLevel1 | kLevel2;

  // `level`: 0 none, 1 (BPF_LOG_LEVEL1) what leads to the verdict, 2 every state, 4 statistics. `size`: the tool's
  // buffer.
  VerifierLog(u32 level, u32 size) : level_(level), size_(size) {}

  u32 level() const { return level_; }
  bool wanted() const { return level_ != 0 && !overflowed(); }
  template <class... Args>
  void print(fmt::format_string<Args...> format, Args&&... args) {
    if (listener_) listener_->push_back(LogMessage::of<Args...>(format, args...));
    if (wanted()) append(fmt::format(format, std::forward<Args>(args)...));
  }
  // One message of at most 1023 bytes; what does not fit into the tool's buffer is dropped.
  void append(std::string_view text);
  // Drops what was written since `mark` (level 1 forgets the log of paths that turned out well; kernel:
  // bpf_vlog_reset). A log that is full stays as it is.
  void reset(size_t mark) {
    if (wanted() && mark < text_.size()) text_.resize(mark);
  }
  size_t position() const { return text_.size(); }

  const std::string& text() const { return text_; }
  // The buffer was too small: BPF_PROG_LOAD and BPF_BTF_LOAD answer ENOSPC (kernel: bpf_verifier_log_full).
  bool overflowed() const { return level_ != 0 && text_.size() + 1 >= size_; }

  // Every message goes there too, at any level.
  void listen(std::vector<LogMessage>* listener) { listener_ = listener; }

 private:
  u32 level_, size_;
  std::string text_;
  std::vector<LogMessage>* listener_ = nullptr;
};

}  // namespace bpfemu
