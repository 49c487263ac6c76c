// SPDX-License-Identifier: Apache-2.0
// The word of memory that the kernel clears when a thread ends, waking who waits for it (kernel: clear_child_tid). Known
// of threads that were made, or that named one, while somebody listened.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>

#include "emu/base/types.h"

namespace bpfemu {

class ThreadWords {
 public:
  // 0: none.
  void set(pid_t tid, u64 address) { words_[tid] = address; }
  // Of a thread that ends, or executes; none: nobody knows.
  std::optional<u64> take(pid_t tid) {
    const auto word = words_.extract(tid);
    return word ? std::optional(word.mapped()) : std::nullopt;
  }

 private:
  std::map<pid_t, u64> words_;
};

}  // namespace bpfemu
