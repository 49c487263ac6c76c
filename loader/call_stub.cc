// SPDX-License-Identifier: Apache-2.0
#include "loader/call_stub.h"

#include <stddef.h>

#define XBYAK_NO_OP_NAMES
#include <xbyak/xbyak.h>

#include <cstring>

#include "loader/stub_area.h"

namespace bpfemu {

namespace {

class Writer : public Xbyak::CodeGenerator {
 public:
  explicit Writer(std::vector<u8>& buffer) : CodeGenerator(buffer.size(), buffer.data()) {}

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
  void feed_flags(const Xbyak::Reg64& flags, u8 byte) {
    mov(ecx, flags.cvt32());
    if (byte == 2) bswap(ecx);
    byte == 0 ? movzx(ecx, cl) : movzx(ecx, ch);
    step();
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

}  // namespace

std::vector<u8> build_hop(u64 to) {
  std::vector<u8> code(kStubSize);
  Writer w(code);
  w.leave(to);
  code.resize(w.getSize());
  return code;
}

Stub build_stub(const PathShape& shape, const CallSite& site, u64 address) {
  const u32 number = site.number;
  Stub stub{std::vector<u8>(kStubSize), 0, 0};
  Writer w(stub.code);
  if (!site.sets_number()) w.begin_as(site, address);
  stub.decides = w.getSize();
  w.find_first_row(number);
  for (int i = 0; i < shape.count; ++i) w.feed_flags(w.argument(shape.flags), shape.bytes[i]);
  shape.path < 0 ? w.read_verdict() : w.feed_path(w.argument(shape.path));
  Xbyak::Label native;
  static_assert(PathRow::kNative == 1);
  w.lea(w.rcx, w.ptr[w.rcx - 1]);
  w.jrcxz(native);
  w.mov(w.eax, number);
  w.leave(address + kJumpSize);
  w.L(native);
  w.mov(w.eax, number);
  w.syscall();
  stub.done = w.getSize();
  w.leave(address + kSiteSize);  // which is also what the call at the site would have left in rcx
  stub.code.resize(w.getSize());
  return stub;
}

std::vector<u8> labelled(const Stub& stub, const CallSite& site, u64 address) {
  std::vector<u8> image = stub.code;
  image.resize(kStubSize);
  const StubLabel label{address, site.start};
  std::memcpy(&image[kStubCode], &label, sizeof label);
  return image;
}

}  // namespace bpfemu
