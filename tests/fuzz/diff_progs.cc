// SPDX-License-Identifier: Apache-2.0
// Operations on programs: small ones that use the maps of the sequence.
#include <string.h>
#include <unistd.h>

#include "tests/fuzz/diff_state.h"

namespace bpfemu::fuzz {

namespace {

constexpr u32 kTypes[] = {BPF_PROG_TYPE_SOCKET_FILTER, BPF_PROG_TYPE_SOCKET_FILTER,  BPF_PROG_TYPE_SCHED_CLS,   BPF_PROG_TYPE_XDP,
                          BPF_PROG_TYPE_CGROUP_SKB,    BPF_PROG_TYPE_RAW_TRACEPOINT, BPF_PROG_TYPE_TRACEPOINT,  BPF_PROG_TYPE_KPROBE,
                          BPF_PROG_TYPE_CGROUP_SOCK,   BPF_PROG_TYPE_CGROUP_SYSCTL,  BPF_PROG_TYPE_CGROUP_DEVICE, BPF_PROG_TYPE_SYSCALL};

class Code {
 public:
  explicit Code(Sequence& sequence) : s_(sequence) {}
  void add(u8 code, u8 dst, u8 src = 0, int off = 0, int imm = 0) {
    bpf_insn insn{};
    insn.code = code;
    insn.dst_reg = dst & 15;
    insn.src_reg = src & 15;
    insn.off = static_cast<__s16>(off);
    insn.imm = imm;
    list.push_back(insn);
  }
  void mov(u8 dst, int imm) { add(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm); }
  void copy(u8 dst, u8 src) { add(BPF_ALU64 | BPF_MOV | BPF_X, dst, src); }
  void call(int helper) { add(BPF_JMP | BPF_CALL, 0, 0, 0, helper); }
  void map(u8 dst) {
    const HeldMap& map = s_.map();
    s_.say_name(map);
    add(BPF_LD | BPF_IMM | BPF_DW, dst, BPF_PSEUDO_MAP_FD, 0, map.fd);
    add(0, 0);
  }
  // r2 is a key on the stack, with `r` = a pointer to 16 bytes behind it.
  void key(u8 r) {
    add(BPF_ST | BPF_MEM | BPF_DW, 10, 0, -8, static_cast<int>(s_.random().below(5)));
    copy(r, 10);
    add(BPF_ALU64 | BPF_ADD | BPF_K, r, 0, 0, -8);
  }
  void value(u8 r) {
    for (int at = -48; at < -8; at += 8) add(BPF_ST | BPF_MEM | BPF_DW, 10, 0, at, static_cast<int>(s_.random().next()));
    copy(r, 10);
    add(BPF_ALU64 | BPF_ADD | BPF_K, r, 0, 0, -48);
  }
  void piece();

  std::vector<bpf_insn> list;

 private:
  Sequence& s_;
};

void Code::piece() {
  Random& random = s_.random();
  switch (random.below(8)) {
    case 0:
      for (int i = 0; i < 4; ++i) {
        static constexpr u8 operations[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_OR, BPF_AND, BPF_XOR, BPF_MOD};
        add((random.one_in(2) ? BPF_ALU : BPF_ALU64) | random.pick(operations) | BPF_K, 7, 0, 0,
            static_cast<int>(random.next() | 1));
      }
      return;
    case 1:
    case 2: {  // adds to what it finds
      s_.say("lookup");
      key(2);
      map(1);
      call(BPF_FUNC_map_lookup_elem);
      add(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3);
      add(BPF_LDX | BPF_MEM | BPF_B, 1, 0, 0);
      add(BPF_ALU64 | BPF_ADD | BPF_X, 7, 1);
      random.one_in(3) ? add(BPF_ST | BPF_MEM | BPF_B, 0, 0, 0, 7) : mov(0, 0);
      return;
    }
    case 3:
      s_.say("update");
      key(2);
      value(3);
      map(1);
      mov(4, static_cast<int>(random.below(4)));
      call(BPF_FUNC_map_update_elem);
      add(BPF_ALU64 | BPF_ADD | BPF_X, 7, 0);
      return;
    case 4:
      s_.say("delete");
      key(2);
      map(1);
      call(BPF_FUNC_map_delete_elem);
      add(BPF_ALU64 | BPF_ADD | BPF_X, 7, 0);
      return;
    case 5: {
      static constexpr int helpers[] = {BPF_FUNC_map_push_elem, BPF_FUNC_map_pop_elem, BPF_FUNC_map_peek_elem};
      const int helper = random.pick(helpers);
      s_.say("queue " + std::to_string(helper));
      value(2);
      map(1);
      if (helper == BPF_FUNC_map_push_elem) mov(3, static_cast<int>(random.below(4)));
      call(helper);
      add(BPF_ALU64 | BPF_ADD | BPF_X, 7, 0);
      return;
    }
    case 6:
      s_.say("tail call");
      copy(1, 6);
      map(2);
      mov(3, static_cast<int>(random.below(4)));
      call(BPF_FUNC_tail_call);
      return;
    default:
      s_.say("ring");
      map(1);
      add(BPF_ST | BPF_MEM | BPF_DW, 10, 0, -8, 1);
      copy(2, 10);
      add(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -8);
      mov(3, 8);
      mov(4, 0);
      call(BPF_FUNC_ringbuf_output);
      add(BPF_ALU64 | BPF_ADD | BPF_X, 7, 0);
  }
}

void load(Sequence& s) {
  Random& random = s.random();
  HeldProg& prog = s.prog();
  HeldProg made;
  made.type = random.pick(kTypes);
  s.say_name(prog);
  s.say("type " + std::to_string(made.type));
  const std::vector<bpf_insn> insns = small_program(s, made.type);
  char log[16384] = {};
  bpf_attr attr{};
  attr.prog_type = made.type;
  attr.insns = address(insns.data());
  attr.insn_cnt = static_cast<u32>(insns.size());
  attr.license = address("GPL");
  attr.log_buf = address(log);
  attr.log_size = sizeof log;
  attr.log_level = 1;
  if (made.type == BPF_PROG_TYPE_CGROUP_SKB) attr.expected_attach_type = static_cast<u32>(random.below(2));
  if (made.type == BPF_PROG_TYPE_CGROUP_SOCK) attr.expected_attach_type = BPF_CGROUP_INET_SOCK_CREATE;
  if (made.type == BPF_PROG_TYPE_CGROUP_SYSCTL) attr.expected_attach_type = BPF_CGROUP_SYSCTL;
  if (made.type == BPF_PROG_TYPE_SYSCALL) attr.prog_flags = BPF_F_SLEEPABLE;
  if (random.one_in(30)) attr.expected_attach_type = static_cast<u32>(random.below(45));
  if (random.one_in(30)) attr.prog_flags = 1u << random.below(8);
  strcpy(attr.prog_name, "some_prog");
  s.say("expected " + std::to_string(attr.expected_attach_type) + " flags " + std::to_string(attr.prog_flags));
  const long fd = call(BPF_PROG_LOAD, attr);
  made.fd = prog.fd;
  s.keep(made.fd, fd);
  // The last line but one: the last counts states.
  if (fd < 0 && log[0]) {
    std::string text(log);
    const size_t end = text.rfind("\nprocessed");
    if (end != std::string::npos) text.resize(end);
    s.say("\"" + text.substr(text.rfind('\n') + 1) + "\"");
  }
  if (fd >= 0) prog = made;
}

void test_run(Sequence& s) {
  Random& random = s.random();
  HeldProg& prog = s.prog();
  u8 in[128], out[256] = {};
  for (u8& byte : in) byte = static_cast<u8>(random.next());
  bpf_attr attr{};
  attr.test.prog_fd = static_cast<u32>(prog.fd);
  attr.test.data_in = address(in);
  attr.test.data_size_in = random.one_in(8) ? static_cast<u32>(random.below(20)) : 14 + static_cast<u32>(random.below(90));
  attr.test.data_out = address(out);
  attr.test.data_size_out = random.one_in(8) ? 10 : sizeof out;
  attr.test.repeat = static_cast<u32>(random.below(4));
  if (prog.type == BPF_PROG_TYPE_RAW_TRACEPOINT || prog.type == BPF_PROG_TYPE_SYSCALL) {
    attr.test.ctx_in = attr.test.data_in;
    attr.test.ctx_size_in = 16;
    if (!random.one_in(6)) attr.test.data_in = attr.test.data_out = attr.test.data_size_in = attr.test.data_size_out = attr.test.repeat = 0;
  }
  s.say_name(prog);
  s.say("of " + std::to_string(attr.test.data_size_in) + " times " + std::to_string(attr.test.repeat));
  const long result = call(BPF_PROG_TEST_RUN, attr);
  s.say_result(result);
  s.say("returned " + std::to_string(attr.test.retval) + " size " + std::to_string(attr.test.data_size_out));
  s.say_bytes(out, sizeof out);
}

void prog_info(Sequence& s) {
  HeldProg& prog = s.prog();
  bpf_prog_info info{};
  u32 ids[8] = {};
  info.nr_map_ids = 8;
  info.map_ids = address(ids);
  bpf_attr attr{};
  attr.info.bpf_fd = static_cast<u32>(prog.fd);
  attr.info.info_len = sizeof info;
  attr.info.info = address(&info);
  s.say_name(prog);
  const long result = call(BPF_OBJ_GET_INFO_BY_FD, attr);
  s.say_result(result);
  if (result) return;
  s.say_id(Kind::kProg, info.id);
  s.say("type " + std::to_string(info.type) + " " + info.name + " insns " + std::to_string(info.xlated_prog_len) + " verified " +
        std::to_string(info.verified_insns) + " maps");
  s.say_bytes(info.tag, sizeof info.tag);
  for (u32 i = 0; i < info.nr_map_ids && i < 8; ++i) s.say_id(Kind::kMap, ids[i]);
}

void prog_by_id(Sequence& s) {
  HeldProg &from = s.prog(), &to = s.prog();
  s.say_name(from);
  s.say_name(to);
  bpf_prog_info info{};
  bpf_attr attr{};
  attr.info.bpf_fd = static_cast<u32>(from.fd);
  attr.info.info_len = sizeof info;
  attr.info.info = address(&info);
  if (call(BPF_OBJ_GET_INFO_BY_FD, attr)) info.id = 0x7ffffff0;
  attr = {};
  attr.prog_id = info.id;
  HeldProg got{to.fd, from.type};
  const long fd = call(BPF_PROG_GET_FD_BY_ID, attr);
  s.keep(got.fd, fd);
  if (fd >= 0) to = got;
}

void bind_map(Sequence& s) {
  HeldProg& prog = s.prog();
  HeldMap& map = s.map();
  bpf_attr attr{};
  attr.prog_bind_map.prog_fd = static_cast<u32>(prog.fd);
  attr.prog_bind_map.map_fd = static_cast<u32>(map.fd);
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

std::vector<bpf_insn> small_program(Sequence& s, u32 type) {
  Code code(s);
  code.copy(6, 1);
  code.mov(7, static_cast<int>(s.random().below(2)));
  for (u64 pieces = s.random().below(3); pieces; --pieces) code.piece();
  code.copy(0, 7);
  const bool yes_or_no = type == BPF_PROG_TYPE_CGROUP_SKB || type == BPF_PROG_TYPE_CGROUP_SOCK ||
                         type == BPF_PROG_TYPE_CGROUP_SYSCTL || type == BPF_PROG_TYPE_CGROUP_DEVICE;
  if (yes_or_no && !s.random().one_in(10)) code.add(BPF_ALU64 | BPF_AND | BPF_K, 0, 0, 0, 1);
  code.add(BPF_JMP | BPF_EXIT, 0);
  return code.list;
}

const std::vector<Operation> kProgOperations = {{"load", 18, load},           {"test run", 16, test_run},     {"prog info", 4, prog_info},
                                                {"prog by id", 2, prog_by_id}, {"bind map", 2, bind_map}, {"close prog", 2, drop}};

}  // namespace bpfemu::fuzz
