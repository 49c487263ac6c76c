// SPDX-License-Identifier: Apache-2.0
// BPF_PROG_LOAD around the verifier: attributes, types, names, logs.
#include "tests/oracle/oracle.h"

namespace oracle {

namespace {

std::string load(const bpf_attr& attr) { return fd_text(bpf(BPF_PROG_LOAD, attr)); }

template <class Set>
void with(const std::string& what, Set set, u32 type = BPF_PROG_TYPE_SOCKET_FILTER) {
  Program program = nothing();
  bpf_attr attr = prog_attr(type, program);
  set(attr);
  say("load/with " + what, load(attr));
}

// Length of a log without the digits of the time that level 4 tells.
size_t timeless_length(const std::string& log) {
  static const std::string kTime = "verification time ";
  const size_t time = log.find(kTime);
  if (time == std::string::npos) return log.size();
  const size_t digits = time + kTime.size();
  return log.size() - (log.find(' ', digits) - digits);
}

// The log that a load leaves, with what it answers. `set` changes what is asked.
template <class Set>
void ask_log(const std::string& what, const Program& program, u32 level, u32 size, bool buffer, Set set) {
  std::string log(65536, '#');
  bpf_attr attr = prog_attr(BPF_PROG_TYPE_SOCKET_FILTER, program);
  set(attr);
  attr.log_level = level;
  attr.log_size = size;
  attr.log_buf = buffer ? ptr(log.data()) : 0;
  std::string answer = load(attr);
  // Only how much was written: the text itself has tests of its own.
  bool untouched = log[0] == '#';
  say("load log/" + what, answer + (untouched ? " untouched" : " length " + std::to_string(timeless_length(log.c_str()))));
}

void ask_log(const std::string& what, const Program& program, u32 level, u32 size, bool buffer = true) {
  ask_log(what, program, level, size, buffer, [](bpf_attr&) {});
}

}  // namespace

// What the verifier says of descriptors and records that come with the program.
void ask_prog_descriptors() {
  auto infos = [](const std::string& what, auto set, const Program& program = nothing()) {
    ask_log("with " + what, program, 1, 4096, true, [&](bpf_attr& a) {
      a.func_info_cnt = 1;
      a.func_info_rec_size = 8;
      set(a);
    });
  };
  Program bad_jump = {insn(BPF_JMP | BPF_JA, 0, 0, 9, 0), leave()};
  infos("BTF of nothing", [](bpf_attr& a) { a.prog_btf_fd = ~0u; });
  infos("a file as BTF", [](bpf_attr& a) { a.prog_btf_fd = 1; });
  infos("BTF of nothing, bad jump", [](bpf_attr& a) { a.prog_btf_fd = ~0u; }, bad_jump);
  infos("BTF of nothing, unreadable records", [](bpf_attr& a) { a.prog_btf_fd = ~0u, a.func_info = 16; });
  infos("line_info and BTF of nothing",
        [](bpf_attr& a) { a.func_info_cnt = 0, a.line_info_cnt = 1, a.prog_btf_fd = ~0u; });
  int btf = make_btf(btf_blob({1, BTF_KIND_INT << 24, 4, 32}, std::string("\0int\0", 5)));
  infos("unreadable func_info", [=](bpf_attr& a) { a.prog_btf_fd = static_cast<u32>(btf), a.func_info = 16; });
  infos("unreadable line_info", [=](bpf_attr& a) {
    a.prog_btf_fd = static_cast<u32>(btf), a.func_info_cnt = 0;
    a.line_info_cnt = 1, a.line_info_rec_size = 16, a.line_info = 16;
  });
  close(btf);

  Program by_index = load_map(BPF_REG_1, 0, BPF_PSEUDO_MAP_IDX) + nothing();
  Program kernel_function = {insn(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, 1, 1), mov(BPF_REG_0, 0), leave()};
  int map = make_map({BPF_MAP_TYPE_ARRAY}), fds[] = {map, 1};
  for (u64 array : {u64{0}, u64{16}, ptr(fds), ptr(fds + 1)}) {
    std::string name = array == 0 ? "no" : array == 16 ? "an unreadable" : array == ptr(fds) ? "a good" : "a bad";
    auto set = [=](bpf_attr& a) { a.fd_array = array; };
    ask_log("map by index, " + name + " fd_array", by_index, 1, 4096, true, set);
    ask_log("kernel function by index, " + name + " fd_array", kernel_function, 1, 4096, true, set);
  }
  close(map);
}

void ask_prog_load() {
  for (u32 type = 0; type <= 40; ++type) {
    // Types that need a target say so in their own groups.
    if (type >= BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE && type <= BPF_PROG_TYPE_SYSCALL &&
        type != BPF_PROG_TYPE_SK_LOOKUP) {
      continue;
    }
    if (type > BPF_PROG_TYPE_SYSCALL && type < 40) continue;
    Program program = nothing();
    say("load/type " + std::to_string(type), load(prog_attr(type, program)));
  }
  for (u32 type : {BPF_PROG_TYPE_CGROUP_SKB, BPF_PROG_TYPE_CGROUP_SOCK, BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
                   BPF_PROG_TYPE_CGROUP_SOCKOPT, BPF_PROG_TYPE_SK_LOOKUP, BPF_PROG_TYPE_SK_REUSEPORT,
                   BPF_PROG_TYPE_XDP, BPF_PROG_TYPE_KPROBE}) {
    for (u32 attach : {0u, 1u, 2u, 3u, 8u, 10u, 13u, 21u, 22u, 29u, 36u, 37u, 39u, 40u, 42u, 200u}) {
      Program program = {mov(BPF_REG_0, 1), leave()};
      bpf_attr attr = prog_attr(type, program);
      attr.expected_attach_type = attach;
      say("load/type " + std::to_string(type) + " for attach type " + std::to_string(attach), load(attr));
    }
  }
  for (u32 flag = 0; flag < 9; ++flag) {
    with("flag " + std::to_string(flag), [=](bpf_attr& a) { a.prog_flags = 1u << flag; });
  }
  with("no instructions", [](bpf_attr& a) { a.insn_cnt = 0; });
  with("too many instructions", [](bpf_attr& a) { a.insn_cnt = 1000001; });
  with("null instructions", [](bpf_attr& a) { a.insns = 0; });
  with("null license", [](bpf_attr& a) { a.license = 0; });
  with("bad license pointer", [](bpf_attr& a) { a.license = 16; });
  with("ifindex", [](bpf_attr& a) { a.prog_ifindex = 9999; });
  with("a name", [](bpf_attr& a) { strcpy(a.prog_name, "name_1.x"); });
  with("a bad name", [](bpf_attr& a) { strcpy(a.prog_name, "na-me"); });
  with("a full name", [](bpf_attr& a) { memset(a.prog_name, 'a', sizeof a.prog_name); });
  with("kern_version", [](bpf_attr& a) { a.kern_version = 1; }, BPF_PROG_TYPE_KPROBE);
  with("attach_btf_id", [](bpf_attr& a) { a.attach_btf_id = 1; });
  with("attach_prog_fd of nothing", [](bpf_attr& a) { a.attach_prog_fd = 1000; });
  with("attach_prog_fd of a file", [](bpf_attr& a) { a.attach_prog_fd = 1; });
  with("func_info and no BTF", [](bpf_attr& a) { a.func_info_cnt = 1, a.func_info_rec_size = 8, a.prog_btf_fd = ~0u; });
  with("func_info and a file as BTF", [](bpf_attr& a) { a.func_info_cnt = 1, a.func_info_rec_size = 8; });
  with("BTF descriptor alone", [](bpf_attr& a) { a.prog_btf_fd = ~0u; });
  with("core_relos alone", [](bpf_attr& a) { a.core_relo_cnt = 1; });
  with("fd_array", [](bpf_attr& a) { a.fd_array = 8; });

  Program good = nothing(), bad = {mov_reg(BPF_REG_0, BPF_REG_5), leave()};
  for (u32 level : {0u, 1u, 2u, 4u, 8u}) {
    ask_log("good program, level " + std::to_string(level), good, level, 4096);
    ask_log("bad program, level " + std::to_string(level), bad, level, 4096);
  }
  for (u32 size : {0u, 1u, 127u, 128u, 1u << 30, (1u << 30) - 1}) {
    ask_log("size " + std::to_string(size), good, 1, size);
    ask_log("bad program, size " + std::to_string(size), bad, 1, size);
  }
  ask_log("size without a level", good, 0, 4096);
  ask_log("no buffer", good, 1, 4096, false);
  ask_log("nothing", good, 0, 0, false);
  Program longer;
  for (int i = 0; i < 20; ++i) longer.push_back(mov(BPF_REG_0, i));
  longer.push_back(leave());
  ask_log("too small a buffer", longer, 2, 128);
}

}  // namespace oracle
