// SPDX-License-Identifier: Apache-2.0
// Questions to a kernel's bpf(). Each prints one line, "name: answer"; the same program asks a real kernel and bpfemu.
#pragma once

#include <errno.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

namespace oracle {

using u8 = uint8_t;
using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;
using s64 = int64_t;

// bpf(): a descriptor, 0 or -errno.
long bpf(int command, const bpf_attr& attr, unsigned size = sizeof(bpf_attr));
long bpf_raw(int command, void* attr, unsigned size);

// "0", "fd" for a descriptor (which is closed), "-EINVAL".
std::string text(long result);
std::string fd_text(long result);
void say(const std::string& name, const std::string& answer);
inline void say(const std::string& name, long result) { say(name, text(result)); }

template <class T>
u64 ptr(T* p) {
  return reinterpret_cast<u64>(p);
}

struct MapSpec {
  u32 type, key = 4, value = 4, entries = 4, flags = 0;
};
bpf_attr map_attr(const MapSpec& spec);
// A map, or a message and exit status 1: for questions that need one.
int make_map(const MapSpec& spec);
long lookup(int map, const void* key, void* value, u64 flags = 0);
long update(int map, const void* key, const void* value, u64 flags = 0);
long erase(int map, const void* key);
long next_key(int map, const void* key, void* next);

// Instructions.
bpf_insn insn(u8 code, u8 dst, u8 src, int off, int imm);
inline bpf_insn mov(u8 dst, int imm) { return insn(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm); }
inline bpf_insn mov_reg(u8 dst, u8 src) { return insn(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0); }
inline bpf_insn add(u8 dst, int imm) { return insn(BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, imm); }
inline bpf_insn call(int helper) { return insn(BPF_JMP | BPF_CALL, 0, 0, 0, helper); }
inline bpf_insn leave() { return insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0); }
inline bpf_insn store(u8 dst, int off, int imm, u8 size = BPF_W) { return insn(BPF_ST | BPF_MEM | size, dst, 0, off, imm); }
inline bpf_insn load(u8 dst, u8 src, int off, u8 size = BPF_W) { return insn(BPF_LDX | BPF_MEM | size, dst, src, off, 0); }
using Program = std::vector<bpf_insn>;
Program operator+(Program a, const Program& b);
Program load_map(u8 dst, int fd, u8 kind = BPF_PSEUDO_MAP_FD, int offset = 0);

bpf_attr prog_attr(u32 type, const Program& program);
int make_program(u32 type, const Program& program);
// "r0 = 0; exit".
Program nothing();

// A BTF blob: header, types, strings.
std::vector<u8> btf_blob(const std::vector<u32>& types, const std::string& strings);
int make_btf(const std::vector<u8>& blob);

// A type of the kernel's BTF, id 0 when there is none.
struct KernelType {
  u32 id = 0, size = 0;
};
KernelType kernel_type(u32 kind, const std::string& name);

// The groups of questions.
void ask_attr();
void ask_attr_fields();
void ask_descriptor_kinds();
void ask_map_create();
void ask_map_elements();
void ask_map_batches();
void ask_map_descriptors();
void ask_map_mmap();
void ask_map_owned();
void ask_lru();
void ask_prog_load();
void ask_prog_descriptors();
void ask_verdicts();
void ask_kfuncs();
void ask_logs();
void ask_btf();
void ask_objects();
void ask_info();
void ask_links();
void ask_attach_matrix();
void ask_cgroups();
void ask_iterators();
void ask_pins();
void ask_files();

}  // namespace oracle
