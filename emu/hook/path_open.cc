// SPDX-License-Identifier: Apache-2.0
// Calls that open files.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "emu/hook/changes.h"
#include "emu/hook/lookup.h"
#include "emu/hook/paths.h"
#include "emu/hook/socket_parts.h"

namespace bpfemu {

namespace {

// The kernel's own O_LARGEFILE; user space's is 0 on x86-64.
constexpr u64 kLargeFile = 0100000;
constexpr u64 kPathFlags = O_DIRECTORY | O_NOFOLLOW | O_PATH | O_CLOEXEC;
constexpr u64 kOpenFlags = O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC |
                           O_ASYNC | O_DIRECT | kLargeFile | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH |
                           O_TMPFILE;
constexpr u32 kOfOpening = O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC;  // what f_flags do not keep
constexpr u64 kTmpFileBit = O_TMPFILE & ~O_DIRECTORY;
constexpr u64 kPageBytes = 4096;
// kernel: struct open_flags' acc_mode, intent and lookup_flags; and FMODE_CREATED.
constexpr s32 kMayWrite = 2, kMayAppend = 8;
constexpr s32 kLookupFollow = 1, kLookupDirectory = 2, kLookupOpen = 0x100, kLookupCreate = 0x200,
              kLookupExclusive = 0x400;
constexpr u32 kTruncateAttributes = kAttrMtime | kAttrCtime | kAttrOpen;

// kernel: build_open_how.
open_how how_of(u64 flags, u64 mode) {
  open_how how{};
  how.flags = flags & kOpenFlags;
  how.mode = mode & 07777;
  if (how.flags & O_PATH) how.flags &= kPathFlags;
  if (!(how.flags & (O_CREAT | kTmpFileBit))) how.mode = 0;
  return how;
}

// kernel: copy_struct_from_user. What the kernel does not know must be zero.
bool read_how(Task& task, u64 address, u64 size, struct open_how& how) {
  if (size < sizeof how || size > kPageBytes) return false;
  std::array<u8, kPageBytes> given;
  if (!task.read(address, given.data(), size)) return false;
  memcpy(&how, given.data(), sizeof how);
  return std::all_of(given.begin() + sizeof how, given.begin() + static_cast<long>(size), [](u8 b) { return b == 0; });
}

// What each of the four calls asks do_sys_openat2 for.
struct Opening {
  u64 folder = kHere, name = 0;
  open_how how{};

  bool has(u64 flag) const { return (how.flags & flag) == flag; }
  bool creates() const { return has(O_CREAT) && !has(O_PATH); }
  bool unnamed() const { return has(kTmpFileBit); }
  bool follows() const { return !has(O_NOFOLLOW) && !(has(O_CREAT) && has(O_EXCL)); }
};

// None: openat2 looks at its struct first, and goes no further when that is wrong.
std::optional<Opening> opening_of(const Transit& call) {
  Opening opening;
  switch (call.number()) {
    case SYS_open:
      opening.name = call.arg(0);
      opening.how = how_of(call.arg(1) | kLargeFile, call.arg(2));
      return opening;
    case SYS_creat:
      opening.name = call.arg(0);
      opening.how = how_of(O_CREAT | O_WRONLY | O_TRUNC | kLargeFile, call.arg(1));
      return opening;
    case SYS_openat: opening.how = how_of(call.arg(2) | kLargeFile, call.arg(3)); break;
    default:
      if (!read_how(call.task(), call.arg(2), call.arg(3), opening.how)) return std::nullopt;
      if (!(opening.how.flags & O_PATH)) opening.how.flags |= kLargeFile;
  }
  opening.folder = call.arg(0);
  opening.name = call.arg(1);
  return opening;
}

// What becomes of f_flags, until the file is open.
u32 flags_of(const Opening& wanted) {
  return static_cast<u32>(wanted.how.flags) & ~u32{O_CLOEXEC};
}

// kernel: build_open_flags
u64 open_flags(Transit& call, const Opening& wanted) {
  const KernelObject op = local(call, "open_flags");
  const u32 flags = flags_of(wanted);
  s32 access = (flags & O_ACCMODE) == O_RDONLY ? 4 : (flags & O_ACCMODE) == O_WRONLY ? 2 : 6;
  if (flags & O_PATH) access = 0;
  if (flags & O_TRUNC) access |= kMayWrite;
  if (flags & O_APPEND) access |= kMayAppend;
  s32 intent = flags & O_PATH ? 0 : kLookupOpen, lookup = 0;
  if (flags & O_CREAT) intent |= kLookupCreate;
  if ((flags & O_CREAT) && (flags & O_EXCL)) intent |= kLookupExclusive;
  if (flags & O_DIRECTORY) lookup |= kLookupDirectory;
  if (wanted.follows()) lookup |= kLookupFollow;
  const bool creates = wanted.how.flags & (O_CREAT | kTmpFileBit);
  op.set("open_flag", flags);
  op.set("mode", static_cast<u16>(creates ? (wanted.how.mode & 07777) | S_IFREG : 0));
  op.set("acc_mode", access);
  op.set("intent", intent);
  op.set("lookup_flags", lookup);
  return op.address();
}

// A name is made in its folder (kernel: lookup_open).
void pass_creation(Transit& call, Lookup& at, const Opening& wanted) {
  const u64 mode = (wanted.how.mode & 07777) | S_IFREG;
  call.ask(Hook::security_path_mknod, [&](Arguments& a) {
    a.lazily(0, [&] { return at.folder_path(); });
    a.lazily(1, [&] { return at.target_dentry(); });
    a[2] = mode;
  });
  if (call.decided(Hook::security_inode_create) && !folder_allows(call, at)) return;
  call.ask(Hook::security_inode_create, [&](Arguments& a) {
    a.lazily(0, [&] { return at.folder_inode(); });
    a.lazily(1, [&] { return at.target_dentry(); });
    a[2] = mode;
  });
}

// kernel: handle_truncate
void pass_truncation(Transit& call, const FileFacts& facts, const std::function<u64()>& file) {
  FileObjects& files = call.services().files;
  auto dentry = [&] { return files.dentry(facts).address(); };
  call.ask(Hook::security_path_truncate, [&](Arguments& a) { a.lazily(0, [&] { return path_of(call, facts); }); });
  const Passing do_truncate = call.enter(Hook::do_truncate, [&](Arguments& a) {
    a.lazily(0, [&] { return mount_user_namespace(call); });
    a.lazily(1, dentry);
    a[3] = kTruncateAttributes;
    a.lazily(4, file);
  });
  pass_change(call, facts, {.valid = kAttrSize | kTruncateAttributes, .file = file});
  do_truncate.leave(0);
}

// The file is there, and is opened (kernel: do_open). `opened`: its struct file, from what may deny it on.
void pass_opened(Transit& call, const Opening& wanted, const FileFacts& facts, bool created,
                 const std::function<u64()>& opened) {
  FileObjects& files = call.services().files;
  auto path = [&] { return path_of(call, facts); };
  const auto to_open = [&](FileObjects::Opening state) {
    return files.file_to_open(facts, flags_of(wanted), created, state).address();
  };
  // kernel: do_dentry_open
  const auto pass_checks = [&] {
    call.ask(Hook::security_file_open,
             [&](Arguments& a) { a.lazily(0, [&] { return to_open(FileObjects::Opening::kChecked); }); });
    if (!facts.regular() || facts.mount->type != "ext4") return;
    const Passing own = call.enter(Hook::ext4_file_open, [&](Arguments& a) {
      a.lazily(0, [&] { return files.inode(facts).address(); });
      a.lazily(1, opened);
    });
    own.leave(0);
  };
  if (wanted.unnamed()) {
    const Passing vfs_tmpfile = call.enter(Hook::vfs_tmpfile, [&](Arguments& a) {
      a.lazily(0, [&] { return mount_user_namespace(call); });
      a.lazily(1, path);
      a.lazily(2, [&] { return to_open(FileObjects::Opening::kBegins); });
      a[3] = facts.inode.mode;
    });
    call.goes_by(kUnnamed);
    pass_checks();
    if (call.awaited(Hook::vfs_tmpfile) && !call.denial()) (void)opened();
    return vfs_tmpfile.leave(call.denial().value_or(0));
  }
  if (wanted.has(O_PATH)) call.goes_by(kOfPath);
  const Passing vfs_open = call.enter(Hook::vfs_open, [&](Arguments& a) {
    a.lazily(0, path);
    // What do_dentry_open() will say of it is not yet known.
    a.lazily(1, [&] { return to_open(FileObjects::Opening::kBegins); });
  });
  if (!wanted.has(O_PATH)) pass_checks();
  if (call.awaited(Hook::vfs_open) && !call.denial()) (void)opened();
  vfs_open.leave(call.denial().value_or(0));
  if (wanted.has(O_TRUNC) && !created && facts.regular()) pass_truncation(call, facts, opened);
}

bool is_listened_to(const Transit& call, std::initializer_list<Hook> hooks) {
  return std::ranges::any_of(hooks, [&](Hook hook) { return call.awaited(hook) || call.decided(hook); });
}

// Will the kernel come as far as asking whether what is there may be opened (kernel: may_open)?
bool would_open(Transit& call, const Opening& wanted, const FileFacts& file) {
  const u32 kind = file.inode.mode & S_IFMT, flags = flags_of(wanted);
  const bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC), reads = (flags & O_ACCMODE) != O_WRONLY;
  if (kind == S_IFLNK || kind == S_IFSOCK || (kind == S_IFDIR && (writes || wanted.creates()))) return false;
  if ((wanted.has(O_DIRECTORY) && kind != S_IFDIR) || (wanted.creates() && wanted.has(O_EXCL))) return false;
  return allows(call, wanted.folder, wanted.name, (reads ? R_OK : 0) | (writes ? W_OK : 0));
}

// What programs may deny is told before the host's kernel runs the call, so that it has no effect then. A file that the
// call is to make is there behind it, denied or not, as in the kernel. True: nothing is left to be told.
bool pass_beforehand(Transit& call, const Opening& wanted, Lookup& at) {
  if (wanted.has(O_PATH) || wanted.unnamed()) return false;
  if (!at.exists()) {
    const FileFacts* in = wanted.creates() && at.has_last() && !at.slash_behind() ? at.folder() : nullptr;
    if (in && !in->mount->read_only) pass_creation(call, at, wanted);
    return false;
  }
  if (!at.target()) return call.untold(Hook::security_file_open), true;
  if (!would_open(call, wanted, *at.target())) return true;
  FileFacts facts = *at.target();
  const u32 flags = flags_of(wanted);
  facts.tgid = call.task().tgid();
  facts.fd = next_descriptor(call.task().tid());
  facts.readable = (flags & O_ACCMODE) != O_WRONLY;
  facts.writable = (flags & O_ACCMODE) != O_RDONLY;
  facts.flags = flags & ~u32{kOfOpening};
  pass_opened(call, wanted, facts, false, [&] { return call.services().files.file(facts).address(); });
  return true;
}

}  // namespace

// open, openat, creat, openat2
Path opening(Transit& call) {
  const std::optional<Opening> wanted = opening_of(call);
  if (!wanted) co_return;
  const Passing do_sys_openat2 = call.enter(Hook::do_sys_openat2, [&](Arguments& a) {
    a[0] = wanted->folder;
    a[1] = wanted->name;
    a[2] = call.place(wanted->how);
  });
  const bool inside = is_listened_to(
      call, {Hook::do_filp_open, Hook::lookup_fast, Hook::d_lookup, Hook::security_path_mknod,
             Hook::security_inode_create, Hook::vfs_open, Hook::vfs_tmpfile, Hook::security_file_open,
             Hook::ext4_file_open, Hook::security_path_truncate, Hook::security_inode_setattr, Hook::do_truncate});
  if (!inside) {
    do_sys_openat2.leave(co_await call.done());
    co_return;
  }
  Lookup at(call, wanted->folder, wanted->name, wanted->follows() ? Lookup::Last::kFollow : Lookup::Last::kKeep);
  Passing do_filp_open;
  if (at.named()) {
    do_filp_open = call.enter(Hook::do_filp_open, [&](Arguments& a) {
      a[0] = wanted->folder;
      a.lazily(1, [&] { return filename(call, at.path(), wanted->name); });
      a.lazily(2, [&] { return open_flags(call, *wanted); });
    });
    // With O_CREAT the last name is looked for in its locked folder alone.
    const bool missed = at.pass_names(!wanted->creates());
    if (missed || (wanted->creates() && at.has_last())) at.pass_last(missed);
  }
  const bool existed = at.exists(), creates = wanted->creates() && !existed && at.has_last();
  const bool asks = std::ranges::any_of(
      std::to_array({Hook::security_path_mknod, Hook::security_inode_create, Hook::security_file_open,
                     Hook::security_path_truncate, Hook::security_inode_setattr}),
      [&](Hook hook) { return call.decided(hook); });
  const bool told = asks && at.named() && pass_beforehand(call, *wanted, at);
  const s64 result = co_await call.done();
  OpenFile opened(call, static_cast<u64>(result));
  const FileFacts* facts = result >= 0 ? opened.facts() : nullptr;
  if (facts && at.named() && !told) {
    if (creates && !asks) pass_creation(call, at, *wanted);
    pass_opened(call, *wanted, *facts, creates, [&] { return opened.address(); });
    if (call.denial()) (void)call.task().call(SYS_close, {static_cast<u64>(result)});
  }
  const s64 outcome = call.denial().value_or(result);
  do_filp_open.leave(outcome < 0 || !call.awaited(Hook::do_filp_open) ? outcome : static_cast<s64>(opened.address()));
  do_sys_openat2.leave(outcome);
}

// close
Path closing(Transit& call) {
  const Passing close_fd = call.enter(Hook::close_fd, [&](Arguments& a) {
    for (u32 n = 0; n < call.args().size(); ++n) a[n] = call.arg(n);
  });
  const Passing filp_close = enter_filp_close(call, call.arg(0));
  SocketClosing socket(call, static_cast<int>(call.arg(0)));
  const s64 result = co_await call.done();
  filp_close.leave(result);
  close_fd.leave(result);
  co_await call.left();
  socket.closed(result);
}

}  // namespace bpfemu
