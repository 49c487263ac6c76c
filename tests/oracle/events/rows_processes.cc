// SPDX-License-Identifier: Apache-2.0
// What becomes of processes, and their waiting.
#include "tests/oracle/events/rows.h"

namespace events {
namespace {

constexpr u32 kTrace = kTracepoint | kRaw;

constexpr Row kRows[] = {
    {kTrace, "sched:sched_process_fork", "parent=parent_pid:pid comm=parent_comm:str child=child_pid:pid name=child_comm:str",
     "parent=arg0->pid:pid child=arg1->pid:pid comm=arg1->comm:str tgid=arg1->tgid:pid leader=arg1->group_leader->pid:pid "
     "real=arg1->real_parent->pid:pid"},
    {kTrace, "sched:sched_process_exec", "name=filename:str pid=pid:pid old=old_pid:pid",
     "comm=arg0->comm:str old=arg1:pid name=arg2->filename:str argc=arg2->argc interp=arg2->interp:str"},
    {kTrace, "sched:sched_process_exit", "comm=comm:str pid=pid:pid prio=prio",
     "pid=arg0->pid:pid comm=arg0->comm:str code=arg0->exit_code parent=arg0->real_parent->pid:pid flags=arg0->flags:x"},
    {kTrace, "task:task_newtask", "pid=pid:pid comm=comm:str flags=clone_flags:x oom=oom_score_adj",
     "pid=arg0->pid:pid tgid=arg0->tgid:pid flags=arg1:x"},
    {kTrace, "task:task_rename", "pid=pid:pid old=oldcomm:str new=newcomm:str", "pid=arg0->pid:pid new=arg1:str"},
    {kTrace, "signal:signal_generate", "sig=sig errno=errno code=code comm=comm:str pid=pid:pid group=group result=result",
     "sig=arg0 task=arg2->pid:pid group=arg3 result=arg4"},
    {kFunction, "__set_task_comm", "task=arg0->pid:pid name=arg1:str exec=arg2", ""},
    {kTrace, "sched:sched_process_wait", "comm=comm:str pid=pid:pid prio=prio", "pid=arg0"},
    {kFunction, "kernel_clone",
     "flags=arg0->flags:x signal=arg0->exit_signal stack=arg0->stack:set child=arg0->child_tid:set parent=arg0->parent_tid:set",
     "ret=ret:pid"},
    {kFunction, "wake_up_new_task", "child=arg0->pid:pid comm=arg0->comm:str", ""},
    {kEntry, "do_group_exit", "code=arg0:x"},
    {kEntry, "do_exit", "code=arg0:x"},
    {kFunction, "do_send_sig_info", "sig=arg0 task=arg2->pid:pid type=arg3", "ret=ret"},
    {kFunction, "sched_fork", "flags=arg0:x child=arg1->comm:str", "ret=ret"},
    {kFunction, "security_task_alloc", "comm=arg0->comm:str flags=arg1:x", "ret=ret"},
    {kFunction, "security_task_kill", "task=arg0->pid:pid sig=arg2", "ret=ret"},
    {kFunction, "security_task_setnice", "task=arg0->pid:pid nice=arg1", "ret=ret"},
    {kFunction, "security_task_prctl", "option=arg0 arg2=arg1:set arg3=arg2", "ret=ret"},
    {kFunction, "security_task_getpgid", "task=arg0->pid:pid", "ret=ret"},
    {kFunction, "security_task_setpgid", "task=arg0->pid:pid group=arg1:pid", "ret=ret"},
    {kFunction, "security_task_getsid", "task=arg0->pid:pid", "ret=ret"},
    {kFunction, "security_task_getscheduler", "task=arg0->pid:pid", "ret=ret"},
    {kFunction, "security_task_setscheduler", "task=arg0->pid:pid", "ret=ret"},
    {kFunction, "security_task_getioprio", "task=arg0->pid:pid", "ret=ret"},
    {kFunction, "security_task_setioprio", "task=arg0->pid:pid value=arg1:x", "ret=ret"},
    {kFunction, "security_task_setrlimit", "task=arg0->pid:pid resource=arg1 soft=arg2->rlim_cur", "ret=ret"},
    {kFunction, "security_task_prlimit", "flags=arg2", "ret=ret"},
    {kFunction, "security_path_chroot", "name=arg0->dentry->d_name.name:str", "ret=ret"},
    {kFunction, "security_syslog", "type=arg0", "ret=ret"},
    {kFunction, "security_bprm_creds_for_exec", "name=arg0->filename:str argc=arg0->argc", "ret=ret"},
    {kFunction, "security_bprm_check", "name=arg0->filename:str file=arg0->file->f_path.dentry->d_name.name:str", "ret=ret"},
    {kKprobe | kFentry, "security_bprm_committing_creds", "name=arg0->filename:str"},
    {kKprobe | kFentry, "security_bprm_committed_creds", "name=arg0->filename:str comm=current->comm:str"},
    {kFunction, "security_capable", "cap=arg2 options=arg3", "ret=ret"},
    {kFunction, "cap_capable", "cap=arg2 options=arg3", "ret=ret"},
    {kKprobe | kKretprobe, "do_nanosleep", "clock=arg0->timer.base->clockid mode=arg1", "ret=ret"},
    {kUprobe | kUretprobe, "probed_sum", "a=arg0 b=arg1 text=arg2:ustr", "ret=ret"},
    {kUprobe | kUretprobe, "probed_depth", "n=arg0", "ret=ret"},
    {kUprobe | kUretprobe, "probed_failure", "number=arg0", "ret=ret"},
    {kUsdt, "turn", "number=arg0 text=arg1:ustr"},
    {kUsdt, "middle", "number=arg0 text=arg1:ustr"},
};

}  // namespace

std::span<const Row> process_rows() { return kRows; }

std::vector<Row> all_rows() {
  std::vector<Row> rows;
  for (const auto family : {file_rows(), name_rows(), security_rows(), process_rows(), socket_rows(), memory_rows(), call_rows()})
    rows.insert(rows.end(), family.begin(), family.end());
  return rows;
}

}  // namespace events
