// SPDX-License-Identifier: Apache-2.0
// Functions that names come through.
#include "tests/oracle/events/rows.h"

namespace events {
namespace {

constexpr Row kRows[] = {
    {kFunction, "do_unlinkat", "dfd=arg0 name=arg1->name:str", "ret=ret"},
    {kFunction, "vfs_unlink",
     "dir=arg1->i_mode:o name=arg2->d_name.name:str mode=arg2->d_inode->i_mode:o links=arg2->d_inode->i_nlink", "ret=ret"},
    {kFunction, "do_rmdir", "dfd=arg0 name=arg1->name:str", "ret=ret"},
    {kFunction, "vfs_rmdir", "name=arg2->d_name.name:str links=arg2->d_inode->i_nlink", "ret=ret"},
    {kFunction, "filename_create", "dfd=arg0 name=arg1->name:str flags=arg3:x", "ret=ret"},
    {kFunction, "do_mkdirat", "dfd=arg0 name=arg1->name:str mode=arg2:o", "ret=ret"},
    {kFunction, "vfs_mkdir", "name=arg2->d_name.name:str mode=arg3:o inode=arg2->d_inode", "ret=ret"},
    {kKprobe | kKretprobe, "do_mknodat", "dfd=arg0 name=arg1->name:str mode=arg2:o dev=arg3", "ret=ret"},
    {kFunction, "vfs_mknod", "name=arg2->d_name.name:str mode=arg3:o dev=arg4", "ret=ret"},
    {kFunction, "vfs_create", "name=arg2->d_name.name:str mode=arg3:o excl=arg4", "ret=ret"},
    {kFunction, "do_symlinkat", "target=arg0->name:str dfd=arg1 name=arg2->name:str", "ret=ret"},
    {kFunction, "vfs_symlink", "name=arg2->d_name.name:str target=arg3:str", "ret=ret"},
    {kFunction, "do_linkat", "olddfd=arg0 old=arg1->name:str newdfd=arg2 new=arg3->name:str flags=arg4", "ret=ret"},
    {kFunction, "vfs_link", "old=arg0->d_name.name:str new=arg3->d_name.name:str links=arg0->d_inode->i_nlink", "ret=ret"},
    {kFunction, "do_renameat2", "olddfd=arg0 old=arg1->name:str newdfd=arg2 new=arg3->name:str flags=arg4", "ret=ret"},
    {kFunction, "vfs_rename",
     "old=arg0->old_dentry->d_name.name:str new=arg0->new_dentry->d_name.name:str flags=arg0->flags "
     "target=arg0->new_dentry->d_inode",
     "ret=ret"},
    {kFunction, "vfs_readlink", "name=arg0->d_name.name:str size=arg2", "ret=ret:set"},
    {kFunction, "security_path_mknod", "name=arg1->d_name.name:str mode=arg2:o dev=arg3", "ret=ret"},
    {kFunction, "security_path_mkdir", "name=arg1->d_name.name:str mode=arg2:o", "ret=ret"},
    {kFunction, "security_path_unlink", "name=arg1->d_name.name:str", "ret=ret"},
    {kFunction, "security_path_rmdir", "name=arg1->d_name.name:str", "ret=ret"},
    {kFunction, "security_path_symlink", "name=arg1->d_name.name:str target=arg2:str", "ret=ret"},
    {kFunction, "security_path_link", "old=arg0->d_name.name:str new=arg2->d_name.name:str", "ret=ret"},
    {kFunction, "security_path_rename", "old=arg1->d_name.name:str new=arg3->d_name.name:str flags=arg4", "ret=ret"},
    {kFunction, "security_path_truncate", "name=arg0->dentry->d_name.name:str", "ret=ret"},
    {kFunction, "security_path_chmod", "name=arg0->dentry->d_name.name:str mode=arg1:o", "ret=ret"},
    {kFunction, "security_path_chown", "name=arg0->dentry->d_name.name:str uid=arg1 gid=arg2", "ret=ret"},
    {kFunction, "security_inode_create", "name=arg1->d_name.name:str mode=arg2:o", "ret=ret"},
    {kFunction, "security_inode_mkdir", "name=arg1->d_name.name:str mode=arg2:o", "ret=ret"},
    {kFunction, "security_inode_mknod", "name=arg1->d_name.name:str mode=arg2:o dev=arg3", "ret=ret"},
    {kFunction, "security_inode_unlink", "name=arg1->d_name.name:str links=arg1->d_inode->i_nlink", "ret=ret"},
    {kFunction, "security_inode_rmdir", "name=arg1->d_name.name:str", "ret=ret"},
    {kFunction, "security_inode_symlink", "name=arg1->d_name.name:str target=arg2:str", "ret=ret"},
    {kFunction, "security_inode_link", "old=arg0->d_name.name:str new=arg2->d_name.name:str", "ret=ret"},
    {kFunction, "security_inode_rename", "old=arg1->d_name.name:str new=arg3->d_name.name:str flags=arg4", "ret=ret"},
    {kFunction, "security_inode_setattr", "name=arg1->d_name.name:str valid=arg2->ia_valid:x mode=arg2->ia_mode:o", "ret=ret"},
    {kFunction, "security_inode_readlink", "name=arg0->d_name.name:str", "ret=ret"},
};

}  // namespace

std::span<const Row> name_rows() { return kRows; }

}  // namespace events
