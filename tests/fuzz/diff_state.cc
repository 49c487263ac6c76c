// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/diff_state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

namespace bpfemu::fuzz {

namespace {

const Operation& choose(Random& random) {
  static const std::vector<Operation> all = [] {
    std::vector<Operation> list;
    for (const auto* part : {&kMapOperations, &kProgOperations, &kLinkOperations})
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

}  // namespace

long call(int command, bpf_attr& attr) {
  long result = syscall(SYS_bpf, command, &attr, sizeof attr);
  return result < 0 ? -errno : result;
}

Sequence::Sequence(u64 seed) : seed_(seed), random_(seed) {
  folder_ = "diff" + std::to_string(getpid());
  mkdir(("/sys/fs/cgroup/" + folder_).c_str(), 0755);
  cgroup_ = open(("/sys/fs/cgroup/" + folder_).c_str(), O_RDONLY | O_DIRECTORY);
  mkdir(("/sys/fs/bpf/" + folder_).c_str(), 0700);
}

Sequence::~Sequence() {
  for (int i = 0; i < 3; ++i) unlink(("/sys/fs/bpf/" + folder_ + "/" + std::to_string(i)).c_str());
  rmdir(("/sys/fs/bpf/" + folder_).c_str());
  for (int& link : links_) close(link);
  for (HeldProg& prog : progs_) close(prog.fd);
  for (HeldMap& map : maps_) close(map.fd);
  close(cgroup_);
  rmdir(("/sys/fs/cgroup/" + folder_).c_str());
}

std::string Sequence::pin() { return "/sys/fs/bpf/" + folder_ + "/" + std::to_string(random_.below(3)); }

void Sequence::run(u32 index) {
  index_ = index;
  random_ = Random(seed_ * 1000003 + index);
  // First there must be something.
  const Operation& operation = index < 4 ? kMapOperations[0] : index < 7 ? kProgOperations[0] : choose(random_);
  const bool in_child = random_.one_in(12);
  text_ += std::to_string(index) + (in_child ? " child: " : " ") + operation.name;
  if (!in_child) {
    operation.run(*this);
    text_ += "\n";
    return;
  }
  // What the child made is gone with it, what it changed is not.
  int ends[2];
  if (pipe(ends)) return;
  const pid_t child = fork();
  if (child == 0) {
    text_.clear();
    operation.run(*this);
    text_ += "\n";
    const bool all = write(ends[1], text_.data(), text_.size()) == static_cast<ssize_t>(text_.size());
    _exit(all ? 0 : 1);
  }
  close(ends[1]);
  char part[4096];
  for (ssize_t count; (count = read(ends[0], part, sizeof part)) > 0;) text_.append(part, static_cast<size_t>(count));
  close(ends[0]);
  waitpid(child, nullptr, 0);
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

void Sequence::keep(int& place, long fd) {
  if (fd < 0) return say_result(fd);
  if (place >= 0) close(place);
  place = static_cast<int>(fd);
  say("= fd");
  char target[32] = {};  // "anon_inode:bpf-map"
  if (readlink(("/proc/self/fd/" + std::to_string(place)).c_str(), target, sizeof target - 1) < 0) return;
  const Kind kind = strstr(target, "map") ? Kind::kMap : strstr(target, "prog") ? Kind::kProg : Kind::kLink;
  u32 id[2] = {};  // of each kind the second member
  bpf_attr attr{};
  attr.info.bpf_fd = static_cast<u32>(place);
  attr.info.info_len = 8;
  attr.info.info = address(id);
  if (call(BPF_OBJ_GET_INFO_BY_FD, attr) == 0) ids_.try_emplace({kind, id[1]}, "#" + std::to_string(index_));
}

}  // namespace bpfemu::fuzz
