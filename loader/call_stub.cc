// SPDX-License-Identifier: Apache-2.0
#include "loader/call_stub.h"

#include <cstring>

#include "loader/stub_writer.h"

namespace bpfemu {

std::vector<u8> build_hop(u64 to) {
  std::vector<u8> code(kStubSize);
  StubWriter w(code);
  w.leave(to);
  code.resize(w.getSize());
  return code;
}

namespace {

// What lies between the begin and the call is known to the image (InsideSlot::from).
Stub build_telling_stub(const CallSite& site, u64 address, u64 at) {
  Stub stub{std::vector<u8>(kStubSize), 0, 0};
  StubWriter w(stub.code);
  if (!site.sets_number()) w.begin_as(site, address);
  stub.decides = w.getSize();
  constexpr u64 kEnter = 10 + 10 + 2;
  const u64 asks = w.getSize() + kEnter, call = asks + kInsideAskSize;
  w.db(0x48), w.db(0xb8), w.dq(at + call);  // mov $..., %rax, whatever the value
  w.db(0x48), w.db(0xb9), w.dq(inside_entry());
  w.jmp(w.rcx);
  w.mov(w.eax, site.number);
  w.leave(address + kJumpSize);
  while (w.getSize() < call) w.nop();
  w.syscall();
  stub.done = w.getSize();
  w.leave(address + kSiteSize);
  stub.code.resize(w.getSize());
  return stub;
}

}  // namespace

Stub build_stub(const PathShape& shape, const CallSite& site, u64 address, u64 at) {
  const u32 number = site.number;
  if (shape.tells) return build_telling_stub(site, address, at);
  Stub stub{std::vector<u8>(kStubSize), 0, 0};
  StubWriter w(stub.code);
  if (!site.sets_number()) w.begin_as(site, address);
  stub.decides = w.getSize();
  w.find_first_row(number);
  w.feed(shape);
  Xbyak::Label native;
  static_assert(PathRow::kNative == 1);
  w.lea(w.rcx, w.ptr[w.rcx - 1]);
  w.jrcxz(native);
  w.mov(w.eax, number);
  w.leave(address + kJumpSize);
  w.L(native);
  stub.done = w.carry_out(shape, address + kSiteSize, address + kSiteSize);
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
