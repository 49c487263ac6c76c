// SPDX-License-Identifier: Apache-2.0
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "emu/hook/test_functions.h"
#include "emu/kernel/network.h"
#include "emu/kernel/network_objects.h"
#include "emu/syscalls/bpf.h"
#include "emu/syscalls/socket_lookup.h"
#include "emu/test_run/test_run.h"

namespace bpfemu {

namespace {

constexpr u32 kLoopback = 1;  // ifindex of lo

template <class T>
s64 to_return(const Result<T>& result) {
  return result ? static_cast<s64>(*result) : -s64{result.error().value};
}

class Caller : public TestCaller {
 public:
  Caller(BpfCall& call, const Program& program)
      : call_(call),
        program_(program),
        syscalls_{this, call_bpf, close_descriptor, find_type},
        lookup_(call.system, call.task) {}
  Result<std::vector<u8>> copy_in(u64 from, u64 size) override { return call_.copy_in(from, size); }
  Result<void> copy_out(u64 to, const void* from, u64 size) override { return call_.copy_out(to, from, size); }
  Result<void> put_attr(size_t offset, const void* from, size_t size) override {
    return call_.copy_out(call_.address + offset, from, size);
  }
  Result<void> with_run(int cpu, const std::function<void(Run& run)>& body) override {
    TRY(check_runnable(call_.system, program_));
    call_.system.socket_maps->drop_closed();
    if (cpu >= static_cast<int>(call_.system.options.cpus_online)) return fail(ENXIO);
    RunScope scope(call_.system.probes->runner(), &call_.task, nullptr, ProgramNeeds::everything(), cpu);
    if (!scope) return fail(ESRCH);
    if (program_.type == BPF_PROG_TYPE_SYSCALL) scope.set_syscalls(&syscalls_);
    scope.set_socket_lookup(&lookup_.services());
    scope_ = &scope;
    body(scope.run());
    scope_ = nullptr;
    return {};
  }
  s32 finished(s32 result) override {
    call_.system.probes->pass(call_.task, [&](Occasion& occasion) { result = pass_test_finish(occasion, result); });
    return result;
  }
  Result<u64> device(u32 index) override {
    if (index == kLoopback && !shows_packets()) return 0;
    const u32 network = network_of(call_.task);
    const UniqueFd netlink = make_socket_in(&call_.task, network, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    const auto facts = netlink ? device_facts(netlink.get(), index) : fail(ENODEV);
    if (!facts) return index == kLoopback ? Result<u64>(0) : fail(ENODEV);
    return device_object(*call_.system.object_space, network, *facts).address();
  }
  u16 taking_link_header(RunSkb& skb, u64 device, const std::function<u16()>& take) override {
    u16 protocol = 0;
    call_.system.sock_objects->show(*skb.sk);
    call_.system.probes->pass(call_.task, [&](Occasion& occasion) {
      protocol = pass_link_header(occasion, skb, device, take);
    });
    return protocol;
  }
  void freed(RunSkb& skb) override {
    call_.system.sock_objects->show(*skb.sk);
    call_.system.probes->pass(call_.task, [&](Occasion& occasion) { pass_freed_packet(occasion, skb); });
  }
  bool interrupted() override {
    bool signalled = false;
    scope_->lend([&] { signalled = call_.system.host.pause(); });
    return signalled;
  }
  void call_test_functions(bool modified) override { call_.system.probes->call_test_functions(call_.task, modified); }
  void unmodelled(const char* what) override { call_.system.unmodelled.note(what); }

 private:
  // Can anybody see the kernel's struct of a packet? The program may call others that are watched.
  bool shows_packets() const {
    const Probes& probes = *call_.system.probes;
    for (Hook hook : {Hook::eth_type_trans, Hook::trace_kfree_skb})
      if (probes.awaited(hook, Side::kEntry) || probes.awaited(hook, Side::kReturn)) return true;
    auto& programs = call_.system.programs;
    for (auto id = programs.next(0); id; id = programs.next(*id)) {
      const auto program = programs.find(*id);
      if (program && (*program)->is_hooked()) return true;
    }
    return false;
  }
  // The program's own calls are its task's, which waits for it (kernel: __sys_bpf with KERNEL_BPFPTR).
  static s64 call_bpf(void* self, Run* run, u32 command, u64 attr, u32 size) {
    const BpfCall& of = static_cast<Caller*>(self)->call_;
    BpfCall call{.system = of.system, .task = of.task, .command = command, .address = attr, .caps = of.caps, .caller = run};
    return to_return(do_bpf(call, size));
  }
  static s64 close_descriptor(void* self, u32 fd) {
    const BpfCall& of = static_cast<Caller*>(self)->call_;
    const s64 closed = to_return(of.task.call(SYS_close, {fd}));
    of.system.files.reap();
    return closed;
  }
  static s64 find_type(void* self, const char* name, u32 kind) {
    const auto& btf = static_cast<Caller*>(self)->call_.system.vmlinux;
    return to_return(btf ? btf->find(name, kind) : fail(EINVAL));
  }

  BpfCall& call_;
  const Program& program_;
  SyscallServices syscalls_;
  SocketLookup lookup_;
  RunScope* scope_ = nullptr;
};

}  // namespace

// Kernel: bpf_prog_test_run.
Result<u64> prog_test_run(BpfCall& call) {
  auto& attr = call.attr.test;
  if (!attr.ctx_size_in != !attr.ctx_in || !attr.ctx_size_out != !attr.ctx_out) return fail(EINVAL);
  auto program = TRY(call.program(attr.prog_fd));
  Caller caller(call, *program);
  TRY(test_run(*call.system.arena, *program, attr, caller));
  return 0;
}

}  // namespace bpfemu
