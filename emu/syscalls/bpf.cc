// SPDX-License-Identifier: Apache-2.0
#include "emu/base/room.h"
#include "emu/syscalls/bpf.h"
#include "emu/syscalls/map_mmap.h"

#include <fcntl.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "emu/arena/layout.h"
#include "emu/kernel/file_facts.h"
#include "emu/runtime/helpers/memory.h"

namespace bpfemu {

namespace {

constexpr BpfCommand kCommands[] = {
#define COMMAND(name, major, minor, handler, last, note) \
  {BPF_##name, #name, kernel_version(major, minor), handler, offsetof(bpf_attr, last) + sizeof(std::declval<bpf_attr&>().last), note},
#include "emu/abi/commands.inc"
#undef COMMAND
};

const BpfCommand* find_command(const Profile& profile, u32 number) {
  if (number >= std::size(kCommands) || kCommands[number].since > profile.code) return nullptr;
  return &kCommands[number];
}

// Unless the sysctl kernel.unprivileged_bpf_disabled allows it, an unprivileged task creates nothing.
bool forbidden(const BpfCall& call) {
  bool allowed = call.caps.bpf || call.system.vfs_world->sysctls["kernel/unprivileged_bpf_disabled"] == 0;
  return !allowed && (call.command == BPF_MAP_CREATE || call.command == BPF_PROG_LOAD);
}

bool finds_objects(u32 command) {
  switch (command) {
    case BPF_PROG_GET_NEXT_ID:
    case BPF_MAP_GET_NEXT_ID:
    case BPF_BTF_GET_NEXT_ID:
    case BPF_LINK_GET_NEXT_ID:
    case BPF_PROG_GET_FD_BY_ID:
    case BPF_MAP_GET_FD_BY_ID:
    case BPF_BTF_GET_FD_BY_ID:
    case BPF_LINK_GET_FD_BY_ID: return true;
    default: return false;
  }
}

}  // namespace

std::span<const BpfCommand> bpf_commands() { return kCommands; }

Result<u64> do_bpf(BpfCall& call, u32 size) {
  if (forbidden(call)) return fail(EPERM);
  if (call.caller) {
    if (size > sizeof(bpf_attr)) return fail(E2BIG);  // no program knows of more
  } else {
    TRY(check_tail_zero(call.task, call.address, sizeof(bpf_attr), size));
  }
  TRY(call.read(call.address, &call.attr, std::min<u64>(size, sizeof(bpf_attr))));

  const BpfCommand* command = find_command(call.system.profile, call.command);
  if (!command) return fail(EINVAL);
  auto* bytes = reinterpret_cast<const u8*>(&call.attr);
  bool unused_set = std::any_of(bytes + command->attr_size, bytes + sizeof(bpf_attr), [](u8 b) { return b != 0; });
  if (unused_set) return fail(EINVAL);
  if (finds_objects(call.command)) {
    release_unmapped(call.system);
    call.system.socket_filters.drop_closed(call.system.host);
  }
  call.system.files.reap();
  return command->handler(call);
}

Reply enter_bpf(System& system, Call& call) {
  BpfCall bpf{.system = system,
              .task = call.task,
              .command = static_cast<u32>(call.args[0]),
              .address = call.args[1],
              .caps = system.capabilities(call.task)};
  const auto answer = do_bpf(bpf, static_cast<u32>(call.args[2]));
  // Who armed a timer on the way may look at once for what it did.
  if (system.timers->any_armed()) system.timers->run_due();
  return Reply::answer(answer);
}

Result<void> check_tail_zero(Task& task, u64 address, u64 known, u64 size) {
  if (size > kPageSize) return fail(E2BIG);
  if (size <= known) return {};
  u8 tail[kPageSize];
  TRY(task.read(address + known, tail, size - known));
  if (std::any_of(tail, tail + (size - known), [](u8 b) { return b != 0; })) return fail(E2BIG);
  return {};
}

Result<std::string> object_name(const char (&field)[BPF_OBJ_NAME_LEN]) {
  size_t length = strnlen(field, sizeof field);
  if (length == sizeof field) return fail(EINVAL);
  std::string name(field, length);
  bool good = std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.';
  });
  if (!good) return fail(EINVAL);
  return name;
}

Result<u32> open_flag(u32 map_flags) {
  switch (map_flags & (BPF_F_RDONLY | BPF_F_WRONLY)) {
    case 0: return O_RDWR;
    case BPF_F_RDONLY: return O_RDONLY;
    case BPF_F_WRONLY: return O_WRONLY;
    default: return fail(EINVAL);
  }
}

Result<void> BpfCall::read(u64 from, void* to, u64 size) {
  if (!caller) return task.read(from, to, size);
  return read_kernel(caller, to, from, size) < 0 ? fail(EFAULT) : Result<void>();
}

Result<std::string> BpfCall::read_string(u64 from, size_t limit) {
  if (!caller) return task.read_string(from, limit);
  std::string text(limit + 1, 0);
  const s64 size = read_kernel_str(caller, text.data(), from, text.size());
  if (size < 0) return fail(EFAULT);
  text.resize(static_cast<size_t>(size) - 1);
  return text.size() < limit ? Result<std::string>(text) : fail(ENAMETOOLONG);
}

Result<std::vector<u8>> BpfCall::copy_in(u64 from, u64 size) {
  TRY(room_for(size));
  std::vector<u8> bytes(size);
  TRY(read(from, bytes.data(), size));
  return bytes;
}

Result<void> BpfCall::copy_out(u64 to, const void* from, u64 size) { return task.write(to, from, size); }

Result<void> BpfCall::copy_out_name(u64 to, u64 size, std::string_view name) {
  std::string text(name.substr(0, size - 1));
  TRY(copy_out(to, text.c_str(), text.size() + 1));
  if (text.size() < name.size()) return fail(ENOSPC);
  return {};
}

Result<void> check_open(Task& task, int fd) {
  const auto access = TRY(descriptor_access(task.tid(), fd));
  return access.readable || access.writable ? Result<void>{} : fail(EBADF);
}

namespace {

Result<std::shared_ptr<File>> file_of_kind(System& system, Task& task, int fd, ObjectKind kind) {
  auto file = TRY(system.files.find(task, fd));
  const auto object = file ? file->object() : nullptr;
  if (object && object->kind() == kind) return file;
  TRY(check_open(task, fd));
  return fail(EINVAL);
}

}  // namespace

Result<std::shared_ptr<Program>> program_behind(System& system, Task& task, int fd) {
  return std::static_pointer_cast<Program>(TRY(file_of_kind(system, task, fd, ObjectKind::kProgram))->object());
}

Result<std::shared_ptr<File>> BpfCall::file(u32 fd, ObjectKind kind) {
  return file_of_kind(system, task, static_cast<int>(fd), kind);
}

// Not the file's own pointer: that one counts as user space's hold.
Result<std::shared_ptr<MapObject>> BpfCall::map(u32 fd) {
  return system.maps.find(TRY(file(fd, ObjectKind::kMap))->object()->id());
}

Result<std::shared_ptr<Program>> BpfCall::program(u32 fd) {
  return program_behind(system, task, static_cast<int>(fd));
}

Result<std::shared_ptr<const Btf>> BpfCall::btf(u32 fd) {
  return std::static_pointer_cast<const Btf>(TRY(file(fd, ObjectKind::kBtf))->object());
}

Result<std::shared_ptr<Link>> BpfCall::link(u32 fd) {
  system.networks.look_again(task);
  return std::static_pointer_cast<Link>(TRY(file(fd, ObjectKind::kLink))->object());
}

Result<u64> BpfCall::install(std::shared_ptr<File> file) {
  return static_cast<u64>(TRY(system.files.install(task, std::move(file), true)));
}

}  // namespace bpfemu
