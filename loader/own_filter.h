// SPDX-License-Identifier: Apache-2.0
// Seccomp filters that traced programs install themselves. Such a filter may forbid, or kill for, the calls that we run
// in the program's name; so it is installed with a few instructions before its own that let those calls through.
#pragma once

#include <linux/filter.h>

#include <array>
#include <optional>
#include <vector>

#include "loader/filter.h"

namespace bpfemu {

// A call that puts the thread under seccomp: what it asks for.
struct SeccompRequest {
  bool strict;    // mode 1, which no thread with a filter can enter
  bool listener;  // wants a descriptor of its own for notifications: the kernel gives one to each thread
};
std::optional<SeccompRequest> seccomp_request(long number, const std::array<u64, 6>& args);
// Where seccomp() and prctl(PR_SET_SECCOMP) take struct sock_fprog.
inline constexpr int kSeccompProgram = 2;

// Marks a call as ours: the secret goes where the kernel does not look. prctl has no such place, and the rest are calls
// that the program makes itself, whose arguments stay as they are.
std::array<u64, 6> marked(long number, std::array<u64, 6> args, const Secret& secret);

// The program's filter, behind a gate for marked calls. What it leaves to a tracer is ENOSYS, as it is without one.
// Empty: too long.
std::vector<sock_filter> behind_gate(const std::vector<sock_filter>& filter, const Secret& secret);

}  // namespace bpfemu
