// SPDX-License-Identifier: Apache-2.0
// Struct walks, typed arguments and attach targets, on the BTF of the claimed kernel.
#include <catch2/catch.hpp>

#include "emu/kernel/kernel_data.h"
#include "emu/verifier/btf_access.h"

using namespace bpfemu;

namespace {

const std::shared_ptr<const Btf>& vmlinux() {
  static const std::shared_ptr<const Btf> btf = *KernelData(default_profile()).btf();
  return btf;
}

u32 struct_id(const char* name) {
  return *vmlinux()->find(name, BTF_KIND_STRUCT);
}
s64 offset(const char* structure, const char* field) {
  return *vmlinux()->offset_of(structure, field);
}

struct Tracer {
  Tracer(u32 type, u32 attach, const char* target, u32 kind) {
    world.vmlinux = vmlinux();
    world.ksym = [](std::string_view name) { return u64{name == "missing" ? 0u : 0x1000u}; };
    prog.type = type;
    prog.expected_attach_type = attach;
    prog.gpl_compatible = true;
    prog.world = &world;
    prog.attach_btf = vmlinux();
    prog.attach_btf_id = target ? *vmlinux()->find(target, kind) : 0;
  }
  int error() {
    auto result = set_attach_target(prog, {}, log);
    return result ? 0 : result.error().value;
  }
  bool reads(int off, int size = 8) {
    info = {};
    return prog_type_ops(prog.type)->is_valid_access(off, size, Access::kRead, prog, log, info);
  }
  std::string log_text() const { return log.text(); }

  VerifierWorld world;
  ProgInfo prog;
  VerifierLog log{1, 65536};
  CtxAccess info;
};

}  // namespace

TEST_CASE("fields of kernel structs") {
  const Btf& btf = *vmlinux();
  VerifierLog log(1, 65536);
  auto read = [&](const char* structure, s64 off, u32 size) {
    return btf_struct_access(btf, struct_id(structure), off, size, Access::kRead, log);
  };
  CHECK(read("task_struct", offset("task_struct", "pid"), 4)->type == kScalar);
  auto mm = read("task_struct", offset("task_struct", "mm"), 8);
  REQUIRE(mm.has_value());
  CHECK(mm->type == kPtrToBtfId);
  CHECK(mm->btf_id == struct_id("mm_struct"));
  CHECK(mm->flags == 0);
  // Bytes of an array of numbers and of a nested struct.
  CHECK(read("task_struct", offset("task_struct", "comm") + 3, 8)->type == kScalar);
  CHECK(read("task_struct", offset("task_struct", "se.sum_exec_runtime"), 8)->type == kScalar);
  CHECK(log.text().empty());
}

TEST_CASE("what a walk refuses, it explains") {
  const Btf& btf = *vmlinux();
  auto refused = [&](const char* structure, s64 off, u32 size) {
    VerifierLog log(1, 65536);
    CHECK_FALSE(btf_struct_access(btf, struct_id(structure), off, size, Access::kRead, log).has_value());
    return std::string(log.text());
  };
  s64 mm = offset("task_struct", "mm"), pid = offset("task_struct", "pid");
  u32 size = btf.type(struct_id("task_struct"))->size;
  CHECK(refused("task_struct", mm, 4) == "cannot access ptr member mm with moff " + std::to_string(mm) +
                                             " in struct task_struct with off " + std::to_string(mm) + " size 4\n");
  CHECK(refused("task_struct", size, 8) ==
        "access beyond struct task_struct at off " + std::to_string(size) + " size 8\n");
  CHECK(refused("task_struct", pid + 2, 4) == "access beyond the end of member pid (mend:" + std::to_string(pid + 4) +
                                                  ") in struct task_struct with off " + std::to_string(pid + 2) +
                                                  " size 4\n");
}

TEST_CASE("a struct begins with what it derives from") {
  const Btf& btf = *vmlinux();
  VerifierLog log(0, 0);
  CHECK(btf_struct_ids_match(btf, struct_id("tcp_sock"), 0, btf, struct_id("sock_common"), false, log));
  CHECK_FALSE(btf_struct_ids_match(btf, struct_id("tcp_sock"), 0, btf, struct_id("sock_common"), true, log));
  CHECK_FALSE(btf_struct_ids_match(btf, struct_id("sock_common"), 0, btf, struct_id("tcp_sock"), false, log));
  s64 se = offset("task_struct", "se");
  CHECK(btf_struct_ids_match(btf, struct_id("task_struct"), se, btf, struct_id("sched_entity"), false, log));
  CHECK_FALSE(btf_struct_ids_match(btf, struct_id("task_struct"), se + 4, btf, struct_id("sched_entity"), false, log));
}

TEST_CASE("arguments of a tracepoint") {
  Tracer tracer(BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, "btf_trace_sched_switch", BTF_KIND_TYPEDEF);
  REQUIRE(tracer.error() == 0);
  CHECK(tracer.prog.attach_func_name == "sched_switch");
  CHECK(tracer.prog.attach_btf_trace);
  CHECK(tracer.reads(0));  // bool preempt
  CHECK(tracer.info.reg_type == kScalar);
  CHECK(tracer.reads(8));  // struct task_struct *prev
  CHECK(tracer.info.reg_type == kPtrToBtfId);
  CHECK(tracer.info.btf_id == struct_id("task_struct"));
  CHECK(tracer.log_text() == "func 'sched_switch' arg1 has btf_id " + std::to_string(struct_id("task_struct")) +
                                 " type STRUCT 'task_struct'\n");
  CHECK_FALSE(tracer.reads(12, 4));
  CHECK_FALSE(tracer.reads(8 * 12));
}

TEST_CASE("results are seen at a function's exit only") {
  Tracer exit(BPF_PROG_TYPE_TRACING, BPF_TRACE_FEXIT, "vfs_read", BTF_KIND_FUNC);
  REQUIRE(exit.error() == 0);
  CHECK(exit.reads(0));
  CHECK(exit.info.btf_id == struct_id("file"));
  CHECK(exit.reads(4 * 8));
  CHECK_FALSE(exit.reads(5 * 8));
  Tracer entry(BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, "vfs_read", BTF_KIND_FUNC);
  REQUIRE(entry.error() == 0);
  CHECK(entry.reads(3 * 8));
  CHECK_FALSE(entry.reads(4 * 8));
  CHECK(entry.log_text().ends_with("func 'vfs_read' doesn't have 5-th argument\n"));
}

TEST_CASE("iterators hand out typed pointers") {
  Tracer tracer(BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, "bpf_iter_task_file", BTF_KIND_FUNC);
  REQUIRE(tracer.error() == 0);
  CHECK(tracer.reads(8));
  CHECK(tracer.info.reg_type == (kPtrToBtfId | kMaybeNull));
  CHECK(tracer.info.btf_id == struct_id("task_struct"));
  CHECK(tracer.reads(24));
  CHECK(tracer.info.btf_id == struct_id("file"));
  Tracer elements(BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, "bpf_iter_bpf_map_elem", BTF_KIND_FUNC);
  REQUIRE(elements.error() == 0);
  CHECK(elements.reads(16));
  CHECK(elements.info.reg_type == (kPtrToBuf | kMaybeNull | kRdonly));
}

TEST_CASE("targets that cannot be attached to") {
  struct Case {
    u32 type, attach;
    const char* target;
    u32 kind;
    bool sleepable;
    int error;
    const char* text;
  };
  const Case cases[] = {
      {BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, nullptr, 0, false, EINVAL, "Tracing programs must provide btf_id\n"},
      {BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, "task_struct", BTF_KIND_STRUCT, false, EINVAL, "is not a function\n"},
      {BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, "vfs_read", BTF_KIND_FUNC, false, EINVAL, "is not a typedef\n"},
      {BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, "pid_t", BTF_KIND_TYPEDEF, false, EINVAL,
       "points to wrong type name pid_t\n"},
      {BPF_PROG_TYPE_TRACING, BPF_MODIFY_RETURN, "vfs_read", BTF_KIND_FUNC, false, EINVAL,
       "vfs_read() is not modifiable\n"},
      {BPF_PROG_TYPE_TRACING, BPF_MODIFY_RETURN, "security_file_open", BTF_KIND_FUNC, false, 0, ""},
      {BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, "vfs_read", BTF_KIND_FUNC, true, EINVAL, "vfs_read is not sleepable\n"},
      {BPF_PROG_TYPE_EXT, 0, "vfs_read", BTF_KIND_FUNC, false, EINVAL, "Cannot replace kernel functions\n"},
      {BPF_PROG_TYPE_LSM, BPF_LSM_MAC, "bpf_lsm_file_open", BTF_KIND_FUNC, true, 0, ""},
      {BPF_PROG_TYPE_LSM, BPF_LSM_MAC, "bpf_lsm_task_free", BTF_KIND_FUNC, true, EINVAL,
       "bpf_lsm_task_free is not sleepable\n"},
      {BPF_PROG_TYPE_LSM, BPF_LSM_MAC, "vfs_read", BTF_KIND_FUNC, false, EINVAL,
       "points to wrong type name vfs_read\n"},
      {BPF_PROG_TYPE_KPROBE, 0, nullptr, 0, true, 0, ""},
      {BPF_PROG_TYPE_XDP, 0, nullptr, 0, true, EINVAL,
       "Only fentry/fexit/fmod_ret, lsm, and kprobe/uprobe programs can be sleepable\n"},
      {BPF_PROG_TYPE_SYSCALL, 0, nullptr, 0, false, EINVAL, "Syscall programs can only be sleepable\n"},
  };
  for (const Case& one : cases) {
    Tracer tracer(one.type, one.attach, one.target, one.kind);
    tracer.prog.sleepable = one.sleepable;
    INFO("type " << one.type << " attach " << one.attach << " target " << (one.target ? one.target : ""));
    CHECK(tracer.error() == one.error);
    CHECK(tracer.log_text().ends_with(one.text));
  }
}

TEST_CASE("struct_ops programs are members") {
  Tracer tracer(BPF_PROG_TYPE_STRUCT_OPS, 0, "tcp_congestion_ops", BTF_KIND_STRUCT);
  auto members = vmlinux()->members(*vmlinux()->type(tracer.prog.attach_btf_id));
  int checked = 0;
  for (u32 i = 0; i < members.size(); ++i) {
    std::string name = vmlinux()->string(members[i].name_off);
    if (name != "ssthresh" && name != "get_info" && name != "release" && name != "name") continue;
    ++checked;
    tracer.prog.expected_attach_type = i;
    CHECK(tracer.error() == (name == "get_info" ? ENOTSUPP : name == "name" ? EINVAL : 0));
    if (name == "ssthresh") {
      CHECK(tracer.reads(0));
      CHECK(tracer.info.btf_id == struct_id("tcp_sock"));
      CHECK(prog_type_ops(BPF_PROG_TYPE_STRUCT_OPS)->helper(BPF_FUNC_setsockopt, tracer.prog) != nullptr);
    }
    if (name == "release") {
      CHECK(prog_type_ops(BPF_PROG_TYPE_STRUCT_OPS)->helper(BPF_FUNC_setsockopt, tracer.prog) == nullptr);
    }
  }
  CHECK(checked == 4);
}

TEST_CASE("congestion control may write a few fields") {
  Tracer tracer(BPF_PROG_TYPE_STRUCT_OPS, 0, "tcp_congestion_ops", BTF_KIND_STRUCT);
  auto write = [&](const char* structure, s64 off, int size) {
    u32 next, flags;
    return struct_ops_field_access(tracer.prog, tracer.log, *vmlinux(), struct_id(structure), static_cast<int>(off),
                                   size, Access::kWrite, &next, &flags);
  };
  CHECK(write("tcp_sock", offset("tcp_sock", "snd_cwnd"), 4) == 0);
  CHECK(write("tcp_sock", offset("tcp_sock", "snd_cwnd"), 8) == -EACCES);
  CHECK(write("tcp_sock", offset("tcp_sock", "rcv_nxt"), 4) == -EACCES);
  CHECK(write("sock", 0, 4) == -EACCES);
}
