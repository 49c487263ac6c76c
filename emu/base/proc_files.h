// SPDX-License-Identifier: Apache-2.0
// The files in /proc/PID, read and taken apart: see proc(5).
#pragma once

#include <fcntl.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "emu/base/fd.h"
#include "emu/base/result.h"

namespace bpfemu {

// The whole of /proc/TID/NAME: ESRCH when the task is gone.
inline Result<std::string> read_proc(pid_t tid, const char* name) {
  UniqueFd fd(::open(("/proc/" + std::to_string(tid) + "/" + name).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail(errno == ENOENT ? ESRCH : errno);
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0) return fail(errno);
    if (n == 0) return text;
    text.append(buffer, static_cast<size_t>(n));
  }
}

// The fields of /proc/TID/stat after the comm, which may hold spaces and parentheses: [0] is the state, which is number 3
// to proc(5).
inline std::vector<std::string_view> stat_fields(std::string_view stat) {
  std::vector<std::string_view> fields;
  const size_t close = stat.rfind(')');
  if (close == stat.npos) return fields;
  for (size_t at = close + 2; at < stat.size();) {
    const size_t end = std::min(stat.find(' ', at), stat.size());
    fields.push_back(stat.substr(at, end - at));
    at = end + 1;
  }
  return fields;
}

// The value after "\nKEY:\t" in a status file, 0 without.
inline u64 status_field(std::string_view status, std::string_view key, int base) {
  const size_t at = status.find("\n" + std::string(key) + ":");
  if (at == status.npos) return 0;
  return ::strtoull(status.data() + at + key.size() + 2, nullptr, base);
}

}  // namespace bpfemu
