// SPDX-License-Identifier: Apache-2.0
// The verifier: a path-sensitive abstract interpreter with the 6.1 kernel's rules, errno and log (kernel: bpf_check).
#pragma once

#include <functional>

#include "emu/bpf/capabilities.h"
#include "emu/bpf/program.h"
#include "emu/btf/verifier_log.h"

namespace bpfemu {

// A program as BPF_PROG_LOAD brings it, copied out of the tool's memory.
struct LoadRequest {
  u32 type = 0;
  u32 expected_attach_type = 0;
  u32 flags = 0;  // BPF_F_STRICT_ALIGNMENT, BPF_F_SLEEPABLE, ...
  Insns insns;
  bool gpl_compatible = false;
  std::string name;
  Capabilities caps;

  std::shared_ptr<const Btf> btf;                    // of prog_btf_fd, null when that is none
  int btf_error = EBADF;                             // and then why: EBADF, EINVAL
  std::vector<u8> func_info, line_info, core_relos;  // raw records of the given sizes, as the tool wrote them
  u32 func_info_rec_size = 0, func_info_cnt = 0;
  u32 line_info_rec_size = 0, line_info_cnt = 0;
  u32 core_relo_rec_size = 0, core_relo_cnt = 0;
  std::shared_ptr<const Btf> attach_btf;  // target of tracing, LSM, struct_ops; vmlinux BTF by default
  u32 attach_btf_id = 0;
  std::shared_ptr<Program> attach_program;

  // Resolves descriptors in the loading task: EBADF, EINVAL. `fd_array` reads the i-th entry of attr.fd_array: EFAULT.
  std::function<Result<std::shared_ptr<MapObject>>(int fd)> map_by_fd;
  std::function<Result<std::shared_ptr<const Btf>>(int fd)> btf_by_fd;
  std::function<Result<int>(u32 index)> fd_array;
  // Asked every few instructions, null: never. True: end with EAGAIN (kernel: signal_pending, cond_resched).
  std::function<bool()> pause;
};

// The facts of the claimed kernel that verdicts depend on.
struct VerifierWorld {
  std::shared_ptr<const Btf> vmlinux;  // null: CONFIG_DEBUG_INFO_BTF=n
  u32 cpus = 1;
  std::function<u64(std::string_view)> ksym;  // address of a kernel symbol, 0 when unknown
};

Result<VerifiedProgram> verify(const VerifierWorld& world, const LoadRequest& request, VerifierLog& log);

// Why verify() refused it, found by verifying once more and taking notes; programs that are accepted pay nothing.
struct Rejection;
Rejection diagnose(const VerifierWorld& world, const LoadRequest& request);

}  // namespace bpfemu
