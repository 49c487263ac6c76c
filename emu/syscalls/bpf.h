// SPDX-License-Identifier: Apache-2.0
// One bpf() call: what was asked, copied once, and how to answer into the tool's memory. Each command is a function in
// emu/syscalls/bpf_*.cc, bound to its number by emu/abi/commands.inc.
#pragma once

#include <linux/bpf.h>

#include <span>
#include <vector>

#include "emu/syscalls/call.h"
#include "emu/syscalls/object_files.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

// The kernel's own errno beyond the uapi's: an operation that an object lacks.

struct BpfCall {
  System& system;
  Task& task;
  u32 command;
  u64 address;            // of the tool's attr, for results that go back into it
  bpf_attr attr{};        // the copy that everything is decided on
  Capabilities caps;
  const Run* caller = nullptr;  // a program's call: the attr and what it points to are in the kernel's memory

  // What the caller points to (kernel: bpfptr_t): EFAULT.
  Result<void> read(u64 from, void* to, u64 size);
  Result<std::vector<u8>> copy_in(u64 from, u64 size);
  // A text of at most `limit` bytes with its NUL left off, longer ones ENAMETOOLONG.
  Result<std::string> read_string(u64 from, size_t limit);
  // Memory of the tool, whoever calls: EFAULT.
  Result<void> copy_out(u64 to, const void* from, u64 size);
  template <class T>
  Result<void> put(u64 to, const T& value) {
    return copy_out(to, &value, sizeof value);
  }
  // Writes a field of the tool's own attr, at `offset` of it.
  template <class T>
  Result<void> put_attr(size_t offset, const T& value) {
    return put(address + offset, value);
  }
  // Copies a NUL-terminated text as the kernel's info calls do: cut with a NUL at the end and ENOSPC when it is too
  // long for `size` bytes.
  Result<void> copy_out_name(u64 to, u64 size, std::string_view name);

  // The file behind a descriptor: EBADF when it is not open, EINVAL when it is no object of `kind`.
  Result<std::shared_ptr<File>> file(u32 fd, ObjectKind kind);
  Result<std::shared_ptr<MapObject>> map(u32 fd);
  Result<std::shared_ptr<Program>> program(u32 fd);
  Result<std::shared_ptr<const Btf>> btf(u32 fd);
  Result<std::shared_ptr<Link>> link(u32 fd);

  // Gives the tool a descriptor for a new file (close-on-exec, as all of bpf()'s are).
  Result<u64> install(std::shared_ptr<File> file);
};

using BpfHandler = Result<u64> (*)(BpfCall& call);

#define COMMAND(name, major, minor, handler, last, note) Result<u64> handler(BpfCall& call);
#include "emu/abi/commands.inc"
#undef COMMAND

struct BpfCommand {
  u32 number;
  const char* name;
  u32 since;              // kernel_version()
  BpfHandler handler;
  size_t attr_size;       // bytes of attr up to the last field that it reads
  const char* note;
};
std::span<const BpfCommand> bpf_commands();

// The rule for structures that may grow: what lies behind the `known` bytes of the tool's `size` must be zero, or it is
// E2BIG; so is more than a page (kernel: bpf_check_uarg_tail_zero).
Result<void> check_tail_zero(Task& task, u64 address, u64 known, u64 size);

// A name of an object: letters, digits, '_' and '.', NUL-terminated within the field; EINVAL (kernel: bpf_obj_name_cpy).
Result<std::string> object_name(const char (&field)[BPF_OBJ_NAME_LEN]);

// Is the number that of an open file, and not of what O_PATH only names: EBADF (kernel: fdget, without FMODE_PATH).
Result<void> check_open(Task& task, int fd);

// The program behind a descriptor: EBADF; EINVAL: it is none.
Result<std::shared_ptr<Program>> program_behind(System& system, Task& task, int fd);

// May the program be run? What it calls that is not modelled is noted: EOPNOTSUPP.
Result<void> check_runnable(System& system, const Program& program);

// The link of an iterator program, with what attr.link_create says besides (kernel: bpf_iter_link_attach).
Result<std::shared_ptr<Link>> make_iter_link(BpfCall& call, std::shared_ptr<Program> program);

// Access mode of a map descriptor from BPF_F_RDONLY and BPF_F_WRONLY: the O_ flag, EINVAL for both.
Result<u32> open_flag(u32 map_flags);

// Somebody listens to functions of helpers: the program tells of its calls.
void tell_of_helpers(System& system, Program& program, const u8* listened);

// Maps look like the kernel's own structs from now on, to those who follow map pointers.
void show_maps(System& system);

// Commands that hand out a descriptor for an object; `flags` is O_RDONLY, O_WRONLY or O_RDWR.
Result<u64> install_map(BpfCall& call, std::shared_ptr<MapObject> map, u32 flags);

Reply enter_bpf(System& system, Call& call);
// The call as far as its arguments say more than what is filled in: attr is `size` bytes at call.address.
Result<u64> do_bpf(BpfCall& call, u32 size);

}  // namespace bpfemu
