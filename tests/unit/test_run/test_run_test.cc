// SPDX-License-Identifier: Apache-2.0
// BPF_PROG_TEST_RUN of hand-made programs, as they are after fix-up. Errors and numbers are those of a real 6.1 kernel.
#include <catch2/catch.hpp>
#include <cstring>

#include "emu/bpf/map_object.h"
#include "emu/runtime/contexts.h"
#include "emu/test_run/test_run.h"

namespace bpfemu {
namespace {

constexpr u8 kLoadW = BPF_LDX | BPF_MEM | BPF_W, kLoadDw = BPF_LDX | BPF_MEM | BPF_DW;
constexpr Insn kExit{BPF_JMP | BPF_EXIT, 0, 0, 0, 0};
constexpr Insn result(s32 value) {
  return {BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, value};
}

std::unique_ptr<Arena>& arena() {
  static std::unique_ptr<Arena> arena = std::move(*Arena::create(2));
  return arena;
}

std::shared_ptr<Program> program(u32 type, Insns insns, u16 stack = 0) {
  auto program = std::make_shared<Program>();
  program->type = type;
  program->verified.insns = std::move(insns);
  program->verified.subprogram_starts = {0};
  program->verified.stack_depths = {stack};
  REQUIRE(program->install(*arena()));
  return program;
}

// The tool's memory is the test's own; address 1 is a bad one.
class Caller : public TestCaller {
 public:
  Result<std::vector<u8>> copy_in(u64 from, u64 size) override {
    if (size == 0) return std::vector<u8>();
    if (from <= 1) return fail(EFAULT);
    const u8* bytes = reinterpret_cast<const u8*>(from);
    return std::vector<u8>(bytes, bytes + size);
  }
  Result<void> copy_out(u64 to, const void* from, u64 size) override {
    if (size == 0) return {};
    if (to <= 1) return fail(EFAULT);
    std::memcpy(reinterpret_cast<void*>(to), from, size);
    return {};
  }
  Result<void> put_attr(size_t offset, const void* from, size_t size) override {
    std::memcpy(reinterpret_cast<u8*>(&attr) + offset, from, size);
    return {};
  }
  Result<void> with_run(int cpu, const std::function<void(Run&)>& body) override {
    if (cpu >= 2) return fail(ENXIO);
    ran_on = cpu;
    Env env{};
    env.arena_end = arena()->end();
    Run run{};
    run.env = &env;
    run.cpu = &arena()->vcpu(0);
    run.counted = counted;
    body(run);
    return {};
  }
  bool counted = false;
  bool interrupted() override { return signalled; }
  void call_test_functions(bool) override {}
  void unmodelled(const char*) override { ++unmodelled_count; }

  int run(const std::shared_ptr<Program>& program) {
    auto done = test_run(*arena(), *program, attr.test, *this);
    return done ? 0 : done.error().value;
  }

  bpf_attr attr{};
  bool signalled = false;
  int ran_on = -2;
  u32 unmodelled_count = 0;
};

struct Packet {
  u8 bytes[64] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x08, 0x00, 0x45, 0, 0, 50};
  Packet() {
    for (u8 i = 26; i < 64; ++i) bytes[i] = i;
  }
};

Caller with_packet(Packet& packet, u32 size = 64) {
  Caller caller;
  caller.attr.test.data_in = reinterpret_cast<u64>(packet.bytes);
  caller.attr.test.data_size_in = size;
  return caller;
}

template <class T>
u64 address(T& object) {
  return reinterpret_cast<u64>(&object);
}

// R0 = a word of the object behind the context.
Insns reads(size_t offset, u8 code = kLoadW) {
  return {{code, 0, 1, static_cast<s16>(offset), 0}, kExit};
}

}  // namespace

TEST_CASE("skb: arguments that make no sense") {
  auto pass = program(BPF_PROG_TYPE_SCHED_CLS, {result(0), kExit});
  Packet packet;
  Caller caller = with_packet(packet, 13);
  CHECK(caller.run(pass) == EINVAL);
  caller.attr.test.data_size_in = 3713;
  CHECK(caller.run(pass) == EINVAL);
  caller = with_packet(packet);
  caller.attr.test.data_in = 1;
  CHECK(caller.run(pass) == EFAULT);
  caller = with_packet(packet);
  caller.attr.test.flags = 1;
  CHECK(caller.run(pass) == EINVAL);
  caller = with_packet(packet);
  caller.attr.test.cpu = 1;
  CHECK(caller.run(pass) == EINVAL);
  caller = with_packet(packet);
  caller.attr.test.batch_size = 1;
  CHECK(caller.run(pass) == EINVAL);
  // An IPv4 packet without its header.
  caller = with_packet(packet, 33);
  CHECK(caller.run(pass) == EINVAL);
  caller = with_packet(packet, 34);
  CHECK(caller.run(pass) == 0);
}

TEST_CASE("skb: what programs see") {
  Packet packet;
  auto value = [&](u32 type, size_t offset, u8 code = kLoadW) {
    Caller caller = with_packet(packet);
    REQUIRE(caller.run(program(type, reads(offset, code))) == 0);
    return caller.attr.test.retval;
  };
  CHECK(value(BPF_PROG_TYPE_SCHED_CLS, offsetof(RunSkb, len)) == 64);
  CHECK(value(BPF_PROG_TYPE_SOCKET_FILTER, offsetof(RunSkb, len)) == 50);
  CHECK(value(BPF_PROG_TYPE_SCHED_CLS, offsetof(RunSkb, protocol)) == 8);
  CHECK(value(BPF_PROG_TYPE_SCHED_CLS, offsetof(RunSkb, pkt_type)) == 2);
  CHECK(value(BPF_PROG_TYPE_SCHED_CLS, offsetof(RunSkb, ifindex)) == 1);
}

TEST_CASE("skb: data out") {
  Packet packet;
  u8 out[64] = {};
  auto pass = program(BPF_PROG_TYPE_SCHED_CLS, {result(7), kExit});
  Caller caller = with_packet(packet);
  caller.attr.test.data_out = address(out);
  caller.attr.test.data_size_out = 64;
  REQUIRE(caller.run(pass) == 0);
  CHECK(caller.attr.test.retval == 7);
  CHECK(caller.attr.test.data_size_out == 64);
  CHECK(std::memcmp(out, packet.bytes, 64) == 0);

  // Too little room: as much as fits, the true size, and the verdict nevertheless.
  std::memset(out, 0, sizeof out);
  caller.attr.test.data_size_out = 20;
  caller.attr.test.retval = 0;
  CHECK(caller.run(pass) == ENOSPC);
  CHECK(caller.attr.test.data_size_out == 64);
  CHECK(caller.attr.test.retval == 7);
  CHECK(std::memcmp(out, packet.bytes, 20) == 0);
  CHECK(out[20] == 0);

  // No size: all of it. A bad address: nothing.
  caller.attr.test.data_size_out = 0;
  CHECK(caller.run(pass) == 0);
  CHECK(out[63] == packet.bytes[63]);
  caller.attr.test.data_out = 1;
  CHECK(caller.run(pass) == EFAULT);
  caller.attr.test.data_size_out = 20;
  CHECK(caller.run(pass) == ENOSPC);

  // A program that starts at the network header gets zeros for the header that was taken off.
  caller = with_packet(packet);
  caller.attr.test.data_out = address(out);
  REQUIRE(caller.run(program(BPF_PROG_TYPE_SOCKET_FILTER, {result(-1), kExit})) == 0);
  CHECK(caller.attr.test.retval == 0xffffffff);
  CHECK(caller.attr.test.data_size_out == 64);
  CHECK(out[0] == 0);
  CHECK(out[13] == 0);
  CHECK(std::memcmp(out + 14, packet.bytes + 14, 50) == 0);
}

TEST_CASE("skb: context in and out") {
  Packet packet;
  __sk_buff in{}, out{};
  in.mark = 5;
  in.priority = 6;
  in.ingress_ifindex = 11;
  in.cb[4] = 9;
  in.tstamp = 7;
  in.wire_len = 100;
  in.gso_segs = 8;
  in.gso_size = 10;
  in.hwtstamp = 12;
  // Adds 1 to the mark.
  auto marks = program(BPF_PROG_TYPE_SCHED_CLS, {{kLoadW, 2, 1, offsetof(RunSkb, mark), 0},
                                                 {BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, 1},
                                                 {BPF_STX | BPF_MEM | BPF_W, 1, 2, offsetof(RunSkb, mark), 0},
                                                 result(0),
                                                 kExit});
  Caller caller = with_packet(packet);
  caller.attr.test.ctx_in = address(in);
  caller.attr.test.ctx_size_in = sizeof in;
  caller.attr.test.ctx_out = address(out);
  caller.attr.test.ctx_size_out = sizeof out;
  REQUIRE(caller.run(marks) == 0);
  CHECK(out.mark == 6);
  CHECK(out.priority == 6);
  CHECK(out.ingress_ifindex == 11);
  CHECK(out.ifindex == 1);
  CHECK(out.cb[4] == 9);
  CHECK(out.tstamp == 7);
  CHECK(out.wire_len == 100);
  CHECK(out.gso_segs == 8);
  CHECK(out.gso_size == 10);
  CHECK(out.hwtstamp == 12);
  CHECK(out.len == 0);

  caller.attr.test.ctx_size_out = 12;
  CHECK(caller.run(marks) == ENOSPC);
  CHECK(caller.attr.test.ctx_size_out == sizeof out);

  // A shorter struct is filled up with zeros, a longer one must end in zeros.
  u8 longer[sizeof in + 8] = {};
  caller.attr.test.ctx_out = 0;
  caller.attr.test.ctx_in = address(longer);
  caller.attr.test.ctx_size_in = sizeof longer;
  CHECK(caller.run(marks) == 0);
  longer[sizeof in + 3] = 1;
  CHECK(caller.run(marks) == E2BIG);
  caller.attr.test.ctx_size_in = 4;
  CHECK(caller.run(marks) == 0);

  // Fields that are not for the tool to set.
  auto refused = [&](auto set) {
    __sk_buff context{};
    set(context);
    caller.attr.test.ctx_in = address(context);
    caller.attr.test.ctx_size_in = sizeof context;
    return caller.run(marks);
  };
  CHECK(refused([](__sk_buff& c) { c.len = 1; }) == EINVAL);
  CHECK(refused([](__sk_buff& c) { c.protocol = 1; }) == EINVAL);
  CHECK(refused([](__sk_buff& c) { c.tc_index = 1; }) == EINVAL);
  CHECK(refused([](__sk_buff& c) { c.hash = 1; }) == EINVAL);
  CHECK(refused([](__sk_buff& c) { c.data_end = 1; }) == EINVAL);
  CHECK(refused([](__sk_buff& c) { c.tstamp_type = 1; }) == EINVAL);
  CHECK(refused([](__sk_buff& c) { c.wire_len = 63; }) == EINVAL);
  CHECK(refused([](__sk_buff& c) { c.wire_len = 65537; }) == EINVAL);
  CHECK(refused([](__sk_buff& c) { c.gso_segs = 65536; }) == EINVAL);
  CHECK(refused([](__sk_buff& c) { c.ifindex = 0x7ffffff0; }) == ENODEV);
  CHECK(refused([](__sk_buff& c) { c.ifindex = 1; }) == 0);
}

TEST_CASE("skb: repetitions and signals") {
  Packet packet;
  auto pass = program(BPF_PROG_TYPE_SCHED_CLS, {result(3), kExit});
  Caller caller = with_packet(packet);
  caller.attr.test.repeat = 1000;
  caller.attr.test.duration = 12345678;
  REQUIRE(caller.run(pass) == 0);
  CHECK(caller.attr.test.duration < 100000);
  CHECK(pass->text().stat_runs == 0);
  caller.counted = true;
  REQUIRE(caller.run(pass) == 0);
  CHECK(pass->text().stat_runs == 1000);
  CHECK(pass->text().stat_ns > 0);
  caller.attr.test.repeat = 0xffffffff;
  caller.signalled = true;
  CHECK(caller.run(pass) == EINTR);
}

TEST_CASE("skb: packet loads of socket filters") {
  Packet packet;
  auto load = [&](u8 code, s32 offset) {
    Caller caller = with_packet(packet);
    REQUIRE(caller.run(program(BPF_PROG_TYPE_SOCKET_FILTER,
                               {{BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0}, {code, 0, 0, 0, offset}, kExit})) == 0);
    return caller.attr.test.retval;
  };
  CHECK(load(BPF_LD | BPF_ABS | BPF_B, 0) == 0x45);
  CHECK(load(BPF_LD | BPF_ABS | BPF_H, 2) == 50);
  CHECK(load(BPF_LD | BPF_ABS | BPF_W, 46) == 0x3c3d3e3f);
  CHECK(load(BPF_LD | BPF_ABS | BPF_W, 47) == 0);
  CHECK(load(BPF_LD | BPF_ABS | BPF_H, -0x100000) == 0x4500);
  CHECK(load(BPF_LD | BPF_ABS | BPF_H, -0x200000 + 12) == 0x0800);
}

TEST_CASE("xdp") {
  Packet packet;
  u8 out[64] = {};
  // Drops 4 bytes from the front and reports how long the packet was.
  auto trims = program(BPF_PROG_TYPE_XDP, {{kLoadDw, 2, 1, offsetof(RunXdp, data), 0},
                                           {kLoadDw, 0, 1, offsetof(RunXdp, data_end), 0},
                                           {BPF_ALU64 | BPF_SUB | BPF_X, 0, 2, 0, 0},
                                           {BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, 4},
                                           {BPF_STX | BPF_MEM | BPF_DW, 1, 2, offsetof(RunXdp, data), 0},
                                           {BPF_STX | BPF_MEM | BPF_DW, 1, 2, offsetof(RunXdp, data_meta), 0},
                                           kExit});
  Caller caller = with_packet(packet);
  caller.attr.test.data_out = address(out);
  REQUIRE(caller.run(trims) == 0);
  CHECK(caller.attr.test.retval == 64);
  CHECK(caller.attr.test.data_size_out == 60);
  CHECK(std::memcmp(out, packet.bytes + 4, 60) == 0);

  caller = with_packet(packet, 13);
  CHECK(caller.run(trims) == EINVAL);
  caller = with_packet(packet);
  caller.attr.test.flags = 1;
  CHECK(caller.run(trims) == EINVAL);
  caller = with_packet(packet);
  caller.attr.test.batch_size = 1;
  CHECK(caller.run(trims) == EINVAL);

  // Metadata comes before the packet.
  xdp_md context{}, answer{};
  context.data = 8;
  context.data_end = 64;
  context.ingress_ifindex = 1;
  auto pass = program(BPF_PROG_TYPE_XDP, reads(offsetof(RunXdp, ingress_ifindex)));
  caller = with_packet(packet);
  caller.attr.test.ctx_in = address(context);
  caller.attr.test.ctx_size_in = sizeof context;
  caller.attr.test.ctx_out = address(answer);
  caller.attr.test.ctx_size_out = sizeof answer;
  REQUIRE(caller.run(pass) == 0);
  CHECK(caller.attr.test.retval == 1);
  CHECK(answer.data == 8);
  CHECK(answer.data_end == 64);
  CHECK(caller.attr.test.data_size_out == 64);
  context.data = 6;
  CHECK(caller.run(pass) == EINVAL);
  context.data = 36;
  CHECK(caller.run(pass) == EINVAL);
  context.data = 8;
  context.data_end = 65;
  CHECK(caller.run(pass) == EINVAL);
  context.data_end = 64;
  context.egress_ifindex = 1;
  CHECK(caller.run(pass) == EINVAL);
  context.egress_ifindex = 0;
  context.ingress_ifindex = 0x7ffffff0;
  CHECK(caller.run(pass) == ENODEV);
  context.ingress_ifindex = 0;
  context.rx_queue_index = 1;
  CHECK(caller.run(pass) == EINVAL);
}

TEST_CASE("xdp: packets beyond a page") {
  std::vector<u8> large(9000);
  for (size_t i = 0; i < large.size(); ++i) large[i] = static_cast<u8>(i * 7);
  std::vector<u8> out(9000);
  auto pass = program(BPF_PROG_TYPE_XDP, reads(offsetof(RunXdp, frags_size)));
  Caller caller;
  caller.attr.test.data_in = reinterpret_cast<u64>(large.data());
  caller.attr.test.data_size_in = 9000;
  caller.attr.test.data_out = reinterpret_cast<u64>(out.data());
  caller.attr.test.data_size_out = 9000;
  REQUIRE(caller.run(pass) == 0);
  CHECK(caller.attr.test.retval == 9000 - 3520);
  CHECK(out == large);
  caller.attr.test.data_size_out = 5000;
  CHECK(caller.run(pass) == ENOSPC);
  large.resize(3520 + 17 * 4096 + 1);
  caller.attr.test.data_in = reinterpret_cast<u64>(large.data());
  caller.attr.test.data_size_in = static_cast<u32>(large.size());
  CHECK(caller.run(pass) == ENOMEM);
}

TEST_CASE("raw tracepoint") {
  auto second = program(BPF_PROG_TYPE_RAW_TRACEPOINT, reads(8, kLoadDw));
  second->verified.max_ctx_offset = 16;
  u64 arguments[12] = {10, 20};
  Caller caller;
  caller.attr.test.ctx_in = address(arguments);
  caller.attr.test.ctx_size_in = 16;
  REQUIRE(caller.run(second) == 0);
  CHECK(caller.attr.test.retval == 20);
  CHECK(caller.ran_on == -1);
  caller.attr.test.ctx_size_in = 8;
  CHECK(caller.run(second) == EINVAL);
  caller.attr.test.ctx_size_in = 97;
  CHECK(caller.run(second) == EINVAL);
  caller.attr.test.ctx_size_in = 96;
  caller.attr.test.cpu = 1;
  CHECK(caller.run(second) == EINVAL);
  caller.attr.test.flags = BPF_F_TEST_RUN_ON_CPU;
  CHECK(caller.run(second) == 0);
  CHECK(caller.ran_on == 1);
  caller.attr.test.cpu = 0xffffffff;
  CHECK(caller.run(second) == ENXIO);
  caller.attr.test.cpu = 0;
  caller.attr.test.repeat = 1;
  CHECK(caller.run(second) == EINVAL);
}

TEST_CASE("syscall programs give their context back") {
  auto doubles = program(BPF_PROG_TYPE_SYSCALL, {{kLoadW, 0, 1, 4, 0},
                                                 {BPF_ALU64 | BPF_ADD | BPF_X, 0, 0, 0, 0},
                                                 {BPF_STX | BPF_MEM | BPF_W, 1, 0, 0, 0},
                                                 kExit});
  u32 context[2] = {0, 21};
  Caller caller;
  caller.attr.test.ctx_in = address(context);
  caller.attr.test.ctx_size_in = sizeof context;
  REQUIRE(caller.run(doubles) == 0);
  CHECK(caller.attr.test.retval == 42);
  CHECK(context[0] == 42);
  caller.attr.test.flags = 1;
  CHECK(caller.run(doubles) == EINVAL);
}

TEST_CASE("flow dissector") {
  Packet packet;
  // Reports where the transport header is, beyond the packet: it is cut back.
  auto dissects =
      program(BPF_PROG_TYPE_FLOW_DISSECTOR, {{kLoadDw, 2, 1, offsetof(RunSkb, flow_keys), 0},
                                             {BPF_LDX | BPF_MEM | BPF_H, 0, 2, offsetof(bpf_flow_keys, nhoff), 0},
                                             {BPF_ST | BPF_MEM | BPF_H, 2, 0, offsetof(bpf_flow_keys, thoff), 1000},
                                             kExit});
  bpf_flow_keys keys{};
  Caller caller = with_packet(packet);
  caller.attr.test.data_out = address(keys);
  REQUIRE(caller.run(dissects) == 0);
  CHECK(caller.attr.test.retval == 14);
  CHECK(caller.attr.test.data_size_out == sizeof keys);
  CHECK(keys.n_proto == 8);
  CHECK(keys.thoff == 64);
}

// Measured on a real 6.1: the context has no sk_buff.
TEST_CASE("a flow dissector's test run has no packet to load from") {
  auto loads = program(BPF_PROG_TYPE_FLOW_DISSECTOR, {{BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 0},
                                                      {BPF_ALU64 | BPF_MOV | BPF_X, 3, 1, 0, 0},
                                                      {BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, offsetof(RunSkb, cb)},
                                                      {BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, 8},
                                                      {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_skb_load_bytes},
                                                      kExit});
  Packet packet;
  Caller caller = with_packet(packet);
  REQUIRE(caller.run(loads) == 0);
  CHECK(static_cast<s32>(caller.attr.test.retval) == -EFAULT);
}

TEST_CASE("socket lookup") {
  auto port = program(BPF_PROG_TYPE_SK_LOOKUP, {result(SK_DROP),
                                                {kLoadW, 2, 1, offsetof(RunSkLookup, local_port), 0},
                                                {BPF_JMP | BPF_JEQ | BPF_K, 2, 0, 1, 80},
                                                kExit,
                                                result(SK_PASS),
                                                kExit});
  bpf_sk_lookup context{};
  context.family = 2;
  context.local_port = 80;
  Caller caller;
  caller.attr.test.ctx_in = address(context);
  caller.attr.test.ctx_size_in = sizeof context;
  REQUIRE(caller.run(port) == 0);
  CHECK(caller.attr.test.retval == SK_PASS);
  context.local_port = 81;
  REQUIRE(caller.run(port) == 0);
  CHECK(caller.attr.test.retval == SK_DROP);
  context.local_port = 0x10000;
  CHECK(caller.run(port) == ERANGE);
  context.local_port = 80;
  context.family = 1;
  CHECK(caller.run(port) == EAFNOSUPPORT);
  caller.attr.test.ctx_in = 0;
  caller.attr.test.ctx_size_in = 0;
  CHECK(caller.run(port) == EINVAL);
}

// With one map in all its runs a call goes straight to the map's type: the same results as by way of the helper.
TEST_CASE("calls on one map and on several") {
  auto make_map = [](u32 type, u32 key_size, u32 value_size) {
    const MapAttr attr{.type = type,
                       .key_size = key_size,
                       .value_size = value_size,
                       .max_entries = 5,
                       .flags = 0,
                       .extra = 0,
                       .cpus = 2,
                       .privileged = true};
    return std::move(*MapObject::create(*arena(), attr, *map_ops(type)));
  };
  // Updates key (context[0]) to context[1], looks it up, deletes it if the type can, looks again: R0 tells what was
  // seen.
  auto make_program = [](const std::shared_ptr<MapObject>& map, bool alone) {
    const u64 address = reinterpret_cast<u64>(&map->map());
    const Insn low{BPF_LD | BPF_IMM | BPF_DW, 1, 0, 0, static_cast<s32>(address)};
    const Insn high{0, 0, 0, 0, static_cast<s32>(address >> 32)};
    auto key = [](u8 reg) { return Insn{BPF_ALU64 | BPF_MOV | BPF_X, static_cast<u8>(reg & 15), 6, 0, 0}; };
    auto call = [](s32 id) { return Insn{BPF_JMP | BPF_CALL, 0, 0, 0, id}; };
    auto program = std::make_shared<Program>();
    program->type = BPF_PROG_TYPE_SYSCALL;
    program->verified.insns = {{BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0},
                               low,
                               high,
                               key(2),
                               key(3),
                               {BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, 8},
                               {BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, BPF_ANY},
                               call(BPF_FUNC_map_update_elem),
                               {BPF_ALU64 | BPF_MOV | BPF_X, 7, 0, 0, 0},
                               key(2),
                               low,
                               high,
                               call(BPF_FUNC_map_lookup_elem),
                               {BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1, 0},
                               {BPF_LDX | BPF_MEM | BPF_W, 0, 0, 0, 0},
                               {BPF_ALU64 | BPF_MUL | BPF_K, 7, 0, 0, 1000},
                               {BPF_ALU64 | BPF_ADD | BPF_X, 7, 0, 0, 0},
                               low,
                               high,
                               key(2),
                               call(BPF_FUNC_map_delete_elem),
                               {BPF_ALU64 | BPF_MUL | BPF_K, 7, 0, 0, 1000},
                               {BPF_ALU64 | BPF_ADD | BPF_X, 7, 0, 0, 0},
                               {BPF_ALU64 | BPF_MOV | BPF_X, 0, 7, 0, 0},
                               kExit};
    program->verified.subprogram_starts = {0};
    program->verified.stack_depths = {0};
    if (alone) program->verified.called_maps.assign(program->verified.insns.size(), &map->map());
    REQUIRE(program->install(*arena()));
    return program;
  };
  auto results = [&](const std::shared_ptr<Program>& program) {
    std::vector<u32> results;
    for (u32 key : {0u, 3u, 4u, 5u, 0xffffffffu}) {
      u8 context[64] = {};
      std::memcpy(context, &key, 4);
      std::memset(context + 8, static_cast<int>(key + 1), 40);
      Caller caller;
      caller.attr.test.ctx_in = address(context);
      caller.attr.test.ctx_size_in = sizeof context;
      REQUIRE(caller.run(program) == 0);
      results.push_back(caller.attr.test.retval);
    }
    return results;
  };
  for (u32 type : {BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_PERCPU_ARRAY, BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_LRU_HASH}) {
    for (u32 value_size : {4u, 8u, 20u, 32u}) {
      INFO("map type " << type << " value size " << value_size);
      auto map = make_map(type, 4, value_size);
      auto alone = make_program(map, true), among_several = make_program(map, false);
      CHECK(alone->code_size() != among_several->code_size());
      CHECK(results(alone) == results(among_several));
    }
  }
}

TEST_CASE("types that cannot be run so") {
  auto kprobe = program(BPF_PROG_TYPE_KPROBE, {result(0), kExit});
  auto ops = program(BPF_PROG_TYPE_STRUCT_OPS, {result(0), kExit});
  Caller caller;
  CHECK(caller.run(kprobe) == ENOTSUPP);
  CHECK(caller.unmodelled_count == 0);
  CHECK(caller.run(ops) == EOPNOTSUPP);  // no function of bpf_dummy_ops
  CHECK(caller.unmodelled_count == 0);
}

TEST_CASE("tracing programs: the kernel's own functions are called, not the program") {
  auto tracing = program(BPF_PROG_TYPE_TRACING, {result(7), kExit});
  auto retval = [&](u32 attach_type) {
    tracing->expected_attach_type = attach_type;
    Caller caller;
    REQUIRE(caller.run(tracing) == 0);
    return caller.attr.test.retval;
  };
  CHECK(retval(BPF_TRACE_FENTRY) == 0);
  CHECK(retval(BPF_TRACE_FEXIT) == 0);
  CHECK(retval(BPF_MODIFY_RETURN) == 0x10004);
  Caller caller;
  tracing->expected_attach_type = BPF_TRACE_ITER;
  CHECK(caller.run(tracing) == EFAULT);
  caller.attr.test.flags = 1;
  CHECK(caller.run(tracing) == EINVAL);
}

TEST_CASE("skb: tags are pushed and popped") {
  Packet packet;
  // Pushes the tags 0, 1, 2, ..., then pops some; what is left but for the last is in the packet.
  auto tags = [](int pushed, int popped) {
    Insns insns = {{BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0}};
    auto call = [&](s32 helper, s32 tci) {
      insns.push_back({BPF_ALU64 | BPF_MOV | BPF_X, 1, 6, 0, 0});
      insns.push_back({BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 0x0081});
      insns.push_back({BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, tci});
      insns.push_back({BPF_JMP | BPF_CALL, 0, 0, 0, helper});
    };
    for (int i = 0; i < pushed; ++i) call(BPF_FUNC_skb_vlan_push, i);
    for (int i = 0; i < popped; ++i) call(BPF_FUNC_skb_vlan_pop, 0);
    insns.push_back({kLoadW, 0, 6, offsetof(RunSkb, vlan_tci), 0});
    insns.push_back(kExit);
    return program(BPF_PROG_TYPE_SCHED_CLS, std::move(insns));
  };
  u8 out[1024] = {};
  auto run = [&](int pushed, int popped) {
    Caller caller = with_packet(packet);
    caller.attr.test.data_out = address(out);
    REQUIRE(caller.run(tags(pushed, popped)) == 0);
    return caller;
  };
  auto three = run(3, 0);
  CHECK(three.attr.test.data_size_out == 72);
  CHECK(three.attr.test.retval == 2);
  const u8 expected[] = {0x81, 0, 0, 1, 0x81, 0, 0, 0, 0x08, 0x00};
  CHECK(std::memcmp(out + 12, expected, sizeof expected) == 0);
  CHECK(std::memcmp(out, packet.bytes, 12) == 0);
  CHECK(std::memcmp(out + 22, packet.bytes + 14, 50) == 0);
  // More than the room in front of the packet.
  CHECK(run(200, 0).attr.test.data_size_out == 64 + 199 * 4);
  CHECK(run(200, 150).attr.test.retval == 49);
  CHECK(run(200, 201).attr.test.data_size_out == 64);
  CHECK(std::memcmp(out, packet.bytes, 64) == 0);
}

TEST_CASE("values of a cgroup, zero at each run") {
  bpf_map_type types[] = {BPF_MAP_TYPE_CGROUP_STORAGE, BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE};
  Packet packet;
  for (bpf_map_type type : types) {
    MapAttr attr{.type = type,
                 .key_size = 8,
                 .value_size = 16,
                 .max_entries = 0,
                 .flags = 0,
                 .extra = 0,
                 .cpus = 2,
                 .privileged = true};
    auto map = *MapObject::create(*arena(), attr, *map_ops(type));
    u64 at = map->runtime_address();
    // R0 = get_local_storage(map, 0); *R0 += 5; R0 = *R0.
    auto counts = program(BPF_PROG_TYPE_CGROUP_SKB, {{BPF_LD | BPF_IMM | BPF_DW, 1, 0, 0, static_cast<s32>(at)},
                                                     {0, 0, 0, 0, static_cast<s32>(at >> 32)},
                                                     {BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 0},
                                                     {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_local_storage},
                                                     {BPF_ALU64 | BPF_MOV | BPF_K, 1, 0, 0, 5},
                                                     {BPF_STX | BPF_ATOMIC | BPF_DW, 0, 1, 0, BPF_ADD},
                                                     {BPF_LDX | BPF_MEM | BPF_DW, 0, 0, 0, 0},
                                                     kExit});
    counts->verified.used_maps = {map};
    Caller caller = with_packet(packet);
    caller.attr.test.repeat = 3;
    REQUIRE(caller.run(counts) == 0);
    CHECK(caller.attr.test.retval == 15);
    REQUIRE(caller.run(counts) == 0);
    CHECK(caller.attr.test.retval == 15);
  }
}

}  // namespace bpfemu
