// SPDX-License-Identifier: Apache-2.0
// Operations that attach programs.
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/fuzz/diff_state.h"

namespace bpfemu::fuzz {

namespace {

constexpr u32 kQueried[] = {BPF_CGROUP_INET_INGRESS, BPF_CGROUP_INET_EGRESS, BPF_CGROUP_INET_SOCK_CREATE, BPF_CGROUP_SYSCTL,
                            BPF_CGROUP_DEVICE,       BPF_CGROUP_INET4_BIND,  BPF_CGROUP_INET4_CONNECT,    BPF_CGROUP_SETSOCKOPT,
                            BPF_CGROUP_SOCK_OPS,     BPF_FLOW_DISSECTOR,     BPF_SK_LOOKUP,               BPF_LSM_CGROUP};

const std::vector<u32> kOfCgroups = {
    BPF_PROG_TYPE_CGROUP_SKB,    BPF_PROG_TYPE_CGROUP_SOCK,   BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_PROG_TYPE_CGROUP_SOCKOPT,
    BPF_PROG_TYPE_CGROUP_SYSCTL, BPF_PROG_TYPE_CGROUP_DEVICE, BPF_PROG_TYPE_SOCK_OPS,         BPF_PROG_TYPE_SK_SKB,
    BPF_PROG_TYPE_SK_MSG,        BPF_PROG_TYPE_LSM};
const std::vector<u32> kLinked = {
    BPF_PROG_TYPE_CGROUP_SKB,    BPF_PROG_TYPE_CGROUP_SOCK,   BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_PROG_TYPE_CGROUP_SOCKOPT,
    BPF_PROG_TYPE_CGROUP_SYSCTL, BPF_PROG_TYPE_CGROUP_DEVICE, BPF_PROG_TYPE_SOCK_OPS,         BPF_PROG_TYPE_XDP,
    BPF_PROG_TYPE_TRACING,       BPF_PROG_TYPE_LSM,           BPF_PROG_TYPE_SK_LOOKUP,        BPF_PROG_TYPE_FLOW_DISSECTOR};

// Mostly what fits the program.
u32 attach_type(Sequence& s, const HeldProg& prog) {
  return s.random().one_in(12) ? static_cast<u32>(s.random().below(46)) : prog.attach_type;
}

int target_of(Sequence& s, u32 attach_type) {
  if (s.random().one_in(16)) {
    const int other = s.random().one_in(2) ? -1 : s.map().fd;
    return attach_type == BPF_XDP ? -1 : other;
  }
  switch (attach_type) {
    case BPF_XDP: return 1;  // the loopback interface
    case BPF_FLOW_DISSECTOR:
    case BPF_SK_LOOKUP: return kNetnsFd;
    case BPF_SK_SKB_VERDICT:
    case BPF_SK_MSG_VERDICT: return s.map().fd;
    case BPF_TRACE_RAW_TP:
    case BPF_TRACE_FENTRY:
    case BPF_TRACE_FEXIT:
    case BPF_MODIFY_RETURN:
    case BPF_LSM_MAC:
    case BPF_TRACE_ITER: return 0;
    default: return kCgroupFd;
  }
}

long create_link(const HeldProg& prog, int target, bpf_attr& attr) {
  attr.link_create.prog_fd = static_cast<u32>(prog.fd);
  attr.link_create.target_fd = static_cast<u32>(target);
  return call(BPF_LINK_CREATE, attr);
}

void make_link(Sequence& s) {
  HeldProg& prog = s.prog_of(kLinked);
  int& link = s.new_link();
  s.say_name(link);
  s.say_name(prog);
  bpf_attr attr{};
  attr.link_create.attach_type = attach_type(s, prog);
  bpf_iter_link_info walked{};
  if (attr.link_create.attach_type == BPF_TRACE_ITER && !s.random().one_in(4)) {
    const HeldMap& map = s.map();
    s.say_name(map);
    walked.map.map_fd = static_cast<u32>(map.fd);
    attr.link_create.iter_info = address(&walked);
    attr.link_create.iter_info_len = sizeof walked;
  }
  if (s.random().one_in(16)) attr.link_create.flags = 1u << s.random().below(4);
  const int target = target_of(s, attr.link_create.attach_type);
  s.say("attach type", attr.link_create.attach_type);
  s.say("flags", attr.link_create.flags);
  s.keep(link, create_link(prog, target, attr));
}

// The id of a tracepoint; 0: it has none.
u64 tracepoint(const char* name) {
  FILE* file = fopen((std::string("/sys/kernel/tracing/events/syscalls/") + name + "/id").c_str(), "r");
  unsigned long id = 0;
  if (!file) return 0;
  if (fscanf(file, "%lu", &id) != 1) id = 0;
  fclose(file);
  return id;
}

void make_perf_link(Sequence& s) {
  HeldProg& prog = s.prog_of({BPF_PROG_TYPE_TRACEPOINT, BPF_PROG_TYPE_PERF_EVENT, BPF_PROG_TYPE_KPROBE});
  int& link = s.new_link();
  perf_event_attr event{};
  event.size = sizeof event;
  const bool software = s.random().one_in(3);
  event.type = software ? PERF_TYPE_SOFTWARE : PERF_TYPE_TRACEPOINT;
  event.config = software ? u64{PERF_COUNT_SW_DUMMY} : tracepoint("sys_enter_getpgid");
  event.sample_period = 1;
  s.say_name(link);
  s.say_name(prog);
  s.say(software ? "software" : "tracepoint");
  const long fd = syscall(SYS_perf_event_open, &event, 0, -1, -1, 0);
  if (fd < 0) return s.say_result(-errno);
  bpf_attr attr{};
  attr.link_create.attach_type = BPF_PERF_EVENT;
  attr.link_create.perf_event.bpf_cookie = 7;
  s.keep(link, create_link(prog, static_cast<int>(fd), attr));
  close(static_cast<int>(fd));
}

void raw_tracepoint(Sequence& s) {
  HeldProg& prog = s.prog_of({BPF_PROG_TYPE_RAW_TRACEPOINT, BPF_PROG_TYPE_TRACING, BPF_PROG_TYPE_LSM});
  int& link = s.new_link();
  static const char* const names[] = {"task_rename", "task_rename", "sys_enter", "sched_switch", "nothing_such"};
  bpf_attr attr{};
  attr.raw_tracepoint.prog_fd = static_cast<u32>(prog.fd);
  const char* name = s.random().pick(names);
  const bool named = prog.type == BPF_PROG_TYPE_RAW_TRACEPOINT && !s.random().one_in(10);
  attr.raw_tracepoint.name = named ? address(name) : 0;
  s.say_name(link);
  s.say_name(prog);
  s.say(named ? name : "-");
  s.keep(link, call(BPF_RAW_TRACEPOINT_OPEN, attr));
}

void update_link(Sequence& s) {
  HeldProg &prog = s.prog(), &old = s.prog();
  int& link = s.link();
  bpf_attr attr{};
  attr.link_update.link_fd = static_cast<u32>(link);
  attr.link_update.new_prog_fd = static_cast<u32>(prog.fd);
  if (s.random().one_in(3)) {
    attr.link_update.flags = BPF_F_REPLACE;
    attr.link_update.old_prog_fd = static_cast<u32>(old.fd);
  }
  if (s.random().one_in(12)) attr.link_update.flags = 1u << s.random().below(4);
  s.say_name(link);
  s.say_name(prog);
  s.say_name(old);
  s.say("flags", attr.link_update.flags);
  s.say_result(call(BPF_LINK_UPDATE, attr));
}

void detach_link(Sequence& s) {
  int& link = s.link();
  bpf_attr attr{};
  attr.link_detach.link_fd = static_cast<u32>(link);
  s.say_name(link);
  s.say_result(call(BPF_LINK_DETACH, attr));
}

void link_info(Sequence& s) {
  int& link = s.link();
  bpf_link_info info{};
  char name[16] = {};
  s.say_name(link);
  const long result = info_of(link, info);
  s.say_result(result);
  if (result) return;
  s.say("type", info.type);
  s.say_id(Kind::kLink, info.id);
  s.say_id(Kind::kProg, info.prog_id);
  switch (info.type) {
    case BPF_LINK_TYPE_CGROUP: return s.say(info.cgroup.cgroup_id ? "cgroup" : "none", info.cgroup.attach_type);
    case BPF_LINK_TYPE_NETNS: return s.say(info.netns.netns_ino ? "netns" : "none", info.netns.attach_type);
    case BPF_LINK_TYPE_XDP: return s.say("interface", info.xdp.ifindex);
    case BPF_LINK_TYPE_TRACING: return s.say(info.tracing.target_obj_id ? "target" : "none", info.tracing.attach_type);
    case BPF_LINK_TYPE_ITER:
      info.iter.target_name = address(name);
      info.iter.target_name_len = static_cast<u32>(s.random().one_in(3) ? 5 : sizeof name);
      s.say_result(info_of(link, info));
      s.say(name, info.iter.target_name_len);
      return s.say_id(Kind::kMap, info.iter.map.map_id);
    case BPF_LINK_TYPE_RAW_TRACEPOINT:
      info.raw_tracepoint.tp_name = address(name);
      info.raw_tracepoint.tp_name_len = static_cast<u32>(s.random().one_in(3) ? 5 : sizeof name);
      s.say_result(info_of(link, info));
      return s.say(name, info.raw_tracepoint.tp_name_len);
  }
}

void attach(Sequence& s) {
  HeldProg &prog = s.prog_of(kOfCgroups), &old = s.prog();
  static constexpr u32 flags[] = {0, 0, BPF_F_ALLOW_OVERRIDE, BPF_F_ALLOW_MULTI, BPF_F_ALLOW_MULTI, BPF_F_REPLACE | BPF_F_ALLOW_MULTI, 16};
  bpf_attr attr{};
  attr.attach_type = attach_type(s, prog);
  s.say_name(prog);
  s.say_name(old);
  s.say("attach type", attr.attach_type);
  if (attr.attach_type == BPF_FLOW_DISSECTOR) return s.say("stays");  // in the namespace, beyond the sequence
  attr.target_fd = static_cast<u32>(target_of(s, attr.attach_type));
  attr.attach_bpf_fd = static_cast<u32>(prog.fd);
  attr.attach_flags = s.random().pick(flags);
  attr.replace_bpf_fd = static_cast<u32>(old.fd);
  s.say("flags", attr.attach_flags);
  s.say_result(call(BPF_PROG_ATTACH, attr));
}

void detach(Sequence& s) {
  HeldProg& prog = s.prog_of(kOfCgroups);
  bpf_attr attr{};
  attr.attach_type = attach_type(s, prog);
  attr.target_fd = static_cast<u32>(target_of(s, attr.attach_type));
  attr.attach_bpf_fd = s.random().one_in(4) ? 0 : static_cast<u32>(prog.fd);
  s.say_name(prog);
  s.say("attach type", attr.attach_type);
  s.say_result(call(BPF_PROG_DETACH, attr));
}

void query(Sequence& s) {
  u32 ids[8] = {};
  bpf_attr attr{};
  attr.query.attach_type = s.random().one_in(2) ? s.random().pick(kQueried) : attach_type(s, s.prog());
  attr.query.target_fd = static_cast<u32>(target_of(s, attr.query.attach_type));
  attr.query.query_flags = s.random().one_in(3) ? BPF_F_QUERY_EFFECTIVE : 0;
  attr.query.prog_ids = address(ids);
  attr.query.prog_cnt = s.random().one_in(4) ? 1 : 8;
  s.say("attach type", attr.query.attach_type);
  s.say("flags", attr.query.query_flags);
  s.say_result(call(BPF_PROG_QUERY, attr));
  s.say("count", attr.query.prog_cnt);
  s.say("flags", attr.query.attach_flags);
  for (u32 id : ids) if (id) s.say_id(Kind::kProg, id);
}

void drop(Sequence& s) {
  int& link = s.link();
  s.say_name(link);
  s.say_result(close(link) ? -errno : 0);
  link = -1;
}

}  // namespace

const std::vector<Operation> kLinkOperations = {
    {"link", 9, make_link},          {"perf link", 2, make_perf_link}, {"raw tracepoint", 2, raw_tracepoint}, {"update link", 3, update_link},
    {"detach link", 2, detach_link}, {"link info", 3, link_info},      {"attach", 6, attach},                 {"detach", 3, detach},
    {"query", 3, query},             {"close link", 2, drop}};

}  // namespace bpfemu::fuzz
