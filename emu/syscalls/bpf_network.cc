// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/bpf_network.h"

#include <fmt/format.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cstddef>

#include "emu/kernel/network.h"

namespace bpfemu {

namespace {

// No packet of the host's passes programs of the type.
void note_packets(System& system, u32 attach_type) {
  system.unmodelled.note(fmt::format("packets for {} programs", attach_types()[attach_type].name));
}

// Kernel: get_net_ns_by_fd. EBADF; EINVAL: it is no network namespace.
Result<u32> network_of_fd(BpfCall& call, u32 fd) {
  TRY(check_open(call.task, static_cast<int>(fd)));
  const UniqueFd copy(call.task.share_fd(static_cast<int>(fd)).value_or(-1));
  struct statfs fs;
  struct stat st;
  if (!copy || ::fstatfs(copy.get(), &fs) != 0 || fs.f_type != NSFS_MAGIC) return fail(EINVAL);
  if (::ioctl(copy.get(), NS_GET_NSTYPE) != CLONE_NEWNET || ::fstat(copy.get(), &st) != 0) return fail(EINVAL);
  return static_cast<u32>(st.st_ino);
}

}  // namespace

XdpResult attach_xdp(System& system, Task& task, u32 device, const XdpAttach& attach) {
  const XdpResult attached = system.networks.attach(task, device, attach);
  if (!attached && attached.error().error == ENOTSUPP) {
    system.unmodelled.note("attachment", fmt::format("xdp in the driver of device {}", device));
    return std::unexpected(XdpRefusal{EOPNOTSUPP});
  }
  if (attached && (attach.program || attach.link)) note_packets(system, BPF_XDP);
  return attached;
}

// Kernel: bpf_xdp_link_attach.
Result<u64> link_xdp(BpfCall& call, std::shared_ptr<Program> program) {
  const auto& attr = call.attr.link_create;
  TRY(check_runnable(call.system, *program));
  auto link = std::make_shared<XdpLink>(std::move(program), attr.flags);
  const XdpResult attached =
      attach_xdp(call.system, call.task, attr.target_ifindex, {.link = link.get(), .flags = attr.flags});
  if (!attached) return fail(attached.error().error == ENODEV ? EINVAL : attached.error().error);
  call.system.links.add(link);
  return call.install(std::make_shared<LinkFile>(std::move(link), true));
}

// Kernel: netns_bpf_link_create.
Result<u64> link_netns(BpfCall& call, std::shared_ptr<Program> program) {
  const auto& attr = call.attr.link_create;
  if (attr.flags) return fail(EINVAL);
  const u32 network = TRY(network_of_fd(call, attr.target_fd));
  TRY(check_runnable(call.system, *program));
  Networks& networks = call.system.networks;
  networks.look_again(call.task);
  auto link = std::make_shared<NetnsLink>(std::move(program), attr.attach_type);
  TRY(link->join(networks.at(network).programs, networks.excluded(network, attr.attach_type)));
  note_packets(call.system, attr.attach_type);
  call.system.links.add(link);
  return call.install(std::make_shared<LinkFile>(std::move(link), true));
}

// Kernel: netns_bpf_prog_attach. The namespace is the caller's own.
Result<u64> attach_netns(BpfCall& call, std::shared_ptr<Program> program) {
  const auto& attr = call.attr;
  if (attr.target_fd || attr.attach_flags || attr.replace_bpf_fd) return fail(EINVAL);
  TRY(check_runnable(call.system, *program));
  Networks& networks = call.system.networks;
  networks.look_again(call.task);
  const u32 network = network_of(call.task);
  const bool elsewhere = networks.excluded(network, attr.attach_type);
  TRY(networks.at(network).programs->attach(attr.attach_type, std::move(program), elsewhere));
  note_packets(call.system, attr.attach_type);
  return 0;
}

// Kernel: netns_bpf_prog_detach.
Result<u64> detach_netns(BpfCall& call, const AttachType& type) {
  if (call.attr.target_fd) return fail(EINVAL);
  const auto program = TRY(call.program(call.attr.attach_bpf_fd));
  if (program->type != type.prog_type) return fail(EINVAL);
  TRY(call.system.networks.at(network_of(call.task)).programs->detach(type.id, *program));
  return 0;
}

// Kernel: netns_bpf_prog_query.
Result<u64> query_netns(BpfCall& call) {
  const auto& query = call.attr.query;
  if (query.query_flags) return fail(EINVAL);
  const u32 network = TRY(network_of_fd(call, query.target_fd));
  call.system.networks.look_again(call.task);
  return put_queried(call, call.system.networks.at(network).programs->ids(query.attach_type));
}

Result<u64> put_queried(BpfCall& call, std::vector<u32> ids) {
  const auto& query = call.attr.query;
  TRY(call.put_attr(offsetof(bpf_attr, query.attach_flags), u32{0}));
  TRY(call.put_attr(offsetof(bpf_attr, query.prog_cnt), static_cast<u32>(ids.size())));
  if (query.prog_cnt == 0 || !query.prog_ids || ids.empty()) return 0;
  const bool fits = query.prog_cnt >= ids.size();
  ids.resize(std::min<size_t>(ids.size(), query.prog_cnt));
  TRY(call.copy_out(query.prog_ids, ids.data(), ids.size() * sizeof(u32)));
  if (!fits) return fail(ENOSPC);
  return 0;
}

}  // namespace bpfemu
