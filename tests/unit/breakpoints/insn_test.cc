// SPDX-License-Identifier: Apache-2.0
#include "loader/insn.h"

#include <catch2/catch.hpp>

#include <map>
#include <random>

#include "emu/base/bytes.h"
#include "loader/return_stack.h"
#include "tests/fakes/ports.h"

using namespace bpfemu;
using Kind = StepPlan::Kind;

namespace {

std::vector<u8> code(std::initializer_list<int> bytes) {
  std::vector<u8> out(bytes.begin(), bytes.end());
  out.resize(16, 0x90);
  return out;
}

StepPlan plan(std::initializer_list<int> bytes) {
  const auto p = plan_step(code(bytes));
  REQUIRE(p);
  return *p;
}

// What this CPU's setcc says for a condition under given flags.
bool cpu_condition(unsigned condition, u64 flags) {
  u8 taken[16];
  asm volatile(
      "push %1\n popf\n"
      "seto 0(%0)\n setno 1(%0)\n setb 2(%0)\n setae 3(%0)\n sete 4(%0)\n setne 5(%0)\n setbe 6(%0)\n seta 7(%0)\n"
      "sets 8(%0)\n setns 9(%0)\n setp 10(%0)\n setnp 11(%0)\n setl 12(%0)\n setge 13(%0)\n setle 14(%0)\n setg 15(%0)"
      :
      : "r"(taken), "r"(flags | 0x202)
      : "memory", "cc");
  return taken[condition];
}

}  // namespace

TEST_CASE("instructions are classified by whether they can run elsewhere") {
  CHECK(plan({0x90}).kind == Kind::kNop);
  CHECK(plan({0xf3, 0x0f, 0x1e, 0xfa}).kind == Kind::kNop);  // endbr64
  CHECK(plan({0x0f, 0x1f, 0x44, 0x00, 0x00}).kind == Kind::kNop);
  CHECK(plan({0x55}).kind == Kind::kOutOfLine);  // push rbp
  CHECK(plan({0xc3}).kind == Kind::kOutOfLine);  // ret
  CHECK(plan({0xe8, 1, 0, 0, 0}).kind == Kind::kCall);
  CHECK(plan({0xe9, 1, 0, 0, 0}).kind == Kind::kJump);
  CHECK(plan({0xeb, 0xfe}).displacement == -2);
  CHECK(plan({0x74, 5}).kind == Kind::kBranch);
  CHECK(plan({0x0f, 0x8f, 1, 0, 0, 0}).condition == 0xf);
  CHECK(plan({0xe3, 5}).kind == Kind::kCountedJump);
  CHECK(plan({0xff, 0xd0}).kind == Kind::kCallIndirect);           // call rax
  CHECK(plan({0xff, 0x25, 1, 0, 0, 0}).kind == Kind::kOutOfLine);  // jmp [rip+1]
  CHECK(plan({0xff, 0x25, 1, 0, 0, 0}).disp_offset == 2);
}

TEST_CASE("what the kernel does not probe is refused") {
  const auto probed = [](std::initializer_list<int> bytes) {
    const auto verdict = check_probed(code(bytes));
    if (!verdict) CHECK(verdict.error() == Errno{ENOTSUPP});
    return verdict.has_value();
  };
  CHECK_FALSE(probed({0xcc}));                                // int3
  CHECK_FALSE(probed({0xcd, 0x80}));                          // int 0x80
  CHECK_FALSE(probed({0xf4}));                                // hlt
  CHECK_FALSE(probed({0x06}));                                // not an instruction in 64-bit mode
  CHECK_FALSE(probed({0xf0, 0xff, 0x04, 0x24}));              // lock inc [rsp]
  CHECK_FALSE(probed({0x3e, 0xff, 0xe0}));                    // notrack jmp rax
  CHECK_FALSE(probed({0x66, 0x2e, 0x0f, 0x1f, 0x04, 0x00}));  // cs nop
  CHECK_FALSE(probed({0x66, 0xe8, 0, 0, 0, 0}));              // call rel16
  CHECK_FALSE(probed({0x8e, 0xd0}));                          // mov ss, eax
  CHECK_FALSE(probed({0x48, 0xcf}));                          // iretq
  CHECK_FALSE(probed({0xc5, 0xfe, 0x6f, 0x00}));              // vmovdqu: its opcode byte is that of outs
  CHECK_FALSE(probed({0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66}));
  CHECK(probed({0x0f, 0x05}));                          // syscall
  CHECK(probed({0x0f, 0x0b}));                          // ud2
  CHECK(probed({0x64, 0x48, 0x8b, 0x04, 0x25}));        // mov rax, fs:..
  CHECK(probed({0xf3, 0x90}));                          // pause
  CHECK(probed({0xc5, 0xf4, 0x58, 0xd0}));              // vaddps
  CHECK(probed({0x62, 0xf1, 0x7c, 0x48, 0x28, 0xc1}));  // vmovaps zmm
  CHECK(probed({0x66, 0x90}));
  CHECK(probed({}));  // nothing is known of it
  CHECK_FALSE(plan_step({}));
  CHECK_FALSE(plan_step(code({0x64, 0xff, 0x14, 0x25, 0x10, 0, 0, 0})));  // call fs:[0x10]
}

TEST_CASE("a slot holds the instruction, its operand corrected, and the jump back") {
  const auto bytes = code({0x48, 0x8d, 0x05, 0x10, 0, 0, 0});  // lea rax, [rip+0x10]
  const auto p = *plan_step(bytes);
  const u64 address = 0x400000, slot = 0x300000;
  const auto built = build_slot(p, bytes, address, slot);
  REQUIRE(built);
  CHECK(slot + p.length + static_cast<u64>(s64{load<s32>(&(*built)[3])}) == address + p.length + 0x10);
  CHECK((*built)[p.length] == 0xe9);
  CHECK(slot + p.length + 5 + static_cast<u64>(s64{load<s32>(&(*built)[p.length + 1])}) == address + p.length);
  CHECK_FALSE(build_slot(p, bytes, address, 0x7f0000000000));
}

TEST_CASE("a call that cannot be emulated accesses what it would, and is tried again") {
  const u64 address = 0x400000, slot = 0x300000;
  const auto relative = code({0xe8, 0x10, 0, 0, 0});
  auto built = build_touch(*plan_step(relative), relative, address, slot);
  REQUIRE(built);
  CHECK((*built)[0] == 0x50);  // push rax
  const size_t pushed = touch_pushed(*plan_step(relative));
  CHECK(pushed == 1);
  CHECK((*built)[pushed + 5] == 0xe9);
  CHECK(slot + pushed + 10 + static_cast<u64>(s64{load<s32>(&(*built)[pushed + 6])}) == address);

  const auto indirect = code({0xff, 0x15, 0x10, 0, 0, 0});  // call [rip+0x10]
  const auto p = *plan_step(indirect);
  built = build_touch(p, indirect, address, slot);
  REQUIRE(built);
  CHECK((*built)[1] == 0x35);  // push [rip+..]
  CHECK(slot + p.length + static_cast<u64>(s64{load<s32>(&(*built)[2])}) == address + p.length + 0x10);
  CHECK(touch_pushed(p) == p.length);
  CHECK_FALSE(build_touch(p, indirect, address, 0x7f0000000000));
}

TEST_CASE("conditional jumps go where the CPU would go") {
  std::mt19937_64 random(1);
  fakes::FakeTask task;
  for (unsigned condition = 0; condition < 16; ++condition) {
    const auto p = plan({static_cast<int>(0x70 + condition), 0x20});
    for (int i = 0; i < 200; ++i) {
      PtRegs regs{};
      regs.rip = 0x1000;
      regs.eflags = random() & 0x8d5;
      const bool taken = cpu_condition(condition, regs.eflags);
      REQUIRE(emulate(p, task, regs));
      CHECK(regs.rip == (taken ? 0x1022u : 0x1002u));
    }
  }
}

TEST_CASE("calls push the address after them") {
  fakes::FakeTask task;
  u8 memory[0x200] = {};
  const u64 base = reinterpret_cast<u64>(memory);
  PtRegs regs{};
  regs.rip = 0x1000;
  regs.rsp = base + 0x100;
  REQUIRE(emulate(plan({0xe8, 0x10, 0, 0, 0}), task, regs));
  CHECK(regs.rip == 0x1015);
  CHECK(regs.rsp == base + 0xf8);
  CHECK(load<u64>(memory + 0xf8) == 0x1005);

  regs.rip = 0x2000;
  regs.rbx = base;
  regs.rcx = 2;
  store<u64>(memory + 0x18, 0x7777);
  REQUIRE(emulate(plan({0xff, 0x54, 0x8b, 0x10}), task, regs));  // call [rbx+rcx*4+0x10]
  CHECK(regs.rip == 0x7777);
  CHECK(load<u64>(memory + 0xf0) == 0x2004);

  regs.rsp = 8;
  regs.rip = 0x1000;
  CHECK_FALSE(emulate(plan({0xe8, 0x10, 0, 0, 0}), task, regs));
  CHECK(regs.rip == 0x1000);
}

TEST_CASE("counted jumps decrement rcx except jrcxz") {
  fakes::FakeTask task;
  PtRegs regs{};
  regs.rcx = 2;
  REQUIRE(emulate(plan({0xe2, 0x10}), task, regs));
  CHECK(regs.rip == 0x12);
  CHECK(regs.rcx == 1);
  REQUIRE(emulate(plan({0xe2, 0x10}), task, regs));
  CHECK(regs.rip == 0x14);
  REQUIRE(emulate(plan({0xe3, 0x10}), task, regs));
  CHECK(regs.rip == 0x26);
}

TEST_CASE("returns come innermost first, frames that were jumped over are forgotten") {
  ReturnStack stack;
  stack.push({
      1,
      11,
      0x1000,
      0xa,
  });
  stack.push({2, 22, 0xf00, 0xb});
  stack.push({3, 33, 0xf00, 0xb});  // a tail call in the same slot
  stack.push({4, 44, 0xe00, 0xc});
  const auto taken = stack.take_returned(0xf08);  // longjmp past 0xe00
  REQUIRE(taken.size() == 2);
  CHECK(taken[0].cookie == 33);
  CHECK(taken[1].cookie == 22);
  CHECK(stack.take_returned(0x1008).size() == 1);
  CHECK(stack.empty());
  CHECK(stack.take_returned(0x1008).empty());
}
