// SPDX-License-Identifier: Apache-2.0
// Calls that move bytes from one file to another within the kernel, through a pipe of its own or one of the caller's.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "emu/hook/open_file.h"
#include "emu/hook/paths.h"
#include "emu/hook/socket_parts.h"

namespace bpfemu {

namespace {

constexpr u64 kPage = 4096, kRoom = 16 * kPage;  // kernel: PIPE_DEF_BUFFERS
constexpr u64 kMostBytes = 0x7ffff000;           // kernel: MAX_RW_COUNT

// A run of bytes that goes through the pipe at once.
struct Piece {
  u64 offset, size;  // in the first page
  bool more, last;   // is more wanted; is it the last that was moved
};

// What goes from a file or a pipe into a TCP socket does so by pages (kernel: pipe_to_sendpage, tcp_sendpage).
class PageSending {
 public:
  PageSending(Transit& call, int fd) : call_(call), tcp_(call), socket_(awaited_socket(call, fd)), fd_(fd) {
    if (socket_ && !socket_->facts.is_tcp()) socket_.reset();
    if (!socket_) return;
    tcp_.catch_up(*socket_, socket_->facts.state);
    if (socket_->facts.peer_known) peer_ = tcp_.sockets().peer_of(call.task(), *socket_);
    tcp_.exchange(*socket_, peer_.get());
  }

  // The bytes have gone.
  void look_again() {
    if (!socket_) return;
    (void)tcp_.sockets().behind(call_.task(), fd_);
    if (peer_) peer_->facts = tcp_.sockets().look_again(&call_.task(), *peer_);
  }

  void pass(const Piece& piece) {
    if (!socket_) return;
    u64 offset = piece.offset;
    for (u64 left = piece.size; left > 0; offset = 0) {
      const u64 size = std::min(left, kPage - offset);
      left -= size;
      const Passing tcp_sendpage = call_.enter(Hook::tcp_sendpage, [&](Arguments& a) {
        a[0] = tcp_.sock(*socket_);
        a[2] = offset;
        a[3] = size;
        a[4] = (piece.more ? kMore : 0) | (left ? kNotLast : 0);
      });
      if (piece.last && left == 0) tcp_.exchange(*socket_, peer_.get());
      tcp_sendpage.leave(static_cast<s64>(size));
    }
    if (piece.last) tcp_.catch_up(*socket_, socket_->facts.state);
  }

 private:
  static constexpr u64 kMore = 0x8000, kNotLast = 0x20000;  // MSG_MORE, MSG_SENDPAGE_NOTLAST
  Transit& call_;
  Tcp tcp_;
  SocketRef socket_, peer_;
  int fd_;
};

u32 kind(OpenFile& file) {
  return file.facts() ? file.facts()->inode.mode & S_IFMT : 0;
}

bool appends(OpenFile& file) {
  return file.facts() && file.facts()->flags & O_APPEND;
}

// Its own splice_read() and splice_write() are the generic ones, and it clones nothing.
bool is_plain(OpenFile& file) {
  return file.is_regular_on("ext4") || file.is_regular_on("tmpfs");
}

// What is written to it comes by nothing else that is told, or by what is known.
bool takes_plainly(OpenFile& file) {
  return is_plain(file) || kind(file) == S_IFSOCK || file.is_device(1, 3, 3);
}

// Where: at the user's place, or the file's own.
u64 position_of(Transit& call, OpenFile& file, u64 user) {
  s64 given = 0;
  if (user)
    (void)call.task().read(user, &given, sizeof given);
  else if (file.facts())
    given = file.facts()->pos;
  return static_cast<u64>(given);
}

constexpr u8 kIterPages = 2, kIterPipe = 3;  // ITER_BVEC, ITER_PIPE

u64 own_kiocb(Transit& call, OpenFile& file, u64 position) {
  const KernelObject kiocb = local(call, "kiocb");
  kiocb.set("ki_filp", file.address());
  kiocb.set("ki_pos", position);
  return kiocb.address();
}

u64 own_iter(Transit& call, u8 type, u64 size) {
  const KernelObject iter = local(call, "iov_iter");
  iter.set("iter_type", type);
  iter.set("data_source", u8{type == kIterPages});
  iter.set("count", size);
  return iter.address();
}

// What is read goes into the pipe (kernel: generic_file_splice_read).
void pass_read(Transit& call, OpenFile& from, u64 position, u64 wanted, s64 result) {
  if (!call.awaited(Hook::ext4_file_read_iter) || !from.is_regular_on("ext4")) return;
  call.enter(Hook::ext4_file_read_iter,
             [&](Arguments& a) {
               a.lazily(0, [&] { return own_kiocb(call, from, position); });
               a.lazily(1, [&] { return own_iter(call, kIterPipe, std::min(wanted, kRoom)); });
             })
      .leave(result);
}

// The pipe's pages go to the file (kernel: iter_file_splice_write), whose place they move.
void pass_write(Transit& call, OpenFile& to, u64& position, u64 size) {
  u64 iter = 0;
  const auto pages = [&] { return iter ? iter : iter = own_iter(call, kIterPages, size); };
  const Passing vfs_iter_write = call.enter(Hook::vfs_iter_write, [&](Arguments& a) {
    a.lazily(0, [&] { return to.address(); });
    a.lazily(1, pages);
    a.lazily(2, [&] { return call.place(position); });
  });
  ask_to_write(call, to);
  if (call.awaited(Hook::ext4_file_write_iter) && to.is_regular_on("ext4"))
    call.enter(Hook::ext4_file_write_iter,
               [&](Arguments& a) {
                 a.lazily(0, [&] { return own_kiocb(call, to, position); });
                 a.lazily(1, pages);
               })
        .leave(static_cast<s64>(size));
  vfs_iter_write.leave(static_cast<s64>(size));
  position += size;
}

// kernel: do_splice_direct, as far as it comes before anything has moved
void ask_beforehand(Transit& call, OpenFile& from, OpenFile& to, u64 wanted) {
  if (appends(to)) return;
  ask_to_write(call, to);
  if (wanted && (kind(from) == S_IFREG || kind(from) == S_IFBLK)) ask_to_read(call, from);
}

// kernel: splice_direct_to_actor, when it is known how much has moved. The first read has been told.
template <class Pass>
void pass_pieces(Transit& call, OpenFile& from, u64 position, u64 wanted, s64 moved, Pass&& pass) {
  if (moved == 0 && wanted > 0) pass_read(call, from, position, wanted, 0);
  if (moved <= 0) return;
  for (u64 left = static_cast<u64>(moved), first = left; left > 0;) {
    if (left != first) ask_to_read(call, from);
    const u64 size = std::min(left, kRoom - position % kPage);
    pass_read(call, from, position, wanted, static_cast<s64>(size));
    left -= size;
    wanted -= std::min(wanted, size);
    pass(Piece{position % kPage, size, wanted > 0, left == 0});
    position += size;
  }
  const bool at_end = from.facts() && position >= from.facts()->inode.size;
  if (wanted > 0 && at_end) {
    ask_to_read(call, from);
    pass_read(call, from, position, wanted, 0);
  }
  if (call.denial()) call.services().unmodelled.note("a denial in the middle of a transfer from file to file");
}

}  // namespace

// sendfile (kernel: do_sendfile)
Path sending_file(Transit& call) {
  OpenFile from(call, call.arg(1)), to(call, call.arg(0));
  const u64 wanted = std::min(call.arg(3), kMostBytes);
  const bool seeks = call.arg(2) != 0;
  if (!from.readable() || (seeks && from.is_stream()) || static_cast<s64>(call.arg(3)) < 0) co_return;
  PageSending pages(call, static_cast<int>(call.arg(0)));
  ask_to_read(call, from);
  if (!to.writable()) co_return;
  if (!is_plain(from) || !(takes_plainly(to) || kind(to) == S_IFIFO)) call.untold(Hook::security_file_permission);
  if (kind(to) == S_IFIFO) {
    ask_to_read(call, from);  // kernel: splice_file_to_pipe
    const u64 position = position_of(call, from, call.arg(2));
    const s64 moved = co_await call.done();
    if (moved >= 0) pass_read(call, from, position, wanted, moved);
    co_return;
  }
  ask_to_write(call, to);
  ask_beforehand(call, from, to, wanted);
  const u64 position = position_of(call, from, call.arg(2));
  u64 target = position_of(call, to, 0);
  const bool writes = kind(to) == S_IFREG;
  if (writes && !is_plain(to)) call.untold(Hook::vfs_iter_write);
  const s64 moved = co_await call.done();
  pages.look_again();
  pass_pieces(call, from, position, wanted, moved, [&](const Piece& piece) {
    pages.pass(piece);
    if (writes) pass_write(call, to, target, piece.size);
  });
}

// splice (kernel: do_splice). A pipe's pages have been filled from their beginning, the last one first of all.
Path splicing(Transit& call) {
  OpenFile from(call, call.arg(0)), to(call, call.arg(2));
  const bool from_pipe = kind(from) == S_IFIFO, to_pipe = kind(to) == S_IFIFO;
  const bool possible = from.readable() && to.writable() && from_pipe != to_pipe && static_cast<s64>(call.arg(4)) > 0;
  if (!possible) co_return;
  if (to_pipe) {
    if (!is_plain(from)) call.untold(Hook::security_file_permission);
    if (call.arg(3) || (call.arg(1) && from.is_stream())) co_return;
    ask_to_read(call, from);
    const u64 position = position_of(call, from, call.arg(1));
    const s64 moved = co_await call.done();
    if (moved >= 0) pass_read(call, from, position, call.arg(4), moved);
    co_return;
  }
  if (call.arg(1) || (call.arg(3) && to.is_stream()) || appends(to)) co_return;
  PageSending pages(call, static_cast<int>(call.arg(2)));
  if (!takes_plainly(to)) call.untold(Hook::security_file_permission);
  ask_to_write(call, to);
  const bool writes = kind(to) == S_IFREG;
  u64 target = position_of(call, to, call.arg(3));
  if (writes && !is_plain(to)) call.untold(Hook::vfs_iter_write);
  const s64 moved = co_await call.done();
  if (moved <= 0) co_return;
  const u64 size = static_cast<u64>(moved), first = size % kPage;
  pages.look_again();
  pages.pass({first ? kPage - first : 0, size, false, true});
  if (writes) pass_write(call, to, target, size);
}

// copy_file_range
Path copying(Transit& call) {
  OpenFile from(call, call.arg(0)), to(call, call.arg(2));
  if (!from.usable() || !to.usable() || static_cast<u32>(call.arg(5))) co_return;
  const u64 begin = position_of(call, from, call.arg(1));
  u64 target = position_of(call, to, call.arg(3));
  const Passing vfs_copy_file_range = call.enter(Hook::vfs_copy_file_range, [&](Arguments& a) {
    a.lazily(0, [&] { return from.address(); });
    a[1] = begin;
    a.lazily(2, [&] { return to.address(); });
    a[3] = target;
    a[4] = call.arg(4);
    a[5] = call.arg(5);
  });
  // kernel: generic_copy_file_checks
  const FileFacts *source = from.facts(), *sink = to.facts();
  const u64 there = source && begin < source->inode.size ? source->inode.size - begin : 0;
  const u64 wanted = std::min({call.arg(4), there, kMostBytes});
  const bool same = source && sink && source->mount->dev == sink->mount->dev;
  const bool overlaps =
      same && source->inode.ino == sink->inode.ino && target < begin + wanted && begin < target + wanted;
  const bool possible =
      same && from.readable() && to.writable() && source->regular() && sink->regular() && !appends(to) && !overlaps;
  if (possible) {
    ask_to_read(call, from);
    ask_to_write(call, to);
  }
  const bool spliced = possible && wanted > 0;
  if (spliced && !(is_plain(from) && is_plain(to))) call.untold(Hook::security_file_permission);
  if (spliced && !is_plain(to)) call.untold(Hook::vfs_iter_write);
  if (spliced) ask_beforehand(call, from, to, wanted);
  const s64 moved = co_await call.done();
  if (spliced)
    pass_pieces(call, from, begin, wanted, moved, [&](const Piece& piece) { pass_write(call, to, target, piece.size); });
  vfs_copy_file_range.leave(call.denial().value_or(moved));
}

}  // namespace bpfemu
