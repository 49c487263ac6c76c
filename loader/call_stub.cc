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

Stub build_stub(const PathShape& shape, const CallSite& site, u64 address) {
  const u32 number = site.number;
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
