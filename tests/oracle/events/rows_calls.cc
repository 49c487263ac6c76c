// SPDX-License-Identifier: Apache-2.0
// The way of every system call.
#include "tests/oracle/events/rows.h"

namespace events {
namespace {

constexpr Row kRows[] = {
    {kTracepoint, "raw_syscalls:sys_enter", "id=id"},
    {kTracepoint, "raw_syscalls:sys_exit", "id=id ret=ret:set"},
    {kRaw, "raw_syscalls:sys_enter", "", "id=arg1 orig=arg0->orig_ax ax=arg0->ax"},
    {kRaw, "raw_syscalls:sys_exit", "", "orig=arg0->orig_ax"},
    {kTracepoint, "syscalls:sys_enter_openat", "dfd=dfd name=filename:ustr flags=flags:x mode=mode:o"},
    {kTracepoint, "syscalls:sys_exit_openat", "ret=ret"},
    {kTracepoint, "syscalls:sys_enter_write", "fd=fd text=buf:ustr count=count"},
    {kTracepoint, "syscalls:sys_exit_write", "ret=ret"},
    {kTracepoint, "syscalls:sys_enter_execve", "name=filename:ustr"},
    {kTracepoint, "syscalls:sys_exit_execve", "ret=ret"},
    {kTracepoint, "syscalls:sys_enter_kill", "sig=sig"},
    {kTracepoint, "syscalls:sys_exit_kill", "ret=ret"},
    {kTracepoint, "syscalls:sys_enter_connect", "fd=fd len=addrlen"},
    {kTracepoint, "syscalls:sys_exit_connect", "ret=ret"},
    {kFunction, "__x64_sys_openat", "name=arg0->si:ustr flags=arg0->dx:x", "ret=ret"},
    {kFunction, "__x64_sys_kill", "sig=arg0->si", "ret=ret"},
    {kFunction, "__x64_sys_nanosleep", "", "ret=ret"},
};

}  // namespace

std::span<const Row> call_rows() { return kRows; }

}  // namespace events
