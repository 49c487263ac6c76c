// SPDX-License-Identifier: Apache-2.0
// Operations that let attached programs run.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/fuzz/diff_state.h"

namespace bpfemu::fuzz {

namespace {

long result_of(long result) { return result < 0 ? -errno : result; }

void ask_group(Sequence& s) { s.say_result(getpgid(getpid()) < 0 ? -errno : 0); }

void rename_task(Sequence& s) {
  const std::string name = "task" + std::to_string(s.random().below(4));
  s.say_result(result_of(prctl(PR_SET_NAME, name.c_str())));
}

// What a program changed of a socket shows in its options.
void use_socket(Sequence& s) {
  Random& random = s.random();
  const int type = random.one_in(2) ? SOCK_STREAM : SOCK_DGRAM;
  const int fd = socket(AF_INET, type, 0);
  s.say(type == SOCK_STREAM ? "stream" : "datagrams");
  if (fd < 0) return s.say_result(-errno);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  s.say("bind");
  s.say_result(result_of(bind(fd, reinterpret_cast<sockaddr*>(&to), sizeof to)));
  int value = static_cast<int>(random.below(6));
  s.say("set");
  s.say_result(result_of(setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &value, sizeof value)));
  socklen_t size = sizeof value;
  s.say("get");
  s.say_result(result_of(getsockopt(fd, SOL_SOCKET, random.one_in(2) ? SO_MARK : SO_PRIORITY, &value, &size)));
  s.say(std::to_string(value) + "/" + std::to_string(size));
  to.sin_port = htons(9);
  if (type == SOCK_DGRAM) {
    s.say("connect");
    s.say_result(result_of(connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to)));
  }
  close(fd);
}

void open_device(Sequence& s) {
  const int fd = open("/dev/zero", s.random().one_in(2) ? O_RDONLY : O_RDWR);
  s.say_result(fd < 0 ? -errno : 0);
  if (fd >= 0) close(fd);
}

void read_sysctl(Sequence& s) {
  const int fd = open("/proc/sys/kernel/unprivileged_bpf_disabled", O_RDONLY);
  if (fd < 0) return s.say_result(-errno);
  char text[32] = {};
  const long size = result_of(read(fd, text, sizeof text));
  s.say_result(size);
  if (size > 0) s.say_bytes(text, static_cast<size_t>(size));
  close(fd);
}

// All that an iterator of the first such link gives.
void iterate(Sequence& s) {
  long fd = -1;
  for (int tries = 0; tries < kTries && fd < 0; ++tries) {
    int& link = s.link();
    s.say_name(link);
    bpf_attr attr{};
    attr.iter_create.link_fd = static_cast<u32>(link);
    if (s.random().one_in(16)) attr.iter_create.flags = 1;
    fd = call(BPF_ITER_CREATE, attr);
    if (fd < 0) s.say_result(fd);
  }
  if (fd < 0) return;
  u8 text[1024];
  for (int reads = 0; reads < 8; ++reads) {
    const long size = result_of(read(static_cast<int>(fd), text, s.random().one_in(3) ? 6 : sizeof text));
    s.say_result(size);
    if (size <= 0) break;
    s.say_bytes(text, static_cast<size_t>(size));
  }
  close(static_cast<int>(fd));
}

}  // namespace

const std::vector<Operation> kEventOperations = {{"getpgid", 4, ask_group},  {"rename", 3, rename_task}, {"socket", 5, use_socket},
                                                 {"device", 2, open_device}, {"sysctl", 2, read_sysctl}, {"iterate", 5, iterate}};

}  // namespace bpfemu::fuzz
