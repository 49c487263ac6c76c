// SPDX-License-Identifier: Apache-2.0
#include <stddef.h>
#include <sys/utsname.h>

#include <string>

#include "emu/syscalls/handlers.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

// Host name and machine stay the host's, as the thread's own UTS namespace and personality have them.
Reply enter_uname(System&, Call&) { return Reply::native_then_exit(); }

s64 exit_uname(System& system, Call& call, s64 result) {
  if (result != 0) return result;
  auto put = [&](size_t at, std::string text) {
    text.resize(sizeof utsname{}.release - 1);
    return call.task.write(call.args[0] + at, text.c_str(), text.size() + 1).has_value();
  };
  static_assert(sizeof utsname{}.release == sizeof utsname{}.version);
  bool done = put(offsetof(utsname, release), system.profile.release) &&
              put(offsetof(utsname, version), system.profile.version);
  return done ? result : -EFAULT;
}

}  // namespace bpfemu
