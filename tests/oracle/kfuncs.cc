// SPDX-License-Identifier: Apache-2.0
// Programs that call kernel functions: what the verifier says of them and what they return.
#include <cstddef>

#include "tests/oracle/oracle.h"

namespace oracle {

namespace {

constexpr u8 r0 = BPF_REG_0, r1 = BPF_REG_1, r2 = BPF_REG_2, r3 = BPF_REG_3, r4 = BPF_REG_4, r5 = BPF_REG_5,
             r6 = BPF_REG_6, r7 = BPF_REG_7, r10 = BPF_REG_10;
constexpr int kFailed = 999;  // what programs return whose way ended early
constexpr int kCount = 24;    // where struct prog_test_ref_kfunc has its reference count

bpf_insn kfunc(const std::string& name) {
  return insn(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, 0, static_cast<int>(kernel_type(BTF_KIND_FUNC, name).id));
}
bpf_insn test(const std::string& name) {
  return kfunc("bpf_kfunc_call_test" + name);
}
// Leaves with kFailed when the register is 0.
Program needs(u8 reg) {
  return {insn(BPF_JMP | BPF_JNE | BPF_K, reg, 0, 2, 0), mov(r0, kFailed), leave()};
}
bpf_insn high_half(u8 reg) {
  return insn(BPF_ALU64 | BPF_RSH | BPF_K, reg, 0, 0, 32);
}
// reg = low + (high << 32)
Program wide(u8 reg, int low, int high) {
  return {insn(BPF_LD | BPF_IMM | BPF_DW, reg, 0, 0, low), insn(0, 0, 0, 0, high)};
}

struct Run {
  u32 type = BPF_PROG_TYPE_SCHED_CLS, flags = 0, repeat = 1, context = 0;
};

void ask(const std::string& name, const Program& program, const Run& run = {}) {
  bpf_attr attr = prog_attr(run.type, program);
  attr.prog_flags = run.flags;
  long loaded = bpf(BPF_PROG_LOAD, attr);
  if (loaded < 0) return say("kfunc/" + name, text(loaded));
  // An IPv4 packet from 1.2.3.4 to 5.6.7.8.
  std::vector<u8> packet(64), context(64);
  packet[12] = 8, packet[14] = 0x45;
  for (u8 i = 0; i < 8; ++i) packet[26 + i] = i + 1;
  bpf_attr test{};
  test.test.prog_fd = static_cast<u32>(loaded);
  if (run.type == BPF_PROG_TYPE_SYSCALL) {
    test.test.ctx_in = run.context ? ptr(context.data()) : 0;
    test.test.ctx_size_in = run.context;
  } else {
    test.test.data_in = ptr(packet.data());
    test.test.data_size_in = 64;
    test.test.repeat = run.repeat;
  }
  long ran = bpf_raw(BPF_PROG_TEST_RUN, &test, sizeof test);
  say("kfunc/" + name, text(ran) + " returns " + std::to_string(test.test.retval));
  close(static_cast<int>(loaded));
}

// r6 = the packet's socket.
Program with_socket() {
  return Program{load(r1, r1, offsetof(__sk_buff, sk), BPF_DW)} + needs(r1) + Program{call(BPF_FUNC_sk_fullsock)} +
         needs(r0) + Program{mov_reg(r6, r0)};
}
// r6 = an acquired object.
Program with_object() {
  return Program{store(r10, -8, 0, BPF_DW), mov_reg(r1, r10), add(r1, -8), test("_acquire")} + needs(r0) +
         Program{mov_reg(r6, r0)};
}
Program release(u8 reg) {
  return {mov_reg(r1, reg), test("_release")};
}
// Returns r7.
Program answer() {
  return {mov_reg(r0, r7), leave()};
}

void ask_values() {
  const Program socket = with_socket();
  const Program four = socket + Program{mov_reg(r1, r6)} + wide(r2, 1, 7) + wide(r3, 2, 1) + wide(r4, 3, 7) +
                       wide(r5, 4, 1) + Program{test("1")};
  ask("sum of four", four + Program{leave()});
  ask("sum of four, upper half", four + Program{high_half(r0), leave()});
  const Program two = socket + Program{mov_reg(r1, r6)} + wide(r2, -1, 5) + wide(r3, -1, 0) + Program{test("2")};
  ask("sum of two", two + Program{leave()});
  ask("sum of two, upper half", two + Program{high_half(r0), leave()});

  const Program kernel_socket = socket + Program{mov_reg(r1, r6), test("3")};
  // Fields of struct sock_common, and so of struct sock.
  struct {
    const char* name;
    int offset;
    u8 size;
  } fields[] = {{"remote address", 0, BPF_W}, {"local address", 4, BPF_W}, {"remote port", 12, BPF_H},
                {"local port", 14, BPF_H},    {"family", 16, BPF_H},       {"state", 18, BPF_B},
                {"device", 20, BPF_W}};
  for (const auto& field : fields) {
    ask(std::string("socket as struct sock, ") + field.name,
        kernel_socket + Program{load(r0, r0, field.offset, field.size), leave()});
  }
  ask("the same socket", kernel_socket + Program{mov_reg(r7, r0), mov(r0, 1),
                                                 insn(BPF_JMP | BPF_JEQ | BPF_X, r7, r6, 1, 0), mov(r0, 2), leave()});
  ask("struct sock, then struct bpf_sock",
      kernel_socket + Program{load(r7, r6, offsetof(bpf_sock, family)), load(r0, r0, 16, BPF_H),
                              insn(BPF_ALU64 | BPF_LSH | BPF_K, r0, 0, 0, 16),
                              insn(BPF_ALU64 | BPF_ADD | BPF_X, r0, r7, 0, 0), leave()});
  ask("write to struct sock", kernel_socket + Program{store(r0, 16, 1, BPF_H), mov(r0, 0), leave()});
}

void ask_objects_of_tests() {
  const Program object = with_object();
  for (int offset = 0; offset < 16; offset += 4) {
    ask("object at " + std::to_string(offset), object + Program{load(r7, r6, offset)} + release(r6) + answer());
  }
  constexpr int kNext = 16;
  auto next_is_it =
      Program{load(r2, r6, kNext, BPF_DW), mov(r7, 1), insn(BPF_JMP | BPF_JEQ | BPF_X, r2, r6, 1, 0), mov(r7, 2)};
  ask("next of the object", object + next_is_it + release(r6) + answer());
  ask("references while held", object + Program{load(r7, r6, kCount)} + release(r6) + answer());
  // The pointer that was loaded from the object stays good for reading.
  const Program left = {load(r0, r7, kCount), leave()};
  ask("references after the release", object + Program{load(r7, r6, kNext, BPF_DW)} + release(r6) + left);
  ask("two references", object +
                            Program{store(r10, -8, 0, BPF_DW), mov_reg(r1, r10), add(r1, -8), test("_acquire"),
                                    mov_reg(r7, r0), insn(BPF_JMP | BPF_JEQ | BPF_K, r0, 0, 2, 0)} +
                            release(r7) + Program{load(r7, r6, kCount)} + release(r6) + answer());
  ask("a reference that stays", object + Program{mov(r0, 0), leave()});
  ask("released twice", object + release(r6) + release(r6) + Program{mov(r0, 0), leave()});
  ask("used after the release", object + release(r6) + Program{load(r0, r6, 0), leave()});
  ask("write to the object", object + Program{store(r6, 0, 1)} + release(r6) + Program{mov(r0, 0), leave()});
  ask("a member is never given",
      {kfunc("bpf_kfunc_call_memb_acquire"), mov(r7, 5), insn(BPF_JMP | BPF_JEQ | BPF_K, r0, 0, 3, 0), mov_reg(r1, r0),
       kfunc("bpf_kfunc_call_memb_release"), mov(r7, 6), mov_reg(r0, r7), leave()});
  ask("trusted argument", object + Program{mov_reg(r1, r6), test("_ref")} + release(r6) + Program{mov(r0, 3), leave()});

  auto memory = [&](const char* kind, int size) {
    return object + Program{mov_reg(r1, r6),
                            mov(r2, size),
                            test(kind),
                            mov(r7, kFailed),
                            insn(BPF_JMP | BPF_JEQ | BPF_K, r0, 0, 1, 0),
                            load(r7, r0, 4)} +
           release(r6) + answer();
  };
  for (int size : {4, 8, 9, 4096}) {
    ask("memory of " + std::to_string(size) + " bytes", memory("_get_rdwr_mem", size));
    ask("read-only memory of " + std::to_string(size) + " bytes", memory("_get_rdonly_mem", size));
  }
  auto changed = [&](const char* kind) {
    return object +
           Program{mov_reg(r1, r6),
                   mov(r2, 8),
                   test(kind),
                   insn(BPF_JMP | BPF_JEQ | BPF_K, r0, 0, 3, 0),
                   load(r7, r0, 4),
                   add(r7, 1),
                   insn(BPF_STX | BPF_MEM | BPF_W, r0, r7, 4, 0),
                   load(r7, r6, 4)} +
           release(r6) + answer();
  };
  ask("changed memory", changed("_get_rdwr_mem"));
  ask("changed memory, three more times", changed("_get_rdwr_mem"), {.repeat = 3});
  ask("changed read-only memory", changed("_get_rdonly_mem"));
}

void ask_arguments() {
  const Program done = {mov(r0, 7), leave()};
  ask("context", Program{test("_pass_ctx")} + done);
  ask("context where an object is wanted", Program{test("_release")} + done);
  Program zeros;
  for (int at = -96; at < 0; at += 8) zeros.push_back(store(r10, at, 0, BPF_DW));
  auto stack = [&](const char* name, int size) {
    return zeros + Program{mov_reg(r1, r10), add(r1, -96), mov(r2, size), test(name)} + done;
  };
  for (const char* name :
       {"_pass1", "_pass2", "_fail1", "_fail2", "_fail3", "_mem_len_pass1", "_mem_len_fail1", "_mem_len_fail2"}) {
    ask(std::string("stack for ") + name, stack(name, 8));
  }
  ask("memory and its size", stack("_mem_len_pass1", 96));
  ask("memory and a size too large", stack("_mem_len_pass1", 97));
  ask("destructive", Program{test("_destructive")} + done);
  ask("acquired memory", with_object() + Program{mov_reg(r1, r6), mov(r2, 4), test("_acq_rdonly_mem")} + done);
  const Run filter{.type = BPF_PROG_TYPE_SOCKET_FILTER};
  ask("in a socket filter", Program{test("_destructive")} + done, filter);
  ask("of congestion control", Program{kfunc("cubictcp_init")} + done);
  ask("of struct_ops", Program{kfunc("tcp_slow_start")} + done);
  ask("in a subprogram", Program{insn(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 1), leave()} + with_object() +
                             Program{load(r7, r6, 0)} + release(r6) + answer());

  const Run syscall{.type = BPF_PROG_TYPE_SYSCALL, .flags = BPF_F_SLEEPABLE, .context = 16};
  for (int size : {8, 16, 17, 64}) {
    ask(std::to_string(size) + " bytes of a syscall program's context of 16",
        Program{mov(r2, size), test("_mem_len_pass1")} + done, syscall);
  }
  ask("no bytes of a syscall program's context", Program{mov(r2, 0), test("_mem_len_pass1")} + done,
      {.type = BPF_PROG_TYPE_SYSCALL, .flags = BPF_F_SLEEPABLE});
}

// 1 int, 2 prog_test_ref_kfunc, 3 and 4 a pointer to it that the map owns, 5 a value with that pointer; 6 to 9 likewise
// of task_struct, which maps cannot own.
int kptr_btf() {
  auto info = [](u32 kind, u32 vlen = 0) { return kind << 24 | vlen; };
  const std::string strings("\0int\0a\0prog_test_ref_kfunc\0kptr_ref\0value\0task_struct\0", 54);
  std::vector<u32> types = {1, info(BTF_KIND_INT), 4, 1u << 24 | 32};
  u32 id = 2;
  for (u32 name : {7u, 42u}) {
    const std::vector<u32> owned = {
        name, info(BTF_KIND_STRUCT, 1), 4, 5, 1,      0, 27, info(BTF_KIND_TYPE_TAG), id, 0, info(BTF_KIND_PTR), id + 1,
        36,   info(BTF_KIND_STRUCT, 1), 8, 5, id + 2, 0};
    types.insert(types.end(), owned.begin(), owned.end());
    id += 4;
  }
  return make_btf(btf_blob(types, strings));
}

int kptr_map(u32 type, int btf, u32 value_type) {
  bpf_attr attr = map_attr({type, 4, 8, 1});
  attr.btf_fd = static_cast<u32>(btf);
  attr.btf_key_type_id = 1;
  attr.btf_value_type_id = value_type;
  return static_cast<int>(bpf(BPF_MAP_CREATE, attr));
}

// r7 = the element with key 0.
Program with_element(int map) {
  return Program{store(r10, -16, 0, BPF_DW)} + load_map(r1, map) +
         Program{mov_reg(r2, r10), add(r2, -16), call(BPF_FUNC_map_lookup_elem)} + needs(r0) + Program{mov_reg(r7, r0)};
}
// Puts an object into the element and releases what was there; returns 1 when something was.
Program put(int map) {
  return with_element(map) + with_object() +
         Program{mov_reg(r1, r7),
                 mov_reg(r2, r6),
                 call(BPF_FUNC_kptr_xchg),
                 mov(r7, 0),
                 insn(BPF_JMP | BPF_JEQ | BPF_K, r0, 0, 3, 0),
                 mov_reg(r1, r0),
                 test("_release"),
                 mov(r7, 1)} +
         answer();
}

void ask_owned(u32 type, const std::string& name) {
  const int btf = kptr_btf(), map = kptr_map(type, btf, 5);
  const u32 key = 0;
  std::vector<u8> value(8 * 256, 0xff);
  auto count = [&](const std::string& when) {
    ask(name + "/references " + when, with_object() + Program{load(r7, r6, kCount)} + release(r6) + answer());
  };
  update(map, &key, value.data());
  count("at first");
  ask(name + "/put", put(map));
  count("after one was put");
  ask(name + "/put", put(map));
  count("after another was put in its place");
  const Program got = with_element(map) + Program{mov_reg(r1, r7), mov(r2, 0), mov(r3, 0), test("_kptr_get")} +
                      needs(r0) + Program{mov_reg(r6, r0), load(r7, r0, kCount)} + release(r6) + answer();
  ask(name + "/references while got", got);
  ask(name + "/looked at",
      with_element(map) + Program{load(r7, r7, 0, BPF_DW)} + needs(r7) + Program{load(r0, r7, 0), leave()});
  ask(name + "/overwritten", with_element(map) + Program{store(r7, 0, 0, BPF_DW), mov(r0, 0), leave()});
  lookup(map, &key, value.data());
  say("kfunc/" + name + "/as user space sees it", value[0]);
  say("kfunc/" + name + "/update", update(map, &key, value.data()));
  count("after an update");
  ask(name + "/got when there is none", got);
  ask(name + "/put", put(map));
  say("kfunc/" + name + "/delete", erase(map, &key));
  count("after the delete");
  update(map, &key, value.data());
  ask(name + "/put", put(map));
  close(map), close(btf);
  usleep(300000);  // maps are freed later
  count("after the map");
}

void ask_not_owned() {
  const int btf = kptr_btf(), map = kptr_map(BPF_MAP_TYPE_ARRAY, btf, 9);
  ask("a struct that maps cannot own", put(map));
  ask("a struct that maps cannot own, as plain bytes",
      with_element(map) + Program{store(r7, 0, 5, BPF_DW), load(r0, r7, 0, BPF_DW), leave()});
  close(map), close(btf);
}

}  // namespace

void ask_kfuncs() {
  ask_values();
  ask_objects_of_tests();
  ask_arguments();
  ask_owned(BPF_MAP_TYPE_ARRAY, "array");
  ask_owned(BPF_MAP_TYPE_HASH, "hash");
  ask_owned(BPF_MAP_TYPE_LRU_HASH, "LRU hash");
  ask_not_owned();
}

}  // namespace oracle
