// SPDX-License-Identifier: Apache-2.0
#include "tests/oracle/oracle.h"

namespace oracle {

namespace {

constexpr u32 info(u32 kind, u32 vlen = 0, bool flag = false) { return (flag ? 1u << 31 : 0) | kind << 24 | vlen; }
constexpr u32 kInt = BTF_KIND_INT, kPtr = BTF_KIND_PTR, kArray = BTF_KIND_ARRAY, kStruct = BTF_KIND_STRUCT,
              kTypedef = BTF_KIND_TYPEDEF, kFunc = BTF_KIND_FUNC, kProto = BTF_KIND_FUNC_PROTO, kVar = BTF_KIND_VAR,
              kDatasec = BTF_KIND_DATASEC, kFloat = BTF_KIND_FLOAT, kDeclTag = BTF_KIND_DECL_TAG,
              kTypeTag = BTF_KIND_TYPE_TAG, kEnum64 = BTF_KIND_ENUM64, kConst = BTF_KIND_CONST, kEnum = BTF_KIND_ENUM;

long load(const std::vector<u8>& blob) {
  bpf_attr attr{};
  attr.btf = ptr(blob.data());
  attr.btf_size = static_cast<u32>(blob.size());
  return bpf(BPF_BTF_LOAD, attr);
}

using Types = std::vector<u32>;
const std::string kStrings("\0int\0a\0s\0.data\0f\0", 17);
constexpr u32 kIntName = 1, kA = 5, kS = 7, kData = 9, kF = 15;
const Types kInteger = {kIntName, info(kInt), 4, 32};

void ask(const std::string& name, Types types) {
  say("btf/" + name, fd_text(load(btf_blob(types, kStrings))));
}

Types operator+(Types a, const Types& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

void ask_btf() {
  ask("nothing", {});
  ask("int", kInteger);
  ask("int of 3 bytes", {kIntName, info(kInt), 3, 24});
  ask("int of 64 bits in 4 bytes", {kIntName, info(kInt), 4, 64});
  ask("int without a name", {0, info(kInt), 4, 32});
  ask("int with a number as name", {kA + 100, info(kInt), 4, 32});
  ask("int, encoding 7", {kIntName, info(kInt), 4, 7u << 24 | 32});
  ask("int cut", {kIntName, info(kInt), 4});
  ask("unknown kind", {kIntName, info(25), 4});
  ask("kind 0", {kIntName, info(0), 4});
  ask("pointer to void", {0, info(kPtr), 0});
  ask("pointer to itself", {0, info(kPtr), 1});
  ask("pointer out of range", {0, info(kPtr), 9});
  ask("array", kInteger + Types{0, info(kArray), 0, 1, 1, 4});
  ask("array of void", kInteger + Types{0, info(kArray), 0, 0, 1, 4});
  ask("array too large", kInteger + Types{0, info(kArray), 0, 1, 1, 0x7fffffff});
  ask("struct", kInteger + Types{kS, info(kStruct, 1), 4, kA, 1, 0});
  ask("struct too small", kInteger + Types{kS, info(kStruct, 1), 2, kA, 1, 0});
  ask("struct of itself", {kS, info(kStruct, 1), 4, kA, 1, 0});
  ask("struct, member beyond", kInteger + Types{kS, info(kStruct, 1), 4, kA, 1, 32});
  ask("struct with a bit field", kInteger + Types{kS, info(kStruct, 1, true), 4, kA, 1, 3u << 24});
  ask("typedef", kInteger + Types{kS, info(kTypedef), 1});
  ask("typedef without a name", kInteger + Types{0, info(kTypedef), 1});
  ask("typedef loop", {kS, info(kTypedef), 2, kS, info(kTypedef), 1});
  ask("const", kInteger + Types{0, info(kConst), 1});
  ask("const with a name", kInteger + Types{kS, info(kConst), 1});
  ask("enum", {kS, info(kEnum, 1), 4, kA, 1});
  ask("enum of 3 bytes", {kS, info(kEnum, 1), 3, kA, 1});
  ask("enum64", {kS, info(kEnum64, 1), 8, kA, 1, 0});
  ask("function", kInteger + Types{0, info(kProto, 1), 1, kA, 1} + Types{kF, info(kFunc), 2});
  ask("global function", kInteger + Types{0, info(kProto, 1), 1, kA, 1} + Types{kF, info(kFunc, 1), 2});
  ask("function linkage 3", kInteger + Types{0, info(kProto, 1), 1, kA, 1} + Types{kF, info(kFunc, 3), 2});
  ask("function of an int", kInteger + Types{kF, info(kFunc), 1});
  ask("prototype, unnamed argument", kInteger + Types{0, info(kProto, 1), 1, 0, 1});
  ask("prototype, varargs", kInteger + Types{0, info(kProto, 2), 1, kA, 1, 0, 0});
  ask("variable", kInteger + Types{kA, info(kVar), 1, 0});
  ask("variable, linkage 9", kInteger + Types{kA, info(kVar), 1, 9});
  ask("data section", kInteger + Types{kA, info(kVar), 1, 1} + Types{kData, info(kDatasec, 1), 4, 2, 0, 4});
  ask("data section of 0 bytes", kInteger + Types{kA, info(kVar), 1, 1} + Types{kData, info(kDatasec, 1), 0, 2, 0, 4});
  ask("data section of an int", kInteger + Types{kData, info(kDatasec, 1), 4, 1, 0, 4});
  ask("empty data section", {kData, info(kDatasec), 0});
  ask("float", {kIntName, info(kFloat), 4});
  ask("float of 3 bytes", {kIntName, info(kFloat), 3});
  ask("declaration tag", kInteger + Types{kA, info(kVar), 1, 1} + Types{kS, info(kDeclTag), 2, ~0u});
  ask("declaration tag of an int", kInteger + Types{kS, info(kDeclTag), 1, ~0u});
  ask("type tag", kInteger + Types{kS, info(kTypeTag), 1} + Types{0, info(kPtr), 2});

  auto changed = [](const std::string& name, auto change) {
    auto blob = btf_blob(kInteger, kStrings);
    change(*reinterpret_cast<btf_header*>(blob.data()), blob);
    say("btf header/" + name, fd_text(load(blob)));
  };
  using Blob = std::vector<u8>;
  changed("magic", [](btf_header& h, Blob&) { h.magic = 0; });
  changed("version", [](btf_header& h, Blob&) { h.version = 9; });
  changed("flags", [](btf_header& h, Blob&) { h.flags = 1; });
  changed("hdr_len 0", [](btf_header& h, Blob&) { h.hdr_len = 0; });
  changed("hdr_len 1000", [](btf_header& h, Blob&) { h.hdr_len = 1000; });
  changed("type_len 0", [](btf_header& h, Blob&) { h.type_len = 0; });
  changed("type_off 2", [](btf_header& h, Blob&) { h.type_off = 2; });
  changed("str_off overlaps", [](btf_header& h, Blob&) { h.str_off = 0; });
  changed("str_len 0", [](btf_header& h, Blob&) { h.str_len = 0; });
  changed("str_len too long", [](btf_header& h, Blob&) { h.str_len = 100; });
  changed("strings without a NUL", [](btf_header&, Blob& b) { b.back() = 'x'; });
  changed("first string not empty", [](btf_header& h, Blob& b) { b[sizeof h + 16] = 'x'; });
  changed("cut header", [](btf_header&, Blob& b) { b.resize(10); });
  changed("longer than it says", [](btf_header&, Blob& b) { b.resize(b.size() + 4); });

  bpf_attr attr{};
  say("btf/null", bpf(BPF_BTF_LOAD, attr));
  attr.btf_size = 100;
  say("btf/null with a size", bpf(BPF_BTF_LOAD, attr));
  attr.btf_size = (16 << 20) + 1;
  say("btf/too large", bpf(BPF_BTF_LOAD, attr));
  auto blob = btf_blob(kInteger, kStrings);
  std::vector<char> log(4096);
  for (u32 level : {0u, 1u, 2u, 4u, 8u}) {
    for (u32 size : {0u, 100u, 128u, 4096u}) {
      bpf_attr with_log{};
      with_log.btf = ptr(blob.data());
      with_log.btf_size = static_cast<u32>(blob.size());
      with_log.btf_log_buf = ptr(log.data());
      with_log.btf_log_level = level;
      with_log.btf_log_size = size;
      say("btf log/level " + std::to_string(level) + " size " + std::to_string(size), fd_text(bpf(BPF_BTF_LOAD, with_log)));
    }
  }

  // Maps with these types.
  int btf = make_btf(btf_blob(kInteger + Types{0, info(kPtr), 1} + Types{kS, info(kStruct, 2), 8, kA, 1, 0, kF, 1, 32} +
                              Types{kA, info(kVar), 1, 1} + Types{kData, info(kDatasec, 1), 4, 4, 0, 4}, kStrings));
  struct Case {
    const char* name;
    u32 type, value, entries, key_id, value_id;
  };
  for (const Case& c : {Case{"array int int", BPF_MAP_TYPE_ARRAY, 4, 1, 1, 1},
                        Case{"array struct key", BPF_MAP_TYPE_ARRAY, 4, 1, 3, 1},
                        Case{"array value size", BPF_MAP_TYPE_ARRAY, 8, 1, 1, 1},
                        Case{"array struct value", BPF_MAP_TYPE_ARRAY, 8, 1, 1, 3},
                        Case{"array data section", BPF_MAP_TYPE_ARRAY, 4, 1, 0, 5},
                        Case{"array of data sections", BPF_MAP_TYPE_ARRAY, 4, 2, 0, 5},
                        Case{"array no key", BPF_MAP_TYPE_ARRAY, 4, 1, 0, 1},
                        Case{"array value out of range", BPF_MAP_TYPE_ARRAY, 4, 1, 1, 99},
                        Case{"hash int int", BPF_MAP_TYPE_HASH, 4, 1, 1, 1},
                        Case{"hash no key", BPF_MAP_TYPE_HASH, 4, 1, 0, 1},
                        Case{"hash pointer value", BPF_MAP_TYPE_HASH, 8, 1, 1, 2},
                        Case{"hash void value", BPF_MAP_TYPE_HASH, 4, 1, 1, 0},
                        Case{"perf event array", BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 1, 1, 1},
                        Case{"stack trace", BPF_MAP_TYPE_STACK_TRACE, 8, 1, 1, 2},
                        Case{"prog array", BPF_MAP_TYPE_PROG_ARRAY, 4, 1, 1, 1},
                        Case{"lru hash", BPF_MAP_TYPE_LRU_HASH, 4, 100, 1, 1},
                        Case{"queue", BPF_MAP_TYPE_QUEUE, 4, 1, 0, 1}}) {
    bpf_attr map = map_attr({c.type, c.type == BPF_MAP_TYPE_QUEUE ? 0u : 4u, c.value, c.entries});
    map.btf_fd = static_cast<u32>(btf);
    map.btf_key_type_id = c.key_id;
    map.btf_value_type_id = c.value_id;
    say(std::string("btf map/") + c.name, fd_text(bpf(BPF_MAP_CREATE, map)));
  }
  close(btf);
}

}  // namespace oracle
