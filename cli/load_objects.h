// SPDX-License-Identifier: Apache-2.0
// The half of `bpfemu verify` that runs supervised, as any tool does: libbpf opens ELF objects and loads their programs
// one by one through the emulated bpf(), and what the verifier said of each is printed as a table.
#pragma once

#include <string>
#include <vector>

namespace bpfemu {

// How bpfemu calls itself: `bpfemu --load-objects ...`.
inline constexpr const char* kLoadObjects = "--load-objects";

struct LoadWish {
  std::vector<std::string> objects;
  std::vector<std::string> filters;  // glob patterns of program names; none: all
  bool csv = false;
  bool reasons = true;  // say on stderr why a program was refused
  int verbose = 0;      // log levels 1 and 2
};

// The wish as arguments of a process, the first of them kLoadObjects, and back.
std::vector<std::string> to_arguments(const LoadWish& wish);
LoadWish from_arguments(const std::vector<std::string>& arguments);

// The exit status. The worst counts.
enum VerifyStatus { kAccepted = 0, kRefused = 1, kUnreadable = 2 };

int load_objects(const LoadWish& wish);

}  // namespace bpfemu
