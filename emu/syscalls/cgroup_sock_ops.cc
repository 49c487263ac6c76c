// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/cgroup_sock_ops.h"

#include <arpa/inet.h>

#include <cstring>

#include "emu/kernel/socket_view.h"
#include "emu/syscalls/cgroup_run.h"
#include "emu/syscalls/socket_options.h"
#include "emu/syscalls/storage_owner.h"

namespace bpfemu {

namespace {

// What helpers do for a program acts on this.
struct Acting {
  System& system;
  FollowedSocket& socket;
};

Acting& acting(void* self) {
  return *static_cast<Acting*>(self);
}

SocketServices services_of(Acting& self) {
  return {.self = &self,
          .bind = [](void*, const void*, u32) -> s64 { return -EINVAL; },
          .set_option =
              [](void* at, u32 level, u32 name, const void* value, u32 size) {
                return set_socket_option(acting(at).system, acting(at).socket, {level, name}, value, size);
              },
          .get_option = [](void* at, u32 level, u32 name, void* value, u32 size) {
            return get_socket_option(acting(at).system, acting(at).socket, {level, name}, value, size);
          }};
}

void show_ends(const SocketFacts& facts, bpf_sock_ops& seen) {
  seen.family = facts.family;
  seen.remote_ip4 = facts.peer_ip4();
  seen.local_ip4 = facts.receiving_ip4();
  if (facts.family == AF_INET6) {
    std::memcpy(seen.remote_ip6, facts.peer.address.data(), sizeof seen.remote_ip6);
    std::memcpy(seen.local_ip6, facts.local.address.data(), sizeof seen.local_ip6);
  }
  seen.remote_port = u32{htons(facts.peer.port)} << 16;
  seen.local_port = facts.local.port;
}

// Kernel: sock_ops_convert_ctx_access.
void show_tcp(const bpf_tcp_sock& tcp, bpf_sock_ops& seen) {
#define SAME(field) seen.field = tcp.field
  SAME(snd_cwnd), SAME(srtt_us), SAME(rtt_min), SAME(snd_ssthresh), SAME(mss_cache), SAME(packets_out);
  SAME(retrans_out), SAME(total_retrans), SAME(segs_in), SAME(data_segs_in), SAME(segs_out), SAME(data_segs_out);
  SAME(lost_out), SAME(sacked_out), SAME(bytes_received), SAME(bytes_acked);
#undef SAME
}

}  // namespace

bool CgroupSockOps::used() const {
  return system_.cgroups.used_types[BPF_CGROUP_SOCK_OPS];
}

void CgroupSockOps::show(FollowedSocket& socket, const SocketOp& op, RunSockOps& context) {
  bpf_sock_ops& seen = context.seen;
  seen.op = op.op;
  std::memcpy(seen.args, op.args.data(), sizeof seen.args);
  show_ends(op.request ? *op.request : socket.facts, seen);
  if (op.request) {
    seen.state = kTcpNewSynRecv;
    return;
  }
  SocketFacts facts = socket.facts;
  facts.state = op.op == BPF_SOCK_OPS_STATE_CB ? static_cast<u8>(op.args[0]) : socket.told;
  if (op.then) facts.tcp = *op.then;
  show_socket(facts, context.sock);
  context.sock.cgroup = socket.cgroup ? socket.cgroup->id() : 0;
  context.sock.kernel = system_.probes->sockets().sock(socket).address();
  seen.is_fullsock = 1;
  seen.bpf_sock_ops_cb_flags = socket.callbacks;
  seen.state = facts.state;
  seen.sk = reinterpret_cast<bpf_sock*>(&context.sock);
  show_tcp(context.sock.tcp, seen);
}

s32 CgroupSockOps::call(const Event& event, FollowedSocket& socket, const SocketOp& op) {
  if (!socket.cgroup) socket.cgroup = system_.cgroups.of_socket(socket.facts.inode);
  CgroupRun run(system_, event.task, *socket.cgroup, BPF_CGROUP_SOCK_OPS);
  auto* const context = run.any() ? run.place<RunSockOps>() : nullptr;
  if (!context) return 0;
  show(socket, op, *context);
  Acting self{system_, socket};
  const SocketServices services = services_of(self);
  const s64 refused = run.run(&services, &context->seen);
  const auto callbacks = static_cast<u8>(context->seen.bpf_sock_ops_cb_flags);
  const s32 reply = refused ? -1 : static_cast<s32>(context->seen.reply);
  note_unheeded(op, reply, callbacks & ~socket.callbacks);
  if (!op.request) socket.callbacks = callbacks;
  return reply;
}

// What a program asks for and the host's TCP does not do.
void CgroupSockOps::note_unheeded(const SocketOp& op, s32 reply, u8 callbacks) {
  constexpr u8 kOfPackets = BPF_SOCK_OPS_RTO_CB_FLAG | BPF_SOCK_OPS_RETRANS_CB_FLAG |
                            BPF_SOCK_OPS_PARSE_ALL_HDR_OPT_CB_FLAG | BPF_SOCK_OPS_PARSE_UNKNOWN_HDR_OPT_CB_FLAG |
                            BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG;
  if (callbacks & kOfPackets) system_.unmodelled.note("sock_ops: callbacks for retransmissions and header options");
  const bool asks =
      op.op == BPF_SOCK_OPS_TIMEOUT_INIT || op.op == BPF_SOCK_OPS_RWND_INIT || op.op == BPF_SOCK_OPS_NEEDS_ECN;
  if (asks && reply > 0) system_.unmodelled.note("sock_ops: initial timeouts, windows and ECN that programs choose");
}

void CgroupSockOps::born(FollowedSocket& listener, FollowedSocket& child) {
  if (!listener.cgroup) listener.cgroup = system_.cgroups.of_socket(listener.facts.inode);
  child.cgroup = listener.cgroup;
  child.callbacks = listener.callbacks;
  child.listener = listener.facts.inode;
  clone_socket_storage(system_, listener.facts.cookie, child.facts.cookie);
}

void CgroupSockOps::accepted(Task& task, FollowedSocket& child, int fd) {
  apply_waiting_options(system_, task, child, fd);
}

}  // namespace bpfemu
