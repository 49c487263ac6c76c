// SPDX-License-Identifier: Apache-2.0
// Every type of program to every attach type, by every command that attaches, to nothing and to descriptor 0.
#include "tests/oracle/oracle.h"

namespace oracle {

namespace {

constexpr u32 kAttachTypes = 46;  // two more than there are

struct Type {
  const char* name;
  u32 type;
  u32 expected = 0;
  const char* target = nullptr;  // a function of the kernel, or the typedef of a tracepoint
  int result = 0;
};

constexpr Type kTypes[] = {
    {"socket filter", BPF_PROG_TYPE_SOCKET_FILTER},
    {"kprobe", BPF_PROG_TYPE_KPROBE},
    {"kprobe multi", BPF_PROG_TYPE_KPROBE, BPF_TRACE_KPROBE_MULTI},
    {"classifier", BPF_PROG_TYPE_SCHED_CLS},
    {"action", BPF_PROG_TYPE_SCHED_ACT},
    {"tracepoint", BPF_PROG_TYPE_TRACEPOINT},
    {"XDP", BPF_PROG_TYPE_XDP},
    {"XDP, expected", BPF_PROG_TYPE_XDP, BPF_XDP},
    {"XDP of devmap", BPF_PROG_TYPE_XDP, BPF_XDP_DEVMAP},
    {"XDP of cpumap", BPF_PROG_TYPE_XDP, BPF_XDP_CPUMAP},
    {"perf event", BPF_PROG_TYPE_PERF_EVENT},
    {"cgroup skb", BPF_PROG_TYPE_CGROUP_SKB},
    {"cgroup ingress", BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_INGRESS},
    {"cgroup egress", BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS},
    {"cgroup sock", BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET_SOCK_CREATE},
    {"cgroup sock release", BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET_SOCK_RELEASE},
    {"post bind", BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET4_POST_BIND},
    {"post bind 6", BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET6_POST_BIND},
    {"lwt in", BPF_PROG_TYPE_LWT_IN},
    {"lwt out", BPF_PROG_TYPE_LWT_OUT},
    {"lwt xmit", BPF_PROG_TYPE_LWT_XMIT},
    {"sock ops", BPF_PROG_TYPE_SOCK_OPS},
    {"sock ops, expected", BPF_PROG_TYPE_SOCK_OPS, BPF_CGROUP_SOCK_OPS},
    {"sk skb", BPF_PROG_TYPE_SK_SKB},
    {"sk skb parser", BPF_PROG_TYPE_SK_SKB, BPF_SK_SKB_STREAM_PARSER},
    {"sk skb verdict", BPF_PROG_TYPE_SK_SKB, BPF_SK_SKB_VERDICT},
    {"device", BPF_PROG_TYPE_CGROUP_DEVICE},
    {"sk msg", BPF_PROG_TYPE_SK_MSG},
    {"raw tracepoint", BPF_PROG_TYPE_RAW_TRACEPOINT},
    {"bind", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_BIND, nullptr, 1},
    {"connect", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET6_CONNECT, nullptr, 1},
    {"getpeername", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_GETPEERNAME, nullptr, 1},
    {"recvmsg", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_UDP6_RECVMSG, nullptr, 1},
    {"seg6local", BPF_PROG_TYPE_LWT_SEG6LOCAL},
    {"reuseport", BPF_PROG_TYPE_SK_REUSEPORT},
    {"reuseport select", BPF_PROG_TYPE_SK_REUSEPORT, BPF_SK_REUSEPORT_SELECT},
    {"reuseport migrate", BPF_PROG_TYPE_SK_REUSEPORT, BPF_SK_REUSEPORT_SELECT_OR_MIGRATE},
    {"flow dissector", BPF_PROG_TYPE_FLOW_DISSECTOR},
    {"sysctl", BPF_PROG_TYPE_CGROUP_SYSCTL},
    {"writable raw tracepoint", BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE},
    {"getsockopt", BPF_PROG_TYPE_CGROUP_SOCKOPT, BPF_CGROUP_GETSOCKOPT, nullptr, 1},
    {"setsockopt", BPF_PROG_TYPE_CGROUP_SOCKOPT, BPF_CGROUP_SETSOCKOPT, nullptr, 1},
    {"tp_btf", BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, "btf_trace_sys_enter"},
    {"fentry", BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, "vfs_read"},
    {"fexit", BPF_PROG_TYPE_TRACING, BPF_TRACE_FEXIT, "vfs_read"},
    {"fmod_ret", BPF_PROG_TYPE_TRACING, BPF_MODIFY_RETURN, "security_file_open"},
    {"iterator", BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, "bpf_iter_bpf_prog"},
    {"iterator of elements", BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, "bpf_iter_bpf_map_elem"},
    {"lsm", BPF_PROG_TYPE_LSM, BPF_LSM_MAC, "bpf_lsm_file_open"},
    {"lsm of cgroups", BPF_PROG_TYPE_LSM, BPF_LSM_CGROUP, "bpf_lsm_socket_bind", 1},
    {"sk_lookup", BPF_PROG_TYPE_SK_LOOKUP, BPF_SK_LOOKUP},
    {"syscall", BPF_PROG_TYPE_SYSCALL},
};

long load(const Type& type) {
  Program program = {mov(BPF_REG_0, type.result), leave()};
  bpf_attr attr = prog_attr(type.type, program);
  attr.expected_attach_type = type.expected;
  if (type.type == BPF_PROG_TYPE_SYSCALL) attr.prog_flags = BPF_F_SLEEPABLE;
  if (type.target) {
    u32 kind = std::string(type.target).starts_with("btf_trace_") ? BTF_KIND_TYPEDEF : BTF_KIND_FUNC;
    attr.attach_btf_id = kernel_type(kind, type.target).id;
  }
  return bpf(BPF_PROG_LOAD, attr);
}

bpf_attr attach_attr(u32 program, u32 target, u32 type) {
  bpf_attr attr{};
  attr.target_fd = target;
  attr.attach_bpf_fd = program;
  attr.attach_type = type;
  return attr;
}

bpf_attr link_attr(u32 program, u32 target, u32 type) {
  bpf_attr attr{};
  attr.link_create.prog_fd = program;
  attr.link_create.target_fd = target;
  attr.link_create.attach_type = type;
  return attr;
}

void ask_type(const Type& type, int fd) {
  const u32 program = static_cast<u32>(fd);
  for (u32 attach = 0; attach < kAttachTypes; ++attach) {
    const std::string what = std::string(type.name) + " as " + std::to_string(attach);
    say("matrix/link/" + what, fd_text(bpf(BPF_LINK_CREATE, link_attr(program, ~0u, attach))));
    say("matrix/link to 0/" + what, fd_text(bpf(BPF_LINK_CREATE, link_attr(program, 0, attach))));
    say("matrix/attach/" + what, bpf(BPF_PROG_ATTACH, attach_attr(program, ~0u, attach)));
    say("matrix/detach/" + what, bpf(BPF_PROG_DETACH, attach_attr(program, ~0u, attach)));
  }
  bpf_attr attr{};
  attr.raw_tracepoint.prog_fd = program;
  say("matrix/raw tracepoint without a name/" + std::string(type.name), fd_text(bpf(BPF_RAW_TRACEPOINT_OPEN, attr)));
  attr.raw_tracepoint.name = ptr("sys_enter");
  say("matrix/raw tracepoint/" + std::string(type.name), fd_text(bpf(BPF_RAW_TRACEPOINT_OPEN, attr)));
  attr = link_attr(program, 0, type.expected);
  for (u32 flags : {1u, 2u, 4u, 8u}) {
    attr.link_create.flags = flags;
    say("matrix/link with flag " + std::to_string(flags) + "/" + type.name, fd_text(bpf(BPF_LINK_CREATE, attr)));
  }
  attr.link_create.flags = 0;
  attr.link_create.target_btf_id = 1;
  say("matrix/link to a type/" + std::string(type.name), fd_text(bpf(BPF_LINK_CREATE, attr)));
}

}  // namespace

void ask_attach_matrix() {
  for (const Type& type : kTypes) {
    long fd = load(type);
    say("matrix/load " + std::string(type.name), fd < 0 ? text(fd) : "fd");
    if (fd < 0) continue;
    ask_type(type, static_cast<int>(fd));
    close(static_cast<int>(fd));
  }
  for (u32 attach = 0; attach < kAttachTypes; ++attach) {
    bpf_attr attr{};
    attr.query.target_fd = ~0u;
    attr.query.attach_type = attach;
    say("matrix/query " + std::to_string(attach), bpf(BPF_PROG_QUERY, attr));
    for (u32 flags : {1u, 2u}) {
      attr.query.query_flags = flags;
      say("matrix/query " + std::to_string(attach) + " with flag " + std::to_string(flags), bpf(BPF_PROG_QUERY, attr));
    }
    Program program = nothing();
    for (const Type& type : kTypes) {
      if (type.target || type.expected) continue;
      bpf_attr ask = prog_attr(type.type, program);
      ask.expected_attach_type = attach;
      if (type.type == BPF_PROG_TYPE_SYSCALL) ask.prog_flags = BPF_F_SLEEPABLE;
      say("matrix/load " + std::string(type.name) + " for " + std::to_string(attach), fd_text(bpf(BPF_PROG_LOAD, ask)));
    }
  }
}

}  // namespace oracle
