// SPDX-License-Identifier: Apache-2.0
// Iterators: what each target wants of its link, and how the file of one behaves.
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "tests/oracle/oracle.h"

namespace oracle {

namespace {

// All but ipv6_route and netlink, which are not modelled.
constexpr const char* kTargets[] = {"bpf_map", "bpf_map_elem", "bpf_prog", "bpf_link", "bpf_sk_storage_map", "cgroup", "ksym",
                                    "sockmap", "task", "task_file", "task_vma", "tcp", "udp", "unix"};

long load_iterator(const std::string& target, const Program& program, u32 flags = 0) {
  bpf_attr attr = prog_attr(BPF_PROG_TYPE_TRACING, program);
  attr.expected_attach_type = BPF_TRACE_ITER;
  attr.attach_btf_id = kernel_type(BTF_KIND_FUNC, "bpf_iter_" + target).id;
  attr.prog_flags = flags;
  return bpf(BPF_PROG_LOAD, attr);
}

long link(int program, const void* info, u32 size, u32 flags = 0, u32 target = 0) {
  bpf_attr attr{};
  attr.link_create.prog_fd = static_cast<u32>(program);
  attr.link_create.target_fd = target;
  attr.link_create.attach_type = BPF_TRACE_ITER;
  attr.link_create.flags = flags;
  attr.link_create.iter_info = ptr(info);
  attr.link_create.iter_info_len = size;
  return bpf(BPF_LINK_CREATE, attr);
}

long create(int link, u32 flags = 0) {
  bpf_attr attr{};
  attr.iter_create.link_fd = static_cast<u32>(link);
  attr.iter_create.flags = flags;
  return bpf(BPF_ITER_CREATE, attr);
}

// Writes `text` for each object.
Program writes(const char (&text)[9]) {
  u64 word;
  memcpy(&word, text, sizeof word);
  return {load(BPF_REG_1, BPF_REG_1, 0, BPF_DW),  // ctx->meta
          load(BPF_REG_1, BPF_REG_1, 0, BPF_DW),  // meta->seq
          insn(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_2, 0, 0, static_cast<int>(word)),
          insn(0, 0, 0, 0, static_cast<int>(word >> 32)),
          insn(BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, BPF_REG_2, -8, 0),
          mov_reg(BPF_REG_2, BPF_REG_10),
          add(BPF_REG_2, -8),
          mov(BPF_REG_3, 8),
          call(BPF_FUNC_seq_write),
          mov(BPF_REG_0, 0),
          leave()};
}

void ask_link_info(const std::string& target, int program) {
  const std::string name = "iterator/" + target;
  bpf_iter_link_info info{};
  say(name + " without", fd_text(link(program, nullptr, 0)));
  for (u32 size : {1u, 4u, 8u, 12u, 16u, 17u, 64u, 4096u, 5000u}) {
    u8 room[8192] = {};
    say(name + " with zeros of " + std::to_string(size), fd_text(link(program, room, size)));
    room[size - 1] = 1;
    say(name + " with a last byte of " + std::to_string(size), fd_text(link(program, room, size)));
  }
  say(name + " with no place", fd_text(link(program, nullptr, sizeof info)));
  say(name + " with a bad place", fd_text(link(program, reinterpret_cast<void*>(8), sizeof info)));
  say(name + " with a place of no length", fd_text(link(program, &info, 0)));
  say(name + " with a flag", fd_text(link(program, nullptr, 0, 1)));
  say(name + " with a target", fd_text(link(program, nullptr, 0, 0, 1)));
  for (u32 word = 0; word < 4; ++word) {
    for (u32 value : {1u, 2u, 4u, 0x7ffffffeu, ~0u}) {
      u32 words[4] = {};
      words[word] = value;
      say(name + " word " + std::to_string(word) + " " + std::to_string(value), fd_text(link(program, words, sizeof words)));
    }
  }
  for (u32 type : {BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_PERCPU_HASH, BPF_MAP_TYPE_PERCPU_ARRAY, BPF_MAP_TYPE_LRU_HASH,
                   BPF_MAP_TYPE_LRU_PERCPU_HASH, BPF_MAP_TYPE_PROG_ARRAY, BPF_MAP_TYPE_PERF_EVENT_ARRAY, BPF_MAP_TYPE_QUEUE,
                   BPF_MAP_TYPE_RINGBUF, BPF_MAP_TYPE_SOCKMAP, BPF_MAP_TYPE_SOCKHASH, BPF_MAP_TYPE_DEVMAP, BPF_MAP_TYPE_LPM_TRIE}) {
    MapSpec spec{type};
    if (type == BPF_MAP_TYPE_QUEUE) spec.key = 0;
    if (type == BPF_MAP_TYPE_RINGBUF) spec = {type, 0, 0, 4096};
    if (type == BPF_MAP_TYPE_LPM_TRIE) spec = {type, 8, 4, 4, BPF_F_NO_PREALLOC};
    int map = make_map(spec);
    info = {};
    info.map.map_fd = static_cast<u32>(map);
    say(name + " over map type " + std::to_string(type), fd_text(link(program, &info, sizeof info)));
    close(map);
  }
}

std::string read_text(int fd, size_t size) {
  char buffer[16384];
  ssize_t n = read(fd, buffer, size);
  if (n < 0) return text(-errno);
  std::string answer = std::to_string(n) + " ";
  for (ssize_t i = 0; i < n; ++i) answer += buffer[i] == '\n' ? '|' : buffer[i];
  return answer;
}

void ask_file_calls(int file) {
  char byte = 'x';
  iovec part{&byte, 1};
  struct stat st {};
  say("iterator file/write", write(file, &byte, 1) < 0 ? -errno : 0);
  say("iterator file/lseek", lseek(file, 0, SEEK_SET) < 0 ? -errno : 0);
  say("iterator file/pread", pread(file, &byte, 1, 0) < 0 ? -errno : 0);
  say("iterator file/pwrite", pwrite(file, &byte, 1, 0) < 0 ? -errno : 0);
  say("iterator file/writev", writev(file, &part, 1) < 0 ? -errno : 0);
  say("iterator file/mmap", mmap(nullptr, 4096, PROT_READ, MAP_SHARED, file, 0) == MAP_FAILED ? -errno : 0);
  say("iterator file/ioctl", ioctl(file, FIONREAD, &byte) < 0 ? -errno : 0);
  say("iterator file/truncate", ftruncate(file, 0) ? -errno : 0);
  say("iterator file/fsync", fsync(file) ? -errno : 0);
  say("iterator file/flags", fcntl(file, F_GETFL));
  fstat(file, &st);
  say("iterator file/mode", st.st_mode);
  pollfd ready{file, POLLIN | POLLOUT, 0};
  say("iterator file/poll", std::to_string(poll(&ready, 1, 0)) + " events " + std::to_string(ready.revents));
}

// An array has a known number of elements, so that what is read is known, too.
void ask_reading() {
  MapSpec spec{BPF_MAP_TYPE_ARRAY};
  spec.entries = 3;
  int map = make_map(spec), program = static_cast<int>(load_iterator("bpf_map_elem", writes("element\n")));
  bpf_iter_link_info info{};
  info.map.map_fd = static_cast<u32>(map);
  int over = static_cast<int>(link(program, &info, sizeof info));
  for (u32 flags : {1u, 2u, 0x80000000u}) say("iterator create/flag " + std::to_string(flags), create(over, flags));
  for (size_t size : {size_t{0}, size_t{1}, size_t{7}, size_t{8}, size_t{9}, size_t{24}, size_t{25}, size_t{4096}}) {
    int file = static_cast<int>(create(over));
    const std::string name = "iterator read/" + std::to_string(size) + " at a time";
    for (int i = 0; i < 6; ++i) say(name, read_text(file, size));
    close(file);
  }
  int file = static_cast<int>(create(over));
  ask_file_calls(file);
  say("iterator read/to a bad place", syscall(SYS_read, file, 8, 8) < 0 ? -errno : 0);
  say("iterator read/afterwards", read_text(file, 4096));
  int copy = dup(file);
  say("iterator read/by the duplicate", read_text(copy, 4096));
  close(copy), close(file);
  close(map);
  file = static_cast<int>(create(over));
  say("iterator read/of a map that is closed", read_text(file, 4096));
  close(file);
  const char* pin = "/sys/fs/bpf/oracle_iterator";
  bpf_attr attr{};
  attr.pathname = ptr(pin);
  attr.bpf_fd = static_cast<u32>(over);
  say("iterator pin/pin", bpf(BPF_OBJ_PIN, attr));
  for (int flags : {O_RDONLY, O_WRONLY, O_RDWR}) {
    file = open(pin, flags);
    say("iterator pin/open " + std::to_string(flags), file < 0 ? text(-errno) : "fd");
    if (file >= 0) say("iterator pin/read " + std::to_string(flags), read_text(file, 4096));
    close(file);
  }
  attr.bpf_fd = 0;
  say("iterator pin/get", fd_text(bpf(BPF_OBJ_GET, attr)));
  struct stat st {};
  stat(pin, &st);
  say("iterator pin/mode", st.st_mode);
  unlink(pin);
  attr = {};
  attr.link_detach.link_fd = static_cast<u32>(over);
  say("iterator link/detach", bpf(BPF_LINK_DETACH, attr));
  int other = static_cast<int>(load_iterator("bpf_map_elem", nothing())), foreign = static_cast<int>(load_iterator("bpf_map", nothing()));
  for (int next : {other, foreign, program, map}) {
    attr = {};
    attr.link_update.link_fd = static_cast<u32>(over);
    attr.link_update.new_prog_fd = static_cast<u32>(next);
    say("iterator link/update", bpf(BPF_LINK_UPDATE, attr));
  }
  for (int fd : {over, other, foreign, program}) close(fd);
}

// What a program answers decides whether an object is shown, shown again or the end.
void ask_results() {
  for (int result : {0, 1, 2, -1}) {
    MapSpec spec{BPF_MAP_TYPE_ARRAY};
    spec.entries = 2;
    int map = make_map(spec);
    Program program = writes("element\n");
    program[program.size() - 2] = mov(BPF_REG_0, result);
    long fd = load_iterator("bpf_map_elem", program);
    const std::string name = "iterator result/" + std::to_string(result);
    say(name, fd < 0 ? text(fd) : "fd");
    if (fd >= 0) {
      bpf_iter_link_info info{};
      info.map.map_fd = static_cast<u32>(map);
      int over = static_cast<int>(link(static_cast<int>(fd), &info, sizeof info));
      int file = static_cast<int>(create(over));
      for (int i = 0; i < 4; ++i) say(name + " read", read_text(file, 4096));
      close(file), close(over), close(static_cast<int>(fd));
    }
    close(map);
  }
}

}  // namespace

void ask_iterators() {
  for (const char* target : kTargets) {
    long program = load_iterator(target, nothing());
    say(std::string("iterator/load ") + target, program < 0 ? text(program) : "fd");
    say(std::string("iterator/load sleepable ") + target, fd_text(load_iterator(target, nothing(), BPF_F_SLEEPABLE)));
    if (program < 0) continue;
    ask_link_info(target, static_cast<int>(program));
    close(static_cast<int>(program));
  }
  say("iterator/load of none", fd_text(load_iterator("no_such", nothing())));
  ask_reading();
  ask_results();
}

}  // namespace oracle
