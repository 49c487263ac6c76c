// SPDX-License-Identifier: Apache-2.0
#include "loader/start_code.h"

#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#define XBYAK_NO_OP_NAMES
#include <xbyak/xbyak.h>

#include <algorithm>
#include <utility>

#include "loader/stub_area.h"

namespace bpfemu {

namespace {

class Writer : public Xbyak::CodeGenerator {
 public:
  explicit Writer(std::vector<u8>& buffer) : CodeGenerator(buffer.size(), buffer.data()) {}

  void call(long number, std::initializer_list<u64> args) {
    const Xbyak::Reg64* const registers[] = {&rdi, &rsi, &rdx, &r10, &r8, &r9};
    size_t i = 0;
    for (u64 arg : args) mov(*registers[i++], arg);
    mov(eax, static_cast<u32>(number));
    syscall();
  }
  Xbyak::Label failed;
  // The call gave `expected`, or that is all.
  void require(u64 expected) {
    Xbyak::Label as_expected;
    mov(rcx, ~expected + 1);
    lea(rcx, ptr[rax + rcx]);
    jrcxz(as_expected);
    jmp(failed, T_NEAR);
    L(as_expected);
  }
};

}  // namespace

BuiltStart build_start(const StartCode& start, const PtRegs& regs) {
  std::vector<u8> code(kMostStartCode + start.stubs.size());
  Writer w(code);
  Xbyak::Label stubs;
  constexpr u64 kPrivate = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
  w.call(SYS_mmap, {kStubArea, start.area_size, PROT_READ | PROT_WRITE, kPrivate, ~u64{0}, 0});
  w.require(kStubArea);
  w.lea(w.rsi, w.ptr[w.rip + stubs]);
  w.mov(w.ecx, static_cast<u32>(start.stubs.size()));
  w.rep();
  w.movsb();  // rdi is the area still
  w.call(SYS_mprotect, {kStubArea, start.area_size, PROT_READ | PROT_EXEC});
  w.require(0);
  w.call(SYS_shmat, {static_cast<u64>(start.table), kTableAddress, SHM_RDONLY});
  w.require(kTableAddress);
  const std::pair<const Xbyak::Reg64*, u64> registers[] = {
      {&w.rax, regs.rax}, {&w.rcx, regs.rcx}, {&w.rdx, regs.rdx}, {&w.rsi, regs.rsi}, {&w.rdi, regs.rdi},
      {&w.r8, regs.r8},   {&w.r9, regs.r9},   {&w.r10, regs.r10}, {&w.r11, regs.r11}};
  for (const auto& [where, value] : registers) w.mov(*where, value);
  w.db(0xe9);
  w.dd(static_cast<u32>(regs.rip - (start.at + w.getSize() + sizeof(u32))));
  w.L(w.failed);
  w.int3();
  const u64 failed = w.getSize();
  w.L(stubs);
  const size_t size = w.getSize();
  std::ranges::copy(start.stubs, code.begin() + static_cast<long>(size));
  code.resize(size + start.stubs.size());
  return {std::move(code), failed};
}

}  // namespace bpfemu
