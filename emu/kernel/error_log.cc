// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/error_log.h"

#include <fmt/format.h>
#include <time.h>

namespace bpfemu {

namespace {

constexpr size_t kMostEntries = 8;  // kernel: TRACING_LOG_ERRS_MAX
constexpr std::string_view kCommand = "  Command: ";

}  // namespace

void ErrorLog::add(std::string_view source, std::string_view command, std::string_view error, size_t caret) {
  struct timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (entries_.size() == kMostEntries) entries_.pop_front();
  entries_.push_back(fmt::format("[{:5}.{:06}] {}: error: {}\n{}{}\n{:{}}^\n", now.tv_sec, now.tv_nsec / 1000, source,
                                 error, kCommand, command, "", kCommand.size() + caret));
}

std::string ErrorLog::listing() const {
  std::string out;
  for (const std::string& entry : entries_) out += entry;
  return out;
}

}  // namespace bpfemu
