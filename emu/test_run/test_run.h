// SPDX-License-Identifier: Apache-2.0
// BPF_PROG_TEST_RUN: runs a program on data that the tool supplies (kernel: net/bpf/test_run.c).
#pragma once

#include <linux/bpf.h>

#include <functional>
#include <vector>

#include "emu/bpf/program.h"

namespace bpfemu {

struct RunSkb;

using TestAttr = decltype(bpf_attr::test);

// Who asks for the run: the tool's memory, and a vCPU to run on.
class TestCaller {
 public:
  virtual ~TestCaller() = default;
  // The tool's memory: EFAULT.
  virtual Result<std::vector<u8>> copy_in(u64 from, u64 size) = 0;
  virtual Result<void> copy_out(u64 to, const void* from, u64 size) = 0;
  // Fields of the tool's attr, from `offset` of union bpf_attr on: EFAULT.
  virtual Result<void> put_attr(size_t offset, const void* from, size_t size) = 0;
  // Calls `body` while holding a vCPU: the one numbered `cpu`, or the task's own when negative. ENXIO: no such CPU.
  virtual Result<void> with_run(int cpu, const std::function<void(Run& run)>& body) = 0;
  // Asked now and then in a long run, and from within `body` only: others go on meanwhile, on this vCPU too. True: a
  // signal waits for the task, and the run ends with EINTR.
  virtual bool interrupted() = 0;
  // The functions that the kernel has for fentry and fexit programs, or for fmod_ret, are called.
  virtual void call_test_functions(bool modified) = 0;
  virtual void unmodelled(const char* what) = 0;
  // The run of a program on a packet comes to its end with 0 or -errno, which whoever listens may change (kernel:
  // trace_bpf_test_finish): what it is then.
  virtual s32 finished(s32 result) { return result; }
  // The struct net_device with this index in the task's network, 0: none can be shown. ENODEV.
  virtual Result<u64> device(u32 index) { return index == 1 ? Result<u64>(0) : fail(ENODEV); }
  // `take` takes the link's header off and says what follows (kernel: eth_type_trans).
  virtual u16 taking_link_header(RunSkb& /*skb*/, u64 /*device*/, const std::function<u16()>& take) { return take(); }
  // Whatever the run came to, the packet is freed at its end (kernel: kfree_skb).
  virtual void freed(RunSkb& /*skb*/) {}
};

// Kernel: bpf_prog_test_run, after the program has been found. ENOTSUPP for types that cannot be run so.
Result<void> test_run(Arena& arena, const Program& program, const TestAttr& attr, TestCaller& caller);

}  // namespace bpfemu
