// SPDX-License-Identifier: Apache-2.0
// Operations that attach programs.
#include <string.h>
#include <unistd.h>

#include "tests/fuzz/diff_state.h"

namespace bpfemu::fuzz {

namespace {

constexpr u32 kAttachTypes[] = {BPF_CGROUP_INET_INGRESS, BPF_CGROUP_INET_EGRESS, BPF_CGROUP_INET_SOCK_CREATE, BPF_CGROUP_SYSCTL,
                                BPF_CGROUP_DEVICE};

// Mostly what fits the program.
u32 attach_type(Sequence& s, const HeldProg& prog) {
  if (s.random().one_in(8)) return static_cast<u32>(s.random().below(46));
  switch (prog.type) {
    case BPF_PROG_TYPE_CGROUP_SKB: return kAttachTypes[s.random().below(2)];
    case BPF_PROG_TYPE_CGROUP_SOCK: return BPF_CGROUP_INET_SOCK_CREATE;
    case BPF_PROG_TYPE_CGROUP_SYSCTL: return BPF_CGROUP_SYSCTL;
    case BPF_PROG_TYPE_CGROUP_DEVICE: return BPF_CGROUP_DEVICE;
    default: return s.random().pick(kAttachTypes);
  }
}

void make_link(Sequence& s) {
  HeldProg& prog = s.prog();
  int& link = s.link();
  bpf_attr attr{};
  attr.link_create.prog_fd = static_cast<u32>(prog.fd);
  attr.link_create.target_fd = static_cast<u32>(s.cgroup());
  attr.link_create.attach_type = attach_type(s, prog);
  if (s.random().one_in(12)) attr.link_create.flags = 1u << s.random().below(4);
  s.say_name(link);
  s.say_name(prog);
  s.say("attach type " + std::to_string(attr.link_create.attach_type) + " flags " + std::to_string(attr.link_create.flags));
  s.keep(link, call(BPF_LINK_CREATE, attr));
}

void raw_tracepoint(Sequence& s) {
  HeldProg& prog = s.prog();
  int& link = s.link();
  static const char* const names[] = {"sys_enter", "sched_switch", "nothing_such"};
  bpf_attr attr{};
  attr.raw_tracepoint.prog_fd = static_cast<u32>(prog.fd);
  const char* name = s.random().pick(names);
  attr.raw_tracepoint.name = s.random().one_in(10) ? 0 : address(name);
  s.say_name(link);
  s.say_name(prog);
  s.say(attr.raw_tracepoint.name ? name : "-");
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
  s.say("flags " + std::to_string(attr.link_update.flags));
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
  bpf_attr attr{};
  attr.info.bpf_fd = static_cast<u32>(link);
  attr.info.info_len = sizeof info;
  attr.info.info = address(&info);
  s.say_name(link);
  const long result = call(BPF_OBJ_GET_INFO_BY_FD, attr);
  s.say_result(result);
  if (result) return;
  s.say("type " + std::to_string(info.type));
  s.say_id(Kind::kLink, info.id);
  s.say_id(Kind::kProg, info.prog_id);
  if (info.type == BPF_LINK_TYPE_CGROUP) {
    return s.say((info.cgroup.cgroup_id ? "cgroup " : "none ") + std::to_string(info.cgroup.attach_type));
  }
  if (info.type != BPF_LINK_TYPE_RAW_TRACEPOINT) return;
  info.raw_tracepoint.tp_name = address(name);
  info.raw_tracepoint.tp_name_len = static_cast<u32>(s.random().one_in(3) ? 5 : sizeof name);
  s.say_result(call(BPF_OBJ_GET_INFO_BY_FD, attr));
  s.say(name);
  s.say(std::to_string(info.raw_tracepoint.tp_name_len));
}

void attach(Sequence& s) {
  HeldProg &prog = s.prog(), &old = s.prog();
  static constexpr u32 flags[] = {0, 0, BPF_F_ALLOW_OVERRIDE, BPF_F_ALLOW_MULTI, BPF_F_ALLOW_MULTI, BPF_F_REPLACE | BPF_F_ALLOW_MULTI, 16};
  bpf_attr attr{};
  attr.target_fd = static_cast<u32>(s.cgroup());
  attr.attach_bpf_fd = static_cast<u32>(prog.fd);
  attr.attach_type = attach_type(s, prog);
  attr.attach_flags = s.random().pick(flags);
  attr.replace_bpf_fd = static_cast<u32>(old.fd);
  s.say_name(prog);
  s.say_name(old);
  s.say("attach type " + std::to_string(attr.attach_type) + " flags " + std::to_string(attr.attach_flags));
  s.say_result(call(BPF_PROG_ATTACH, attr));
}

void detach(Sequence& s) {
  HeldProg& prog = s.prog();
  bpf_attr attr{};
  attr.target_fd = static_cast<u32>(s.cgroup());
  attr.attach_bpf_fd = s.random().one_in(4) ? 0 : static_cast<u32>(prog.fd);
  attr.attach_type = attach_type(s, prog);
  s.say_name(prog);
  s.say("attach type " + std::to_string(attr.attach_type));
  s.say_result(call(BPF_PROG_DETACH, attr));
}

void query(Sequence& s) {
  u32 ids[8] = {};
  bpf_attr attr{};
  attr.query.target_fd = static_cast<u32>(s.cgroup());
  attr.query.attach_type = s.random().pick(kAttachTypes);
  attr.query.query_flags = s.random().one_in(3) ? BPF_F_QUERY_EFFECTIVE : 0;
  attr.query.prog_ids = address(ids);
  attr.query.prog_cnt = s.random().one_in(4) ? 1 : 8;
  s.say("attach type " + std::to_string(attr.query.attach_type) + " flags " + std::to_string(attr.query.query_flags));
  s.say_result(call(BPF_PROG_QUERY, attr));
  s.say("count " + std::to_string(attr.query.prog_cnt) + " flags " + std::to_string(attr.query.attach_flags));
  for (u32 id : ids) if (id) s.say_id(Kind::kProg, id);
}

void drop(Sequence& s) {
  int& link = s.link();
  s.say_name(link);
  s.say_result(close(link) ? -errno : 0);
  link = -1;
}

}  // namespace

const std::vector<Operation> kLinkOperations = {{"link", 5, make_link},       {"raw tracepoint", 2, raw_tracepoint}, {"update link", 3, update_link},
                                                {"detach link", 2, detach_link}, {"link info", 4, link_info},        {"attach", 6, attach},
                                                {"detach", 3, detach},        {"query", 3, query},                   {"close link", 2, drop}};

}  // namespace bpfemu::fuzz
