// SPDX-License-Identifier: Apache-2.0
// Operations that give an object to another process, or find it again: pins, ids, descriptors of another process.
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/fuzz/diff_state.h"

namespace bpfemu::fuzz {

namespace {

constexpr u32 kOpenFlags[] = {0, 0, 0, BPF_F_RDONLY, BPF_F_WRONLY, BPF_F_RDONLY | BPF_F_WRONLY, 1};

void keep_map(Sequence& s, HeldMap& map, long fd) {
  HeldMap got;
  got.fd = map.fd;
  got.id = s.keep(got.fd, fd);
  if (fd < 0) return;
  bpf_map_info info{};
  if (info_of(got.fd, info) == 0 && info.key_size <= 64 && info.value_size <= 256 && info.type <= BPF_MAP_TYPE_USER_RINGBUF)
    got.type = info.type, got.key_size = info.key_size, got.value_size = info.value_size, got.entries = info.max_entries;
  map = got;
}

void keep_prog(Sequence& s, HeldProg& prog, long fd) {
  HeldProg got;
  got.fd = prog.fd;
  got.id = s.keep(got.fd, fd);
  if (fd < 0) return;
  bpf_prog_info info{};
  if (info_of(got.fd, info) == 0) got.type = info.type;
  prog = got;
}

void pin(Sequence& s) {
  bpf_attr attr{};
  const u64 what = s.random().below(6);
  const int fd = what == 0 ? s.prog().fd : what == 1 ? s.link() : s.map().fd;
  const std::string path = s.pin();
  attr.bpf_fd = static_cast<u32>(fd);
  attr.pathname = address(path.c_str());
  s.say((what == 0 ? "prog to " : what == 1 ? "link to " : "map to ") + path.substr(path.size() - 1));
  s.say_result(call(BPF_OBJ_PIN, attr));
}

void get(Sequence& s) {
  bpf_attr attr{};
  const std::string path = s.pin();
  attr.pathname = address(path.c_str());
  attr.file_flags = s.random().pick(kOpenFlags);
  s.say(path.substr(path.size() - 1));
  s.say("flags", attr.file_flags);
  HeldMap& map = s.new_map();
  s.say_name(map);
  keep_map(s, map, call(BPF_OBJ_GET, attr));
}

void unpin(Sequence& s) {
  const std::string path = s.pin();
  s.say(path.substr(path.size() - 1));
  s.say_result(unlink(path.c_str()) ? -errno : 0);
}

void map_by_id(Sequence& s) {
  HeldMap& map = s.new_map();
  bpf_attr attr{};
  attr.map_id = s.known_id(Kind::kMap);
  attr.open_flags = s.random().pick(kOpenFlags);
  s.say_name(map);
  s.say_id(Kind::kMap, attr.map_id);
  s.say("flags", attr.open_flags);
  if (attr.map_id && !s.is_held(Kind::kMap, attr.map_id)) return;
  keep_map(s, map, call(BPF_MAP_GET_FD_BY_ID, attr));
}

void prog_by_id(Sequence& s) {
  HeldProg& prog = s.new_prog();
  bpf_attr attr{};
  attr.prog_id = s.known_id(Kind::kProg);
  s.say_name(prog);
  s.say_id(Kind::kProg, attr.prog_id);
  if (attr.prog_id && !s.is_held(Kind::kProg, attr.prog_id)) return;
  keep_prog(s, prog, call(BPF_PROG_GET_FD_BY_ID, attr));
}

void link_by_id(Sequence& s) {
  int& link = s.new_link();
  bpf_attr attr{};
  attr.link_id = s.known_id(Kind::kLink);
  s.say_name(link);
  s.say_id(Kind::kLink, attr.link_id);
  s.keep(link, call(BPF_LINK_GET_FD_BY_ID, attr));
}

void next_id(Sequence& s) {
  static constexpr int commands[] = {BPF_MAP_GET_NEXT_ID, BPF_PROG_GET_NEXT_ID, BPF_LINK_GET_NEXT_ID};
  const u64 which = s.random().below(3);
  const Kind kind = static_cast<Kind>(which);
  bpf_attr attr{};
  attr.start_id = s.known_id(kind);
  s.say("kind", which);
  s.say_id(kind, attr.start_id);
  long result = call(commands[which], attr);
  while (result == 0 && kind != Kind::kLink && !s.is_held(kind, attr.next_id)) {
    attr.start_id = attr.next_id;
    result = call(commands[which], attr);
  }
  s.say_result(result);
  if (result == 0) s.say_id(kind, attr.next_id);
}

// A number that is one in the process with kTaskFd, from either.
void fetch(Sequence& s) {
  HeldMap &from = s.map(), &to = s.new_map();
  s.say_name(from);
  s.say_name(to);
  const long fd = syscall(SYS_pidfd_getfd, kTaskFd, from.fd, 0);
  if (fd < 0) return s.say_result(-errno);
  bpf_map_info info{};
  if (info_of(static_cast<int>(fd), info) == 0 && info.type <= BPF_MAP_TYPE_USER_RINGBUF) return keep_map(s, to, fd);
  s.say("none");
  close(static_cast<int>(fd));
}

}  // namespace

const std::vector<Operation> kPinOperations = {{"pin", 4, pin},           {"get", 4, get},           {"unpin", 1, unpin},
                                               {"map by id", 4, map_by_id}, {"prog by id", 3, prog_by_id}, {"link by id", 2, link_by_id},
                                               {"next id", 2, next_id},   {"fetch", 2, fetch}};

}  // namespace bpfemu::fuzz
