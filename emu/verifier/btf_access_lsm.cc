// SPDX-License-Identifier: Apache-2.0
// The hooks that LSM programs attach to: functions named bpf_lsm_*.
#include "emu/verifier/btf_access_rules.h"

namespace bpfemu {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kLsmPrefix = "bpf_lsm_";

// clang-format off
// Kernel: sleepable_lsm_hooks, without the prefix bpf_lsm_.
constexpr std::array kSleepableHooks{
    "bpf"sv, "bpf_map"sv, "bpf_map_alloc_security"sv, "bpf_map_free_security"sv, "bpf_prog"sv,
    "bprm_check_security"sv, "bprm_committed_creds"sv, "bprm_committing_creds"sv, "bprm_creds_for_exec"sv,
    "bprm_creds_from_file"sv, "capget"sv, "capset"sv, "cred_prepare"sv, "file_ioctl"sv, "file_lock"sv, "file_open"sv,
    "file_receive"sv, "inet_conn_established"sv, "inode_create"sv, "inode_free_security"sv, "inode_getattr"sv,
    "inode_getxattr"sv, "inode_mknod"sv, "inode_need_killpriv"sv, "inode_post_setxattr"sv, "inode_readlink"sv,
    "inode_rename"sv, "inode_rmdir"sv, "inode_setattr"sv, "inode_setxattr"sv, "inode_symlink"sv, "inode_unlink"sv,
    "kernel_module_request"sv, "kernel_read_file"sv, "kernfs_init_security"sv, "key_free"sv, "mmap_file"sv,
    "netlink_send"sv, "path_notify"sv, "release_secctx"sv, "sb_alloc_security"sv, "sb_eat_lsm_opts"sv,
    "sb_kern_mount"sv, "sb_mount"sv, "sb_remount"sv, "sb_set_mnt_opts"sv, "sb_show_options"sv, "sb_statfs"sv,
    "sb_umount"sv, "settime"sv, "socket_accept"sv, "socket_bind"sv, "socket_connect"sv, "socket_create"sv,
    "socket_getpeername"sv, "socket_getpeersec_dgram"sv, "socket_getsockname"sv, "socket_getsockopt"sv,
    "socket_listen"sv, "socket_post_create"sv, "socket_recvmsg"sv, "socket_sendmsg"sv, "socket_shutdown"sv,
    "socket_socketpair"sv, "syslog"sv, "task_alloc"sv, "current_getsecid_subj"sv, "task_getsecid_obj"sv,
    "task_prctl"sv, "task_setscheduler"sv, "userns_create"sv,
};
// clang-format on

// Kernel: bpf_lsm_disabled_hooks.
constexpr std::array kDisabledHooks{"vm_enough_memory"sv,    "inode_need_killpriv"sv, "inode_getsecurity"sv,
                                    "inode_listsecurity"sv,  "inode_copy_up_xattr"sv, "getprocattr"sv,
                                    "setprocattr"sv,         "key_getsecurity"sv,     "audit_rule_match"sv,
                                    "xfrm_decode_session"sv, "ismaclabel"sv};

// Functions named like hooks that are none: the LSM's own implementation.
constexpr std::array kNotHooks{"find_cgroup_shim"sv, "func_proto"sv, "init"sv, "is_sleepable_hook"sv, "verify_prog"sv};

}  // namespace

Result<void> check_lsm_hook(const ProgInfo& prog, VerifierLog& log) {
  if (!prog.gpl_compatible) return refuse(log, EINVAL, "LSM programs must have a GPL compatible license\n");
  std::string_view name = prog.attach_func_name;
  std::string_view hook = name.starts_with(kLsmPrefix) ? name.substr(kLsmPrefix.size()) : ""sv;
  if (contains(kDisabledHooks, hook)) {
    return refuse(log, EINVAL, "attach_btf_id {} points to disabled hook {}\n", prog.attach_btf_id, name);
  }
  if (hook.empty() || contains(kNotHooks, hook)) {
    return refuse(log, EINVAL, "attach_btf_id {} points to wrong type name {}\n", prog.attach_btf_id, name);
  }
  return {};
}

bool is_sleepable_lsm_hook(std::string_view hook) {
  return hook.starts_with(kLsmPrefix) && contains(kSleepableHooks, hook.substr(kLsmPrefix.size()));
}

}  // namespace bpfemu
