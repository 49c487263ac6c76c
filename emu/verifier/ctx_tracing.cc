// SPDX-License-Identifier: Apache-2.0
// Contexts of tracing programs: registers, tracepoint records, and the arguments of functions that BTF describes.
#include <linux/bpf_perf_event.h>

#include "emu/abi/pt_regs.h"
#include "emu/verifier/btf_access.h"
#include "emu/verifier/ctx_access.h"
#include "emu/verifier/ctx_fields.h"

namespace bpfemu {
namespace {

constexpr int kTraceBufferSize = 8192;  // kernel: PERF_MAX_TRACE_SIZE
constexpr int kMaxArguments = 12;       // kernel: MAX_BPF_FUNC_ARGS

// An aligned read anywhere in [first, end).
bool reads_within(int first, int end, int offset, int size, Access access) {
  return offset >= first && offset < end && access == Access::kRead && offset % size == 0;
}

bool reads_arguments(int offset, int size, Access access) {
  return reads_within(0, kMaxArguments * 8, offset, size, access);
}

constexpr CtxRule kPerfEvent[] = {
    {CTX_FIELDS(bpf_perf_event_data, sample_period, addr), kAnySize, 0, 8},
    {CTX_FIELD(bpf_perf_event_data, regs), kWide},
};

constexpr CtxRule kLirc[] = {{0, 4, kWord}};

}  // namespace

bool kprobe_access(int offset, int size, Access access, const ProgInfo&, VerifierLog&, CtxAccess&) {
  return reads_within(0, sizeof(PtRegs), offset, size, access);
}

// The first 8 bytes are the kernel's own.
bool tracepoint_access(int offset, int size, Access access, const ProgInfo&, VerifierLog&, CtxAccess&) {
  return reads_within(8, kTraceBufferSize, offset, size, access);
}

bool raw_tracepoint_access(int offset, int size, Access access, const ProgInfo&, VerifierLog&, CtxAccess&) {
  return reads_arguments(offset, size, access);
}

// The first argument is a buffer that the program may write to.
bool raw_tracepoint_writable_access(int offset, int size, Access access, const ProgInfo&, VerifierLog&,
                                    CtxAccess& info) {
  if (offset == 0) {
    if (size != 8 || access != Access::kRead) return false;
    info.reg_type = kPtrToTpBuffer;
  }
  return reads_arguments(offset, size, access);
}

bool perf_event_access(int offset, int size, Access access, const ProgInfo& prog, VerifierLog&, CtxAccess& info) {
  return check_ctx_rules(kPerfEvent, offset, size, access, prog, info);
}

bool tracing_access(int offset, int size, Access access, const ProgInfo& prog, VerifierLog& log, CtxAccess& info) {
  return reads_arguments(offset, size, access) && btf_ctx_access(offset, size, access, prog, log, info);
}

bool lsm_access(int offset, int size, Access access, const ProgInfo& prog, VerifierLog& log, CtxAccess& info) {
  return btf_ctx_access(offset, size, access, prog, log, info);
}

// Congestion control callbacks get a tcp_sock where their prototype says sock (kernel: bpf_tcp_ca_is_valid_access).
bool struct_ops_access(int offset, int size, Access access, const ProgInfo& prog, VerifierLog& log, CtxAccess& info) {
  if (!tracing_access(offset, size, access, prog, log, info)) return false;
  const Btf* btf = prog.attach_btf.get();
  if (info.reg_type != kPtrToBtfId || !btf) return true;
  if (std::string_view(btf->type_name(prog.attach_btf_id)) != "tcp_congestion_ops") return true;
  auto sock = btf->find("sock", BTF_KIND_STRUCT), tcp_sock = btf->find("tcp_sock", BTF_KIND_STRUCT);
  if (sock && tcp_sock && info.btf_id == *sock) info.btf_id = *tcp_sock;
  return true;
}

bool syscall_access(int offset, int size, Access, const ProgInfo&, VerifierLog&, CtxAccess&) {
  return offset >= 0 && offset < 0xffff && offset % size == 0;
}

bool lirc_access(int offset, int size, Access access, const ProgInfo& prog, VerifierLog&, CtxAccess& info) {
  return check_ctx_rules(kLirc, offset, size, access, prog, info);
}

}  // namespace bpfemu
