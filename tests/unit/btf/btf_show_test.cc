// SPDX-License-Identifier: Apache-2.0
// Values as bpf_snprintf_btf prints them: what the kernel's own test expects (progs/netif_receive_skb.c).
#include <linux/bpf.h>
#include <linux/btf.h>

#include <catch2/catch.hpp>
#include <string>

#include "emu/btf/btf_show.h"
#include "emu/kernel/kernel_data.h"

namespace bpfemu {
namespace {

constexpr u64 kNames = BTF_F_COMPACT, kNoNames = BTF_F_COMPACT | BTF_F_NONAME, kZeros = BTF_F_COMPACT | BTF_F_ZERO,
              kRaw = BTF_F_COMPACT | BTF_F_PTR_RAW;

template <class T>
std::string shown(u32 kind, const char* name, u64 flags, const T& value) {
  static const std::shared_ptr<Btf> btf = KernelData(default_profile()).btf().value();
  return btf_show(*btf, btf->find(name, kind).value(), {reinterpret_cast<const u8*>(&value), sizeof value}, flags);
}
template <class T>
std::string structure(const char* name, u64 flags, const T& value) {
  return shown(BTF_KIND_STRUCT, name, flags, value);
}

TEST_CASE("numbers are shown with their types, zeros where there is nothing else") {
  CHECK(shown(BTF_KIND_INT, "int", kNames, s32{-4567}) == "(int)-4567");
  CHECK(shown(BTF_KIND_INT, "int", kNoNames, s32{1234}) == "1234");
  CHECK(shown(BTF_KIND_INT, "int", kNames, s32{0}) == "(int)0");
  CHECK(shown(BTF_KIND_INT, "char", kNames, s8{100}) == "(char)100");
  CHECK(shown(BTF_KIND_TYPEDEF, "u64", kNames, u64{1}) == "(u64)1");
  CHECK(shown(BTF_KIND_ENUM, "bpf_cmd", kNames, u32{0}) == "(enum bpf_cmd)BPF_MAP_CREATE");
  CHECK(shown(BTF_KIND_ENUM, "bpf_cmd", kNames, u32{2000}) == "(enum bpf_cmd)2000");
}

TEST_CASE("members are shown by their names, zeros left out") {
  CHECK(shown(BTF_KIND_TYPEDEF, "atomic_t", kNames, s32{1}) == "(atomic_t){.counter = (int)1,}");
  CHECK(shown(BTF_KIND_TYPEDEF, "atomic_t", kNames, s32{0}) == "(atomic_t){}");
  CHECK(shown(BTF_KIND_TYPEDEF, "atomic_t", kZeros, s32{0}) == "(atomic_t){.counter = (int)0,}");
  CHECK(shown(BTF_KIND_TYPEDEF, "atomic_t", 0, s32{1}) == "(atomic_t){\n .counter = (int)1,\n}\n");
  const btf_enum both{.name_off = 3, .val = -1}, one{.name_off = 0, .val = -1}, none{};
  CHECK(structure("btf_enum", kNames, both) == "(struct btf_enum){.name_off = (__u32)3,.val = (__s32)-1,}");
  CHECK(structure("btf_enum", kNoNames, one) == "{-1,}");
  CHECK(structure("btf_enum", kNoNames | BTF_F_ZERO, one) == "{0,-1,}");
  CHECK(structure("btf_enum", kNames, none) == "(struct btf_enum){}");
  const u64 list[2] = {1, 0};
  CHECK(structure("list_head", kRaw, list) == "(struct list_head){.next = (struct list_head *)0x0000000000000001,}");
  const bpf_insn insn{.code = 1, .dst_reg = 2, .src_reg = 3, .off = 4, .imm = 5};
  CHECK(structure("bpf_insn", kNoNames, insn) == "{1,0x2,0x3,4,5,}");
  CHECK(structure("bpf_insn", kNames, insn) ==
        "(struct bpf_insn){.code = (__u8)1,.dst_reg = (__u8)0x2,.src_reg = (__u8)0x3,.off = (__s16)4,.imm = (__s32)5,}");
}

TEST_CASE("arrays are shown when something in them is") {
  bpf_prog_info info{};
  std::string("foo").copy(info.name, 3);
  CHECK(structure("bpf_prog_info", kNames, info) == "(struct bpf_prog_info){.name = (char[])['f','o','o',],}");
  CHECK(structure("bpf_prog_info", kNoNames, info) == "{['f','o','o',],}");
  info.name[0] = 0;
  CHECK(structure("bpf_prog_info", kNames, info) == "(struct bpf_prog_info){}");
  for (char i = 0; i < 3; ++i) info.name[static_cast<size_t>(i)] = static_cast<char>(i + 1);
  CHECK(structure("bpf_prog_info", kNames, info) == "(struct bpf_prog_info){.name = (char[])[1,2,3,],}");
  __sk_buff skb{};
  skb.cb[2] = 1;
  CHECK(structure("__sk_buff", kNames, skb) == "(struct __sk_buff){.cb = (__u32[])[1,],}");
  for (u32 i = 0; i < 5; ++i) skb.cb[i] = i + 1;
  CHECK(structure("__sk_buff", kNames, skb) == "(struct __sk_buff){.cb = (__u32[])[1,2,3,4,5,],}");
}

}  // namespace
}  // namespace bpfemu
