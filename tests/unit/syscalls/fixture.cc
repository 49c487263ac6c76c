// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/syscalls/fixture.h"

#include <signal.h>
#include <sys/syscall.h>

#include <cstdlib>

namespace bpfemu::test {

namespace {

template <class T>
u64 ptr(const T* p) {
  return reinterpret_cast<u64>(p);
}

}  // namespace

Kernel::Kernel() {
  signal(SIGPIPE, SIG_IGN);  // as the supervisor does
  host.tasks[task.tid()] = &task;
  Options options;
  options.cpus_possible = options.cpus_online = 2;
  options.root.uid = getuid();
  options.root.gid = getgid();
  auto created = System::create(options, host, sites);
  if (!created) std::abort();
  system = std::move(*created);
}

Kernel& kernel() {
  static Kernel kernel;
  return kernel;
}

s64 Kernel::call(long number, std::array<u64, 6> args) {
  Call call{task, number, args};
  const TracedSyscall* traced = find_traced_syscall(number);
  Reply reply = traced ? traced->enter(*system, call) : Reply::native();
  if (reply.kind == Reply::Kind::kAnswered) return reply.value;
  auto result = task.call(number, call.args);
  s64 value = as_return(result);
  Call ended{task, number, args};
  return reply.kind == Reply::Kind::kNativeThenExit && traced->exit ? traced->exit(*system, ended, value) : value;
}

s64 Kernel::bpf_in_place(int command, bpf_attr& attr) {
  return call(SYS_bpf, {static_cast<u64>(command), ptr(&attr), sizeof attr, 0, 0, 0});
}

s64 Kernel::bpf(int command, const bpf_attr& attr, u64 size) {
  return call(SYS_bpf, {static_cast<u64>(command), ptr(&attr), size, 0, 0, 0});
}

bpf_attr map_attr(u32 type, u32 key, u32 value, u32 entries, u32 flags) {
  bpf_attr attr{};
  attr.map_type = type;
  attr.key_size = key;
  attr.value_size = value;
  attr.max_entries = entries;
  attr.map_flags = flags;
  return attr;
}

bpf_attr element(s64 map, const void* key, const void* value, u64 flags) {
  bpf_attr attr{};
  attr.map_fd = static_cast<u32>(map);
  attr.key = reinterpret_cast<u64>(key);
  attr.value = reinterpret_cast<u64>(value);
  attr.flags = flags;
  return attr;
}

bpf_attr program_attr(u32 type, const std::vector<bpf_insn>& insns) {
  static const char license[] = "GPL";
  bpf_attr attr{};
  attr.prog_type = type;
  attr.insns = ptr(insns.data());
  attr.insn_cnt = static_cast<u32>(insns.size());
  attr.license = ptr(license);
  return attr;
}

std::vector<bpf_insn> return_zero() {
  return {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
          {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
}

}  // namespace bpfemu::test
