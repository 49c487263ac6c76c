// SPDX-License-Identifier: Apache-2.0
// Asks the running kernel, as root, which helpers each kind of program may call and which accesses to its context are
// allowed, and prints the table that env_test compares the model with:
//   helpers KIND CAPS HEX   one bit a helper, helper 1 first
//   context KIND CAPS FIRST HEX...   a byte an offset: bits 0-3 reads of 1, 2, 4, 8 bytes, bits 4-7 writes
// KIND is TYPE/ATTACH/FUNCTION. Build with g++ -O2; run on the claimed kernel.
#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace {

struct Kind {
  unsigned type, attach;
  const char* function;  // of the kernel's BTF; "" for none
  unsigned btf_kind;
};

const Kind kKinds[] = {
    {BPF_PROG_TYPE_SOCKET_FILTER, 0, "", 0},
    {BPF_PROG_TYPE_KPROBE, 0, "", 0},
    {BPF_PROG_TYPE_KPROBE, BPF_TRACE_KPROBE_MULTI, "", 0},
    {BPF_PROG_TYPE_SCHED_CLS, 0, "", 0},
    {BPF_PROG_TYPE_SCHED_ACT, 0, "", 0},
    {BPF_PROG_TYPE_TRACEPOINT, 0, "", 0},
    {BPF_PROG_TYPE_XDP, 0, "", 0},
    {BPF_PROG_TYPE_XDP, BPF_XDP_DEVMAP, "", 0},
    {BPF_PROG_TYPE_PERF_EVENT, 0, "", 0},
    {BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_INGRESS, "", 0},
    {BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS, "", 0},
    {BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET_SOCK_CREATE, "", 0},
    {BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET_SOCK_RELEASE, "", 0},
    {BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET4_POST_BIND, "", 0},
    {BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET6_POST_BIND, "", 0},
    {BPF_PROG_TYPE_LWT_IN, 0, "", 0},
    {BPF_PROG_TYPE_LWT_OUT, 0, "", 0},
    {BPF_PROG_TYPE_LWT_XMIT, 0, "", 0},
    {BPF_PROG_TYPE_LWT_SEG6LOCAL, 0, "", 0},
    {BPF_PROG_TYPE_SOCK_OPS, BPF_CGROUP_SOCK_OPS, "", 0},
    {BPF_PROG_TYPE_SK_SKB, BPF_SK_SKB_STREAM_PARSER, "", 0},
    {BPF_PROG_TYPE_CGROUP_DEVICE, BPF_CGROUP_DEVICE, "", 0},
    {BPF_PROG_TYPE_SK_MSG, BPF_SK_MSG_VERDICT, "", 0},
    {BPF_PROG_TYPE_RAW_TRACEPOINT, 0, "", 0},
    {BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_BIND, "", 0},
    {BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET6_BIND, "", 0},
    {BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT, "", 0},
    {BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET6_CONNECT, "", 0},
    {BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_UDP4_SENDMSG, "", 0},
    {BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_UDP6_SENDMSG, "", 0},
    {BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_UDP4_RECVMSG, "", 0},
    {BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET6_GETPEERNAME, "", 0},
    {BPF_PROG_TYPE_SK_REUSEPORT, BPF_SK_REUSEPORT_SELECT, "", 0},
    {BPF_PROG_TYPE_FLOW_DISSECTOR, BPF_FLOW_DISSECTOR, "", 0},
    {BPF_PROG_TYPE_CGROUP_SYSCTL, BPF_CGROUP_SYSCTL, "", 0},
    {BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE, 0, "", 0},
    {BPF_PROG_TYPE_CGROUP_SOCKOPT, BPF_CGROUP_GETSOCKOPT, "", 0},
    {BPF_PROG_TYPE_CGROUP_SOCKOPT, BPF_CGROUP_SETSOCKOPT, "", 0},
    {BPF_PROG_TYPE_SK_LOOKUP, BPF_SK_LOOKUP, "", 0},
    {BPF_PROG_TYPE_SYSCALL, 0, "", 0},
    {BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, "btf_trace_sched_switch", BTF_KIND_TYPEDEF},
    {BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, "bpf_fentry_test1", BTF_KIND_FUNC},
    {BPF_PROG_TYPE_TRACING, BPF_TRACE_FEXIT, "bpf_fentry_test1", BTF_KIND_FUNC},
    {BPF_PROG_TYPE_TRACING, BPF_MODIFY_RETURN, "security_file_open", BTF_KIND_FUNC},
    {BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, "bpf_iter_task", BTF_KIND_FUNC},
    {BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, "bpf_iter_tcp", BTF_KIND_FUNC},
    {BPF_PROG_TYPE_LSM, BPF_LSM_MAC, "bpf_lsm_file_open", BTF_KIND_FUNC},
    {BPF_PROG_TYPE_LSM, BPF_LSM_CGROUP, "bpf_lsm_socket_post_create", BTF_KIND_FUNC},
    {BPF_PROG_TYPE_LSM, BPF_LSM_CGROUP, "bpf_lsm_sock_graft", BTF_KIND_FUNC},
    {BPF_PROG_TYPE_LSM, BPF_LSM_CGROUP, "bpf_lsm_socket_bind", BTF_KIND_FUNC},
};

// Capabilities that the loading process keeps, besides CAP_SYS_RESOURCE.
constexpr unsigned kNetAdmin = 1, kSysAdmin = 2, kPerfmon = 4, kBpf = 8;
constexpr unsigned kCapSets[] = {kNetAdmin | kSysAdmin | kPerfmon | kBpf, kNetAdmin | kPerfmon | kBpf, kNetAdmin | kBpf,
                                 0};

void keep_capabilities(unsigned set) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  auto keep = [&](int cap) { data[cap / 32].effective |= 1u << (cap % 32); };
  keep(CAP_SYS_RESOURCE);
  if (set & kNetAdmin) keep(CAP_NET_ADMIN);
  if (set & kSysAdmin) keep(CAP_SYS_ADMIN);
  if (set & kPerfmon) keep(CAP_PERFMON);
  if (set & kBpf) keep(CAP_BPF);
  for (auto& word : data) word.permitted = word.effective;
  if (syscall(SYS_capset, &header, data)) perror("capset");
}

// Finds a type of the kernel's BTF by name.
unsigned find_type(const std::string& raw, const char* name, unsigned kind) {
  auto* header = reinterpret_cast<const btf_header*>(raw.data());
  const char* types = raw.data() + header->hdr_len + header->type_off;
  const char* strings = raw.data() + header->hdr_len + header->str_off;
  unsigned id = 1;
  for (unsigned at = 0; at < header->type_len; ++id) {
    auto* type = reinterpret_cast<const btf_type*>(types + at);
    unsigned k = BTF_INFO_KIND(type->info), n = BTF_INFO_VLEN(type->info);
    if (k == kind && !strcmp(strings + type->name_off, name)) return id;
    at += sizeof(btf_type);
    switch (k) {
      case BTF_KIND_INT:
      case BTF_KIND_VAR:
      case BTF_KIND_DECL_TAG: at += 4; break;
      case BTF_KIND_ARRAY: at += sizeof(btf_array); break;
      case BTF_KIND_STRUCT:
      case BTF_KIND_UNION: at += n * sizeof(btf_member); break;
      case BTF_KIND_ENUM: at += n * sizeof(btf_enum); break;
      case BTF_KIND_ENUM64: at += n * sizeof(btf_enum64); break;
      case BTF_KIND_FUNC_PROTO: at += n * sizeof(btf_param); break;
      case BTF_KIND_DATASEC: at += n * sizeof(btf_var_secinfo); break;
      default: break;
    }
  }
  return 0;
}

char log_text[65536];

// Loads a program; its log is in log_text.
int load(const Kind& kind, unsigned btf_id, const std::vector<bpf_insn>& insns) {
  bpf_attr attr = {};
  attr.prog_type = kind.type;
  attr.expected_attach_type = kind.attach;
  attr.insns = reinterpret_cast<unsigned long>(insns.data());
  attr.insn_cnt = static_cast<unsigned>(insns.size());
  attr.license = reinterpret_cast<unsigned long>("GPL");
  attr.log_buf = reinterpret_cast<unsigned long>(log_text);
  attr.log_size = sizeof log_text;
  attr.log_level = 1;
  attr.attach_btf_id = btf_id;
  if (kind.type == BPF_PROG_TYPE_SYSCALL) attr.prog_flags = BPF_F_SLEEPABLE;
  log_text[0] = 0;
  int fd = static_cast<int>(syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof attr));
  int error = errno;
  if (fd >= 0) close(fd);
  return fd >= 0 ? 0 : error;
}

bpf_insn insn(unsigned code, unsigned dst, unsigned src, int off, int imm) {
  bpf_insn result = {};
  result.code = static_cast<__u8>(code);
  result.dst_reg = dst & 15;
  result.src_reg = src & 15;
  result.off = static_cast<__s16>(off);
  result.imm = imm;
  return result;
}

const bpf_insn kZero = insn(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0), kExit = insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);

bool may_call(const Kind& kind, unsigned btf_id, int helper) {
  int error = load(kind, btf_id, {insn(BPF_JMP | BPF_CALL, 0, 0, 0, helper), kZero, kExit});
  return !error || !strstr(log_text, "unknown func");
}

bool may_access(const Kind& kind, unsigned btf_id, int off, unsigned size, bool write) {
  unsigned code = (size == 1 ? BPF_B : size == 2 ? BPF_H : size == 4 ? BPF_W : BPF_DW) | BPF_MEM;
  bpf_insn access = write ? insn(BPF_STX | code, 1, 0, off, 0) : insn(BPF_LDX | code, 0, 1, off, 0);
  int error = load(kind, btf_id, {kZero, access, kZero, kExit});
  return !error || !strstr(log_text, "invalid bpf_context access");
}

void record(const Kind& kind, unsigned caps, unsigned btf_id) {
  char name[100];
  snprintf(name, sizeof name, "%u/%u/%s %x", kind.type, kind.attach, kind.function, caps);
  if (load(kind, btf_id, {kZero, kExit}) && !log_text[0]) return;  // may not be loaded at all
  printf("helpers %s ", name);
  for (int i = 0; i < 209; i += 8) {
    unsigned bits = 0;
    for (int k = 0; k < 8 && i + k < 209; ++k) bits |= static_cast<unsigned>(may_call(kind, btf_id, i + k + 1)) << k;
    printf("%02x", bits);
  }
  puts("");
  if (btf_id || caps == kCapSets[1] || caps == kCapSets[2]) return;
  for (auto [first, end] : {std::pair{-8, 264}, {8176, 8200}, {32752, 32760}}) {
    printf("context %s %d ", name, first);
    for (int off = first; off < end; ++off) {
      unsigned bits = 0;
      for (unsigned k = 0; k < 4; ++k) {
        if (off & ((1 << k) - 1)) continue;
        bits |= static_cast<unsigned>(may_access(kind, btf_id, off, 1u << k, false)) << k;
        bits |= static_cast<unsigned>(may_access(kind, btf_id, off, 1u << k, true)) << (k + 4);
      }
      printf("%02x", bits);
    }
    puts("");
  }
}

}  // namespace

int main() {
  std::ifstream file("/sys/kernel/btf/vmlinux", std::ios::binary);
  std::string btf{std::istreambuf_iterator<char>(file), {}};
  for (unsigned caps : kCapSets) {
    fflush(stdout);
    if (pid_t child = fork()) {
      waitpid(child, nullptr, 0);
      continue;
    }
    keep_capabilities(caps);
    for (const Kind& kind : kKinds)
      record(kind, caps, *kind.function ? find_type(btf, kind.function, kind.btf_kind) : 0);
    fflush(stdout);
    _exit(0);
  }
}
