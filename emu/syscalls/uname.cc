// SPDX-License-Identifier: Apache-2.0
#include <sys/utsname.h>

#include <cstring>

#include "emu/syscalls/handlers.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

namespace {

template <size_t size>
void set(char (&field)[size], const std::string& text) {
  std::memset(field, 0, size);
  std::memcpy(field, text.data(), std::min(text.size(), size - 1));
}

}  // namespace

// Host name and machine stay the host's.
Reply enter_uname(System& system, Call& call) {
  utsname names;
  if (uname(&names) != 0) return Reply::native();
  set(names.release, system.profile.release);
  set(names.version, system.profile.version);
  return Reply::answer(call.task.write(call.args[0], &names, sizeof names));
}

}  // namespace bpfemu
