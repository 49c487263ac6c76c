// SPDX-License-Identifier: Apache-2.0
// Calls that mount, unmount, and make another folder the root.
#include <linux/capability.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include <optional>

#include "emu/hook/capability_checks.h"
#include "emu/hook/lookup.h"
#include "emu/hook/paths.h"

namespace bpfemu {

namespace {

constexpr u64 kMagicMask = 0xffff0000, kMagic = 0xc0ed0000;  // kernel: MS_MGC_MSK, MS_MGC_VAL
constexpr u64 kNoUser = u64{1} << 31;                        // MS_NOUSER
constexpr size_t kMostText = 256;  // of a source or a type that is shown to programs

// A text of the caller's as the kernel has copied it, 0 for none (kernel: copy_mount_string).
u64 text_at(Transit& call, u64 user) {
  if (!user) return 0;
  const auto text = call.task().read_string(user, kMostText);
  if (!text) call.services().unmodelled.note("a mount's long source");
  return text ? call.services().objects.text(*text) : 0;
}

// The options are a page of the kernel's; what of it the caller has.
u64 options_at(Transit& call, u64 user) {
  constexpr size_t kShown = 1024;
  const u64 at = user ? call.place_zeroed(kShown) : 0;
  if (const auto text = at ? call.task().read_string(user, kShown) : fail(EFAULT))
    text->copy(reinterpret_cast<char*>(at), kShown - 1);
  return at;
}

// The rest depends on the file system.
void leave_untold(Transit& call) {
  for (Hook hook : {Hook::vfs_get_tree, Hook::vfs_get_super, Hook::vfs_create_mount, Hook::vfs_kern_mount,
                    Hook::vfs_parse_fs_param_source, Hook::vfs_parse_fs_param, Hook::vfs_parse_fs_string,
                    Hook::vfs_dup_fs_context, Hook::vfs_clean_context})
    call.untold(hook);
}

}  // namespace

// mount, and the calls that it is made of since 5.2
Path mounting(Transit& call) {
  if (call.number() != SYS_mount) {
    // What fsconfig asks depends on the file system.
    if (call.number() == SYS_fsconfig || pass_capable(call, CAP_SYS_ADMIN)) leave_untold(call);
    co_return;
  }
  Lookup at(call, kHere, call.arg(1), Lookup::Last::kFollow);
  if (!at.named()) co_return;
  at.pass_names(true);
  if (!at.target()) co_return;
  u64 flags = call.arg(3);
  u64 source = 0, type = 0, options = 0;
  const auto fill = [&](Arguments& a) {
    a.lazily(0, [&] { return source ? source : source = text_at(call, call.arg(0)); });
    a.lazily(1, [&] { return at.target_path(); });
    a.lazily(2, [&] { return type ? type : type = text_at(call, call.arg(2)); });
    a[3] = flags;
    a.lazily(4, [&] { return options ? options : options = options_at(call, call.arg(4)); });
  };
  const Passing path_mount = call.enter(Hook::path_mount, fill);
  if ((flags & kMagicMask) == kMagic) flags &= ~kMagicMask;
  if (!(flags & kNoUser) && call.ask(Hook::security_sb_mount, fill) && pass_capable(call, CAP_SYS_ADMIN))
    leave_untold(call);
  path_mount.leave(co_await call.done());
}

// umount2 looks at the path's last name itself.
Path unmounting(Transit& call) {
  const u32 flags = static_cast<u32>(call.arg(1));
  if (flags & ~u32{MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW}) co_return;
  std::optional<Lookup> at(std::in_place, call, kHere, call.arg(0),
                           flags & UMOUNT_NOFOLLOW ? Lookup::Last::kKeep : Lookup::Last::kFollow);
  if (!at->named()) co_return;
  at->pass_names(true);
  const FileFacts* target = at->target();
  if (!target) co_return;
  const Passing path_umount = call.enter(Hook::path_umount, [&](Arguments& a) {
    a.lazily(0, [&] { return at->target_path(); });
    a[1] = flags;
  });
  if (pass_capable(call, CAP_SYS_ADMIN) && target->path == target->mount->root)
    call.ask(Hook::security_sb_umount, [&](Arguments& a) {
      a.lazily(0, [&] { return call.services().files.mount(*target->mount).address("mnt"); });
      a[1] = flags;
    });
  at.reset();  // it holds the mount's root open
  path_umount.leave(co_await call.done());
}

// chroot
Path changing_root(Transit& call) {
  Lookup at(call, kHere, call.arg(0), Lookup::Last::kFollow);
  if (!at.named()) co_return;
  at.pass_names(true);
  if (!at.target() || !at.target()->folder() || !pass_capable(call, CAP_SYS_CHROOT)) co_return;
  call.ask(Hook::security_path_chroot, [&](Arguments& a) { a.lazily(0, [&] { return at.target_path(); }); });
}

}  // namespace bpfemu
