// SPDX-License-Identifier: Apache-2.0
// Loads generated programs and says what the kernel says to each; runs those that it takes. The same program asks a
// real kernel and bpfemu; see the script `verifier` beside it.
//   verifier_fuzz FIRST LAST        the programs of these seeds, one line each
//   verifier_fuzz --list FIRST LAST their text
//   verifier_fuzz --file FILE       programs as text
//   verifier_fuzz --log FILE        programs as text; the whole log of each
// A line: seed, type/privilege/level, errno or 0, insns processed, hash of the log, result of the run, '|', the log's
// last line.
#include <errno.h>
#include <fcntl.h>
#include <linux/btf.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>

#include "tests/fuzz/verifier_btf.h"
#include "tests/fuzz/verifier_gen.h"

namespace bpfemu::fuzz {

namespace {

constexpr size_t kLogSize = 16 << 20;

u64 bit(int capability) {
  return u64{1} << capability;
}

void set_privilege(Privilege privilege) {
  u64 caps = ~u64{0};
  if (privilege == Privilege::kNobody) caps = 0;
  if (privilege == Privilege::kNetwork) caps = bit(CAP_BPF) | bit(CAP_NET_ADMIN);
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) std::abort();
  data[0].effective = data[0].permitted & static_cast<u32>(caps);
  data[1].effective = data[1].permitted & static_cast<u32>(caps >> 32);
  if (syscall(SYS_capset, &header, data) != 0) std::abort();
}

// Addresses are another kernel's, and so is the space that lines up what follows.
void mask_addresses(std::string& line) {
  for (size_t at = 0; (at = line.find("0x", at)) != std::string::npos; ++at) {
    size_t end = at + 2;
    while (end < line.size() && isxdigit(static_cast<unsigned char>(line[end]))) ++end;
    if (end - at < 13) continue;
    while (end < line.size() && line[end] == ' ') ++end;
    line.replace(at, end - at, "0xADDRESS");
  }
}

// Of every function that is called or whose address is taken.
std::vector<bpf_func_info> function_infos(const Program& program) {
  if (program.functions == FunctionInfo::kNone) return {};
  std::map<u32, u32> types = {{0, kStaticFunction}};
  for (size_t i = 0; i < program.insns.size(); ++i) {
    const Insn& insn = program.insns[i];
    bool call = insn.code == (BPF_JMP | BPF_CALL) && insn.src_reg == BPF_PSEUDO_CALL;
    bool address = insn.code == (BPF_LD | BPF_IMM | BPF_DW) && insn.src_reg == BPF_PSEUDO_FUNC;
    if (!call && !address) continue;
    u32 type = call && program.functions == FunctionInfo::kGlobal ? kGlobalFunction : kStaticFunction;
    types.try_emplace(static_cast<u32>(static_cast<s64>(i) + insn.imm + 1), type);
  }
  std::vector<bpf_func_info> infos;
  for (auto [insn, type] : types) infos.push_back({.insn_off = insn, .type_id = type});
  return infos;
}

struct Answer {
  long error = 0;
  long processed = -1;
  u64 log_hash = 0;
  std::string last;
};

class Asker {
 public:
  bool prepare() {
    rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_MEMLOCK, &all);
    int knob = open("/proc/sys/kernel/unprivileged_bpf_disabled", O_WRONLY | O_CLOEXEC);
    if (knob < 0 || write(knob, "0", 1) != 1) {
      std::fprintf(stderr, "cannot allow bpf() to all\n");
      return false;
    }
    close(knob);
    log_.resize(kLogSize);
    maps_.make();
    return true;
  }

  void ask(const Program& program, bool whole_log) {
    maps_.fd(kPrograms, program);  // made while allowed
    set_privilege(program.privilege);
    Answer answer;
    int fd = load(program, program.log_level, &answer);
    if (whole_log) std::fputs(log_.c_str(), stdout);
    std::string run = fd < 0 ? "-" : ".";
    if (fd >= 0) {
      if (program.runs && repeats(program)) run = this->run(fd, program.type);
      close(fd);
    }
    set_privilege(Privilege::kFull);
    std::printf("%llu %u/%u/%u %ld %ld %016llx %s | %s\n", static_cast<unsigned long long>(program.seed), program.type,
                static_cast<unsigned>(program.privilege), program.log_level, answer.error, answer.processed,
                static_cast<unsigned long long>(answer.log_hash), run.c_str(), answer.last.c_str());
  }

 private:
  int load(const Program& program, u32 level, Answer* answer) {
    std::vector<Insn> insns = program.insns;
    for (size_t i = 0; i < insns.size(); ++i) {
      bool wide = insns[i].code == (BPF_LD | BPF_IMM | BPF_DW);
      if (wide && (insns[i].src_reg == BPF_PSEUDO_MAP_FD || insns[i].src_reg == BPF_PSEUDO_MAP_VALUE)) {
        insns[i].imm = maps_.fd(insns[i].imm, program);
      }
      i += wide;
    }
    bpf_attr attr{};
    attr.prog_type = program.type;
    attr.expected_attach_type = program.attach;
    attr.prog_flags = program.flags;
    attr.attach_btf_id = target(program);
    attr.insns = reinterpret_cast<u64>(insns.data());
    attr.insn_cnt = static_cast<u32>(insns.size());
    attr.license = reinterpret_cast<u64>("GPL");
    std::vector<bpf_func_info> functions = function_infos(program);
    if (!functions.empty()) {
      attr.prog_btf_fd = static_cast<u32>(maps_.btf());
      attr.func_info = reinterpret_cast<u64>(functions.data());
      attr.func_info_cnt = static_cast<u32>(functions.size());
      attr.func_info_rec_size = sizeof functions[0];
    }
    log_[0] = 0;
    if (answer) {
      attr.log_level = level;
      attr.log_size = kLogSize;
      attr.log_buf = reinterpret_cast<u64>(log_.data());
    }
    long r = bpf(BPF_PROG_LOAD, attr);
    if (answer) read_log(*answer);
    if (answer && r < 0) answer->error = -r;
    return static_cast<int>(r);
  }

  u32 target(const Program& program) {
    if (program.target.empty()) return 0;
    auto [at, fresh] = targets_.try_emplace(program.target, 0);
    u32 kind = program.attach == BPF_TRACE_RAW_TP ? BTF_KIND_TYPEDEF : BTF_KIND_FUNC;
    if (fresh) at->second = kernel_type(program.target, kind);
    return at->second;
  }

  void read_log(Answer& answer) {
    answer.log_hash = kHashStart;
    const char* at = log_.c_str();
    while (*at) {
      const char* end = strchr(at, '\n');
      if (!end) end = at + strlen(at);
      std::string line(at, end);
      mask_addresses(line);
      answer.log_hash = hash_bytes(answer.log_hash, line.data(), line.size());
      if (std::sscanf(line.c_str(), "processed %ld insns", &answer.processed) != 1) answer.last = line;
      at = *end ? end + 1 : end;
    }
  }

  // No pointer reaches what the program leaves behind: it is accepted without the right to show them.
  bool repeats(const Program& program) {
    if (program.privilege != Privilege::kFull) return true;
    set_privilege(Privilege::kNetwork);
    int fd = load(program, 0, nullptr);
    if (fd >= 0) close(fd);
    return fd >= 0;
  }

  std::string run(int fd, u32 type) {
    set_privilege(Privilege::kFull);
    maps_.reset();
    u8 in[64], out[512] = {};
    for (size_t i = 0; i < sizeof in; ++i) in[i] = static_cast<u8>(i * 7);
    // IPv4 in Ethernet.
    in[12] = 8, in[13] = 0, in[14] = 0x45, in[17] = 50, in[23] = 6;
    u64 context[12] = {1, 2, 3, 4, 5, 6, 7, 8};
    bpf_attr attr{};
    attr.test.prog_fd = static_cast<u32>(fd);
    if (type == BPF_PROG_TYPE_RAW_TRACEPOINT || type == BPF_PROG_TYPE_SYSCALL) {
      attr.test.ctx_in = reinterpret_cast<u64>(context);
      attr.test.ctx_size_in = 64;
    } else {
      attr.test.data_in = reinterpret_cast<u64>(in);
      attr.test.data_size_in = sizeof in;
      attr.test.data_out = reinterpret_cast<u64>(out);
      attr.test.data_size_out = sizeof out;
      attr.test.repeat = 1;
    }
    long r = bpf(BPF_PROG_TEST_RUN, attr);
    u64 data = hash_bytes(kHashStart, out, sizeof out);
    data = hash_bytes(data, context, sizeof context);
    char text[120];
    std::snprintf(text, sizeof text, "%ld:%x:%u:%08x:%08x", r, attr.test.retval, attr.test.data_size_out,
                  static_cast<u32>(data), static_cast<u32>(maps_.contents()));
    return text;
  }

  Maps maps_;
  std::map<std::string, u32> targets_;
  std::string log_;
};

Program generate(u64 seed) {
  return Generator(seed).make();
}

int main(std::span<char*> args) {
  setvbuf(stdout, nullptr, _IOLBF, 1 << 16);  // whoever waits sees how far it is
  auto is = [&](const char* name) { return strcmp(args[1], name) == 0; };
  if (args.size() == 4 && is("--list")) {
    for (u64 seed = strtoull(args[2], nullptr, 10); seed <= strtoull(args[3], nullptr, 10); ++seed) {
      std::fputs(to_text(generate(seed)).c_str(), stdout);
    }
    return 0;
  }
  if (args.size() != 3) {
    std::fprintf(stderr, "usage: verifier_fuzz FIRST LAST | --list FIRST LAST | --file FILE | --log FILE\n");
    return 2;
  }
  Asker asker;
  if (!asker.prepare()) return 1;
  if (is("--file") || is("--log")) {
    FILE* file = std::fopen(args[2], "r");
    if (!file) return 1;
    for (Program program; read_text(file, program);) asker.ask(program, is("--log"));
    return 0;
  }
  for (u64 seed = strtoull(args[1], nullptr, 10); seed <= strtoull(args[2], nullptr, 10); ++seed) {
    asker.ask(generate(seed), false);
  }
  return 0;
}

}  // namespace

}  // namespace bpfemu::fuzz

int main(int argc, char** argv) {
  return bpfemu::fuzz::main({argv, static_cast<size_t>(argc)});
}
