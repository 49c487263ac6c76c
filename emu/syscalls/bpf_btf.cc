// SPDX-License-Identifier: Apache-2.0
#include "emu/base/room.h"
#include "emu/syscalls/bpf.h"
#include "emu/syscalls/tool_log.h"

namespace bpfemu {

namespace {

constexpr u32 kBtfMaxSize = 16 << 20;  // BTF_MAX_SIZE
constexpr u64 kWorkPerByte = 4;        // of memory, while it is checked

// Kernel: btf_parse.
Result<std::shared_ptr<Btf>> parse(BpfCall& call) {
  const bpf_attr& attr = call.attr;
  if (attr.btf_size > kBtfMaxSize) return fail(E2BIG);
  ToolLog to{.level = attr.btf_log_level, .buffer = attr.btf_log_buf, .size = attr.btf_log_size};
  if (to.wanted() && !to.valid()) return fail(EINVAL);
  TRY(room_for(u64{attr.btf_size} * kWorkPerByte));
  auto raw = TRY(call.copy_in(attr.btf, attr.btf_size));

  VerifierLog log(to.level, to.size);
  auto btf = Btf::load(std::move(raw), &log, [&] { (void)call.system.host.breathe(&call.task); });
  // A failed check ends the call before the log's size is looked at, and nobody minds a log buffer that is no memory.
  bool overflowed = to.finish(call, log, 0) == ENOSPC;
  if (btf && overflowed) return fail(ENOSPC);
  return btf;
}

}  // namespace

Result<u64> btf_load(BpfCall& call) {
  if (!call.caps.bpf) return fail(EPERM);
  auto btf = TRY(parse(call));
  call.system.btfs.add(btf);
  return call.install(std::make_shared<BtfFile>(btf));
}

}  // namespace bpfemu
