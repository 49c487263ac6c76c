// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/diff_state.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

namespace bpfemu::fuzz {

namespace {

constexpr u32 kPins = 3;

const Operation& choose(Random& random) {
  static const std::vector<Operation> all = [] {
    std::vector<Operation> list;
    for (const auto* part : {&kMapOperations, &kBulkOperations, &kPinOperations, &kProgOperations, &kLinkOperations, &kEventOperations})
      for (const Operation& operation : *part) list.insert(list.end(), operation.weight, operation);
    return list;
  }();
  return all[random.below(all.size())];
}

std::string hex(const u8* bytes, size_t size) {
  static const char digits[] = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < size; ++i) text += {digits[bytes[i] >> 4], digits[bytes[i] & 15]};
  return text;
}

void fix(int fd, int at) {
  dup2(fd, at);
  close(fd);
}

// One that may be in any map of sockets.
int listener() {
  const int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes);
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bind(fd, reinterpret_cast<sockaddr*>(&here), sizeof here);
  listen(fd, 1);
  return fd;
}

void join(const std::string& cgroup) {
  const int fd = open((cgroup + "/cgroup.procs").c_str(), O_WRONLY);
  if (write(fd, "0", 1) != 1) close(fd);
  close(fd);
}

}  // namespace

long call(int command, bpf_attr& attr) {
  long result = syscall(SYS_bpf, command, &attr, sizeof attr);
  return result < 0 ? -errno : result;
}

Sequence::Sequence(u64 seed) : seed_(seed), random_(seed), peer_(kSocketFd, kFirstPeerFd), joined_(seed % 4 == 0) {
  folder_ = "diff" + std::to_string(getpid());
  const std::string cgroup = "/sys/fs/cgroup/" + folder_;
  mkdir(cgroup.c_str(), 0755);
  mkdir(("/sys/fs/bpf/" + folder_).c_str(), 0700);
  fix(listener(), kSocketFd);
  fix(open(cgroup.c_str(), O_RDONLY | O_DIRECTORY), kCgroupFd);
  fix(open("/proc/self/ns/net", O_RDONLY), kNetnsFd);
  fix(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)), kTaskFd);
  if (joined_) join(cgroup);
}

Sequence::~Sequence() {
  peer_.end();
  for (u32 i = 0; i < kPins; ++i) unlink(("/sys/fs/bpf/" + folder_ + "/" + std::to_string(i)).c_str());
  rmdir(("/sys/fs/bpf/" + folder_).c_str());
  held_ = &main_;
  close_all();
  for (int fd = kSocketFd; fd < kFirstPeerFd; ++fd) close(fd);
  if (joined_) join("/sys/fs/cgroup");
  rmdir(("/sys/fs/cgroup/" + folder_).c_str());
}

void Sequence::close_all() {
  for (int& link : held_->links) close(link);
  for (HeldProg& prog : held_->progs) close(prog.fd);
  for (HeldMap& map : held_->maps) close(map.fd);
  *held_ = Held{};
}

std::string Sequence::pin() { return "/sys/fs/bpf/" + folder_ + "/" + std::to_string(random_.below(kPins)); }

void Sequence::run_one(void* pointer) {
  Sequence* self = static_cast<Sequence*>(pointer);
  self->operation_->run(*self);
}

void Sequence::run(u32 index) {
  index_ = index;
  random_ = Random(seed_ * 1000003 + index);
  // First there must be something.
  operation_ = index < 4 ? &kMapOperations[0] : index < 7 ? &kProgOperations[0] : &choose(random_);
  const u64 who = index < 7 ? 31 : random_.below(32);
  text_ += std::to_string(index);
  if (who < 2) {  // What the child made is gone with it, what it changed is not.
    say(std::string("child: ") + operation_->name);
    const Held before = main_;
    child_.run(run_one, this);
    main_ = before;
  } else if (who < 8) {
    say(std::string("peer: ") + operation_->name);
    held_ = &other_;
    peer_.run(run_one, this);
    held_ = &main_;
  } else if (who == 8) {
    say("peer ends");
    peer_.end();
    other_ = Held{};
  } else {
    say(operation_->name);
    run_one(this);
  }
  text_ += "\n";
}

void Sequence::say_result(long result) {
  if (result >= 0) return say("= " + std::to_string(result));
  const char* name = result == -524 ? "ENOTSUPP" : strerrorname_np(static_cast<int>(-result));
  say(std::string("= -") + (name ? name : std::to_string(-result)));
}

void Sequence::say_bytes(const void* data, size_t size) {
  const u8* bytes = static_cast<const u8*>(data);
  u64 hash = 14695981039346656037u;
  for (size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 1099511628211u;
  say(size <= 64 ? hex(bytes, size) : hex(bytes, 16) + ".." + std::to_string(hash));
}

void Sequence::say_id(Kind kind, u32 id) {
  const auto found = ids_.find({kind, id});
  say(found != ids_.end() ? found->second : id ? "?" : "0");
}

u32 Sequence::known_id(Kind kind) {
  const auto first = ids_.lower_bound({kind, 0}), last = ids_.upper_bound({kind, 0xffffffff});
  const u64 count = static_cast<u64>(std::distance(first, last));
  if (!count || random_.one_in(16)) return random_.one_in(2) ? 0 : 0x7ffffff0;
  return std::next(first, static_cast<long>(random_.below(count)))->first.second;
}

bool Sequence::is_held(Kind kind, u32 id) const {
  const auto is_it = [&](const auto& place) { return place.fd >= 0 && place.id == id; };
  for (const Held* held : {&main_, &other_}) {
    if (kind == Kind::kMap && std::ranges::any_of(held->maps, is_it)) return true;
    if (kind == Kind::kProg && std::ranges::any_of(held->progs, is_it)) return true;
  }
  return false;
}

u32 Sequence::keep(int& place, long fd) {
  if (fd < 0) {
    say_result(fd);
    return 0;
  }
  if (place >= 0) close(place);
  place = static_cast<int>(fd);
  say("= fd");
  char target[32] = {};  // "anon_inode:bpf-map"
  if (readlink(("/proc/self/fd/" + std::to_string(place)).c_str(), target, sizeof target - 1) < 0) return 0;
  const Kind kind = strstr(target, "map") ? Kind::kMap : strstr(target, "prog") ? Kind::kProg : Kind::kLink;
  u32 id[2] = {};  // of each kind the second member
  if (info_of(place, id) == 0) ids_.try_emplace({kind, id[1]}, "#" + std::to_string(index_));
  return id[1];
}

}  // namespace bpfemu::fuzz
