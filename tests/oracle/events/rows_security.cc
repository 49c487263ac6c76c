// SPDX-License-Identifier: Apache-2.0
// Hooks of security modules.
#include "tests/oracle/events/rows.h"

namespace events {
namespace {

constexpr Row kRows[] = {
    {kLsm, "file_open", "name=arg0->f_path.dentry->d_name.name:str flags=arg0->f_flags:x comm=current->comm:str"},
    {kLsm, "file_permission", "name=arg0->f_path.dentry->d_name.name:str mask=arg1"},
    {kLsm, "file_ioctl", "cmd=arg1:x"},
    {kLsm, "file_fcntl", "cmd=arg1 arg=arg2"},
    {kLsm, "file_mprotect", "asked=arg1 prot=arg2"},
    {kLsm, "mmap_file", "file=arg0 asked=arg1 prot=arg2 flags=arg3:x", "", false, "execs functions"},
    {kLsm, "mmap_addr", "addr=arg0:set", "", false, "execs functions"},
    {kLsm, "path_mknod", "name=arg1->d_name.name:str mode=arg2:o dev=arg3"},
    {kLsm, "path_mkdir", "name=arg1->d_name.name:str mode=arg2:o"},
    {kLsm, "path_unlink", "name=arg1->d_name.name:str"},
    {kLsm, "path_rmdir", "name=arg1->d_name.name:str"},
    {kLsm, "path_symlink", "name=arg1->d_name.name:str target=arg2:str"},
    {kLsm, "path_link", "old=arg0->d_name.name:str new=arg2->d_name.name:str"},
    {kLsm, "path_rename", "old=arg1->d_name.name:str new=arg3->d_name.name:str flags=arg4"},
    {kLsm, "path_truncate", "name=arg0->dentry->d_name.name:str"},
    {kLsm, "path_chmod", "name=arg0->dentry->d_name.name:str mode=arg1:o"},
    {kLsm, "path_chown", "name=arg0->dentry->d_name.name:str uid=arg1 gid=arg2"},
    {kLsm, "inode_create", "name=arg1->d_name.name:str mode=arg2:o dir=arg0->i_mode:o"},
    {kLsm, "inode_mknod", "name=arg1->d_name.name:str mode=arg2:o"},
    {kLsm, "inode_mkdir", "name=arg1->d_name.name:str mode=arg2:o"},
    {kLsm, "inode_unlink", "name=arg1->d_name.name:str"},
    {kLsm, "inode_rmdir", "name=arg1->d_name.name:str"},
    {kLsm, "inode_symlink", "name=arg1->d_name.name:str target=arg2:str"},
    {kLsm, "inode_link", "old=arg0->d_name.name:str new=arg2->d_name.name:str"},
    {kLsm, "inode_rename", "old=arg1->d_name.name:str new=arg3->d_name.name:str"},
    {kLsm, "inode_getattr", "name=arg0->dentry->d_name.name:str"},
    {kLsm, "inode_setattr", "name=arg0->d_name.name:str valid=arg1->ia_valid:x"},
    {kLsm, "inode_readlink", "name=arg0->d_name.name:str"},
    {kLsm, "bprm_creds_for_exec", "name=arg0->filename:str argc=arg0->argc envc=arg0->envc"},
    {kLsm, "bprm_check_security", "name=arg0->filename:str interp=arg0->interp:str argc=arg0->argc"},
    {kLsm, "bprm_committing_creds", "name=arg0->filename:str uid=arg0->cred->uid.val"},
    {kLsm, "bprm_committed_creds", "name=arg0->filename:str comm=current->comm:str"},
    {kLsm, "task_alloc", "comm=arg0->comm:str flags=arg1:x"},
    {kLsm, "task_kill", "task=arg0->pid:pid sig=arg2 cred=arg3"},
    {kLsm, "task_setnice", "task=arg0->pid:pid nice=arg1"},
    {kLsm, "task_prctl", "option=arg0 arg2=arg1:set"},
    {kLsm, "socket_create", "family=arg0 type=arg1 protocol=arg2 kern=arg3"},
    {kLsm, "socket_post_create", "family=arg1 type=arg2 state=arg0->state sk=arg0->sk"},
    {kLsm, "socket_bind", "family=arg1->sa_family len=arg2 type=arg0->type"},
    {kLsm, "socket_connect", "family=arg1->sa_family len=arg2 state=arg0->state"},
    {kLsm, "socket_listen", "backlog=arg1 type=arg0->type"},
    {kLsm, "socket_accept", "state=arg0->state new=arg1->type"},
    {kLsm, "socket_sendmsg", "size=arg2 family=arg0->sk->__sk_common.skc_family"},
    {kLsm, "socket_recvmsg", "size=arg2 flags=arg3:x"},
    {kLsm, "socket_shutdown", "how=arg1"},
    {kLsm, "capable", "cap=arg2 options=arg3 uid=arg0->uid.val"},
};

}  // namespace

std::span<const Row> security_rows() { return kRows; }

}  // namespace events
