// SPDX-License-Identifier: Apache-2.0
// The tables of helpers, program types and contexts, against the uapi and against what Linux 6.1 itself answered
// (recorded-6.1.txt, made by record.cc).
#include <linux/bpf.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "emu/bpf/attach_types.h"
#include "emu/kernel/profile.h"
#include "emu/verifier/helper_protos.h"
#include "emu/verifier/prog_types.h"

using namespace bpfemu;

namespace {

struct Kind {
  ProgInfo prog;
  const ProgTypeOps* ops = nullptr;
};

Kind parse_kind(const std::string& name, const std::string& caps_text) {
  Kind kind;
  std::istringstream in(name);
  char slash;
  in >> kind.prog.type >> slash >> kind.prog.expected_attach_type >> slash >> kind.prog.attach_func_name;
  u32 caps = static_cast<u32>(std::stoul(caps_text, nullptr, 16));
  bool sys_admin = caps & 2;
  kind.prog.caps = {.bpf = sys_admin || (caps & 8),
                    .perfmon = sys_admin || (caps & 4),
                    .net_admin = (caps & 1) != 0,
                    .sys_admin = sys_admin};
  kind.prog.gpl_compatible = true;
  kind.ops = prog_type_ops(kind.prog.type);
  return kind;
}

u32 byte_at(const std::string& hex, size_t i) {
  return static_cast<u32>(std::stoul(hex.substr(i * 2, 2), nullptr, 16));
}

// Calls visit(words of the line) for each recorded line that starts with `first`.
template <class Visit>
size_t each_line(const std::string& first, Visit visit) {
  std::ifstream file(RECORDED);
  std::string line;
  size_t lines = 0;
  while (std::getline(file, line)) {
    std::istringstream in(line);
    std::vector<std::string> words{std::istream_iterator<std::string>(in), {}};
    if (words.empty() || words[0] != first) continue;
    ++lines;
    visit(words);
  }
  return lines;
}

}  // namespace

TEST_CASE("the helper table is the uapi's") {
#define NAME(name) #name
  static constexpr const char* kNames[] = {__BPF_FUNC_MAPPER(NAME)};
#undef NAME
  auto helpers = helper_entries();
  REQUIRE(helpers.size() == 209);
  REQUIRE(std::size(kNames) == helpers.size() + 1);
  for (u32 i = 0; i < helpers.size(); ++i) {
    CHECK(helpers[i].id == i + 1);
    CHECK(std::string(helpers[i].name) == kNames[i + 1]);
    CHECK(helpers[i].since >= kernel_version(3, 19));
    CHECK(helpers[i].since <= kernel_version(6, 1));
    CHECK((i == 0 || helpers[i].since >= helpers[i - 1].since));
  }
  CHECK(std::string(helper_name(25)) == "perf_event_output");
  CHECK(std::string(helper_name(0)) == "unknown");
  CHECK(std::string(helper_name(210)) == "unknown");
}

TEST_CASE("every prototype belongs to its helper") {
  struct Row {
    const HelperProto& proto;
    u32 helper;
  };
  const Row kRows[] = {
#define PROTO(variant, helper, symbol, flags, result, ...) {protos::variant, BPF_FUNC_##helper},
#include "emu/abi/helpers.inc"
  };
  std::set<u32> with_prototype;
  for (const Row& row : kRows) {
    with_prototype.insert(row.helper);
    CHECK(row.proto.id == row.helper);
    CHECK(std::string(row.proto.name) == helper_name(row.helper));
    for (int i = 1; i < 5; ++i) CHECK_FALSE((row.proto.args[i] && !row.proto.args[i - 1]));
  }
  CHECK(with_prototype.size() == 209);
  CHECK(protos::tail_call.symbol == nullptr);
  CHECK(protos::map_lookup_elem.ret == (kRetPtrToMapValue | kMaybeNull));
  CHECK(protos::xdp_check_mtu.arg_size[2] == 4);
  CHECK(std::string(protos::task_pt_regs.ret_struct) == "pt_regs");
}

TEST_CASE("program, attach and link types have their numbers") {
  auto types = prog_type_entries();
  REQUIRE(types.size() == 31);
  for (u32 i = 0; i < types.size(); ++i) CHECK(types[i].id == i + 1);
  auto attach = attach_types();
  REQUIRE(attach.size() == __MAX_BPF_ATTACH_TYPE);
  for (u32 i = 0; i < attach.size(); ++i) CHECK(attach[i].id == i);
  CHECK(std::string(link_type_name(BPF_LINK_TYPE_RAW_TRACEPOINT)) == "raw_tracepoint");
  CHECK(std::string(link_type_name(MAX_BPF_LINK_TYPE - 1)) == "struct_ops");
  CHECK(std::string(link_type_name(0)) == "<invalid>");
  CHECK(prog_type_ops(0) == nullptr);
  CHECK(prog_type_ops(32) == nullptr);
  CHECK(prog_type_ops(BPF_PROG_TYPE_LIRC_MODE2) == nullptr);
}

TEST_CASE("helpers of each kind of program are those of Linux 6.1") {
  size_t lines = each_line("helpers", [](const std::vector<std::string>& words) {
    Kind kind = parse_kind(words[1], words[2]);
    INFO("program type/attach type/function " << words[1] << " with capabilities " << words[2]);
    REQUIRE(kind.ops != nullptr);
    for (u32 id = 1; id <= 209; ++id) {
      bool allowed = byte_at(words[3], (id - 1) / 8) >> ((id - 1) % 8) & 1;
      INFO("helper " << helper_name(id));
      CHECK((kind.ops->helper(id, kind.prog) != nullptr) == allowed);
    }
    CHECK(kind.ops->helper(0, kind.prog) == nullptr);
    CHECK(kind.ops->helper(210, kind.prog) == nullptr);
  });
  CHECK(lines == 137);
}

TEST_CASE("context accesses are those that Linux 6.1 allows") {
  size_t lines = each_line("context", [](const std::vector<std::string>& words) {
    Kind kind = parse_kind(words[1], words[2]);
    INFO("program type/attach type/function " << words[1] << " with capabilities " << words[2]);
    REQUIRE(kind.ops != nullptr);
    int first = std::stoi(words[3]);
    VerifierLog log(0, 0);
    for (size_t i = 0; i * 2 < words[4].size(); ++i) {
      int offset = first + static_cast<int>(i);
      for (u32 k = 0; k < 8; ++k) {
        int size = 1 << (k % 4);
        if (offset & (size - 1)) continue;
        // 6.1 compares a tracepoint's offset as unsigned and so lets negative ones through; the model does not.
        if (offset < 0 && kind.prog.type == BPF_PROG_TYPE_TRACEPOINT) continue;
        bool allowed = byte_at(words[4], i) >> k & 1;
        CtxAccess info;
        Access access = k < 4 ? Access::kRead : Access::kWrite;
        INFO((k < 4 ? "read" : "write") << " of " << size << " bytes at " << offset);
        CHECK(kind.ops->is_valid_access(offset, size, access, kind.prog, log, info) == allowed);
      }
    }
  });
  CHECK(lines == 129);
}

TEST_CASE("context pointers have their types") {
  VerifierLog log(0, 0);
  ProgInfo prog;
  auto type_of = [&](u32 type, u32 offset, int size) {
    CtxAccess info;
    CHECK(prog_type_ops(type)->is_valid_access(static_cast<int>(offset), size, Access::kRead, prog, log, info));
    return info.reg_type;
  };
  CHECK(type_of(BPF_PROG_TYPE_XDP, offsetof(xdp_md, data), 4) == kPtrToPacket);
  CHECK(type_of(BPF_PROG_TYPE_XDP, offsetof(xdp_md, data_end), 4) == kPtrToPacketEnd);
  CHECK(type_of(BPF_PROG_TYPE_SCHED_CLS, offsetof(__sk_buff, data_meta), 4) == kPtrToPacketMeta);
  CHECK(type_of(BPF_PROG_TYPE_SCHED_CLS, offsetof(__sk_buff, sk), 8) == (kPtrToSockCommon | kMaybeNull));
  CHECK(type_of(BPF_PROG_TYPE_SCHED_CLS, offsetof(__sk_buff, len), 1) == kScalar);
  CHECK(type_of(BPF_PROG_TYPE_SK_LOOKUP, offsetof(bpf_sk_lookup, sk), 8) == (kPtrToSocket | kMaybeNull));
  CHECK(type_of(BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE, 0, 8) == kPtrToTpBuffer);
  CHECK(type_of(BPF_PROG_TYPE_FLOW_DISSECTOR, offsetof(__sk_buff, flow_keys), 8) == kPtrToFlowKeys);
}

TEST_CASE("fields of sockets") {
  auto valid = [](RegType base, u32 offset, int size) {
    CtxAccess info;
    return is_valid_sock_access(base, static_cast<int>(offset), size, Access::kRead, info);
  };
  CHECK(valid(kPtrToSocket, offsetof(bpf_sock, type), 4));
  CHECK_FALSE(valid(kPtrToSockCommon, offsetof(bpf_sock, type), 4));
  CHECK(valid(kPtrToSockCommon, offsetof(bpf_sock, src_ip4) + 1, 1));
  CHECK(valid(kPtrToSocket, offsetof(bpf_sock, dst_port), 4));
  CHECK(valid(kPtrToSocket, offsetof(bpf_sock, dst_port), 2));
  CHECK_FALSE(valid(kPtrToSocket, offsetof(bpf_sock, dst_port) + 2, 2));
  CHECK_FALSE(valid(kPtrToSocket, offsetof(bpf_sock, state) + 1, 1));
  CHECK(valid(kPtrToTcpSock, offsetof(bpf_tcp_sock, bytes_acked), 8));
  CHECK_FALSE(valid(kPtrToTcpSock, offsetof(bpf_tcp_sock, bytes_acked), 4));
  CHECK_FALSE(valid(kPtrToTcpSock, sizeof(bpf_tcp_sock), 4));
  CHECK(valid(kPtrToXdpSock, 0, 4));
  CHECK_FALSE(valid(kPtrToXdpSock, 0, 2));
}

TEST_CASE("expected attach types at load") {
  auto check = [](u32 type, u32 attach) { return check_load_attach(type, attach, false, 0, false).has_value(); };
  CHECK(check(BPF_PROG_TYPE_KPROBE, 0));
  CHECK(check(BPF_PROG_TYPE_KPROBE, 1000));  // not looked at
  CHECK(check(BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS));
  CHECK_FALSE(check(BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_DEVICE));
  CHECK_FALSE(check(BPF_PROG_TYPE_CGROUP_SOCK, 0));
  CHECK(check(BPF_PROG_TYPE_CGROUP_SOCK, effective_attach_type(BPF_PROG_TYPE_CGROUP_SOCK, 0)));
  CHECK(check(BPF_PROG_TYPE_SK_REUSEPORT, effective_attach_type(BPF_PROG_TYPE_SK_REUSEPORT, 0)));
  CHECK_FALSE(check(BPF_PROG_TYPE_SYSCALL, 1));
  CHECK_FALSE(check(BPF_PROG_TYPE_SK_LOOKUP, 0));
  CHECK_FALSE(check_load_attach(BPF_PROG_TYPE_KPROBE, 0, true, 1, false).has_value());
  CHECK_FALSE(check_load_attach(BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, false, 1, false).has_value());
  CHECK(check_load_attach(BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, true, 1, false).has_value());
  CHECK_FALSE(check_load_attach(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, false, 1, true).has_value());
}

TEST_CASE("capabilities that loading takes") {
  Capabilities none{false, false, false, false}, bpf{true, false, false, false}, tracing{true, true, false, false};
  CHECK(check_load_rights(BPF_PROG_TYPE_SOCKET_FILTER, none).has_value());
  CHECK_FALSE(check_load_rights(BPF_PROG_TYPE_KPROBE, bpf).has_value());
  CHECK(check_load_rights(BPF_PROG_TYPE_KPROBE, tracing).has_value());
  CHECK_FALSE(check_load_rights(BPF_PROG_TYPE_XDP, tracing).has_value());
  CHECK(check_load_rights(BPF_PROG_TYPE_SK_LOOKUP, bpf).has_value());
  CHECK_FALSE(check_load_rights(BPF_PROG_TYPE_SK_LOOKUP, none).has_value());
}

TEST_CASE("attach types name their programs") {
  CHECK(attach_type(BPF_CGROUP_DEVICE)->prog_type == BPF_PROG_TYPE_CGROUP_DEVICE);
  CHECK(attach_type(BPF_LSM_CGROUP)->prog_type == BPF_PROG_TYPE_LSM);
  CHECK(attach_type(BPF_PERF_EVENT) == nullptr);
  CHECK(attach_type(BPF_TRACE_KPROBE_MULTI) == nullptr);
  CHECK(attach_type(10000) == nullptr);
}
