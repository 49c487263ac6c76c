// SPDX-License-Identifier: Apache-2.0
#include "tests/oracle/oracle.h"

#include <cstdlib>
#include <map>

namespace oracle {

long bpf_raw(int command, void* attr, unsigned size) {
  long r = syscall(SYS_bpf, command, attr, size);
  return r < 0 ? -errno : r;
}

long bpf(int command, const bpf_attr& attr, unsigned size) {
  bpf_attr copy = attr;
  return bpf_raw(command, &copy, size);
}

std::string text(long result) {
  if (result >= 0) return std::to_string(result);
  if (result == -524) return "-ENOTSUPP";
  const char* name = strerrorname_np(static_cast<int>(-result));
  return name ? std::string("-") + name : std::to_string(result);
}

std::string fd_text(long result) {
  if (result < 0) return text(result);
  close(static_cast<int>(result));
  return "fd";
}

// A question that is asked again gets a number, so that every line has a name of its own.
void say(const std::string& name, const std::string& answer) {
  static std::map<std::string, int> asked;
  int times = ++asked[name];
  std::string number = times > 1 ? " (" + std::to_string(times) + ")" : "";
  std::printf("%s%s: %s\n", name.c_str(), number.c_str(), answer.c_str());
}

bpf_attr map_attr(const MapSpec& spec) {
  bpf_attr attr{};
  attr.map_type = spec.type;
  attr.key_size = spec.key;
  attr.value_size = spec.value;
  attr.max_entries = spec.entries;
  attr.map_flags = spec.flags;
  return attr;
}

namespace {

int must(long result, const char* what) {
  if (result >= 0) return static_cast<int>(result);
  std::printf("cannot make %s: %s\n", what, text(result).c_str());
  std::exit(1);
}

}  // namespace

int make_map(const MapSpec& spec) { return must(bpf(BPF_MAP_CREATE, map_attr(spec)), "a map"); }

namespace {

long element(int command, int map, const void* key, const void* value, u64 flags) {
  bpf_attr attr{};
  attr.map_fd = static_cast<u32>(map);
  attr.key = ptr(key);
  attr.value = ptr(value);
  attr.flags = flags;
  return bpf(command, attr);
}

}  // namespace

long lookup(int map, const void* key, void* value, u64 flags) {
  return element(BPF_MAP_LOOKUP_ELEM, map, key, value, flags);
}
long update(int map, const void* key, const void* value, u64 flags) {
  return element(BPF_MAP_UPDATE_ELEM, map, key, value, flags);
}
long erase(int map, const void* key) { return element(BPF_MAP_DELETE_ELEM, map, key, nullptr, 0); }
long next_key(int map, const void* key, void* next) { return element(BPF_MAP_GET_NEXT_KEY, map, key, next, 0); }

bpf_insn insn(u8 code, u8 dst, u8 src, int off, int imm) {
  bpf_insn i{};
  i.code = code;
  i.dst_reg = dst & 15;
  i.src_reg = src & 15;
  i.off = static_cast<int16_t>(off);
  i.imm = imm;
  return i;
}

Program operator+(Program a, const Program& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Program load_map(u8 dst, int fd, u8 kind, int offset) {
  return {insn(BPF_LD | BPF_IMM | BPF_DW, dst, kind, 0, fd), insn(0, 0, 0, 0, offset)};
}

Program nothing() { return {mov(BPF_REG_0, 0), leave()}; }

bpf_attr prog_attr(u32 type, const Program& program) {
  bpf_attr attr{};
  attr.prog_type = type;
  attr.insns = ptr(program.data());
  attr.insn_cnt = static_cast<u32>(program.size());
  attr.license = ptr("GPL");
  return attr;
}

int make_program(u32 type, const Program& program) {
  return must(bpf(BPF_PROG_LOAD, prog_attr(type, program)), "a program");
}

std::vector<u8> btf_blob(const std::vector<u32>& types, const std::string& strings) {
  btf_header header{};
  header.magic = BTF_MAGIC;
  header.version = BTF_VERSION;
  header.hdr_len = sizeof header;
  header.type_len = static_cast<u32>(types.size() * sizeof(u32));
  header.str_off = header.type_len;
  header.str_len = static_cast<u32>(strings.size());
  std::vector<u8> blob(sizeof header + header.type_len + header.str_len);
  memcpy(blob.data(), &header, sizeof header);
  memcpy(blob.data() + sizeof header, types.data(), header.type_len);
  memcpy(blob.data() + sizeof header + header.type_len, strings.data(), strings.size());
  return blob;
}

int make_btf(const std::vector<u8>& blob) {
  bpf_attr attr{};
  attr.btf = ptr(blob.data());
  attr.btf_size = static_cast<u32>(blob.size());
  return must(bpf(BPF_BTF_LOAD, attr), "BTF");
}

}  // namespace oracle

// "logs": whole verifier logs, which are another set of questions since they differ from one kernel to the next.
// "lru": what full LRU maps keep, which does, too.
int main(int argc, char** argv) {
  using namespace oracle;
  setvbuf(stdout, nullptr, _IOLBF, 0);
  if (argc > 1 && std::string(argv[1]) == "logs") {
    ask_logs();
    return 0;
  }
  if (argc > 1 && std::string(argv[1]) == "lru") {
    ask_lru();
    return 0;
  }
  ask_attr();
  ask_map_create();
  ask_map_elements();
  ask_map_batches();
  ask_map_descriptors();
  ask_map_mmap();
  ask_prog_load();
  ask_verdicts();
  ask_btf();
  ask_objects();
  ask_info();
  ask_links();
  ask_pins();
  ask_files();
  ask_map_owned();
  ask_prog_descriptors();
  ask_kfuncs();
  ask_descriptor_kinds();
  ask_attach_matrix();
  ask_cgroups();
  ask_iterators();
  ask_attr_fields();
  return 0;
}
