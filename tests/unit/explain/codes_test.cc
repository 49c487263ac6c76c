// SPDX-License-Identifier: Apache-2.0
// A program for each code: what is said of it, where, and that what the help says makes it accepted.
#include <fmt/format.h>
#include <linux/bpf.h>

#include <catch2/catch.hpp>
#include <set>

#include "tests/unit/explain/cases.h"

using namespace bpfemu;

namespace {

// r6 = lookup(map 0), not NULL, 16 bytes; r7 = the context from before.
Insns with_value(const Insns& rest) {
  return joined({copy(7, 1)}, after_lookup(joined({jump_if(BPF_JNE, 0, 0, 2), mov(0, 0), leave(), copy(6, 0)}, rest)));
}
// skb_load_bytes(ctx, 0, r6, r4).
Insns load_bytes(const Insns& size) {
  return with_value(joined(joined({load(BPF_W, 4, 7, 0)}, size),
                           {copy(1, 7), mov(2, 0), copy(3, 6), call(BPF_FUNC_skb_load_bytes), mov(0, 0), leave()}));
}
// r2 = data, r3 = data_end of an skb in r1.
Insns with_packet(const Insns& rest) {
  return joined({copy(6, 1), load(BPF_W, 2, 1, 76), load(BPF_W, 3, 1, 80)}, rest);
}
// if (data + 4 > data_end) return 0
Insns checked_packet(const Insns& rest) {
  return with_packet(
      joined({copy(4, 2), add(4, 4), op(BPF_JMP | BPF_JLE | BPF_X, 4, 3, 2, 0), mov(0, 0), leave()}, rest));
}
// Functions that call one another, `depth` deep, each with `stack` bytes.
Insns chain(int depth, s16 stack) {
  Insns insns;
  for (int i = 0; i < depth; ++i) {
    insns.push_back(op(BPF_ST | BPF_MEM | BPF_DW, 10, 0, static_cast<s16>(-stack), 0));
    if (i + 1 < depth) insns.push_back(call_own(2));
    insns = with_end(std::move(insns));
  }
  return insns;
}

std::vector<Case> cases() {
  constexpr u32 kClassifier = BPF_PROG_TYPE_SCHED_CLS, kKprobe = BPF_PROG_TYPE_KPROBE,
                kTracepoint = BPF_PROG_TYPE_TRACEPOINT, kRawTracepoint = BPF_PROG_TYPE_RAW_TRACEPOINT;
  const Insn atomic_to_ctx = op(BPF_STX | BPF_ATOMIC | BPF_W, 1, 2, 8, BPF_ADD);
  return {
      {Code::kMaybeNull, "compare the pointer with NULL", "6: used here without a check",
       after_lookup(with_end({load(BPF_DW, 1, 0, 0)})),
       after_lookup(with_end({jump_if(BPF_JEQ, 0, 0, 1), load(BPF_DW, 1, 0, 0)}))},
      {Code::kNotPointer, "bpf_probe_read_kernel()", "1: R2 is the number 8",
       with_end({mov(2, 8), load(BPF_DW, 3, 2, 0)})},
      {Code::kNotPointer,
       "read data and data_end from the context again",
       "17: R8 is any number",
       checked_packet(with_end({copy(8, 2), copy(1, 6), mov(2, 0), copy(3, 10), add(3, -1),
                                op(BPF_ST | BPF_MEM | BPF_B, 10, 0, -1, 0), mov(4, 1), mov(5, 0),
                                call(BPF_FUNC_skb_store_bytes), load(BPF_B, 0, 8, 0)})),
       {},
       kClassifier},
      {Code::kUninitialised,
       "return a value",
       "0: R0, the return value, has no value here",
       {leave()},
       {mov(0, 0), leave()}},
      {Code::kUninitStack,
       "initialise all of it",
       "",
       {copy(2, 10), add(2, -4), map_address(1, 0), second_half(), call(BPF_FUNC_map_lookup_elem), mov(0, 0), leave()},
       after_lookup({mov(0, 0), leave()}),
       BPF_PROG_TYPE_SOCKET_FILTER,
       kNobody},
      {Code::kOpaque,
       "not memory",
       "1: R3 is the end of the packet",
       {load(BPF_W, 3, 1, 80), load(BPF_B, 0, 3, 0), leave()},
       {},
       kClassifier},
      {Code::kOutOfBounds, "keep offset plus size within", "", with_value(with_end({load(BPF_DW, 1, 6, 16)})),
       with_value(with_end({load(BPF_DW, 1, 6, 8)}))},
      {Code::kUnbounded, "the upper limit is missing", "",
       with_value(with_end({load(BPF_W, 1, 7, 0), add_reg(6, 1), load(BPF_B, 1, 6, 0)})),
       with_value(with_end({load(BPF_W, 1, 7, 0), jump_if(BPF_JGE, 1, 16, 2), add_reg(6, 1), load(BPF_B, 1, 6, 0)}))},
      {Code::kStackBounds, "below the frame pointer",
       "0: 8 bytes at 0 from the frame pointer; the stack is the 512 bytes below it",
       with_end({op(BPF_ST | BPF_MEM | BPF_DW, 10, 0, 0, 0)}), with_end({op(BPF_ST | BPF_MEM | BPF_DW, 10, 0, -8, 0)})},
      {Code::kPacketBounds, "if (data + 4 > data_end) return 0",
       "3: bytes 0 to 3 of the packet, none were checked on this path", with_packet(with_end({load(BPF_W, 4, 2, 0)})),
       checked_packet(with_end({load(BPF_W, 4, 2, 0)})), kClassifier},
      {Code::kPointerArithmetic, "do the arithmetic on a number", "1: R2 is a pointer to the stack",
       with_end({copy(2, 10), op(BPF_ALU64 | BPF_MUL | BPF_K, 2, 0, 0, 8)})},
      {Code::kPointerArithmetic, "the offset in the load or store", "1: R1 is the context plus 8",
       with_end({add(1, 8), load(BPF_W, 2, 1, 0)}), with_end({load(BPF_W, 2, 1, 8)})},
      {Code::kPointerArithmetic,
       "must be known when the program is loaded",
       "",
       with_end(
           {load(BPF_W, 2, 1, 0), op(BPF_ALU64 | BPF_AND | BPF_K, 2, 0, 0, 4), add_reg(1, 2), load(BPF_W, 2, 1, 0)}),
       {}},
      {Code::kMisaligned, "align the data", "", with_end({op(BPF_ST | BPF_MEM | BPF_DW, 10, 0, -12, 0)}),
       with_end({op(BPF_ST | BPF_MEM | BPF_DW, 10, 0, -16, 0)})},
      {Code::kReadOnly,
       "read packets only",
       "",
       checked_packet(with_end({store(BPF_B, 2, 3, 0)})),
       {},
       BPF_PROG_TYPE_CGROUP_SKB},
      {Code::kLeak,
       "store a number",
       "",
       {copy(0, 10), leave()},
       {mov(0, 0), leave()},
       BPF_PROG_TYPE_SOCKET_FILTER,
       kNobody},
      {Code::kSpill, "8 bytes", "", with_end({store(BPF_W, 10, 1, -8)}), with_end({store(BPF_DW, 10, 1, -8)})},
      {Code::kStore, "neither a constant nor an atomic", "", with_end({mov(2, 1), atomic_to_ctx}),
       with_end({load(BPF_W, 2, 1, 8), add(2, 1), store(BPF_W, 1, 2, 8)}), kClassifier},
      {Code::kContext, "read each field whole", "0: bytes 12 to 19 of the context", with_end({load(BPF_DW, 2, 1, 12)}),
       with_end({load(BPF_DW, 2, 1, 16)}), kTracepoint},
      {Code::kContext, "which follow from byte 8 on", "0: bytes 0 to 7 of the context",
       with_end({load(BPF_DW, 2, 1, 0)}), with_end({load(BPF_DW, 2, 1, 8)}), kTracepoint},
      {Code::kContext, "what the context has", "0: bytes 160 to 167 of the context",
       with_end({load(BPF_DW, 2, 1, 160)}), with_end({load(BPF_DW, 2, 1, 88)}), kRawTracepoint},
      {Code::kContext,
       "into a variable",
       "1: bytes 80 to 87 of the context",
       with_end({mov(2, 3), store(BPF_DW, 1, 2, 80)}),
       {},
       kKprobe},
      {Code::kRelocation, "bpf_core_field_exists()", "0: this kernel has no such field, type or value",
       with_end({call(0xbad2310)})},
      {Code::kLeftOut, "create the map", "0: the loader found none, or was told not to create it",
       with_end({call(2001000003)})},
      {Code::kLeftOut, "bpf_ksym_exists()", "0: the loader found none, or was told not to create it",
       with_end({call(0xdedc0de)})},
      {Code::kUnreleased,
       "bpf_ringbuf_submit()",
       "",
       {map_address(1, 1), second_half(), mov(2, 8), mov(3, 0), call(BPF_FUNC_ringbuf_reserve), mov(0, 0), leave()},
       {map_address(1, 1), second_half(), mov(2, 8), mov(3, 0), call(BPF_FUNC_ringbuf_reserve),
        jump_if(BPF_JEQ, 0, 0, 3), copy(1, 0), mov(2, 0), call(BPF_FUNC_ringbuf_submit), mov(0, 0), leave()}},
      {Code::kHelper, "those that may call it: kprobe", "0: bpf_get_stackid() in a program of type socket_filter",
       with_end({call(BPF_FUNC_get_stackid)})},
      {Code::kGplOnly, "declare the license", "", with_end({call(BPF_FUNC_trace_printk)}), {}, kKprobe, kRoot, false},
      {Code::kArgument, "prototype asks for", "",
       after_lookup(with_end({mov(1, 5), copy(2, 10), call(BPF_FUNC_map_lookup_elem)}))},
      {Code::kArgument,
       "copy the bytes to the stack",
       "",
       checked_packet(with_end({copy(3, 2), mov(2, 0), copy(1, 6), mov(4, 4), call(BPF_FUNC_skb_load_bytes)})),
       {},
       kClassifier},
      {Code::kSize, "size", "", load_bytes({op(BPF_ALU64 | BPF_NEG, 4, 0, 0, 0)})},
      {Code::kZeroSize, "((size - 1) & (MAX - 1)) + 1", "", load_bytes({op(BPF_ALU64 | BPF_AND | BPF_K, 4, 0, 0, 15)}),
       load_bytes({add(4, -1), op(BPF_ALU64 | BPF_AND | BPF_K, 4, 0, 0, 15), add(4, 1)})},
      {Code::kZeroSize, "at least 1", "",
       with_end({mov(2, 0), copy(3, 10), add(3, -8), mov(4, 0), call(BPF_FUNC_skb_load_bytes)}),
       with_end({mov(2, 0), copy(3, 10), add(3, -8), mov(4, 1), call(BPF_FUNC_skb_load_bytes)})},
      {Code::kPacketLoad,
       "bpf_skb_load_bytes()",
       "",
       with_end({op(BPF_LD | BPF_ABS | BPF_W, 0, 0, 0, 0)}),
       {},
       kKprobe},
      {Code::kPacketLoad, "in R6", "", with_end({mov(6, 0), op(BPF_LD | BPF_ABS | BPF_W, 0, 0, 0, 0)}),
       with_end({copy(6, 1), op(BPF_LD | BPF_ABS | BPF_W, 0, 0, 0, 0)})},
      {Code::kEndlessLoop,
       "comes nearer to its end",
       "1: reached again, with nothing changed that decides about the end",
       {call(BPF_FUNC_get_prandom_u32), jump_if(BPF_JNE, 0, 0, -2), leave()}},
      {Code::kTooComplex, "lower the loop's limit", "",
       with_end({mov(6, 0), call(BPF_FUNC_get_prandom_u32), add(6, 1), jump_if(BPF_JNE, 6, 1000000, -3)}),
       with_end({mov(6, 0), call(BPF_FUNC_get_prandom_u32), add(6, 1), jump_if(BPF_JNE, 6, 100, -3)})},
      {Code::kControlFlow,
       "nothing leads to",
       "2: refused here",
       {mov(0, 0), leave(), mov(0, 0), leave()},
       {mov(0, 0), leave()}},
      {Code::kControlFlow, "on every path", "", {mov(0, 0), leave(), jump(-3), mov(0, 0)}},
      {Code::kStackDepth, "512 bytes", kNowhere, chain(3, 256), chain(3, 128)},
      {Code::kStackDepth, "at most 8 functions", "", chain(9, 8), chain(8, 8)},
      {Code::kReturnValue,
       "return 0 or 1",
       "1: R0 is the number 9",
       {mov(0, 9), leave()},
       {mov(0, 1), leave()},
       BPF_PROG_TYPE_CGROUP_SKB},
      {Code::kBadInsn, "R10 is the frame pointer", "", with_end({mov(10, 0)}), with_end({mov(9, 0)})},
      {Code::kBadInsn, "", "", with_end({op(0xff, 0, 0, 0, 0)})},
      {Code::kBadReference, "", "", with_end({map_address(1, 9), second_half()})},
      {Code::kPrivilege,
       "CAP_BPF",
       "",
       with_end({copy(2, 10), load(BPF_W, 3, 1, 0), op(BPF_ALU64 | BPF_AND | BPF_K, 3, 0, 0, 7), add(2, -8),
                 add_reg(2, 3), op(BPF_ST | BPF_MEM | BPF_B, 2, 0, 0, 0)}),
       {},
       BPF_PROG_TYPE_SOCKET_FILTER,
       kNobody},
  };
}

LoadRequest request_for(const Case& c, Insns insns, const Asked& asked) {
  LoadRequest request = request_of(std::move(insns), asked);
  request.gpl_compatible = c.gpl;
  if (c.loaded_with) c.loaded_with(request);
  return request;
}

}  // namespace

TEST_CASE("a program for each code, and what follows the help is accepted") {
  Maps maps;
  std::vector<std::shared_ptr<MapObject>> given{maps.make(BPF_MAP_TYPE_HASH, 16, 1),
                                                maps.make(BPF_MAP_TYPE_RINGBUF, 0, 4096),
                                                maps.make(BPF_MAP_TYPE_ARRAY, 8, 1),
                                                maps.make(BPF_MAP_TYPE_ARRAY, 16, 1),
                                                maps.make(BPF_MAP_TYPE_ARRAY, 16, 1),
                                                maps.make(BPF_MAP_TYPE_SOCKMAP, 4, 1),
                                                maps.make(BPF_MAP_TYPE_ARRAY, 16, 1, BPF_F_WRONLY_PROG)};
  describe_maps(given);
  std::set<Code> seen;
  std::vector<Case> all = cases();
  for (Case& c : cases_with_btf()) all.push_back(std::move(c));
  for (const Case& c : all) {
    const VerifierWorld world{.vmlinux = c.kernel_btf ? kernel_btf() : nullptr,
                              .ksym = [](std::string_view) { return u64{0x1000}; }};
    const Asked asked{.caps = c.caps, .type = c.type, .maps = given};
    const LoadRequest request = request_for(c, c.refused, asked);
    const Rejection rejection = diagnose(world, request);
    INFO(fmt::format("BV{:03}, help: {}", static_cast<u32>(c.code), c.help));
    CHECK(rejection.error != 0);
    if (rejection.error == 0) continue;
    const Report report = explain(rejection);
    INFO(to_text(report));
    CHECK(report.code == c.code);
    CHECK(report.help.find(c.help) != std::string::npos);
    CHECK((!report.verifier.empty() || !report.notes.empty()));
    if (std::string_view(c.last) == kNowhere) {
      CHECK(report.labels.empty());
    } else if (*c.last) {
      REQUIRE_FALSE(report.labels.empty());
      CHECK(fmt::format("{}: {}", report.labels.back().at.line, report.labels.back().text) == c.last);
    }
    seen.insert(report.code);
    if (c.followed.empty()) continue;
    const Rejection followed = diagnose(world, request_for(c, c.followed, asked));
    if (followed.error) INFO(to_text(explain(followed)));
    CHECK(followed.error == 0);
  }
  for (const CodeEntry& entry : code_entries()) {
    INFO(entry.title);
    CHECK(seen.contains(entry.code));
  }
}
