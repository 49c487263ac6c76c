// SPDX-License-Identifier: Apache-2.0
// Small programs through the whole verifier: verdict, errno and log.
#include "program.h"

#include <catch2/catch.hpp>

using namespace bpfemu;

TEST_CASE("the smallest program") {
  auto verdict = check({mov(0, 0), leave()});
  CHECK(verdict.error == 0);
  CHECK(verdict.log ==
        "func#0 @0\n"
        "0: R1=ctx(off=0,imm=0) R10=fp0\n"
        "0: (b7) r0 = 0                        ; R0_w=0\n"
        "1: (95) exit\n"
        "processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n");
}

TEST_CASE("level 1 forgets what turned out well") {
  auto verdict = check({mov(0, 0), leave()}, {.level = 1});
  CHECK(verdict.log.rfind("processed 2 insns", 0) == 0);
}

TEST_CASE("a log that does not fit") {
  auto verdict = check({mov(0, 0), leave()}, {.log_size = 32});
  CHECK(verdict.error == ENOSPC);
  CHECK(verdict.log.size() == 31);
}

TEST_CASE("registers must be initialized") {
  auto verdict = check({leave()});
  CHECK(verdict.error == EACCES);
  CHECK(verdict.says("R0 !read_ok\n"));
  verdict = check({copy(0, 2), leave()});
  CHECK(verdict.says("R2 !read_ok\n"));
  verdict = check({mov(10, 0), leave()});
  CHECK(verdict.says("frame pointer is read only\n"));
}

TEST_CASE("control flow") {
  CHECK(check({mov(0, 0)}).says("last insn is not an exit or jmp\n"));
  CHECK(check({mov(0, 0), jump(5), leave()}).says("jump out of range from insn 1 to 7\n"));
  CHECK(check({mov(0, 0), jump(1), mov(0, 1), leave()}).says("unreachable insn 2\n"));
  auto endless = check({mov(0, 0), jump(-1), leave()});
  CHECK(endless.error == EINVAL);
  auto unprivileged = check({mov(0, 0), jump_if(BPF_JEQ, 0, 1, -2), leave()}, {.caps = kNobody});
  CHECK(unprivileged.says("back-edge from insn 1 to 0\n"));
}

TEST_CASE("loops") {
  // A counter that ends is followed to its end; one that does not change is found out.
  auto bounded = check({mov(0, 0), add(0, 1), jump_if(BPF_JLT, 0, 100, -2), leave()});
  CHECK(bounded.error == 0);
  CHECK(bounded.processed() > 200);
  auto infinite = check({mov(0, 0), mov(1, 1), jump_if(BPF_JEQ, 1, 1, -2), leave()});
  CHECK(infinite.error == EINVAL);
  CHECK(infinite.says("infinite loop detected at insn"));
  auto too_long = check({mov(0, 0), add(0, 1), jump_if(BPF_JNE, 0, 2000000, -2), leave()}, {.level = 0});
  CHECK(too_long.error == E2BIG);
}

TEST_CASE("the stack") {
  CHECK(check({store(BPF_DW, 10, 1, -8), load(BPF_DW, 0, 10, -8), mov(0, 0), leave()}).error == 0);
  auto beyond = check({store(BPF_DW, 10, 1, -520), mov(0, 0), leave()});
  CHECK(beyond.error == EACCES);
  CHECK(beyond.says("invalid write to stack R10 off=-520 size=8\n"));
  CHECK(check({mov(2, 0), store(BPF_DW, 10, 2, 0), mov(0, 0), leave()}).says("invalid write to stack R10 off=0"));
  CHECK(check({mov(2, 1), store(BPF_DW, 10, 2, -12), mov(0, 0), leave()})
            .says("misaligned stack access off (0x0; 0x0)+0+-12 size 8\n"));
  // Half a pointer is no number.
  CHECK(check({store(BPF_W, 10, 1, -8), mov(0, 0), leave()}).says("invalid size of register spill\n"));
  auto uninitialized = check({load(BPF_DW, 0, 10, -8), leave()}, {.caps = kNobody});
  CHECK(uninitialized.error == EACCES);
  CHECK(uninitialized.says("invalid read from stack R10 off=-8 size=8\n"));
}

TEST_CASE("pointers stay inside the kernel") {
  CHECK(check({copy(0, 1), leave()}).error == 0);
  auto leak = check({copy(0, 1), leave()}, {.caps = kNobody});
  CHECK(leak.error == EACCES);
  CHECK(leak.says("R0 leaks addr as return value\n"));
  CHECK(check({copy(0, 10), add_reg(0, 1), mov(0, 0), leave()}).says("R0 pointer += pointer prohibited\n"));
  CHECK(check({op(BPF_ALU64 | BPF_MUL | BPF_K, 1, 0, 0, 2), mov(0, 0), leave()})
            .says("R1 pointer arithmetic with *= operator prohibited\n"));
  CHECK(check({mov(2, 5), load(BPF_B, 0, 2, 0), leave()}).says("R2 invalid mem access 'scalar'\n"));
}

TEST_CASE("contexts") {
  CHECK(check({load(BPF_W, 0, 1, 0), leave()}).error == 0);
  auto outside = check({load(BPF_W, 0, 1, 4096), leave()});
  CHECK(outside.error == EACCES);
  CHECK(outside.says("invalid bpf_context access off=4096 size=4\n"));
}

TEST_CASE("arithmetic that cannot be") {
  CHECK(check({mov(0, 1), op(BPF_ALU64 | BPF_DIV | BPF_K, 0, 0, 0, 0), leave()}).says("div by zero\n"));
  CHECK(check({mov(0, 1), op(BPF_ALU64 | BPF_LSH | BPF_K, 0, 0, 0, 64), leave()}).says("invalid shift 64\n"));
  CHECK(check({op(0xff, 0, 0, 0, 0), leave()}).says("unknown opcode ff\n"));
}

TEST_CASE("helpers") {
  CHECK(check({call(BPF_FUNC_ktime_get_ns), leave()}).error == 0);
  auto none = check({call(9999), leave()});
  CHECK(none.error == EINVAL);
  CHECK(none.says("invalid func unknown#9999\n"));
  // R1 to R5 die in a call.
  CHECK(check({call(BPF_FUNC_ktime_get_ns), copy(0, 1), leave()}).says("R1 !read_ok\n"));
}

TEST_CASE("functions of the program") {
  auto verdict = check({mov(1, 2), call_own(1), leave(), copy(0, 1), add(0, 1), leave()});
  CHECK(verdict.error == 0);
  CHECK(verdict.says("func#1 @3\n"));
  CHECK(verdict.says("caller:\n"));
  CHECK(verdict.says("returning from callee:\n"));
  auto unprivileged = check({mov(0, 2), call_own(1), leave(), mov(0, 1), leave()}, {.caps = kNobody});
  CHECK(unprivileged.error == EPERM);
  // 8 frames of 512 bytes are too much.
  auto deep = check({mov(0, 0), store(BPF_DW, 10, 0, -512), call_own(1), leave(), mov(0, 0), leave()});
  CHECK(deep.error == EACCES);
  CHECK(deep.says("combined stack size of 2 calls is 544. Too large\n"));
  CHECK(check({call_own(-1), leave()}).error == EINVAL);
}

TEST_CASE("dead ends and pruning are counted as the kernel counts them") {
  auto verdict = check({call(BPF_FUNC_get_prandom_u32), jump_if(BPF_JEQ, 0, 0, 1), mov(0, 1), leave()});
  CHECK(verdict.error == 0);
  CHECK(verdict.says("\nfrom 1 to 3: "));
  CHECK(verdict.processed() == 5);
}
