// SPDX-License-Identifier: Apache-2.0
// The families of steps, and what they share.
#pragma once

#include "tests/oracle/events/events.h"

#include <sys/syscall.h>
#include <unistd.h>

namespace events {

std::span<const Step> file_steps();
std::span<const Step> name_steps();
std::span<const Step> process_steps();
std::span<const Step> signal_steps();
std::span<const Step> socket_steps();
std::span<const Step> memory_steps();
std::span<const Step> mount_steps();
std::span<const Step> question_steps();
std::span<const Step> user_steps();

// Ends the workload when what a step needs is not so.
void need(bool holds, const char* what);
// The system call itself, as the libraries of different machines make different ones.
template <class... Args>
long call(long number, Args... args) {
  return syscall(number, args...);
}
// Reads a byte of each page of this program's file.
void touch_program();
// Waits in one call, until others have come to their end or to sleep.
void pause_shortly();

}  // namespace events
