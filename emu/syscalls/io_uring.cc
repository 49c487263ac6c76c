// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/handlers.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

// The kernel carries out what is in a ring without a system call that anybody could see: paths of the model would be the
// host's, descriptors of objects would be pipes. Programs that are told that there is no io_uring do without.
Reply enter_io_uring_setup(System& system, Call&) {
  if (!system.options.native_io_uring) {
    system.unmodelled.note("io_uring");
    return Reply::answer(-ENOSYS);
  }
  system.unmodelled.note("what is done by io_uring, which is the host's (--io-uring=native)");
  return Reply::native();
}

}  // namespace bpfemu
