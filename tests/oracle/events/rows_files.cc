// SPDX-License-Identifier: Apache-2.0
// Functions that open files come through.
#include "tests/oracle/events/rows.h"

namespace events {
namespace {

#define NAME(file) file "->f_path.dentry->d_name.name:str"

constexpr Row kRows[] = {
    {kFunction, "do_sys_openat2", "dfd=arg0 name=arg1:ustr flags=arg2->flags:x mode=arg2->mode:o", "ret=ret"},
    {kFunction, "do_filp_open", "dfd=arg0 name=arg1->name:str flags=arg2->open_flag:x intent=arg2->intent:x mode=arg2->mode:o",
     "ret=ret"},
    {kFunction, "vfs_open", "name=arg0->dentry->d_name.name:str flags=arg1->f_flags:x", "ret=ret"},
    {kFunction, "vfs_read", "name=" NAME("arg0") " count=arg2 pos=arg3:set flags=arg0->f_flags:x at=arg0->f_pos", "ret=ret"},
    {kFunction, "vfs_write",
     "name=" NAME("arg0") " count=arg2 size=arg0->f_inode->i_size uid=current->cred->uid.val", "ret=ret"},
    {kFunction, "vfs_readv", "name=" NAME("arg0") " count=arg2 flags=arg4", "ret=ret"},
    {kFunction, "vfs_writev", "name=" NAME("arg0") " count=arg2 flags=arg4", "ret=ret"},
    {kKprobe | kKretprobe, "ksys_read", "fd=arg0 count=arg2", "ret=ret"},
    {kKprobe | kKretprobe, "ksys_write", "fd=arg0 text=arg1:ustr count=arg2", "ret=ret"},
    {kFunction, "close_fd", "fd=arg0", "ret=ret"},
    {kFunction, "filp_close", "name=" NAME("arg0") " files=arg1:set", "ret=ret"},
    {kFunction, "vfs_fsync_range", "name=" NAME("arg0") " start=arg1 end=arg2:x datasync=arg3", "ret=ret"},
    {kFunction, "vfs_fallocate", "name=" NAME("arg0") " mode=arg1 offset=arg2 len=arg3", "ret=ret"},
    {kFunction, "vfs_copy_file_range", "in=" NAME("arg0") " pos=arg1 out=" NAME("arg2") " to=arg3 len=arg4", "ret=ret"},
    {kFunction, "vfs_iter_write", "name=" NAME("arg0") " count=arg1->count type=arg1->iter_type flags=arg3", "ret=ret"},
    {kFunction, "vfs_truncate", "name=arg0->dentry->d_name.name:str length=arg1", "ret=ret"},
    {kFunction, "do_truncate", "name=arg1->d_name.name:str length=arg2 attrs=arg3 file=arg4:set", "ret=ret"},
    {kFunction, "do_sys_ftruncate", "fd=arg0 length=arg1 small=arg2", "ret=ret"},
    {kFunction, "vfs_fstatat", "dfd=arg0 name=arg1:ustr flags=arg3:x", "ret=ret"},
    {kFunction, "vfs_statx", "dfd=arg0 name=arg1->name:str flags=arg2:x mask=arg4:x", "ret=ret"},
    {kFunction, "vfs_fstat", "fd=arg0", "ret=ret"},
    {kFunction, "vfs_getattr_nosec",
     "name=arg0->dentry->d_name.name:str mode=arg0->dentry->d_inode->i_mode:o links=arg0->dentry->d_inode->i_nlink", "ret=ret"},
    {kFunction, "vfs_utimes", "name=arg0->dentry->d_name.name:str times=arg1:set", "ret=ret"},
    {kFunction, "security_file_permission", "name=" NAME("arg0") " mask=arg1", "ret=ret"},
    {kFunction, "security_file_lock", "name=" NAME("arg0") " type=arg1", "ret=ret"},
    {kFunction, "security_inode_setxattr", "name=arg1->d_name.name:str attribute=arg2:str size=arg4 flags=arg5", "ret=ret"},
    {kFunction, "security_inode_getxattr", "name=arg0->d_name.name:str attribute=arg1:str", "ret=ret"},
    {kFunction, "security_inode_listxattr", "name=arg0->d_name.name:str", "ret=ret"},
    {kFunction, "security_inode_removexattr", "name=arg1->d_name.name:str attribute=arg2:str", "ret=ret"},
    {kFunction, "security_file_open", "name=" NAME("arg0") " mode=arg0->f_mode:x flags=arg0->f_flags:x", "ret=ret"},
    {kFunction, "security_file_ioctl", "name=" NAME("arg0") " cmd=arg1:x", "ret=ret"},
    {kFunction, "security_file_fcntl", "name=" NAME("arg0") " cmd=arg1 arg=arg2", "ret=ret"},
    {kFunction, "security_file_mprotect", "start=arg0->vm_start:set asked=arg1 prot=arg2", "ret=ret"},
    {kFunction, "security_mmap_file", "file=arg0:set prot=arg1 flags=arg2:x", "ret=ret", false, "functions"},
    {kFunction, "security_mmap_addr", "addr=arg0:set", "ret=ret", false, "functions"},
    {kKprobe | kFentry, "ksys_mmap_pgoff", "addr=arg0 len=arg1 prot=arg2 flags=arg3:x fd=arg4 pgoff=arg5", "ret=ret"},
    {kFunction, "security_inode_getattr",
     "name=arg0->dentry->d_name.name:str parent=arg0->dentry->d_parent:set size=arg0->dentry->d_inode->i_size", "ret=ret"},
    {kFunction, "urandom_read_iter", "name=" NAME("arg0->ki_filp") " count=arg1->count", "ret=ret"},
};

}  // namespace

std::span<const Row> file_rows() { return kRows; }

}  // namespace events
