// SPDX-License-Identifier: Apache-2.0
// A descriptor of the wrong kind, or of none, in every place where a command takes one.
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "tests/oracle/oracle.h"

namespace oracle {

namespace {

struct Kind {
  const char* name;
  int fd;
};

int perf_event() {
  perf_event_attr attr{};
  attr.type = PERF_TYPE_SOFTWARE;
  attr.size = sizeof attr;
  attr.config = PERF_COUNT_SW_DUMMY;
  return static_cast<int>(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
}

int iterator_link(int program) {
  bpf_attr attr{};
  attr.link_create.prog_fd = static_cast<u32>(program);
  attr.link_create.attach_type = BPF_TRACE_ITER;
  return static_cast<int>(bpf(BPF_LINK_CREATE, attr));
}

int iterator_file(int link) {
  bpf_attr attr{};
  attr.iter_create.link_fd = static_cast<u32>(link);
  return static_cast<int>(bpf(BPF_ITER_CREATE, attr));
}

int raw_tracepoint(int program) {
  bpf_attr attr{};
  attr.raw_tracepoint.name = ptr("sys_enter");
  attr.raw_tracepoint.prog_fd = static_cast<u32>(program);
  return static_cast<int>(bpf(BPF_RAW_TRACEPOINT_OPEN, attr));
}

int iterator_program(const char* function) {
  Program program = nothing();
  bpf_attr attr = prog_attr(BPF_PROG_TYPE_TRACING, program);
  attr.expected_attach_type = BPF_TRACE_ITER;
  attr.attach_btf_id = kernel_type(BTF_KIND_FUNC, function).id;
  return static_cast<int>(bpf(BPF_PROG_LOAD, attr));
}

// One of each; the caller closes them.
std::vector<Kind> kinds() {
  int program = make_program(BPF_PROG_TYPE_RAW_TRACEPOINT, nothing());
  int iterator = iterator_program("bpf_iter_bpf_map");
  int link = iterator_link(iterator);
  int opath = open("/", O_PATH);
  int ends[2];
  if (pipe(ends)) return {};
  return {
      {"none", -1},
      {"number too high", 9999},
      {"array", make_map({BPF_MAP_TYPE_ARRAY})},
      {"hash", make_map({BPF_MAP_TYPE_HASH})},
      {"program array", make_map({BPF_MAP_TYPE_PROG_ARRAY})},
      {"ring buffer", make_map({BPF_MAP_TYPE_RINGBUF, 0, 0, 4096})},
      {"read-only map", make_map({BPF_MAP_TYPE_HASH, 4, 4, 4, BPF_F_RDONLY})},
      {"write-only map", make_map({BPF_MAP_TYPE_HASH, 4, 4, 4, BPF_F_WRONLY})},
      {"raw tracepoint program", program},
      {"socket filter", make_program(BPF_PROG_TYPE_SOCKET_FILTER, nothing())},
      {"XDP program", make_program(BPF_PROG_TYPE_XDP, nothing())},
      {"iterator program", iterator},
      {"BTF", make_btf(btf_blob({1, BTF_KIND_INT << 24, 4, 32}, std::string("\0int\0", 5)))},
      {"raw tracepoint link", raw_tracepoint(program)},
      {"iterator link", link},
      {"iterator", iterator_file(link)},
      {"perf event", perf_event()},
      {"file", open("/proc/self/status", O_RDONLY)},
      {"folder", open("/", O_RDONLY | O_DIRECTORY)},
      {"path", opath},
      {"pipe", ends[0]},
      {"pipe's other end", ends[1]},
      {"eventfd", eventfd(0, 0)},
      {"epoll", epoll_create1(0)},
      {"socket", socket(AF_UNIX, SOCK_STREAM, 0)},
      {"network namespace", open("/proc/self/ns/net", O_RDONLY)},
  };
}

struct Place {
  const char* name;
  int command;
  size_t offset;
  std::function<void(bpf_attr&)> others = [](bpf_attr&) {};
};

#define AT(field) offsetof(bpf_attr, field)

std::vector<Place> places(u64* key, u64* value, int program, int iterator) {
  auto element = [=](bpf_attr& a) { a.key = ptr(key), a.value = ptr(value); };
  auto batch = [=](bpf_attr& a) {
    a.batch.out_batch = ptr(key + 8);
    a.batch.keys = ptr(key);
    a.batch.values = ptr(value);
    a.batch.count = 1;
  };
  auto into = [=](u32 type) {
    return [=](bpf_attr& a) {
      a.attach_type = type;
      a.attach_bpf_fd = static_cast<u32>(program);
    };
  };
  auto link = [=](u32 type) { return [=](bpf_attr& a) { a.link_create.attach_type = type; }; };
  auto target = [=](u32 type, int fd) {
    return [=](bpf_attr& a) {
      a.link_create.attach_type = type;
      a.link_create.prog_fd = static_cast<u32>(fd);
    };
  };
  return {
      {"lookup", BPF_MAP_LOOKUP_ELEM, AT(map_fd), element},
      {"update", BPF_MAP_UPDATE_ELEM, AT(map_fd), element},
      {"delete", BPF_MAP_DELETE_ELEM, AT(map_fd), [=](bpf_attr& a) { a.key = ptr(key); }},
      {"next key", BPF_MAP_GET_NEXT_KEY, AT(map_fd), [=](bpf_attr& a) { a.next_key = ptr(value); }},
      {"lookup and delete", BPF_MAP_LOOKUP_AND_DELETE_ELEM, AT(map_fd), element},
      {"lookup batch", BPF_MAP_LOOKUP_BATCH, AT(batch.map_fd), batch},
      {"lookup and delete batch", BPF_MAP_LOOKUP_AND_DELETE_BATCH, AT(batch.map_fd), batch},
      {"update batch", BPF_MAP_UPDATE_BATCH, AT(batch.map_fd), batch},
      {"delete batch", BPF_MAP_DELETE_BATCH, AT(batch.map_fd), batch},
      {"pin", BPF_OBJ_PIN, AT(bpf_fd), [](bpf_attr& a) { a.pathname = ptr("/sys/fs/bpf/no/such/folder"); }},
      {"attach", BPF_PROG_ATTACH, AT(attach_bpf_fd), [](bpf_attr& a) { a.attach_type = BPF_CGROUP_DEVICE; }},
      {"attach to cgroup", BPF_PROG_ATTACH, AT(target_fd), into(BPF_CGROUP_INET_INGRESS)},
      {"attach to sockmap", BPF_PROG_ATTACH, AT(target_fd), into(BPF_SK_MSG_VERDICT)},
      {"attach flow dissector", BPF_PROG_ATTACH, AT(target_fd), into(BPF_FLOW_DISSECTOR)},
      {"detach from cgroup", BPF_PROG_DETACH, AT(target_fd), into(BPF_CGROUP_INET_INGRESS)},
      {"detach from sockmap", BPF_PROG_DETACH, AT(target_fd), into(BPF_SK_MSG_VERDICT)},
      {"detach flow dissector", BPF_PROG_DETACH, AT(target_fd), into(BPF_FLOW_DISSECTOR)},
      {"detach", BPF_PROG_DETACH, AT(attach_bpf_fd), [](bpf_attr& a) { a.attach_type = BPF_SK_SKB_STREAM_VERDICT; }},
      {"query cgroup", BPF_PROG_QUERY, AT(query.target_fd), {}},
      {"query sk_lookup", BPF_PROG_QUERY, AT(query.target_fd), [](bpf_attr& a) { a.query.attach_type = BPF_SK_LOOKUP; }},
      {"query flow dissector", BPF_PROG_QUERY, AT(query.target_fd),
       [](bpf_attr& a) { a.query.attach_type = BPF_FLOW_DISSECTOR; }},
      {"query sockmap", BPF_PROG_QUERY, AT(query.target_fd), [](bpf_attr& a) { a.query.attach_type = BPF_SK_MSG_VERDICT; }},
      {"test run", BPF_PROG_TEST_RUN, AT(test.prog_fd), {}},
      {"info", BPF_OBJ_GET_INFO_BY_FD, AT(info.bpf_fd), {}},
      {"raw tracepoint", BPF_RAW_TRACEPOINT_OPEN, AT(raw_tracepoint.prog_fd), {}},
      {"raw tracepoint no_such", BPF_RAW_TRACEPOINT_OPEN, AT(raw_tracepoint.prog_fd),
       [](bpf_attr& a) { a.raw_tracepoint.name = ptr("no_such"); }},
      {"task query", BPF_TASK_FD_QUERY, AT(task_fd_query.fd),
       [](bpf_attr& a) { a.task_fd_query.pid = static_cast<u32>(getpid()); }},
      {"freeze", BPF_MAP_FREEZE, AT(map_fd), {}},
      {"link iterator", BPF_LINK_CREATE, AT(link_create.prog_fd), link(BPF_TRACE_ITER)},
      {"link perf event", BPF_LINK_CREATE, AT(link_create.prog_fd), link(BPF_PERF_EVENT)},
      {"link XDP", BPF_LINK_CREATE, AT(link_create.prog_fd), link(BPF_XDP)},
      {"link sk_lookup", BPF_LINK_CREATE, AT(link_create.prog_fd), link(BPF_SK_LOOKUP)},
      {"link to perf event", BPF_LINK_CREATE, AT(link_create.target_fd), target(BPF_PERF_EVENT, program)},
      {"link to program", BPF_LINK_CREATE, AT(link_create.target_fd), target(BPF_TRACE_ITER, iterator)},
      {"link update", BPF_LINK_UPDATE, AT(link_update.link_fd),
       [=](bpf_attr& a) { a.link_update.new_prog_fd = static_cast<u32>(program); }},
      {"link detach", BPF_LINK_DETACH, AT(link_detach.link_fd), {}},
      {"iterator of", BPF_ITER_CREATE, AT(iter_create.link_fd), {}},
      {"bind map", BPF_PROG_BIND_MAP, AT(prog_bind_map.map_fd),
       [=](bpf_attr& a) { a.prog_bind_map.prog_fd = static_cast<u32>(program); }},
      {"bind to program", BPF_PROG_BIND_MAP, AT(prog_bind_map.prog_fd), {}},
      {"inner map", BPF_MAP_CREATE, AT(inner_map_fd),
       [](bpf_attr& a) {
         a.map_type = BPF_MAP_TYPE_ARRAY_OF_MAPS;
         a.key_size = a.value_size = 4;
         a.max_entries = 1;
       }},
      {"map's BTF", BPF_MAP_CREATE, AT(btf_fd),
       [](bpf_attr& a) {
         a.map_type = BPF_MAP_TYPE_ARRAY;
         a.key_size = a.value_size = 4;
         a.max_entries = 1;
         a.btf_key_type_id = a.btf_value_type_id = 1;
       }},
  };
}

}  // namespace

void ask_descriptor_kinds() {
  u64 key[16] = {}, value[16] = {};
  int program = make_program(BPF_PROG_TYPE_RAW_TRACEPOINT, nothing());
  int iterator = iterator_program("bpf_iter_bpf_map");
  for (const Place& place : places(key, value, program, iterator)) {
    std::vector<Kind> all = kinds();
    for (const Kind& kind : all) {
      bpf_attr attr{};
      if (place.others) place.others(attr);
      u32 fd = static_cast<u32>(kind.fd);
      memcpy(reinterpret_cast<u8*>(&attr) + place.offset, &fd, sizeof fd);
      say("kind/" + std::string(place.name) + "/" + kind.name, fd_text(bpf(place.command, attr)));
    }
    for (const Kind& kind : all) close(kind.fd);
  }
  for (const Kind& kind : kinds()) {
    if (kind.fd < 0) continue;
    int map = make_map({BPF_MAP_TYPE_PROG_ARRAY});
    u32 index = 0, fd = static_cast<u32>(kind.fd);
    say("kind/program array element/" + std::string(kind.name), update(map, &index, &fd));
    close(map);
    map = make_map({BPF_MAP_TYPE_PERF_EVENT_ARRAY});
    say("kind/event array element/" + std::string(kind.name), update(map, &index, &fd));
    close(map);
    map = make_map({BPF_MAP_TYPE_CGROUP_ARRAY});
    say("kind/cgroup array element/" + std::string(kind.name), update(map, &index, &fd));
    close(map);
    if (kind.fd < 9999) close(kind.fd);
  }
  close(program), close(iterator);
}

}  // namespace oracle
