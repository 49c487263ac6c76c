// SPDX-License-Identifier: Apache-2.0
// What a program gets from outside: identity, the user's memory, time, a CPU.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/probe/world.h"

namespace bpfemu {
namespace {

TEST_CASE("a run holds a CPU and knows its task") {
  World w;
  PtRegs regs{};
  {
    RunScope scope(w.probes.runner(), &w.task, &regs, ProgramNeeds::everything());
    REQUIRE(scope);
    CHECK(scope.run().cpu->id == 2);
    CHECK(scope.run().cpu->owner == static_cast<u32>(w.task.tid()));
    CHECK(scope.run().task->gid == 8);
    CHECK(scope.run().cpus == 4);
    RunScope nested(w.probes.runner(), &w.task, &regs, ProgramNeeds::everything());
    CHECK(nested.run().cpu->id == 3);
    CHECK(nested.context_memory() != scope.context_memory());
    CHECK(in_arena(reinterpret_cast<u64>(nested.context_memory()), kContextSize));
  }
  for (u32 i = 0; i < 4; ++i) CHECK(w.arena.vcpu(i).owner == 0);
}

TEST_CASE("the name of a task is always the current one") {
  World w;
  auto name = [&] {
    RunScope scope(w.probes.runner(), &w.task, nullptr, {.comm = true});
    return std::string(scope.run().task->comm);
  };
  UniqueFd comm(open("/proc/self/comm", O_WRONLY));
  char before[16] = {};
  UniqueFd read_comm(open("/proc/self/comm", O_RDONLY));
  ssize_t size = read(read_comm.get(), before, sizeof before);
  REQUIRE(write(comm.get(), "renamed", 7) == 7);
  CHECK(name() == "renamed");
  CHECK(RunScope(w.probes.runner(), &w.task, nullptr, {}).run().task->uid == 7);
  REQUIRE(write(comm.get(), before, static_cast<size_t>(size - 1)) == size - 1);
}

TEST_CASE("the cgroup is the current one, for those who ask") {
  World w;
  const auto cgroup = [&](ProgramNeeds needs) {
    return RunScope(w.probes.runner(), &w.task, nullptr, needs).run().task->cgroup_id;
  };
  w.cgroup = std::make_shared<Cgroup>(1234, "a", nullptr);
  CHECK(cgroup({}) == 1234);
  w.cgroup = std::make_shared<Cgroup>(5678, "b", nullptr);
  CHECK(cgroup({}) == 1234);
  CHECK(cgroup({.cgroup = true}) == 5678);
}

TEST_CASE("a task that is gone runs nothing") {
  World w;
  fakes::FakeTask gone(99999, 99999);
  RunScope scope(w.probes.runner(), &gone, nullptr, {});
  CHECK_FALSE(scope);
}

TEST_CASE("strings are read up to the last mapped byte") {
  World w;
  auto* pages = static_cast<char*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  REQUIRE(munmap(pages + 4096, 4096) == 0);
  memcpy(pages + 4092, "end", 4);
  RunScope scope(w.probes.runner(), &w.task, nullptr, {});
  const Env& env = *scope.run().env;
  char text[64];
  u64 address = reinterpret_cast<u64>(pages + 4092);
  CHECK(env.read_user_str(env.self, text, address, sizeof text) == 3);
  CHECK(std::string(text) == "end");
  CHECK(env.read_user_str(env.self, text, address, 2) == 2);
  CHECK(env.read_user_str(env.self, text, address, 0) == 0);
  pages[4095] = 'x';
  CHECK(env.read_user_str(env.self, text, address, sizeof text) == -EFAULT);
  CHECK(env.read_user(env.self, text, address, 8) == -EFAULT);
  CHECK(env.read_user(env.self, text, address, 4) == 0);
  CHECK(env.read_user(env.self, text, ~u64{0}, 4) == -EFAULT);
  munmap(pages, 4096);
}

// Measured on a real 6.1.
TEST_CASE("after the NUL of a string come zeros up to the end of the word") {
  World w;
  auto* pages = static_cast<char*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  REQUIRE(munmap(pages + 4096, 4096) == 0);
  RunScope scope(w.probes.runner(), &w.task, nullptr, {});
  const Env& env = *scope.run().env;
  // A string of 'a' of that length, `after` bytes before the end of memory, into a buffer of `size`: what is in it then,
  // U where nothing was written.
  auto read = [&](u64 length, u64 after, u64 size) {
    memset(pages, 'Q', 4096);
    char* at = pages + 4096 - after - length - 1;
    memset(at, 'a', length);
    at[length] = 0;
    std::string buffer(1040, 'U');
    CHECK(env.read_user_str(env.self, buffer.data(), reinterpret_cast<u64>(at), size) == static_cast<s64>(length));
    buffer.resize(buffer.find_last_not_of('U') + 1);
    return buffer;
  };
  auto expected = [](u64 length, u64 zeros) { return std::string(length, 'a') + std::string(zeros, 0); };
  CHECK(read(10, 100, 64) == expected(10, 6));
  CHECK(read(7, 100, 64) == expected(7, 1));
  CHECK(read(8, 100, 64) == expected(8, 8));
  CHECK(read(0, 100, 64) == expected(0, 8));
  // Where the word does not fit into the buffer, or cannot be read, bytes are copied.
  CHECK(read(10, 100, 15) == expected(10, 1));
  CHECK(read(10, 100, 16) == expected(10, 6));
  CHECK(read(10, 4, 64) == expected(10, 1));
  CHECK(read(10, 5, 64) == expected(10, 6));
  // The string goes on where one read ends.
  CHECK(read(511, 2000, 1024) == expected(511, 1));
  CHECK(read(512, 2000, 1024) == expected(512, 8));
  CHECK(read(1000, 0, 1030) == expected(1000, 1));
  munmap(pages, 4096);
}

TEST_CASE("user stacks follow frame pointers") {
  World w;
  u64 outer[2] = {0, 0x3333};
  u64 inner[2] = {reinterpret_cast<u64>(outer), 0x2222};
  PtRegs regs{};
  regs.rip = 0x1111;
  regs.rbp = reinterpret_cast<u64>(inner);
  RunScope scope(w.probes.runner(), &w.task, &regs, {});
  const Env& env = *scope.run().env;
  u64 ips[8] = {};
  CHECK(env.user_stack(env.self, &scope.run(), ips, 8) == 3);
  CHECK(ips[0] == 0x1111);
  CHECK(ips[1] == 0x2222);
  CHECK(ips[2] == 0x3333);
  CHECK(env.user_stack(env.self, &scope.run(), ips, 2) == 2);
}

TEST_CASE("user stacks have the caller of a function whose frame is not there yet") {
  World w;
  u8 push_rbp = 0x55, other = 0x90;
  u64 frame[2] = {0, 0x3333}, stack[1] = {0x2222};
  PtRegs regs{};
  regs.rip = reinterpret_cast<u64>(&push_rbp);
  regs.rbp = reinterpret_cast<u64>(frame);
  regs.rsp = reinterpret_cast<u64>(stack);
  RunScope scope(w.probes.runner(), &w.task, &regs, {});
  const Env& env = *scope.run().env;
  u64 ips[8] = {};
  CHECK(env.user_stack(env.self, &scope.run(), ips, 8) == 2);  // no uprobe
  scope.set_at_site(true);
  CHECK(env.user_stack(env.self, &scope.run(), ips, 8) == 3);
  CHECK(ips[1] == 0x2222);
  CHECK(ips[2] == 0x3333);
  CHECK(env.user_stack(env.self, &scope.run(), ips, 1) == 1);
  regs.rip = reinterpret_cast<u64>(&other);
  CHECK(env.user_stack(env.self, &scope.run(), ips, 8) == 2);
}

TEST_CASE("bpf_trace_printk ends up in the trace") {
  World w;
  RunScope scope(w.probes.runner(), &w.task, nullptr, ProgramNeeds::everything());
  const Env& env = *scope.run().env;
  ProgramText program{};
  program.type = BPF_PROG_TYPE_RAW_TRACEPOINT;
  scope.run().program = &program;
  env.trace_printk(env.self, &scope.run(), "hello", 5);
  std::string text = w.trace_log.listing(4);
  CHECK(text.find("probe_test-") != std::string::npos);
  CHECK(text.find("] ...2. ") != std::string::npos);
  CHECK(text.find("bpf_trace_printk: hello") != std::string::npos);
}

TEST_CASE("what a program needs is read off its helpers") {
  auto program = make_program(BPF_PROG_TYPE_KPROBE, [](Run*, void*) { return u64{0}; });
  CHECK_FALSE(needs_of(*program).comm);
  program->verified.insns = {
      {.code = BPF_JMP | BPF_CALL, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = BPF_FUNC_get_current_comm}};
  CHECK(needs_of(*program).comm);
  CHECK_FALSE(needs_of(*program).cpu);
  program->verified.insns[0].src_reg = BPF_PSEUDO_CALL;
  CHECK_FALSE(needs_of(*program).comm);
  program->verified.insns[0] = {
      .code = BPF_JMP | BPF_CALL, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = BPF_FUNC_tail_call};
  CHECK(needs_of(*program).user);
}

}  // namespace
}  // namespace bpfemu
