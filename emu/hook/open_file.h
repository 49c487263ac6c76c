// SPDX-License-Identifier: Apache-2.0
// What a descriptor of a call is, asked for as far as somebody wants to know.
#pragma once

#include <optional>

#include "emu/hook/occasion.h"

namespace bpfemu {

// How a struct file comes to be known while a path is told: the descriptor itself, as it is now.
class OpenFile {
 public:
  // One system call.
  OpenFile(Occasion& on, u64 fd);

  // Does fdget() find it? What was opened with O_PATH it does not.
  bool usable() const { return access_.readable || access_.writable; }
  bool readable() const { return access_.readable; }
  bool writable() const { return access_.writable; }
  // Null: there is none.
  const FileFacts* facts();
  // The struct file, 0: unknown.
  u64 address();
  // The call has changed it: its structs are as it is now.
  void look_again();
  // By S_IFMT.
  bool is(mode_t type);
  bool is_stream();
  bool is_regular_on(std::string_view file_system);
  bool is_device(u32 major, u32 first_minor, u32 last_minor);

 private:
  Occasion& on_;
  int fd_;
  DescriptorAccess access_;
  bool asked_ = false;
  std::optional<FileFacts> facts_;
};

// Something is read from the file, or written to it (kernel: rw_verify_area).
void ask_to_read(Occasion& on, OpenFile& file);
void ask_to_write(Occasion& on, OpenFile& file);
// The descriptor goes (kernel: filp_close). Nothing is passed when there is none.
Passing enter_filp_close(Occasion& on, u64 fd);

// A struct of the kernel's on its stack, for as long as the occasion lasts; null: there is no room.
KernelObject local(Occasion& on, std::string_view structure);
// The struct filename of a path that the caller named at `user`.
u64 filename(Occasion& on, std::string_view path, u64 user);
// init_user_ns, which is every mount's user namespace that is not mapped.
u64 mount_user_namespace(const Occasion& on);

}  // namespace bpfemu
