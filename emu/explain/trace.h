// SPDX-License-Identifier: Apache-2.0
// Where a value comes from: back along the path that leads to a rejection, through copies, spills and calls.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "emu/verifier/rejection.h"

namespace bpfemu {

struct TraceEvent {
  enum class Kind {
    kOrigin,    // the value was made here
    kAdded,     // a pointer and the value were added here
    kCompared,  // it was compared here, with the outcome `after`
    kLost,      // a call left the register unusable
  };
  Kind kind;
  u32 insn;
  std::string what;  // of kOrigin: "the result of bpf_get_prandom_u32()"
  Known after;
};

// What is asked: the register as it is, or the number in it (of a pointer: what was added to it).
enum class Follow { kValue, kNumber };

// The latest event first. Empty: it was never written on this path, or that is too long ago.
std::vector<TraceEvent> trace(const Rejection& rejection, u32 reg, Follow follow);
// The conditional jump after instruction `since` that was passed last, none for `since` not on the path.
std::optional<u32> last_branch_since(const Rejection& rejection, u32 since);
// The comparison of packet pointers that was passed last.
std::optional<u32> last_packet_check(const Rejection& rejection);

inline bool is_pointer(RegType type) {
  return type != kNotInit && type != kScalar;
}

// "0 to 255", "any number".
std::string range_text(const Range64& range);
// Of a helper call: "bpf_map_lookup_elem()".
std::string call_text(const Rejection& rejection, u32 insn);

}  // namespace bpfemu
