// SPDX-License-Identifier: Apache-2.0
// Address spaces, mounts, and waiting for a word of memory.
#include "tests/oracle/events/rows.h"

namespace events {
namespace {

// A uprobe's slots take a mapping.
constexpr const char* kUntold = "functions";
#define DIR(path) "dir=" path "->dentry->d_name.name:str"

constexpr Row kRows[] = {
    {kFunction, "vm_mmap", "file=arg0 len=arg2 prot=arg3 flags=arg4:x offset=arg5", "ret=ret:p", false, kUntold},
    {kFunction, "vm_mmap_pgoff", "file=arg0 len=arg2 prot=arg3 flags=arg4:x pgoff=arg5", "ret=ret:p", false, kUntold},
    {kKprobe | kKretprobe, "do_mmap", "file=arg0 len=arg2 prot=arg3 flags=arg4:x pgoff=arg5", "ret=ret:p", false, kUntold},
    {kFunction, "do_brk_flags", "len=arg3 flags=arg4:x", "ret=ret", false, kUntold},
    {kFunction, "do_munmap", "len=arg2", "ret=ret", false, kUntold},
    {kKprobe | kKretprobe, "do_futex", "op=arg1:x val=arg2 timeout=arg3:set", "ret=ret"},
    {kFunction, "path_mount", "dev=arg0:str type=arg2:str flags=arg3:x data=arg4:set " DIR("arg1"), "ret=ret"},
    {kFunction, "path_umount", "flags=arg1:x " DIR("arg0"), "ret=ret"},
    {kFunction, "security_sb_mount", "dev=arg0:str type=arg2:str flags=arg3:x data=arg4:set " DIR("arg1"), "ret=ret"},
    {kFunction, "security_sb_umount", "flags=arg1:x", "ret=ret"},
    {kLsm, "sb_mount", "dev=arg0:str type=arg2:str flags=arg3:x data=arg4:set " DIR("arg1")},
    {kLsm, "sb_umount", "flags=arg1:x"},
    {kFunction, "security_sb_statfs", "name=arg0->d_name.name:str", "ret=ret"},
    {kLsm, "sb_statfs", "name=arg0->d_name.name:str"},
    {kFunction, "proc_sys_read", "count=arg1->count", "ret=ret"},
    {kFunction, "proc_sys_write", "count=arg1->count", "ret=ret"},
};

}  // namespace

std::span<const Row> memory_rows() { return kRows; }

}  // namespace events
