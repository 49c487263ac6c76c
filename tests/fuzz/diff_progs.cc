// SPDX-License-Identifier: Apache-2.0
// Operations on programs.
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "tests/fuzz/diff_code.h"

namespace bpfemu::fuzz {

namespace {

bool try_to_load(Sequence& s) {
  Random& random = s.random();
  HeldProg& prog = s.new_prog();
  const ProgShape& shape = prog_shapes()[random.below(prog_shapes().size())];
  HeldProg made;
  made.type = shape.type;
  s.say_name(prog);
  s.say("type", shape.type);
  if (shape.kernel) s.say(shape.kernel);
  const std::vector<bpf_insn> insns = small_program(s, shape);
  char log[16384];
  log[0] = 0;
  bpf_attr attr{};
  attr.prog_type = shape.type;
  attr.insns = address(insns.data());
  attr.insn_cnt = static_cast<u32>(insns.size());
  attr.license = address(random.one_in(20) ? "MIT" : "GPL");
  attr.log_buf = address(log);
  attr.log_size = sizeof log;
  attr.log_level = 1;
  attr.expected_attach_type = shape.attach_type;
  attr.attach_btf_id = kernel_id(shape);
  if (shape.type == BPF_PROG_TYPE_SYSCALL) attr.prog_flags = BPF_F_SLEEPABLE;
  if (random.one_in(30)) attr.expected_attach_type = static_cast<u32>(random.below(45));
  // BPF_F_TEST_RND_HI32 adds random instructions.
  if (random.one_in(30)) attr.prog_flags = (1u << random.below(8)) & ~u32{BPF_F_TEST_RND_HI32};
  made.attach_type = attr.expected_attach_type;
  strcpy(attr.prog_name, "some_prog");
  s.say("expected", attr.expected_attach_type);
  s.say("flags", attr.prog_flags);
  const long fd = call(BPF_PROG_LOAD, attr);
  made.fd = prog.fd;
  made.id = s.keep(made.fd, fd);
  // The last line but one: the last counts states.
  if (fd < 0 && log[0]) {
    std::string text(log);
    const size_t end = text.rfind("\nprocessed");
    if (end != std::string::npos) text.resize(end);
    s.say("\"" + text.substr(text.rfind('\n') + 1) + "\"");
  }
  if (fd >= 0) prog = made;
  return fd >= 0;
}

void load(Sequence& s) {
  for (int tries = 0; tries < kTries && !try_to_load(s); ++tries) {}
}

u32 context_size(u32 type) {
  for (const ProgShape& shape : prog_shapes())
    if (shape.type == type) return shape.context;
  return 0;
}

// Of a struct __sk_buff, mostly what may be given.
void fill_context(Random& random, u32 type, u8* context, u32 size) {
  if (type == BPF_PROG_TYPE_XDP) {
    const u32 end = 64;
    memcpy(context + 4, &end, 4);
    if (random.one_in(3)) context[random.below(size)] = static_cast<u8>(random.below(5));
    u32 index;
    memcpy(&index, context + offsetof(xdp_md, ingress_ifindex), sizeof index);
    index = interface_index(index);
    memcpy(context + offsetof(xdp_md, ingress_ifindex), &index, sizeof index);
    return;
  }
  static constexpr u16 words[] = {8, 32, 48, 52, 64, 164};
  const bool skb = size == 192;
  for (u32 i = 0; i < 3; ++i) {
    const u64 at = skb && !random.one_in(12) ? random.pick(words) : random.below(size / 4) * 4;
    const u32 number = static_cast<u32>(random.below(skb ? 4 : 1000));
    const u32 word = skb && at == offsetof(__sk_buff, ifindex) ? interface_index(number) : number;
    memcpy(context + at, &word, 4);
  }
}

void fill_packet(Random& random, u8* bytes, size_t size) {
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<u8>(random.next());
  static constexpr u8 protocols[][2] = {{8, 0}, {8, 0}, {0x86, 0xdd}, {0x81, 0}};
  if (random.one_in(3)) return;
  memcpy(bytes + 12, protocols[random.below(4)], 2);
  bytes[14] = 0x45;
}

const std::vector<u32> kRunnable = {
    BPF_PROG_TYPE_SOCKET_FILTER,  BPF_PROG_TYPE_SCHED_CLS,  BPF_PROG_TYPE_SCHED_ACT, BPF_PROG_TYPE_XDP,
    BPF_PROG_TYPE_LWT_XMIT,       BPF_PROG_TYPE_CGROUP_SKB, BPF_PROG_TYPE_SK_LOOKUP, BPF_PROG_TYPE_FLOW_DISSECTOR,
    BPF_PROG_TYPE_RAW_TRACEPOINT, BPF_PROG_TYPE_SYSCALL,    BPF_PROG_TYPE_TRACING};

void test_run(Sequence& s) {
  Random& random = s.random();
  HeldProg& prog = s.prog_of(kRunnable);
  u8 in[128], out[256] = {}, context[192] = {}, context_out[192] = {};
  fill_packet(random, in, sizeof in);
  const u32 size = context_size(prog.type);
  const bool no_data = prog.type == BPF_PROG_TYPE_RAW_TRACEPOINT || prog.type == BPF_PROG_TYPE_SYSCALL || prog.type == BPF_PROG_TYPE_SK_LOOKUP;
  bpf_attr attr{};
  attr.test.prog_fd = static_cast<u32>(prog.fd);
  if (!no_data || random.one_in(8)) {
    attr.test.data_in = address(in);
    attr.test.data_size_in = random.one_in(8) ? static_cast<u32>(random.below(20)) : 14 + static_cast<u32>(random.below(90));
    if (prog.type == BPF_PROG_TYPE_XDP) attr.test.data_size_in = 64;
    attr.test.data_out = address(out);
    attr.test.data_size_out = random.one_in(8) ? 10 : sizeof out;
    attr.test.repeat = static_cast<u32>(random.below(4));
  }
  if (size && (no_data || random.one_in(2))) {
    fill_context(random, prog.type, context, size);
    attr.test.ctx_in = address(context);
    attr.test.ctx_size_in = random.one_in(12) ? static_cast<u32>(random.below(192)) : size;
    if (prog.type != BPF_PROG_TYPE_RAW_TRACEPOINT && prog.type != BPF_PROG_TYPE_SYSCALL) {
      attr.test.ctx_out = address(context_out);
      attr.test.ctx_size_out = random.one_in(12) ? 8 : size;
    }
  }
  if (random.one_in(16)) attr.test.flags = 1u << random.below(4);
  if (prog.type == BPF_PROG_TYPE_XDP) attr.test.flags &= ~u32{BPF_F_TEST_XDP_LIVE_FRAMES};  // they go on into the network
  if (random.one_in(24)) attr.test.cpu = static_cast<u32>(random.below(4));
  if (random.one_in(24)) attr.test.batch_size = 1;
  s.say_name(prog);
  s.say("of " + std::to_string(attr.test.data_size_in) + "+" + std::to_string(attr.test.ctx_size_in));
  s.say("times", attr.test.repeat);
  s.say("flags", attr.test.flags);
  s.say_result(call(BPF_PROG_TEST_RUN, attr));
  s.say("returned", attr.test.retval);
  s.say("sizes " + std::to_string(attr.test.data_size_out) + "+" + std::to_string(attr.test.ctx_size_out));
  s.say_bytes(out, sizeof out);
  if (attr.test.ctx_out) s.say_bytes(context_out, sizeof context_out);
  if (prog.type == BPF_PROG_TYPE_SYSCALL) s.say_bytes(context, 32);
}

void prog_info(Sequence& s) {
  HeldProg& prog = s.prog();
  bpf_prog_info info{};
  u32 ids[8] = {};
  info.nr_map_ids = s.random().one_in(6) ? 1 : 8;
  info.map_ids = address(ids);
  s.say_name(prog);
  const long result = info_of(prog.fd, info);
  s.say_result(result);
  if (result) return;
  s.say_id(Kind::kProg, info.id);
  s.say("type", info.type);
  s.say(info.name);
  s.say("insns", info.xlated_prog_len);
  s.say("verified", info.verified_insns);
  s.say("maps", info.nr_map_ids);
  s.say_bytes(info.tag, sizeof info.tag);
  for (u32 i = 0; i < info.nr_map_ids && i < 8; ++i) s.say_id(Kind::kMap, ids[i]);
}

void bind_map(Sequence& s) {
  HeldProg& prog = s.prog();
  HeldMap& map = s.map();
  bpf_attr attr{};
  attr.prog_bind_map.prog_fd = static_cast<u32>(prog.fd);
  attr.prog_bind_map.map_fd = static_cast<u32>(map.fd);
  if (s.random().one_in(16)) attr.prog_bind_map.flags = 1;
  s.say_name(prog);
  s.say_name(map);
  s.say_result(call(BPF_PROG_BIND_MAP, attr));
}

void drop(Sequence& s) {
  HeldProg& prog = s.prog();
  s.say_name(prog);
  s.say_result(close(prog.fd) ? -errno : 0);
  prog.fd = -1;
}

}  // namespace

const std::vector<Operation> kProgOperations = {{"load", 24, load},         {"test run", 14, test_run}, {"prog info", 4, prog_info},
                                                {"bind map", 2, bind_map}, {"close prog", 2, drop}};

}  // namespace bpfemu::fuzz
