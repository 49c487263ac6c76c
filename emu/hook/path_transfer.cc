// SPDX-License-Identifier: Apache-2.0
// Calls that read and write files, from the descriptor to the file system's own function.
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <algorithm>
#include <climits>

#include "emu/hook/open_file.h"
#include "emu/hook/paths.h"
#include "emu/hook/socket_parts.h"
#include "emu/hook/task_name.h"

namespace bpfemu {

namespace {

constexpr u64 kTaskSize = 0x7ffffffff000;       // TASK_SIZE_MAX
constexpr u64 kMostBytes = 0x7ffff000;          // kernel: MAX_RW_COUNT
constexpr u8 kIterVector = 0, kIterBuffer = 6;  // kernel: ITER_IOVEC, ITER_UBUF
constexpr s32 kWaitAppend = 0x10, kSync = 0x2 | 0x4, kDataSync = 0x2, kDirect = 1 << 17;  // kernel: IOCB_*

// What reading and writing differ in.
struct Direction {
  bool writes;
  Hook ksys, vfs, vfs_vector, ext4, pipe, socket;
};
constexpr Direction kReads = {
    false,           Hook::ksys_read,      Hook::vfs_read, Hook::vfs_readv, Hook::ext4_file_read_iter,
    Hook::pipe_read, Hook::sock_read_iter,
};
constexpr Direction kWrites = {
    true,             Hook::ksys_write,      Hook::vfs_write, Hook::vfs_writev, Hook::ext4_file_write_iter,
    Hook::pipe_write, Hook::sock_write_iter,
};

// What a call asks for.
struct Transfer {
  u64 fd = 0, data = 0, count = 0;  // of bytes, or of vectors
  bool is_vector = false;
  std::optional<s64> position = {};  // none: the file's own
  s32 flags = 0;                     // RWF_*
  std::vector<iovec> vectors = {};
  bool valid = true;  // access_ok(), import_iovec()

  u64 first_buffer() const {
    return !is_vector ? data : vectors.empty() ? 0 : reinterpret_cast<u64>(vectors[0].iov_base);
  }
};

Transfer transfer_of(const Transit& call) {
  Transfer wanted{.fd = call.arg(0), .data = call.arg(1), .count = call.arg(2)};
  switch (call.number()) {
    case SYS_pread64:
    case SYS_pwrite64:
    case SYS_preadv:
    case SYS_pwritev: wanted.position = static_cast<s64>(call.arg(3)); break;
    case SYS_preadv2:
    case SYS_pwritev2:
      if (call.arg(3) != ~u64{0}) wanted.position = static_cast<s64>(call.arg(3));
      wanted.flags = static_cast<s32>(call.arg(5));
      break;
    default:;
  }
  const long number = call.number();
  wanted.is_vector = number == SYS_readv || number == SYS_writev || number == SYS_preadv || number == SYS_pwritev ||
                     number == SYS_preadv2 || number == SYS_pwritev2;
  if (!wanted.is_vector) {
    wanted.valid = wanted.data <= kTaskSize && wanted.count <= kTaskSize - wanted.data;
    return wanted;
  }
  wanted.valid = wanted.count <= IOV_MAX;
  if (!wanted.valid) return wanted;
  wanted.vectors.resize(wanted.count);
  wanted.valid = wanted.count == 0 ||
                 call.task().read(wanted.data, wanted.vectors.data(), wanted.count * sizeof(iovec)).has_value();
  wanted.valid &= std::ranges::all_of(wanted.vectors, [](const iovec& each) { return each.iov_len <= SSIZE_MAX; });
  return wanted;
}

// Without a position of its own preadv2 is readv.
long route_of(const Transit& call, const Transfer& wanted, OpenFile& file) {
  long number = call.number();
  if (wanted.position) return number;
  if (number == SYS_preadv2) number = SYS_readv;
  if (number == SYS_pwritev2) number = SYS_writev;
  return file.is_stream() ? number | kOfStream : number;
}

u64 bytes_of(const Transfer& wanted) {
  if (!wanted.is_vector) return wanted.count;
  u64 bytes = 0;
  for (const iovec& each : wanted.vectors) bytes += each.iov_len;
  return bytes;
}

s32 iocb_flags(OpenFile& file, s32 given) {
  const FileFacts* facts = file.facts();
  const u32 flags = facts ? facts->flags : 0;
  if (flags & O_APPEND) given |= kWaitAppend;
  if (flags & O_DIRECT) given |= kDirect;
  if ((flags & O_SYNC) == O_SYNC) return given | kSync;
  return flags & O_DSYNC ? given | kDataSync : given;
}

u64 kiocb(Transit& call, OpenFile& file, const Transfer& wanted) {
  const KernelObject kiocb = local(call, "kiocb");
  const FileFacts* facts = file.facts();
  kiocb.set("ki_filp", file.address());
  kiocb.set("ki_pos", wanted.position.value_or(facts && !file.is_stream() ? facts->pos : 0));
  kiocb.set("ki_flags", iocb_flags(file, wanted.flags));
  return kiocb.address();
}

KernelObject iov_iter(Transit& call, const Transfer& wanted, bool writes) {
  const KernelObject iter = local(call, "iov_iter");
  iter.set("data_source", u8{writes});
  iter.set("user_backed", u8{1});
  if (!wanted.is_vector) {
    iter.set("iter_type", kIterBuffer);
    iter.set("ubuf", wanted.data);
    iter.set("count", std::min(wanted.count, kMostBytes));
    return iter;
  }
  const u64 copy = call.place_zeroed(wanted.count * sizeof(iovec));
  if (copy) std::copy(wanted.vectors.begin(), wanted.vectors.end(), reinterpret_cast<iovec*>(copy));
  iter.set("iter_type", kIterVector);
  iter.set("iov", copy);
  iter.set("nr_segs", wanted.count);
  iter.set("count", std::min(bytes_of(wanted), kMostBytes));
  return iter;
}

// A file below /proc/sys.
bool is_setting(OpenFile& file) {
  return file.is_regular_on("proc") && file.facts()->path.starts_with("/sys/");
}

// The file's own read_iter() or write_iter(), if it is one that can be listened to.
std::optional<Hook> own_function(Transit& call, OpenFile& file, const Direction& way) {
  if (call.awaited(way.ext4) && file.is_regular_on("ext4")) return way.ext4;
  if (call.awaited(way.pipe) && file.is(S_IFIFO)) return way.pipe;
  if (call.awaited(way.socket) && file.is(S_IFSOCK)) return way.socket;
  if (way.writes && call.awaited(Hook::tty_write) &&
      (file.is_device(4, 0, 255) || file.is_device(5, 0, 0) || file.is_device(136, 0, 0xfffff)))
    return Hook::tty_write;
  const Hook setting = way.writes ? Hook::proc_sys_write : Hook::proc_sys_read;
  if (call.awaited(setting) && is_setting(file)) return setting;
  if (!way.writes && call.awaited(Hook::urandom_read_iter) && file.is_device(1, 9, 9)) return Hook::urandom_read_iter;
  return std::nullopt;
}

Path transferring(Transit& call, const Direction way) {
  Passing ksys;
  if (call.number() == SYS_read || call.number() == SYS_write)
    ksys = call.enter(way.ksys, [&](Arguments& a) {
      for (u32 n = 0; n < call.args().size(); ++n) a[n] = call.arg(n);
    });
  const Transfer wanted = transfer_of(call);
  OpenFile file(call, wanted.fd);
  const bool placed = !wanted.position || (*wanted.position >= 0 && !file.is_stream());
  if (!file.usable() || !placed) {
    ksys.leave(co_await call.done());
    co_return;
  }
  call.goes_like([&call, &wanted, &file] { return route_of(call, wanted, file); });
  u64 position = 0;
  const Passing vfs = call.enter(wanted.is_vector ? way.vfs_vector : way.vfs, [&](Arguments& a) {
    a.lazily(0, [&] { return file.address(); });
    a[1] = wanted.data;
    a[2] = wanted.count;
    a.lazily(3, [&] {
      if (wanted.position) return position = call.place(*wanted.position);
      return file.is_stream() ? u64{0} : position = call.place(file.facts()->pos);
    });
    a[4] = wanted.is_vector ? static_cast<u64>(wanted.flags) : 0;
  });
  Passing own;
  KernelObject iter;
  const bool asks = wanted.valid && (!wanted.is_vector || bytes_of(wanted) > 0);
  if (asks && (way.writes ? file.writable() : file.readable())) {
    way.writes ? ask_to_write(call, file) : ask_to_read(call, file);
    // A layered file system does it again with the file below.
    const Hook again = way.writes ? Hook::vfs_iter_write : Hook::vfs_iter_read;
    if (call.awaited(again) && file.is_regular_on("overlay")) call.untold(again);
    if (const auto function = own_function(call, file, way))
      own = call.enter(*function, [&](Arguments& a) {
        a.lazily(0, [&] { return kiocb(call, file, wanted); });
        a.lazily(1, [&] { return (iter = iov_iter(call, wanted, way.writes)).address(); });
      });
  }
  // What is a socket adds its own way.
  std::optional<SocketSending> sending;
  std::optional<SocketReceiving> receiving;
  const Message message{.size = bytes_of(wanted)};
  if (way.writes)
    sending.emplace(call, static_cast<int>(wanted.fd), message);
  else
    receiving.emplace(call, static_cast<int>(wanted.fd), message, wanted.first_buffer());
  const auto renamed = way.writes ? renamed_by_writing(call, file) : std::nullopt;
  const s64 result = co_await call.done();
  if (renamed && result > 0)
    pass_rename(call, *renamed, name_of(renamed->tid), false);
  if (sending) sending->done(result);
  if (receiving) receiving->done(result);
  if (position && result > 0) *reinterpret_cast<s64*>(position) += result;
  // What is left of it.
  if (iter && result > 0) iter.set("count", std::min(bytes_of(wanted), kMostBytes) - static_cast<u64>(result));
  if (way.writes && result > 0 && call.awaited(wanted.is_vector ? way.vfs_vector : way.vfs)) file.look_again();
  own.leave(result);
  vfs.leave(result);
  ksys.leave(result);
}

}  // namespace

// read, pread64, readv, preadv, preadv2
Path reading(Transit& call) {
  return transferring(call, kReads);
}

// write, pwrite64, writev, pwritev, pwritev2
Path writing(Transit& call) {
  return transferring(call, kWrites);
}

// fsync, fdatasync: the second has vfs_fsync_range inlined.
Path syncing(Transit& call) {
  OpenFile file(call, call.arg(0));
  if (!file.usable()) co_return;
  const bool data_only = call.number() == SYS_fdatasync;
  auto range = [&](Arguments& a) {
    a.lazily(0, [&] { return file.address(); });
    a[2] = LLONG_MAX;
    a[3] = data_only;
  };
  Passing vfs, own;
  if (!data_only) vfs = call.enter(Hook::vfs_fsync_range, range);
  if (call.awaited(Hook::ext4_sync_file) &&
      (file.is_regular_on("ext4") || (file.facts() && file.facts()->folder() && file.facts()->mount->type == "ext4")))
    own = call.enter(Hook::ext4_sync_file, range);
  const s64 result = co_await call.done();
  own.leave(result);
  vfs.leave(result);
}

// getdents, getdents64
Path listing(Transit& call) {
  OpenFile file(call, call.arg(0));
  if (file.usable() && file.facts() && file.facts()->folder()) ask_to_read(call, file);
  co_return;
}

// fallocate
Path allocating(Transit& call) {
  OpenFile file(call, call.arg(0));
  if (!file.usable()) co_return;
  const Passing vfs_fallocate = call.enter(Hook::vfs_fallocate, [&](Arguments& a) {
    a.lazily(0, [&] { return file.address(); });
    for (u32 n = 1; n < 4; ++n) a[n] = call.arg(n);
  });
  const s64 offset = static_cast<s64>(call.arg(2)), length = static_cast<s64>(call.arg(3));
  if (offset >= 0 && length > 0 && file.writable()) ask_to_write(call, file);
  vfs_fallocate.leave(co_await call.done());
}

}  // namespace bpfemu
