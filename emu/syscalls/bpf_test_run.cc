// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/bpf.h"
#include "emu/test_run/test_run.h"

namespace bpfemu {

namespace {

class Caller : public TestCaller {
 public:
  Caller(BpfCall& call, const Program& program) : call_(call), program_(program) {}
  Result<std::vector<u8>> copy_in(u64 from, u64 size) override { return call_.copy_in(from, size); }
  Result<void> copy_out(u64 to, const void* from, u64 size) override { return call_.copy_out(to, from, size); }
  Result<void> put_attr(size_t offset, const void* from, size_t size) override {
    return call_.copy_out(call_.address + offset, from, size);
  }
  Result<void> with_run(int cpu, const std::function<void(Run& run)>& body) override {
    TRY(check_runnable(call_.system, program_));
    if (cpu >= static_cast<int>(call_.system.options.cpus_online)) return fail(ENXIO);
    RunScope scope(call_.system.probes->runner(), &call_.task, nullptr, ProgramNeeds::everything(), cpu);
    if (!scope) return fail(ESRCH);
    scope_ = &scope;
    body(scope.run());
    scope_ = nullptr;
    return {};
  }
  bool interrupted() override {
    bool signalled = false;
    scope_->lend([&] { signalled = call_.system.host.pause(); });
    return signalled;
  }
  void call_test_functions(bool modified) override { call_.system.probes->call_test_functions(call_.task, modified); }
  void unmodelled(const char* what) override { call_.system.unmodelled.note(what); }

 private:
  BpfCall& call_;
  const Program& program_;
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
