// SPDX-License-Identifier: Apache-2.0
// What BTF makes of the pointers in a map's value. The cases were run on Linux 6.1, which answers each as expected
// here.
#include "emu/syscalls/map_btf.h"

#include <linux/bpf.h>

#include <catch2/catch.hpp>

#include "emu/kernel/kernel_data.h"
#include "tests/unit/btf/builder.h"
#include "tests/unit/verifier/maps.h"

using namespace bpfemu;

namespace {

const std::shared_ptr<const Btf>& vmlinux() {
  static const std::shared_ptr<const Btf> btf = *KernelData(default_profile()).btf();
  return btf;
}

// An array whose value is struct { TAG_A a; TAG_B b; }, both pointers to `structure`; no tag: nullptr.
struct Pointers {
  Pointers(Maps& maps, const char* tag_a, const char* tag_b, const char* structure = "task_struct")
      : map(maps.make(BPF_MAP_TYPE_ARRAY, 16, 1)) {
    BtfBuilder b;
    const u32 number = b.integer("int", 4);
    const u32 target = b.type(b.string(structure), BTF_KIND_STRUCT, 1, 4, {b.string("member"), number, 0});
    auto pointer = [&](const char* tag) {
      return b.type(0, BTF_KIND_PTR, 0, tag ? b.type(b.string(tag), BTF_KIND_TYPE_TAG, 0, target) : target);
    };
    const u32 first = pointer(tag_a), second = pointer(tag_b);
    const u32 value =
        b.type(b.string("value"), BTF_KIND_STRUCT, 2, 16, {b.string("a"), first, 0, b.string("b"), second, 64});
    map->btf = *Btf::load(b.bytes(), nullptr);
    created = check_map_btf(*map, map->btf, number, value, vmlinux(), true);
  }
  std::vector<u32> kptrs() const {
    std::vector<u32> offsets;
    for (const KptrField& field : map->kptrs) offsets.push_back(field.offset);
    return offsets;
  }
  Verdict does(Insns rest) const {
    return check(after_lookup(std::move(rest)), {.type = BPF_PROG_TYPE_SCHED_CLS, .maps = {map}});
  }
  // Reads 4 of the 8 bytes: of a kptr that is refused.
  Verdict reads_half(s16 offset) const {
    return does({jump_if(BPF_JEQ, 0, 0, 1), load(BPF_W, 1, 0, offset), mov(0, 0), leave()});
  }
  Verdict exchanges() const {
    return does({jump_if(BPF_JEQ, 0, 0, 3), copy(1, 0), mov(2, 0), call(BPF_FUNC_kptr_xchg), mov(0, 0), leave()});
  }

  std::shared_ptr<MapObject> map;
  Result<void> created;
};

}  // namespace

TEST_CASE("pointers tagged kptr are followed") {
  Maps maps;
  Pointers one(maps, "kptr", nullptr), both(maps, "kptr", "kptr"),
      owned(maps, "kptr_ref", nullptr, "prog_test_ref_kfunc");
  for (Pointers* p : {&one, &both, &owned}) CHECK(p->created);
  CHECK(one.kptrs() == std::vector<u32>{0});
  CHECK(both.kptrs() == std::vector<u32>{0, 8});
  CHECK(owned.kptrs() == std::vector<u32>{0});
  CHECK(one.reads_half(0).says("kptr access size must be BPF_DW\n"));
  CHECK(one.reads_half(8).error == 0);
  CHECK(both.reads_half(8).says("kptr access size must be BPF_DW\n"));
  CHECK(one.exchanges().says("off=0 kptr isn't referenced kptr\n"));
}

TEST_CASE("a tag that is none of these leaves the value without kptrs, good ones beside it too") {
  Maps maps;
  Pointers unknown(maps, "kptr_foo", nullptr), beside(maps, "kptr", "kptr_foo"), user(maps, "kptr", "user"),
      percpu(maps, "percpu", nullptr), unreleased(maps, "kptr_ref", nullptr);  // no function releases a task_struct
  for (Pointers* p : {&unknown, &beside, &user, &percpu, &unreleased}) {
    CHECK(p->created);
    CHECK(p->kptrs().empty());
    CHECK(p->reads_half(0).error == 0);
    CHECK(p->reads_half(8).error == 0);
    const Verdict exchange = p->exchanges();
    CHECK(exchange.error == EACCES);
    CHECK(exchange.says("map '' has no valid kptr\n"));
  }
}
