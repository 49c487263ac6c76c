// SPDX-License-Identifier: Apache-2.0
#include "emu/verifier/helper_protos.h"

#include <linux/bpf.h>

#include <string_view>

#include "emu/abi/kernel_version.h"
#include "emu/verifier/btf_access.h"

namespace bpfemu {
namespace {

bool attached_to(const ProgInfo& prog, std::initializer_list<std::string_view> functions) {
  for (std::string_view function : functions) {
    if (prog.attach_func_name == function) return true;
  }
  return false;
}

// Kernel: bpf_d_path_allowed.
bool allowed_d_path(const ProgInfo& prog) {
  if (prog.type == BPF_PROG_TYPE_TRACING && prog.expected_attach_type == BPF_TRACE_ITER) return true;
  if (prog.type == BPF_PROG_TYPE_LSM) return is_sleepable_lsm_hook(prog.attach_func_name);
  return attached_to(
      prog, {"security_file_permission", "security_inode_getattr", "security_file_open", "security_path_truncate",
             "vfs_truncate", "vfs_fallocate", "dentry_open", "vfs_getattr", "filp_close"});
}

// Kernel: bpf_ima_inode_hash_allowed.
bool allowed_in_sleepable_hook(const ProgInfo& prog) {
  return is_sleepable_lsm_hook(prog.attach_func_name);
}

// A program on the storage functions themselves must not use them (kernel: bpf_sk_storage_tracing_allowed).
bool allowed_sk_storage(const ProgInfo& prog) {
  if (prog.dst_prog) return false;
  switch (prog.expected_attach_type) {
    case BPF_TRACE_ITER:
    case BPF_TRACE_RAW_TP: return true;
    case BPF_TRACE_FENTRY:
    case BPF_TRACE_FEXIT: return !prog.attach_func_name.starts_with("bpf_sk_storage");
    default: return false;
  }
}

// The columns of the table.
struct A {
  constexpr A(ArgType arg_type) : type(arg_type) {}
  constexpr A(ArgType arg_type, int bytes) : type(arg_type), size(static_cast<u32>(bytes)) {}
  constexpr A(ArgType arg_type, const char* name) : type(arg_type), structure(name) {}
  ArgType type;
  u32 size = 0;
  const char* structure = nullptr;
};

struct R {
  constexpr R(RetType ret_type, const char* name = nullptr) : type(ret_type), structure(name) {}
  RetType type;
  const char* structure;
};

enum ProtoFlag : u32 {
  kGpl = 1,
  kPacket = 2,
  kSleeps = 4,
  kDPathHooks = 8,
  kSleepableHooks = 16,
  kSkStorageHooks = 32,
};

constexpr const char* kNoFunction = "no_function";

constexpr HelperProto make_proto(u32 id, const char* name, const char* symbol, u32 flags, R result,
                                 std::initializer_list<A> args) {
  HelperProto proto;
  proto.id = id;
  proto.name = name;
  proto.symbol = std::string_view(symbol) == kNoFunction ? nullptr : symbol;
  proto.ret = result.type;
  proto.ret_struct = result.structure;
  u32 i = 0;
  for (const A& arg : args) {
    proto.args[i] = arg.type;
    proto.arg_size[i] = arg.size;
    proto.arg_struct[i] = arg.structure;
    ++i;
  }
  proto.gpl_only = flags & kGpl;
  proto.pkt_access = flags & kPacket;
  proto.might_sleep = flags & kSleeps;
  if (flags & kDPathHooks) proto.allowed = allowed_d_path;
  if (flags & kSleepableHooks) proto.allowed = allowed_in_sleepable_hook;
  if (flags & kSkStorageHooks) proto.allowed = allowed_sk_storage;
  return proto;
}

constexpr HelperEntry kHelpers[] = {
#define HELPER(id, name, major, minor) {id, #name, kernel_version(major, minor)},
#include "emu/abi/helpers.inc"
};

}  // namespace

namespace protos {
#define PROTO(variant, helper, symbol, flags, result, ...) \
  constinit const HelperProto variant = make_proto(BPF_FUNC_##helper, #helper, #symbol, flags, result, {__VA_ARGS__});
#include "emu/abi/helpers.inc"
}  // namespace protos

std::span<const HelperEntry> helper_entries() {
  return kHelpers;
}

const char* helper_name(u32 id) {
  return id >= 1 && id <= std::size(kHelpers) ? kHelpers[id - 1].name : "unknown";
}

bool helper_changes_packet(u32 id) {
  switch (id) {
    case BPF_FUNC_skb_vlan_push:
    case BPF_FUNC_skb_vlan_pop:
    case BPF_FUNC_skb_store_bytes:
    case BPF_FUNC_skb_change_proto:
    case BPF_FUNC_skb_change_head:
    case BPF_FUNC_skb_change_tail:
    case BPF_FUNC_skb_adjust_room:
    case BPF_FUNC_skb_pull_data:
    case BPF_FUNC_clone_redirect:
    case BPF_FUNC_l3_csum_replace:
    case BPF_FUNC_l4_csum_replace:
    case BPF_FUNC_xdp_adjust_head:
    case BPF_FUNC_xdp_adjust_meta:
    case BPF_FUNC_xdp_adjust_tail:
    case BPF_FUNC_msg_pull_data:
    case BPF_FUNC_msg_push_data:
    case BPF_FUNC_msg_pop_data:
    case BPF_FUNC_lwt_seg6_store_bytes:
    case BPF_FUNC_lwt_seg6_adjust_srh:
    case BPF_FUNC_lwt_seg6_action:
    case BPF_FUNC_lwt_push_encap:
    case BPF_FUNC_store_hdr_opt: return true;
    default: return false;
  }
}

}  // namespace bpfemu
