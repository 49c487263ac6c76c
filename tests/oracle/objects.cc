// SPDX-License-Identifier: Apache-2.0
// Ids, info, binding, program test runs.
#include <sys/stat.h>

#include "tests/oracle/oracle.h"

namespace oracle {

namespace {

struct Info {
  long result;
  u32 length;
};

template <class T>
Info get_info(int fd, T* info, u32 length) {
  bpf_attr attr{};
  attr.info.bpf_fd = static_cast<u32>(fd);
  attr.info.info = ptr(info);
  attr.info.info_len = length;
  long r = bpf_raw(BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof attr);
  return {r, attr.info.info_len};
}

void said(const std::string& name, Info i) { say(name, text(i.result) + " length " + std::to_string(i.length)); }

u32 id_of(int map) {
  bpf_map_info info{};
  get_info(map, &info, sizeof info);
  return info.id;
}

long by_id(int command, u32 id, u32 flags = 0) {
  bpf_attr attr{};
  attr.map_id = id;
  attr.open_flags = flags;
  return bpf(command, attr);
}

}  // namespace

void ask_objects() {
  int map = make_map({BPF_MAP_TYPE_ARRAY});
  u32 id = id_of(map);
  say("id/map", fd_text(by_id(BPF_MAP_GET_FD_BY_ID, id)));
  say("id/map, read-only", fd_text(by_id(BPF_MAP_GET_FD_BY_ID, id, BPF_F_RDONLY)));
  say("id/map, both", fd_text(by_id(BPF_MAP_GET_FD_BY_ID, id, BPF_F_RDONLY | BPF_F_WRONLY)));
  say("id/map, other flag", fd_text(by_id(BPF_MAP_GET_FD_BY_ID, id, 1)));
  int reader = static_cast<int>(by_id(BPF_MAP_GET_FD_BY_ID, id, BPF_F_RDONLY));
  u32 key = 0, value = 0;
  say("id/update through a read-only descriptor", update(reader, &key, &value));
  close(reader);
  close(map);
  for (int command : {BPF_PROG_GET_FD_BY_ID, BPF_MAP_GET_FD_BY_ID, BPF_BTF_GET_FD_BY_ID, BPF_LINK_GET_FD_BY_ID}) {
    say("id/0 for " + std::to_string(command), by_id(command, 0));
    say("id/large for " + std::to_string(command), by_id(command, 0x7ffffff0));
  }
  for (int command : {BPF_PROG_GET_NEXT_ID, BPF_MAP_GET_NEXT_ID, BPF_BTF_GET_NEXT_ID, BPF_LINK_GET_NEXT_ID}) {
    for (u32 start : {0x7ffffffeu, 0x7fffffffu, 0xffffffffu}) {
      bpf_attr attr{};
      attr.start_id = start;
      say("id/next after " + std::to_string(start) + " for " + std::to_string(command), bpf(command, attr));
    }
  }
  bpf_attr first{};
  say("id/first BTF", bpf_raw(BPF_BTF_GET_NEXT_ID, &first, sizeof first));
  say("id/first BTF is", std::to_string(first.next_id));

  int program = make_program(BPF_PROG_TYPE_SOCKET_FILTER, nothing());
  int bound = make_map({BPF_MAP_TYPE_HASH});
  auto bind = [&](int prog, int to, u32 flags) {
    bpf_attr attr{};
    attr.prog_bind_map.prog_fd = static_cast<u32>(prog);
    attr.prog_bind_map.map_fd = static_cast<u32>(to);
    attr.prog_bind_map.flags = flags;
    return bpf(BPF_PROG_BIND_MAP, attr);
  };
  say("bind/map", bind(program, bound, 0));
  say("bind/again", bind(program, bound, 0));
  say("bind/flag", bind(program, bound, 1));
  say("bind/program to program", bind(program, program, 0));
  say("bind/nothing", bind(-1, bound, 0));
  bpf_prog_info info{};
  get_info(program, &info, sizeof info);
  say("bind/maps of the program", std::to_string(info.nr_map_ids));
  close(bound), close(program);

  // Running programs on data.
  Program returns = {mov(BPF_REG_0, 42), leave()};
  for (u32 type : {BPF_PROG_TYPE_SOCKET_FILTER, BPF_PROG_TYPE_SCHED_CLS, BPF_PROG_TYPE_XDP,
                   BPF_PROG_TYPE_RAW_TRACEPOINT, BPF_PROG_TYPE_KPROBE, BPF_PROG_TYPE_TRACEPOINT}) {
    int runs = make_program(type, returns);
    std::vector<u8> packet(64), out(256);
    packet[12] = 8;
    for (u32 size : {0u, 13u, 14u, 64u}) {
      for (u32 repeat : {0u, 1u, 5u}) {
        bpf_attr attr{};
        attr.test.prog_fd = static_cast<u32>(runs);
        attr.test.data_in = size ? ptr(packet.data()) : 0;
        attr.test.data_size_in = size;
        attr.test.data_out = size ? ptr(out.data()) : 0;
        attr.test.data_size_out = size ? 256 : 0;
        attr.test.repeat = repeat;
        long r = bpf_raw(BPF_PROG_TEST_RUN, &attr, sizeof attr);
        say("run/type " + std::to_string(type) + " size " + std::to_string(size) + " repeat " + std::to_string(repeat),
            text(r) + " retval " + std::to_string(attr.test.retval) + " out " + std::to_string(attr.test.data_size_out));
      }
    }
    close(runs);
  }
}

void ask_info() {
  int map = make_map({BPF_MAP_TYPE_HASH, 4, 8, 10, BPF_F_NO_PREALLOC});
  struct {
    bpf_map_info info;
    u8 tail[5000];
  } big{};
  for (u32 length : {0u, 4u, 24u, u32{sizeof(bpf_map_info)}, u32{sizeof(bpf_map_info)} + 8, 4096u, 4097u}) {
    memset(&big, 0, sizeof big);
    said("info map/length " + std::to_string(length), get_info(map, &big, length));
    char fields[128];
    std::snprintf(fields, sizeof fields, "type %u key %u value %u entries %u flags %#x", big.info.type,
                  big.info.key_size, big.info.value_size, big.info.max_entries, big.info.map_flags);
    say("info map/fields at " + std::to_string(length), fields);
  }
  memset(&big, 0, sizeof big);
  big.tail[100] = 1;
  said("info map/tail not zero", get_info(map, &big, 4096));
  said("info map/null", get_info<u8>(map, nullptr, 88));
  said("info/of nothing", get_info(-1, &big, 88));
  said("info/of a file", get_info(0, &big, 88));
  close(map);

  Program with_call = {call(BPF_FUNC_ktime_get_ns), mov(BPF_REG_0, 0), leave()};
  int program = make_program(BPF_PROG_TYPE_SOCKET_FILTER, with_call);
  bpf_prog_info info{};
  said("info prog/plain", get_info(program, &info, sizeof info));
  char fields[256];
  std::snprintf(fields, sizeof fields, "type %u xlated %u maps %u gpl %u ksyms %u lens %u tags %u func %u line %u",
                info.type, info.xlated_prog_len, info.nr_map_ids, info.gpl_compatible, info.nr_jited_ksyms,
                info.nr_jited_func_lens, info.nr_prog_tags, info.nr_func_info, info.nr_line_info);
  say("info prog/fields", fields);
  std::snprintf(fields, sizeof fields, "%02x%02x%02x%02x%02x%02x%02x%02x", info.tag[0], info.tag[1], info.tag[2],
                info.tag[3], info.tag[4], info.tag[5], info.tag[6], info.tag[7]);
  say("info prog/tag", fields);
  say("info prog/verified instructions", std::to_string(info.verified_insns));
  std::vector<bpf_insn> xlated(16);
  bpf_prog_info ask{};
  ask.xlated_prog_len = 16;
  ask.xlated_prog_insns = ptr(xlated.data());
  said("info prog/part of the instructions", get_info(program, &ask, sizeof ask));
  say("info prog/second instruction", std::to_string(xlated[1].code) + " " + std::to_string(xlated[1].imm));
  for (auto set : {+[](bpf_prog_info& i) { i.func_info_rec_size = 4; }, +[](bpf_prog_info& i) { i.line_info_rec_size = 16; },
                   +[](bpf_prog_info& i) { i.nr_func_info = 1; }, +[](bpf_prog_info& i) { i.jited_line_info_rec_size = 4; },
                   +[](bpf_prog_info& i) { i.nr_map_ids = 5; }, +[](bpf_prog_info& i) { i.xlated_prog_len = 8; },
                   +[](bpf_prog_info& i) { i.jited_prog_len = 8; }, +[](bpf_prog_info& i) { i.nr_jited_ksyms = 1; },
                   +[](bpf_prog_info& i) { i.nr_prog_tags = 1; }}) {
    static int number = 0;
    bpf_prog_info asked{};
    set(asked);
    said("info prog/asked " + std::to_string(number++), get_info(program, &asked, sizeof asked));
  }
  for (u32 length : {0u, 8u, 64u, 224u, 228u, 232u, 300u}) {
    std::vector<u8> room(4096);
    said("info prog/length " + std::to_string(length), get_info(program, room.data(), length));
  }
  close(program);

  int btf = make_btf(btf_blob({1, BTF_KIND_INT << 24, 4, 32}, std::string("\0int\0", 5)));
  bpf_btf_info about{};
  said("info btf/plain", get_info(btf, &about, sizeof about));
  say("info btf/size", std::to_string(about.btf_size) + " kernel " + std::to_string(about.kernel_btf));
  char name[16] = "x";
  about = {};
  about.name = ptr(name);
  said("info btf/name without a size", get_info(btf, &about, sizeof about));
  about.name_len = 16;
  said("info btf/name", get_info(btf, &about, sizeof about));
  say("info btf/name is", std::string(name) + " " + std::to_string(about.name_len));
  close(btf);
  bpf_attr vmlinux{};
  vmlinux.btf_id = 1;
  int first = static_cast<int>(bpf(BPF_BTF_GET_FD_BY_ID, vmlinux));
  about = {};
  about.name = ptr(name);
  about.name_len = 4;
  said("info btf/vmlinux in 4 bytes", get_info(first, &about, sizeof about));
  say("info btf/cut name", std::string(name) + " " + std::to_string(about.name_len) + " kernel " +
                               std::to_string(about.kernel_btf));
  close(first);
}

}  // namespace oracle
