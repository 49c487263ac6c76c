// SPDX-License-Identifier: Apache-2.0
#include "emu/hook/open_file.h"

#include <cstring>

namespace bpfemu {

OpenFile::OpenFile(Occasion& on, u64 fd) : on_(on), fd_(static_cast<int>(fd)) {
  access_ = descriptor_access(on.task().tid(), fd_).value_or(DescriptorAccess{});
}

const FileFacts* OpenFile::facts() {
  if (!asked_) {
    asked_ = true;
    auto found = on_.services().mounts.describe(on_.task().tid(), fd_);
    if (found) {
      found->tgid = on_.task().tgid();
      facts_ = std::move(*found);
    }
  }
  return facts_ ? &*facts_ : nullptr;
}

void OpenFile::look_again() {
  asked_ = false;
  facts_.reset();
  (void)address();
}

u64 OpenFile::address() {
  const FileFacts* file = facts();
  return file ? on_.services().files.file(*file).address() : 0;
}

bool OpenFile::is(mode_t type) {
  const FileFacts* file = facts();
  return file && (file->inode.mode & S_IFMT) == type;
}

bool OpenFile::is_stream() {
  return !facts() || is(S_IFIFO) || is(S_IFSOCK);
}

bool OpenFile::is_regular_on(std::string_view file_system) {
  const FileFacts* file = facts();
  return file && file->regular() && file->mount->type == file_system;
}

bool OpenFile::is_device(u32 major, u32 first_minor, u32 last_minor) {
  const FileFacts* file = facts();
  if (!file || !S_ISCHR(file->inode.mode)) return false;
  const u32 device = file->inode.rdev;
  return device >= kernel_device(major, first_minor) && device <= kernel_device(major, last_minor);
}

namespace {

void ask_permission(Occasion& on, OpenFile& file, u64 mask) {
  on.ask(Hook::security_file_permission, [&](Arguments& a) {
    a.lazily(0, [&] { return file.address(); });
    a[1] = mask;
  });
}

}  // namespace

void ask_to_read(Occasion& on, OpenFile& file) {
  constexpr u64 kMayRead = 4;  // kernel: MAY_*
  ask_permission(on, file, kMayRead);
}

void ask_to_write(Occasion& on, OpenFile& file) {
  constexpr u64 kMayWrite = 2;
  ask_permission(on, file, kMayWrite);
}

Passing enter_filp_close(Occasion& on, u64 fd) {
  if (!on.awaited(Hook::filp_close)) return {};
  OpenFile file(on, fd);
  if (!file.facts()) return {};
  return on.enter(Hook::filp_close, [&](Arguments& a) {
    a.lazily(0, [&] { return file.address(); });
    a.lazily(1, [&] { return on.services().files.open_files(on.task().tgid()).address(); });
  });
}

KernelObject local(Occasion& on, std::string_view structure) {
  const KernelStruct& type = on.services().objects.structure(structure);
  const u64 at = type.size() ? on.place_zeroed(type.size()) : 0;
  return at ? KernelObject(at, type) : KernelObject();
}

u64 filename(Occasion& on, std::string_view path, u64 user) {
  const KernelStruct& type = on.services().objects.structure("filename");
  const u64 at = on.place_zeroed(type.size() + path.size() + 1);
  if (!at) return 0;
  const KernelObject name(at, type);
  memcpy(reinterpret_cast<void*>(at + type.size()), path.data(), path.size());
  name.set("name", at + type.size());
  name.set("uptr", user);
  name.set("refcnt", s32{1});
  return at;
}

u64 mount_user_namespace(const Occasion& on) { return on.services().kernel.symbols().address("init_user_ns"); }

}  // namespace bpfemu
