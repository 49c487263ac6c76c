// SPDX-License-Identifier: Apache-2.0
#include "loader/short_stub.h"

#include "loader/stub_writer.h"

namespace bpfemu {

namespace {

struct Target {
  const PathShape* shape;
  Xbyak::Label label;
};

}  // namespace

ShortStub build_short_stub(u64 resume, u64 asks, bool image) {
  ShortStub stub{std::vector<u8>(kShortStubSize), {}};
  StubWriter w(stub.code);
  Xbyak::Label ask, choose, over;
  // Most calls have no path.
  w.find_first_row_of_rax();
  w.read_verdict();
  static_assert(PathRow::kAsk == 2 && PathRow::kNative == 1);
  w.lea(w.rcx, w.ptr[w.rcx - 2]);
  w.jrcxz(ask);
  w.jmp(choose, Xbyak::CodeGenerator::T_NEAR);
  w.L(ask);
  w.leave(asks);

  w.L(choose);
  std::vector<Target> targets;
  for (const PathShape& shape : path_shapes())
    if (image || !shape.inside) targets.push_back({&shape, {}});
  for (Target& target : targets) {
    Xbyak::Label here, next;
    w.lea(w.rcx, w.ptr[w.rax - static_cast<u32>(target.shape->number)]);
    w.jrcxz(here);
    w.jmp(next);
    w.L(here);
    w.jmp(target.label, Xbyak::CodeGenerator::T_NEAR);
    w.L(next);
  }
  w.jmp(ask);

  for (Target& target : targets) {
    const u32 number = static_cast<u32>(target.shape->number);
    Xbyak::Label native;
    w.L(target.label);
    ShortStub::Part part{w.getSize(), 0, 0, number};
    w.feed(*target.shape);
    w.lea(w.rcx, w.ptr[w.rcx - 1]);
    w.jrcxz(native);
    w.mov(w.eax, number);
    w.jmp(ask, Xbyak::CodeGenerator::T_NEAR);
    w.L(native);
    part.done = w.carry_out(*target.shape, resume, asks + kCallSize);
    part.end = w.getSize();
    stub.parts.push_back(part);
  }
  stub.code.resize(w.getSize());
  return stub;
}

}  // namespace bpfemu
