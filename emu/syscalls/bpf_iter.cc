// SPDX-License-Identifier: Apache-2.0
// Iterators: their links, and the files that are made from them.
#include <fcntl.h>

#include <algorithm>

#include "emu/arena/layout.h"
#include "emu/iter/iter_link.h"
#include "emu/syscalls/attachment.h"
#include "emu/syscalls/bpf.h"
#include "emu/syscalls/iter_file.h"

namespace bpfemu {

namespace {

std::vector<TraceWhen> iter_stops() {
  return {TraceWhen::kHolders, TraceWhen::kOpeners, TraceWhen::kObjects, TraceWhen::kStreams};
}

// Open for writing alone: a process that gets it unnoticed fails to read instead of finding nothing.
Result<UniqueFd> empty_carrier() {
  const UniqueFd empty = TRY(content_fd("bpfemu", ""));
  return reopen(empty.get(), O_WRONLY);
}

// What the caller asks for, zeros where it is silent (kernel: bpf_iter_link_attach).
Result<bpf_iter_link_info> read_request(BpfCall& call) {
  const auto& attr = call.attr.link_create;
  bpf_iter_link_info info{};
  if (!attr.iter_info != !attr.iter_info_len) return fail(EINVAL);
  if (!attr.iter_info) return info;
  if (attr.iter_info_len > kPageSize) return fail(E2BIG);
  const auto bytes = TRY(call.copy_in(attr.iter_info, attr.iter_info_len));
  const size_t known = std::min(bytes.size(), sizeof info);
  if (std::any_of(bytes.begin() + static_cast<s64>(known), bytes.end(), [](u8 b) { return b != 0; }))
    return fail(E2BIG);
  std::copy_n(bytes.begin(), known, reinterpret_cast<u8*>(&info));
  return info;
}

}  // namespace

Result<std::shared_ptr<Link>> make_iter_link(BpfCall& call, std::shared_ptr<Program> program) {
  if (call.attr.link_create.target_fd || call.attr.link_create.flags) return fail(EINVAL);
  const bpf_iter_link_info info = TRY(read_request(call));
  TRY(check_runnable(call.system, *program));
  auto link = IterLink::create(*call.system.iterators, call.task, program, info);
  if (!link && link.error().value == EOPNOTSUPP) note_attachment(call, *program, BPF_TRACE_ITER);
  return std::static_pointer_cast<Link>(TRY(std::move(link)));
}

// Kernel: bpf_iter_new_fd.
Result<u64> iter_create(BpfCall& call) {
  if (call.attr.iter_create.flags) return fail(EINVAL);
  auto link = TRY(call.link(call.attr.iter_create.link_fd));
  if (link->type() != BPF_LINK_TYPE_ITER) return fail(EINVAL);
  auto file = std::make_shared<IterFile>(TRY(static_cast<IterLink&>(*link).open(call.task)));
  UniqueFd carrier = TRY(empty_carrier());
  return static_cast<u64>(TRY(call.system.files.install_native(call.task, std::move(file), carrier.get(), true)));
}

Result<int> install_pinned_iter(System& system, Task& task, const Found& found, IterLink& link, int flags) {
  const int access = flags & O_ACCMODE;
  const int mask = (access != O_WRONLY ? R_OK : 0) | (access != O_RDONLY || (flags & O_TRUNC) ? W_OK : 0);
  TRY(system.vfs->permits(system.credentials(task), found, mask));
  if (flags & O_DIRECT) return fail(EINVAL);
  auto session = TRY(link.open(task));
  auto file = std::make_shared<PinnedIterFile>(*system.vfs, found, std::move(session), static_cast<u32>(flags));
  UniqueFd carrier = TRY(empty_carrier());
  return system.files.install_native(task, std::move(file), carrier.get(), flags & O_CLOEXEC);
}

IterFile::IterFile(std::unique_ptr<IterSession> session) : session_(std::move(session)) {
  open_flags = O_RDONLY;
  mode = kModeRead;
}

std::vector<TraceWhen> IterFile::stops() const {
  return iter_stops();
}

PinnedIterFile::PinnedIterFile(Vfs& vfs, Found found, std::unique_ptr<IterSession> session, u32 flags)
    : NodeFile(vfs, std::move(found)), session_(std::move(session)) {
  constexpr u32 kLargeFile = 0100000, kForOpening = O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC;
  open_flags = (flags & ~kForOpening) | kLargeFile;
  const u32 access = flags & O_ACCMODE;
  mode = access == O_RDONLY ? kModeRead : access == O_WRONLY ? kModeWrite : kModeRead | kModeWrite;
}

std::vector<TraceWhen> PinnedIterFile::stops() const {
  return iter_stops();
}

}  // namespace bpfemu
