// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/test_object.h"

#include "emu/base/bytes.h"
#include "emu/runtime/contexts.h"

namespace bpfemu {

namespace {
constexpr const char* kStruct = "prog_test_ref_kfunc";
}

TestObject::~TestObject() {
  if (extent_) arena_.release(*extent_);
}

u64 TestObject::address() {
  if (!extent_) {
    auto made = make();
    if (!made) return 0;
    extent_ = *made;
  }
  return extent_->address + kTestObjectHead;
}

// Kernel: prog_test_struct's initializer.
Result<Extent> TestObject::make() const {
  if (!btf_) return fail(ENOENT);
  const u32 size = TRY(btf_->size_of(TRY(btf_->find(kStruct, BTF_KIND_STRUCT))));
  const u32 a = TRY(btf_->offset_of(kStruct, "a")), b = TRY(btf_->offset_of(kStruct, "b"));
  const u32 next = TRY(btf_->offset_of(kStruct, "next")), count = TRY(btf_->offset_of(kStruct, "cnt.refs.counter"));
  const Extent extent = TRY(arena_.allocate(kTestObjectHead + size));
  const u64 object = extent.address + kTestObjectHead;
  auto set = [](u64 at, auto value) { store(reinterpret_cast<void*>(at), value); };
  set(extent.address, object + count);
  set(object + a, s32{42});
  set(object + b, s32{108});
  set(object + next, object);
  set(object + count, u32{1});
  return extent;
}

}  // namespace bpfemu
