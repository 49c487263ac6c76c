// SPDX-License-Identifier: Apache-2.0
// The steps of which stubs are made. None touches anything but rax, rcx and r11.
#pragma once

#include <stddef.h>

#define XBYAK_NO_OP_NAMES
#include <xbyak/xbyak.h>

#include <vector>

#include "emu/syscalls/path_table.h"
#include "loader/call_site.h"
#include "loader/inside.h"
#include "loader/stub_area.h"

namespace bpfemu {

class StubWriter : public Xbyak::CodeGenerator {
 public:
  explicit StubWriter(std::vector<u8>& buffer) : CodeGenerator(buffer.size(), buffer.data()) {}

  void leave(u64 to) {
    mov(rcx, to);
    jmp(rcx);
  }
  // The patched instruction. Other calls than the site's are none to decide.
  void begin_as(const CallSite& site, u64 address) {
    for (u8 byte : site.start) db(byte);
    Xbyak::Label expected;
    lea(rcx, ptr[rax - site.number]);
    jrcxz(expected);
    leave(address + kJumpSize);
    L(expected);
  }
  // One of the call's arguments.
  Xbyak::Reg64 argument(int index) const {
    const Xbyak::Reg64 registers[] = {rdi, rsi, rdx, r10, r8, r9};
    return registers[index];
  }
  // r11 is a row: to where it leads for the byte in rcx.
  void step() {
    movsxd(rcx, dword[r11 + rcx * 4]);
    lea(r11, ptr[r11 + rcx]);
  }
  void find_first_row(u32 number) {
    mov(r11, kTableAddress);
    movsxd(rcx, dword[r11 + number * sizeof(s32)]);
    lea(r11, ptr[r11 + rcx]);
  }
  // The same for the number in rax, whatever that is.
  void find_first_row_of_rax() {
    mov(r11, kTableAddress);
    movsxd(rcx, dword[r11 + rax * sizeof(s32)]);
    lea(r11, ptr[r11 + rcx]);
  }
  void feed_flags(const Xbyak::Reg64& flags, u8 byte) {
    mov(ecx, flags.cvt32());
    if (byte == 2) bswap(ecx);
    byte == 0 ? movzx(ecx, cl) : movzx(ecx, ch);
    step();
  }
  // From the call's first row on, as far as it takes: rcx is the verdict.
  void feed(const PathShape& shape) {
    for (int i = 0; i < shape.count; ++i) feed_flags(argument(shape.flags), shape.bytes[i]);
    shape.path < 0 ? read_verdict() : feed_path(argument(shape.path));
  }
  // The call is not asked about: the kernel is, or the image, which goes on at `image_resume` or makes the call in front of
  // that. Gives the offset behind the call.
  u64 carry_out(const PathShape& shape, u64 resume, u64 image_resume) {
    if (shape.inside) {
      mov(rax, image_resume);
      leave(inside_entry());
      return getSize();
    }
    mov(eax, static_cast<u32>(shape.number));
    syscall();
    const u64 done = getSize();
    leave(resume);  // which is also what the call at the site would have left in rcx
    return done;
  }
  void read_verdict() { movsxd(rcx, dword[r11 + offsetof(PathRow, verdict)]); }
  // Until a row says what becomes of the call; then rcx is that.
  void feed_path(const Xbyak::Reg64& path) {
    Xbyak::Label next;
    mov(rax, path);
    L(next);
    movzx(ecx, byte[rax]);
    lea(rax, ptr[rax + 1]);
    step();
    read_verdict();
    jrcxz(next);
  }
};

}  // namespace bpfemu
