// SPDX-License-Identifier: Apache-2.0
// What BPF_BTF_LOAD refuses, with the last line of the log. Every row was compared with a real kernel.
#include <catch2/catch.hpp>

#include "emu/btf/btf_check.h"
#include "tests/unit/btf/builder.h"

namespace bpfemu {
namespace {

struct Outcome {
  int error;
  std::string last;  // line of the log
  std::string log;
};

Outcome load(const std::vector<u8>& bytes) {
  VerifierLog log(1, 1 << 20);
  auto btf = Btf::load(bytes, &log);
  std::string text = log.text(), trimmed = text;
  while (!trimmed.empty() && trimmed.back() == '\n') trimmed.pop_back();
  size_t newline = trimmed.rfind('\n');
  return {btf ? 0 : btf.error().value, newline == std::string::npos ? trimmed : trimmed.substr(newline + 1), text};
}

u32 u32_at(const std::vector<u8>& bytes, size_t at) {
  u32 value;
  std::memcpy(&value, &bytes[at], 4);
  return value;
}
std::vector<u8> patched(std::vector<u8> bytes, size_t at, u32 value) {
  std::memcpy(&bytes[at], &value, 4);
  return bytes;
}

TEST_CASE("header and sections") {
  BtfBuilder b;
  b.integer("int", 4);
  std::vector<u8> good = b.bytes();
  REQUIRE(load(good).error == 0);
  auto field = [&](size_t at, u32 value) { return load(patched(good, at, value)); };
  CHECK(load({}).last == "hdr_len not found");
  CHECK(field(4, 1000).last == "btf_header not found");
  CHECK(field(0, 0xeb9e | 1 << 16).last == "Invalid magic");
  CHECK(field(0, 0xeb9f | 2 << 16).error == ENOTSUPP);
  CHECK(field(0, 0xeb9f | 1 << 16 | 1 << 24).last == "Unsupported flags");
  CHECK(field(8, 4).last == "Unsupported section found");
  CHECK(field(12, u32_at(good, 12) + 4).last == "Section overlap found");
  CHECK(field(20, u32_at(good, 20) + 1).last == "Total section length too long");
  CHECK(field(20, u32_at(good, 20) - 1).last == "Unsupported section found");
  std::vector<u8> open_end = good;
  open_end.back() = 'x';
  CHECK(load(open_end).last == "Invalid string section");
  std::vector<u8> longer = good;
  longer.insert(longer.begin() + sizeof(btf_header), 4, 0);
  CHECK(load(patched(longer, 4, sizeof(btf_header) + 4)).error == 0);
  longer[sizeof(btf_header)] = 1;
  CHECK(load(patched(longer, 4, sizeof(btf_header) + 4)).error == E2BIG);
  BtfBuilder none;
  CHECK(load(none.bytes()).last == "No type found");
}

TEST_CASE("the log begins with the header and describes each type") {
  BtfBuilder b;
  u32 integer = b.integer("int", 4);
  b.type(b.string("s"), BTF_KIND_STRUCT, 1, 4, {b.string("m"), integer, 0});
  b.type(0, BTF_KIND_FUNC_PROTO, 2, 0, {b.string("a"), integer, 0, 0});
  Outcome outcome = load(b.bytes());
  CHECK(outcome.error == 0);
  CHECK(outcome.log ==
        "magic: 0xeb9f\nversion: 1\nflags: 0x0\nhdr_len: 24\ntype_off: 0\ntype_len: 68\nstr_off: 68\nstr_len: 11\n"
        "btf_total_size: 103\n"
        "[1] INT int size=4 bits_offset=0 nr_bits=32 encoding=SIGNED\n"
        "[2] STRUCT s size=4 vlen=1\n\tm type_id=1 bits_offset=0\n"
        "[3] FUNC_PROTO (anon) return=0 args=(1 a, vararg)\n");
}

TEST_CASE("types on their own") {
  BtfBuilder b;
  u32 integer = b.integer("int", 4), name = b.string("n"), bad = b.string("1x"), member = b.string("m");
  struct Row {
    const char* last;
    u32 name, kind, vlen, size_or_type;
    std::vector<u32> more;
    bool flag;
    int error;
  };
  const Row rows[] = {
      {"[2] INT n size=4 bits_offset=0 nr_bits=64 encoding=(none) nr_bits exceeds type_size",
       name,
       1,
       0,
       4,
       {64},
       false,
       EINVAL},
      {"[2] INT n size=16 bits_offset=0 nr_bits=129 encoding=(none) nr_bits exceeds 128",
       name,
       1,
       0,
       16,
       {129},
       false,
       EINVAL},
      {"[2] INT n size=4 bits_offset=0 nr_bits=32 encoding=UNKN Unsupported encoding",
       name,
       1,
       0,
       4,
       {3u << 24 | 32},
       false,
       ENOTSUPP},
      {"[2] INT n Invalid int_data:10000020", name, 1, 0, 4, {1u << 28 | 32}, false, EINVAL},
      {"[2] INT n size=4 bits_offset=0 nr_bits=32 encoding=(none) vlen != 0", name, 1, 1, 4, {32}, false, EINVAL},
      {"[2] PTR n type_id=1 Invalid name", name, 2, 0, integer, {}, false, EINVAL},
      {"[2] ARRAY (anon) type_id=0 index_type_id=1 nr_elems=1 Invalid elem", 0, 3, 0, 0, {0, 1, 1}, false, EINVAL},
      {"\tm type_id=1 bits_offset=40 Member bits_offset exceeds its struct size",
       name,
       4,
       1,
       4,
       {member, 1, 40},
       false,
       EINVAL},
      {"\tm type_id=1 bits_offset=8 Invalid member bits_offset", name, 5, 1, 4, {member, 1, 8}, false, EINVAL},
      {"[2] ENUM n size=3 vlen=0 Unexpected size", name, 6, 0, 3, {}, false, EINVAL},
      {"[2] FWD n struct type != 0", name, 7, 0, 1, {}, false, EINVAL},
      {"[2] TYPEDEF 1x type_id=1 Invalid name", bad, 8, 0, integer, {}, false, EINVAL},
      {"[2] FUNC n type_id=1 Invalid func linkage", name, 12, 3, integer, {}, false, EINVAL},
      {"[2] VAR n type_id=1 linkage=2 Linkage not supported", name, 14, 0, integer, {2}, false, EINVAL},
      {"[2] DATASEC n size=0 vlen=0 size == 0", name, 15, 0, 0, {}, false, EINVAL},
      {"[2] FLOAT n size=3 Invalid type_size", name, 16, 0, 3, {}, false, EINVAL},
      {"[2] DECL_TAG (anon) type=1 component_idx=-1 Invalid value", 0, 17, 0, integer, {~0u}, false, EINVAL},
      {"[2] TYPE_TAG (anon) type_id=1 Invalid name", 0, 18, 0, integer, {}, false, EINVAL},
      {"[2] Invalid kind:20", name, 20, 0, 4, {}, false, EINVAL},
      {"[2] Invalid name_offset:9999", 9999, 1, 0, 4, {32}, false, EINVAL},
      {"[2] STRUCT n meta_left:0 meta_needed:12", name, 4, 1, 4, {}, false, EINVAL},
  };
  for (const Row& row : rows) {
    BtfBuilder one = b;
    one.type(row.name, row.kind, row.vlen, row.size_or_type, row.more, row.flag);
    Outcome outcome = load(one.bytes());
    CHECK(outcome.last == row.last);
    CHECK(outcome.error == row.error);
  }
}

TEST_CASE("what types refer to") {
  BtfBuilder b;
  u32 integer = b.integer("int", 4), name = b.string("n");
  SECTION("a pointer loop through a typedef") {
    b.type(name, BTF_KIND_TYPEDEF, 0, 3);
    b.type(0, BTF_KIND_PTR, 0, 2);
    CHECK(load(b.bytes()).last == "[2] TYPEDEF n type_id=3 Loop detected");
  }
  SECTION("a struct within itself") {
    b.type(name, BTF_KIND_STRUCT, 1, 8, {name, 2, 0});
    CHECK(load(b.bytes()).last == "[2] STRUCT n size=8 vlen=1 Loop detected");
  }
  SECTION("a chain that is too long") {
    for (u32 i = 0; i < 40; ++i) b.type(0, BTF_KIND_PTR, 0, i == 39 ? 1 : b.count + 2);
    Outcome outcome = load(b.bytes());
    CHECK(outcome.last == "[2] PTR (anon) type_id=3 Exceeded max resolving depth:32");
    CHECK(outcome.error == E2BIG);
  }
  SECTION("a member that does not fit") {
    b.type(name, BTF_KIND_STRUCT, 1, 2, {name, integer, 0});
    CHECK(load(b.bytes()).last == "\tn type_id=1 bits_offset=0 Member exceeds struct_size");
  }
  SECTION("a function that is none") {
    b.type(name, BTF_KIND_FUNC, 0, integer);
    CHECK(load(b.bytes()).last == "[2] FUNC n type_id=1 Invalid type_id");
  }
  SECTION("an array that is too large") {
    b.type(0, BTF_KIND_ARRAY, 0, 0, {integer, integer, 1u << 30});
    CHECK(load(b.bytes()).last ==
          "[2] ARRAY (anon) type_id=1 index_type_id=1 nr_elems=1073741824 Array size overflows U32_MAX");
  }
  SECTION("type tags come first") {
    b.type(0, BTF_KIND_CONST, 0, 3);
    b.type(name, BTF_KIND_TYPE_TAG, 0, integer);
    CHECK(load(b.bytes()).last == "Type tags don't precede modifiers");
  }
  SECTION("a variable larger than its place") {
    u32 variable = b.type(name, BTF_KIND_VAR, 0, integer, {1});
    b.type(name, BTF_KIND_DATASEC, 1, 4, {variable, 0, 2});
    CHECK(load(b.bytes()).last == "\t type_id=2 offset=0 size=2 Invalid size");
  }
}

TEST_CASE("a log that is too small") {
  BtfBuilder b;
  b.integer("int", 4);
  VerifierLog log(1, 128);
  CHECK(Btf::load(b.bytes(), &log).error().value == ENOSPC);
  CHECK(log.text().size() == 127);
}

// Nothing that a tool passes may crash the checks.
TEST_CASE("random damage") {
  BtfBuilder b;
  u32 integer = b.integer("int", 4), name = b.string("name");
  u32 structure = b.type(name, BTF_KIND_STRUCT, 2, 16, {name, integer, 0, name, 3, 64});
  b.type(0, BTF_KIND_PTR, 0, structure);
  u32 prototype = b.type(0, BTF_KIND_FUNC_PROTO, 1, integer, {name, 3});
  b.type(name, BTF_KIND_FUNC, 1, prototype);
  u32 variable = b.type(name, BTF_KIND_VAR, 0, structure, {1});
  b.type(name, BTF_KIND_DATASEC, 1, 16, {variable, 0, 16});
  b.type(name, BTF_KIND_DECL_TAG, 0, structure, {1});
  b.type(0, BTF_KIND_ARRAY, 0, 0, {structure, integer, 3});
  std::vector<u8> good = b.bytes();
  REQUIRE(load(good).error == 0);
  u64 seed = 42;
  auto random = [&] { return (seed = seed * 6364136223846793005u + 1442695040888963407u) >> 33; };
  u32 accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    std::vector<u8> bytes = good;
    for (u64 n = 1 + random() % 3; n > 0; --n) bytes[random() % bytes.size()] ^= static_cast<u8>(1 << random() % 8);
    accepted += load(bytes).error == 0;
  }
  CHECK(accepted > 0);
  CHECK(accepted < 20000);
}

}  // namespace
}  // namespace bpfemu
