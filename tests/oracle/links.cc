// SPDX-License-Identifier: Apache-2.0
// Attaching, pinning, and what descriptors look like as files.
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "tests/oracle/oracle.h"

namespace oracle {

namespace {

long link_create(int program, u32 target, u32 type, u32 flags = 0) {
  bpf_attr attr{};
  attr.link_create.prog_fd = static_cast<u32>(program);
  attr.link_create.target_fd = target;
  attr.link_create.attach_type = type;
  attr.link_create.flags = flags;
  return bpf(BPF_LINK_CREATE, attr);
}

long open_raw(int program, const char* name) {
  bpf_attr attr{};
  attr.raw_tracepoint.name = ptr(name);
  attr.raw_tracepoint.prog_fd = static_cast<u32>(program);
  return bpf(BPF_RAW_TRACEPOINT_OPEN, attr);
}

long link_command(int command, u32 fd) {
  bpf_attr attr{};
  attr.link_detach.link_fd = fd;
  return bpf(command, attr);
}

void ask_raw_tracepoint() {
  int program = make_program(BPF_PROG_TYPE_RAW_TRACEPOINT, nothing());
  say("raw tracepoint/unknown", open_raw(program, "no_such_tracepoint"));
  say("raw tracepoint/null name", open_raw(program, nullptr));
  say("raw tracepoint/empty name", open_raw(program, ""));
  say("raw tracepoint/no program", open_raw(-1, "sys_enter"));
  long link = open_raw(program, "sys_enter");
  say("raw tracepoint/open", link < 0 ? text(link) : "fd");
  int fd = static_cast<int>(link);
  say("raw tracepoint/detach", link_command(BPF_LINK_DETACH, static_cast<u32>(fd)));
  bpf_link_info info{};
  bpf_attr ask{};
  ask.info.bpf_fd = static_cast<u32>(fd);
  ask.info.info = ptr(&info);
  ask.info.info_len = sizeof info;
  say("raw tracepoint/info", bpf(BPF_OBJ_GET_INFO_BY_FD, ask));
  say("raw tracepoint/info type", std::to_string(info.type) + " name length " +
                                      std::to_string(info.raw_tracepoint.tp_name_len));
  char name[32] = "x";
  for (u32 room : {0u, 4u, 32u}) {
    info = {};
    info.raw_tracepoint.tp_name = ptr(name);
    info.raw_tracepoint.tp_name_len = room;
    say("raw tracepoint/info with room " + std::to_string(room), text(bpf(BPF_OBJ_GET_INFO_BY_FD, ask)) + " " + name);
  }
  bpf_attr update{};
  update.link_update.link_fd = static_cast<u32>(fd);
  update.link_update.new_prog_fd = static_cast<u32>(program);
  say("raw tracepoint/update", bpf(BPF_LINK_UPDATE, update));
  update.link_update.flags = 1;
  say("raw tracepoint/update with flag 1", bpf(BPF_LINK_UPDATE, update));
  bpf_attr query{};
  char buffer[64] = "";
  query.task_fd_query.pid = static_cast<u32>(getpid());
  query.task_fd_query.fd = static_cast<u32>(fd);
  query.task_fd_query.buf = ptr(buffer);
  query.task_fd_query.buf_len = sizeof buffer;
  long r = bpf_raw(BPF_TASK_FD_QUERY, &query, sizeof query);
  say("raw tracepoint/query", text(r) + " " + buffer + " type " + std::to_string(query.task_fd_query.fd_type) +
                                  " length " + std::to_string(query.task_fd_query.buf_len));
  query.task_fd_query.fd = 0;
  say("query/a file", bpf(BPF_TASK_FD_QUERY, query));
  query.task_fd_query.fd = 9999;
  say("query/nothing", bpf(BPF_TASK_FD_QUERY, query));
  query.task_fd_query.pid = 0x7fffffff;
  say("query/nobody", bpf(BPF_TASK_FD_QUERY, query));
  query.task_fd_query.flags = 1;
  say("query/flag", bpf(BPF_TASK_FD_QUERY, query));
  close(fd), close(program);
}

// "anon_inode:..." of a descriptor, and the names of the lines of its fdinfo.
void ask_file(const std::string& name, int fd) {
  char path[64], target[128] = {};
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  ssize_t r = readlink(path, target, sizeof target - 1);
  say(name + "/link", r < 0 ? text(-errno) : target);
  std::snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
  std::string lines;
  FILE* file = fopen(path, "r");
  char line[256];
  while (file && fgets(line, sizeof line, file)) {
    std::string text = line;
    lines += text.substr(0, text.find(':')) + " ";
    if (text.rfind("flags:", 0) == 0) lines += text.substr(7, text.size() - 8) + " ";
  }
  if (file) fclose(file);
  say(name + "/fdinfo", lines);
  struct stat st {};
  fstat(fd, &st);
  struct statfs fs {};
  fstatfs(fd, &fs);
  char facts[128];
  std::snprintf(facts, sizeof facts, "mode %o size %ld links %lu fs %lx", st.st_mode, static_cast<long>(st.st_size),
                static_cast<unsigned long>(st.st_nlink), static_cast<unsigned long>(fs.f_type));
  say(name + "/stat", facts);
  say(name + "/flags", fcntl(fd, F_GETFL));
  say(name + "/pipe size", fcntl(fd, F_GETPIPE_SZ) < 0 ? -errno : 0);
  int number;
  say(name + "/FIONREAD", ioctl(fd, FIONREAD, &number) < 0 ? -errno : 0);
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int again = open(path, O_RDWR);
  say(name + "/open again", again < 0 ? -errno : 0);
}

}  // namespace

void ask_links() {
  int tracepoint = make_program(BPF_PROG_TYPE_TRACEPOINT, nothing());
  int filter = make_program(BPF_PROG_TYPE_SOCKET_FILTER, nothing());
  int xdp = make_program(BPF_PROG_TYPE_XDP, nothing());
  int map = make_map({BPF_MAP_TYPE_ARRAY});
  say("link/perf event of nothing", link_create(tracepoint, ~0u, BPF_PERF_EVENT));
  say("link/perf event of a file", link_create(tracepoint, 0, BPF_PERF_EVENT));
  say("link/perf event of a map", link_create(tracepoint, static_cast<u32>(map), BPF_PERF_EVENT));
  say("link/flags", link_create(tracepoint, ~0u, BPF_PERF_EVENT, 1));
  for (u32 type : {0u, 5u, 8u, 23u, 24u, 26u, 37u, 41u, 42u, 43u, 44u, 100u}) {
    say("link/tracepoint as " + std::to_string(type), link_create(tracepoint, ~0u, type));
    say("link/filter as " + std::to_string(type), link_create(filter, ~0u, type));
  }
  say("link/no program", link_create(-1, ~0u, BPF_PERF_EVENT));
  say("link/a map as program", link_create(map, ~0u, BPF_PERF_EVENT));
  say("link/xdp of no device", link_create(xdp, 99999, BPF_XDP));
  for (int command : {BPF_LINK_DETACH, BPF_LINK_UPDATE, BPF_ITER_CREATE}) {
    say("link/nothing for " + std::to_string(command), link_command(command, ~0u));
    say("link/a map for " + std::to_string(command), link_command(command, static_cast<u32>(map)));
  }
  bpf_attr attr{};
  for (u32 type : {0u, 2u, 5u, 6u, 13u, 23u, 37u, 41u, 99u}) {
    attr = {};
    attr.attach_type = type;
    attr.target_fd = ~0u;
    attr.attach_bpf_fd = static_cast<u32>(filter);
    say("attach/filter to " + std::to_string(type), bpf(BPF_PROG_ATTACH, attr));
  }
  attr = {};
  attr.attach_flags = 1u << 10;
  say("attach/flag", bpf(BPF_PROG_ATTACH, attr));
  attr = {};
  attr.attach_type = 99;
  say("detach/unknown type", bpf(BPF_PROG_DETACH, attr));
  attr = {};
  attr.query.target_fd = ~0u;
  say("query attached/nothing", bpf(BPF_PROG_QUERY, attr));
  attr.query.attach_type = 99;
  say("query attached/unknown type", bpf(BPF_PROG_QUERY, attr));
  for (int fd : {tracepoint, filter, xdp, map}) close(fd);
  ask_raw_tracepoint();
}

void ask_pins() {
  auto pin = [](int command, const char* path, int fd, u32 flags = 0) {
    bpf_attr attr{};
    attr.pathname = ptr(path);
    attr.bpf_fd = static_cast<u32>(fd);
    attr.file_flags = flags;
    return bpf(command, attr);
  };
  const char* path = "/sys/fs/bpf/oracle_pin";
  unlink(path);
  int map = make_map({BPF_MAP_TYPE_ARRAY});
  say("pin/map", pin(BPF_OBJ_PIN, path, map));
  say("pin/again", pin(BPF_OBJ_PIN, path, map));
  say("pin/get", fd_text(pin(BPF_OBJ_GET, path, 0)));
  say("pin/get, read-only", fd_text(pin(BPF_OBJ_GET, path, 0, BPF_F_RDONLY)));
  say("pin/get, both", fd_text(pin(BPF_OBJ_GET, path, 0, BPF_F_RDONLY | BPF_F_WRONLY)));
  say("pin/get, other flag", pin(BPF_OBJ_GET, path, 0, 1));
  say("pin/get with a descriptor", pin(BPF_OBJ_GET, path, 1));
  say("pin/pin with flags", pin(BPF_OBJ_PIN, path, map, BPF_F_RDONLY));
  say("pin/nothing", pin(BPF_OBJ_PIN, "/sys/fs/bpf/oracle_other", -1));
  say("pin/a file", pin(BPF_OBJ_PIN, "/sys/fs/bpf/oracle_other", 0));
  say("pin/elsewhere", pin(BPF_OBJ_PIN, "/tmp/oracle_pin", map));
  say("pin/in no folder", pin(BPF_OBJ_PIN, "/sys/fs/bpf/no/such", map));
  say("pin/with a dot", pin(BPF_OBJ_PIN, "/sys/fs/bpf/oracle.pin", map));
  say("pin/null path", pin(BPF_OBJ_PIN, nullptr, map));
  say("pin/empty path", pin(BPF_OBJ_PIN, "", map));
  say("pin/get nothing", pin(BPF_OBJ_GET, "/sys/fs/bpf/oracle_none", 0));
  say("pin/get a file", pin(BPF_OBJ_GET, "/proc/self/exe", 0));
  say("pin/get a folder", pin(BPF_OBJ_GET, "/sys/fs/bpf", 0));
  say("pin/unlink", unlink(path) ? -errno : 0);
  say("pin/get afterwards", pin(BPF_OBJ_GET, path, 0));
  say("pin/mkdir", mkdir("/sys/fs/bpf/oracle_dir", 0755) ? -errno : 0);
  say("pin/in a folder", pin(BPF_OBJ_PIN, "/sys/fs/bpf/oracle_dir/map", map));
  say("pin/rmdir full", rmdir("/sys/fs/bpf/oracle_dir") ? -errno : 0);
  say("pin/rename", rename("/sys/fs/bpf/oracle_dir/map", "/sys/fs/bpf/oracle_pin") ? -errno : 0);
  say("pin/rmdir", rmdir("/sys/fs/bpf/oracle_dir") ? -errno : 0);
  say("pin/unlink again", unlink(path) ? -errno : 0);
  close(map);
}

void ask_files() {
  int map = make_map({BPF_MAP_TYPE_ARRAY});
  ask_file("file map", map);
  int reader = make_map({BPF_MAP_TYPE_ARRAY, 4, 4, 1, BPF_F_RDONLY});
  ask_file("file read-only map", reader);
  int program = make_program(BPF_PROG_TYPE_RAW_TRACEPOINT, nothing());
  ask_file("file program", program);
  int btf = make_btf(btf_blob({1, BTF_KIND_INT << 24, 4, 32}, std::string("\0int\0", 5)));
  ask_file("file btf", btf);
  int link = static_cast<int>(open_raw(program, "sys_enter"));
  ask_file("file link", link);
  for (int fd : {map, reader, program, btf, link}) close(fd);
}

}  // namespace oracle
