// SPDX-License-Identifier: Apache-2.0
// Kernel objects, read back the way a CO-RE program reads them: by the BTF's offsets.
#include "emu/kernel/objects.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "emu/base/bytes.h"
#include "emu/base/fd.h"
#include "emu/kernel/kernel_data.h"
#include "emu/kernel/sock_object.h"
#include "emu/kernel/test_object.h"

namespace bpfemu {
namespace {

struct Reader {
  const Btf& btf;
  template <class T = u64>
  T get(u64 address, const char* structure, const char* path) const {
    auto offset = btf.offset_of(structure, path);
    REQUIRE(offset);
    return load<T>(reinterpret_cast<const void*>(address + *offset));
  }
};

TaskFacts facts_of(pid_t tid, pid_t tgid, pid_t parent, const char* comm) {
  TaskFacts facts;
  facts.tid = tid;
  facts.tgid = tgid;
  facts.parent_tid = facts.parent_tgid = parent;
  facts.uid = facts.euid = 1000;
  facts.gid = 100;
  facts.start_time_ns = 7000;
  facts.start_boottime_ns = 8000 + static_cast<u64>(tid);
  std::strncpy(facts.comm, comm, sizeof facts.comm - 1);
  return facts;
}

TEST_CASE("task_struct and what hangs on it") {
  auto arena = Arena::create(2);
  REQUIRE(arena);
  auto btf = KernelData(default_profile()).btf().value();
  Reader reader{*btf};
  pid_t self = ::getpid();
  std::map<pid_t, TaskFacts> known{{500, facts_of(500, 500, 1, "shell")}};
  ObjectSpace space(**arena, btf);
  KernelObjects all(
      space,
      [&](pid_t tid) -> Result<TaskFacts> {
        auto it = known.find(tid);
        if (it == known.end()) return fail(ESRCH);
        return it->second;
      },
      [](u32 cpu) { return RunQueue{.all = cpu + 2, .idle = 1}; }, [](std::string_view) { return u64{0}; });
  TaskObjects& objects = all.tasks;
  const auto root_cgroup = std::make_shared<Cgroup>(1, "", nullptr);
  objects.cgroup_of = [own = std::make_shared<Cgroup>(77, "a", root_cgroup)](pid_t) { return own; };

  TaskFacts facts = facts_of(self, self, 500, "tool");
  u64 task = objects.task_struct(facts);
  REQUIRE((*arena)->contains(task, 8192));
  CHECK(reader.get<s32>(task, "task_struct", "pid") == self);
  CHECK(reader.get<s32>(task, "task_struct", "tgid") == self);
  CHECK(std::string(reinterpret_cast<const char*>(task + btf->offset_of("task_struct", "comm").value())) == "tool");
  CHECK(reader.get(task, "task_struct", "start_time") == 7000);
  CHECK(reader.get(task, "task_struct", "group_leader") == task);
  u64 parent = reader.get(task, "task_struct", "real_parent");
  CHECK(reader.get<s32>(parent, "task_struct", "tgid") == 500);
  CHECK(reader.get<s32>(reader.get(parent, "task_struct", "real_parent"), "task_struct", "pid") == 1);
  u64 cred = reader.get(task, "task_struct", "cred");
  CHECK(reader.get<u32>(cred, "cred", "uid") == 1000);
  CHECK(reader.get<u32>(cred, "cred", "gid") == 100);
  u64 mnt = reader.get(reader.get(task, "task_struct", "nsproxy"), "nsproxy", "mnt_ns");
  struct stat st;
  REQUIRE(::stat("/proc/self/ns/mnt", &st) == 0);
  CHECK(reader.get<u32>(mnt, "mnt_namespace", "ns.inum") == static_cast<u32>(st.st_ino));
  u64 upid = reader.get(task, "task_struct", "thread_pid") + btf->offset_of("pid", "numbers").value();
  CHECK(reader.get<s32>(upid, "upid", "nr") == self);
  u64 cgroup = reader.get(reader.get(task, "task_struct", "cgroups"), "css_set", "dfl_cgrp");
  CHECK(reader.get(reader.get(cgroup, "cgroup", "kn"), "kernfs_node", "id") == 77);
  CHECK(reader.get<s32>(cgroup, "cgroup", "level") == 1);
  u64 above = reader.get(cgroup, "cgroup", "self.parent") - btf->offset_of("cgroup", "self").value();
  CHECK(reader.get(reader.get(above, "cgroup", "kn"), "kernfs_node", "id") == 1);
  u64 mm = reader.get(task, "task_struct", "mm");
  CHECK(reader.get(mm, "mm_struct", "arg_start") < reader.get(mm, "mm_struct", "arg_end"));

  SECTION("it is brought up to date in place") {
    std::strcpy(facts.comm, "renamed");
    facts.exit_code = 9;
    CHECK(objects.task_struct(facts) == task);
    CHECK(reader.get<s32>(task, "task_struct", "exit_code") == 9);
    CHECK(std::string(reinterpret_cast<const char*>(task + btf->offset_of("task_struct", "comm").value())) ==
          "renamed");
  }
  SECTION("threads share their leader's memory") {
    known[self] = facts;
    u64 thread = objects.task_struct(facts_of(self + 1, self, 500, "thread"));
    CHECK(thread != task);
    CHECK(reader.get(thread, "task_struct", "group_leader") == task);
    CHECK(reader.get(thread, "task_struct", "mm") == mm);
    CHECK(reader.get(thread, "task_struct", "real_parent") == parent);
  }
  SECTION("a reused number is another thread") {
    facts.start_boottime_ns += 1;
    facts.uid = 0;
    u64 again = objects.task_struct(facts);
    CHECK(reader.get<u32>(reader.get(again, "task_struct", "cred"), "cred", "uid") == 0);
  }
  SECTION("one that runs another program keeps its task_struct and has other memory") {
    objects.forget(self);
    CHECK(objects.task_struct(facts) == task);
    CHECK(reader.get(task, "task_struct", "mm") != mm);
  }
  SECTION("forgetting gives the memory back") {
    for (pid_t tid = 1000; tid < 2000; ++tid) {
      REQUIRE(objects.task_struct(facts_of(tid, tid, 500, "short")) != 0);
      objects.forget(tid);
      objects.forget(tid);
    }
    CHECK(objects.count() < 100);
  }
  SECTION("what costs system calls is there when a program names it") {
    CHECK(reader.get(task, "task_struct", "files") == 0);
    CHECK(reader.get(task, "task_struct", "fs") == 0);
    const UniqueFd high(::fcntl(0, F_DUPFD, 900));
    REQUIRE(high);
    for (const char* member : {"files", "fs", "utime", "se.cfs_rq"}) {
      const bpf_insn insn = {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 1, .src_reg = 0, .off = 0,
                             .imm = static_cast<s32>(btf->offset_of("task_struct", member).value())};
      objects.named_by({&insn, 1});
    }
    REQUIRE(objects.task_struct(facts) == task);
    const u64 fdt = reader.get(reader.get(task, "task_struct", "files"), "files_struct", "fdt");
    CHECK(reader.get<u32>(fdt, "fdtable", "max_fds") == 1024);
    const u64 table = reader.get(fdt, "fdtable", "fd");
    struct stat st;
    REQUIRE(::fstat(high.get(), &st) == 0);
    const u64 file = load<u64>(reinterpret_cast<const void*>(table + 8 * static_cast<u64>(high.get())));
    CHECK(reader.get(reader.get(file, "file", "f_inode"), "inode", "i_ino") == st.st_ino);
    CHECK(load<u64>(reinterpret_cast<const void*>(table + 8 * 899)) == 0);
    REQUIRE(::stat(".", &st) == 0);
    const u64 folder = reader.get(reader.get(task, "task_struct", "fs"), "fs_struct", "pwd.dentry");
    CHECK(reader.get(reader.get(folder, "dentry", "d_inode"), "inode", "i_ino") == st.st_ino);
    CHECK(reader.get(task, "task_struct", "se.sum_exec_runtime") > 0);
    CHECK(reader.get<u32>(reader.get(task, "task_struct", "se.cfs_rq"), "cfs_rq", "nr_running") == facts.cpu + 2);
  }
  SECTION("the program's file") {
    const u64 exe = reader.get(mm, "mm_struct", "exe_file");
    struct stat st;
    REQUIRE(::stat("/proc/self/exe", &st) == 0);
    CHECK(reader.get(reader.get(exe, "file", "f_inode"), "inode", "i_ino") == st.st_ino);
  }
  SECTION("a line of parents has an end") {
    for (pid_t pid = 600; pid < 700; ++pid) known[pid] = facts_of(pid, pid, pid + 1, "chain");
    CHECK(objects.task_struct(facts_of(599, 599, 600, "first")) != 0);
    CHECK(objects.count() < 20);
  }
}

TEST_CASE("the object of test functions") {
  auto arena = Arena::create(1);
  REQUIRE(arena);
  auto btf = KernelData(default_profile()).btf().value();
  Reader reader{*btf};
  TestObject object(**arena, btf);
  const u64 at = object.address();
  REQUIRE((*arena)->contains(at, 32));
  CHECK(object.address() == at);
  CHECK(reader.get<u32>(at, "prog_test_ref_kfunc", "a") == 42);
  CHECK(reader.get<u32>(at, "prog_test_ref_kfunc", "b") == 108);
  CHECK(reader.get(at, "prog_test_ref_kfunc", "next") == at);
  u32* count = load<u32*>(reinterpret_cast<const void*>(at - kTestObjectHead));
  CHECK(*count == 1);
  *count = 2;
  CHECK(reader.get<u32>(at, "prog_test_ref_kfunc", "cnt.refs.counter") == 2);
}

TEST_CASE("a socket as struct sock") {
  auto btf = KernelData(default_profile()).btf().value();
  Reader reader{*btf};
  RunSock sock{};
  sock.family = 10;
  sock.state = 7;
  sock.dst_ip6[3] = 5;
  sock.src_port = 0x1234;
  sock.priority = 3;
  REQUIRE(SockObjects(btf).show(sock));
  const u64 at = reinterpret_cast<u64>(sock.object);
  CHECK(reader.get<u16>(at, "sock", "__sk_common.skc_family") == 10);
  CHECK(reader.get<u8>(at, "sock", "__sk_common.skc_state") == 7);
  CHECK(reader.get<u32>(at + 12, "sock", "__sk_common.skc_v6_daddr") == 5);
  CHECK(reader.get<u16>(at, "sock", "__sk_common.skc_num") == 0x1234);
  CHECK(reader.get<u32>(at, "sock", "sk_priority") == 3);
}

TEST_CASE("without BTF there are no objects") {
  auto arena = Arena::create(1);
  REQUIRE(arena);
  ObjectSpace space(**arena, nullptr);
  CHECK(KernelObjects(space, {}, {}, {}).tasks.task_struct(facts_of(1, 1, 0, "init")) == 0);
  CHECK(TestObject(**arena, nullptr).address() == 0);
  RunSock sock{};
  CHECK_FALSE(SockObjects(nullptr).show(sock));
  ObjectSpace no_types(**arena, Btf::load_kernel_lazily([]() -> Result<std::vector<u8>> { return fail(EIO); }, "x"));
  KernelObjects empty(no_types, {}, {}, {});
  CHECK(empty.tasks.task_struct(facts_of(1, 1, 0, "init")) == 0);
}

}  // namespace
}  // namespace bpfemu
