// SPDX-License-Identifier: Apache-2.0
// Calls that change whose a file is and what others may do with it.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "emu/hook/capability_checks.h"
#include "emu/hook/changes.h"
#include "emu/hook/lookup.h"
#include "emu/hook/paths.h"

namespace bpfemu {

namespace {

// Which file a call is about: by a path, or the descriptor `folder` itself.
class Subject {
 public:
  Subject(Transit& call, u64 folder, u64 path, bool follows)
      : lookup_(std::in_place, call, folder, path, follows ? Lookup::Last::kFollow : Lookup::Last::kKeep) {}
  Subject(Transit& call, u64 fd) : file_(std::in_place, call, fd) {}
  // Null: there is none, or nothing may be changed where it lies.
  const FileFacts* facts() {
    const FileFacts* found = lookup_ ? lookup_->target() : file_->usable() ? file_->facts() : nullptr;
    return found && !found->mount->read_only ? found : nullptr;
  }

 private:
  std::optional<Lookup> lookup_;
  std::optional<OpenFile> file_;
};

constexpr u32 kUnchanged = ~0u;  // of an owner

void pass_owner(Transit& call, const FileFacts* file, u32 uid, u32 gid) {
  if (!file) return;
  call.ask(Hook::security_path_chown, [&](Arguments& a) {
    a.lazily(0, [&] { return path_of(call, *file); });
    a[1] = uid;
    a[2] = gid;
  });
  const u32 valid = kAttrCtime | (uid == kUnchanged ? 0 : kAttrUid) | (gid == kUnchanged ? 0 : kAttrGid) |
                    (file->folder() ? 0 : kAttrKillSuid);  // ATTR_KILL_PRIV is dropped where no capabilities are kept
  pass_change(call, *file, {.valid = valid, .uid = uid, .gid = gid});
}

}  // namespace

// chmod, fchmod, fchmodat
Path changing_mode(Transit& call) {
  const bool at_folder = call.number() == SYS_fchmodat;
  const u32 mode = static_cast<u32>(call.arg(at_folder ? 2 : 1)) & 07777;
  Subject subject = call.number() == SYS_fchmod
                        ? Subject(call, call.arg(0))
                        : Subject(call, at_folder ? call.arg(0) : kHere, call.arg(at_folder ? 1 : 0), true);
  const FileFacts* file = subject.facts();
  if (!file) co_return;
  call.ask(Hook::security_path_chmod, [&](Arguments& a) {
    a.lazily(0, [&] { return path_of(call, *file); });
    a[1] = mode;
  });
  pass_change(call, *file, {.valid = kAttrMode | kAttrCtime, .mode = mode | (file->inode.mode & S_IFMT)});
}

// chown, lchown, fchown, fchownat
Path changing_owner(Transit& call) {
  pass_own_checks(call);
  const bool at_folder = call.number() == SYS_fchownat;
  const u32 first = at_folder ? 2 : 1;
  const u64 flags = at_folder ? call.arg(4) : call.number() == SYS_lchown ? AT_SYMLINK_NOFOLLOW : 0;
  const bool itself = call.number() == SYS_fchown;
  Subject subject = itself ? Subject(call, call.arg(0))
                           : Subject(call, at_folder ? call.arg(0) : kHere, call.arg(at_folder ? 1 : 0),
                                     !(flags & AT_SYMLINK_NOFOLLOW));
  pass_owner(call, subject.facts(), static_cast<u32>(call.arg(first)), static_cast<u32>(call.arg(first + 1)));
  co_return;
}

}  // namespace bpfemu
