#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/support.md from the tables in emu/abi, so that what is said is what is built.

usage: gen_support.py [--check]   (--check: exit 1 when docs/support.md is not what the tables say)
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
OUT = os.path.join(ROOT, "docs/support.md")


def rows(table, macro):
    """The arguments of every use of a macro in a table, strings unquoted."""
    text = open(os.path.join(ROOT, "emu/abi", table)).read()
    text = re.sub(r"//[^\n]*|^#[^\n]*(\\\n[^\n]*)*", "", text, flags=re.M)
    for m in re.finditer(r"^%s\(((?:[^()\"]|\"[^\"]*\"|\([^()]*\))*)\)" % macro, text, re.M):
        args = re.findall(r"\s*((?:\"[^\"]*\"\s*)+|(?:[^,()\"]|\([^()]*\))+)\s*(?:,|$)", m[1])
        yield [re.sub(r"\"\s*\"", "", a.strip()).strip('"') if a.strip().startswith('"') else a.strip() for a in args]


def table(heads, lines):
    return "\n".join(["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)] +
                     ["| " + " | ".join(line) + " |" for line in lines]) + "\n"


functions = {int(r[0]) for macro in ("HELPER_FN", "HELPER_JIT") for r in rows("helper_functions.inc", macro)}
helpers = list(rows("helpers.inc", "HELPER"))
running = [h for h in helpers if int(h[0]) in functions]
checked = [h for h in helpers if int(h[0]) not in functions]
names = lambda hs: ", ".join("%s (%s)" % (h[1], h[0]) for h in hs)
kfuncs = [[r[0] for r in rows("kfuncs.inc", macro)] for macro in ("KFUNC", "KFUNC_KNOWN")]
maps = list(rows("map_types.inc", "MAP_TYPE"))

text = """# What is modelled

Written by `scripts/gen_support.py` from the tables in `emu/abi`. The claimed kernel is Debian's 6.1. What it has and the
model lacks gives the errno of a kernel without it and a line `bpfemu: not modelled: ...` at the end of the run.

## bpf() commands

%s
## Map types

%s
## Helpers

%d of %d can be called: %s.

Known to the verifier, but a program that calls them is refused as not modelled: %s.

## Kernel functions that programs call

These run: %s.

Known to the verifier, but a program that calls them is refused as not modelled where it would run: %s.

## Iterators

What programs of BPF_TRACE_ITER walk. Threads are those of the supervised tree, by the numbers that the reader knows them by; a process
that has ended and that nobody has waited for is not among them. Others exist to the verifier; a link of one is EOPNOTSUPP.
Of `struct bpf_map`, `bpf_prog`, `bpf_prog_aux`, `bpf_link` and `btf` there is what a tool can ask for, the rest is 0. pread() of
an iterator is ESPIPE.

%s
## Program types

The verifier knows the context and the helpers of all of these; which of them an event can start is said under Events.

%s
## Events

All of `syscalls:*` as tracepoints, `raw_syscalls:*`, and: %s. Other events of the kernel can be listed and read in tracefs; attaching to
them is refused and noted as not modelled. So is reading or mapping a perf event of one; but it can be opened, and a program
that nobody would notice (it calls nothing, writes to nothing but its stack, and its result is for nobody) may hang there, as
loaders try it out: like on the claimed kernel.

`signal_generate` tells of what supervised processes send, of the ends of their children, and of what the kernel sends them.
Not of signals from outside and of PR_SET_PDEATHSIG (noted), nor of the SIGCHLD that an orphan's reaper gets for a child
that had ended before its parent did. `signal_deliver` tells of all that a supervised thread is delivered; of a default action that ends or
stops it `sa_flags` is 0 whatever sigaction() gave with it, and signals from outside count as sent when they were not blocked. Kernel stacks are those of Debian's build; where the way to an event was not recorded, as from
timer interrupts, there is none, which is noted. So is a raw tracepoint program that asks for `struct linux_binprm`. Of the
kernel's structs the model fills in what it knows; members beyond that are zero, and those that a program reads are named at
the end.

## Kernel functions that probes hit

kprobe, kretprobe, fentry and fexit on `do_syscall_64`, `x64_sys_call`, `__x64_sys_*`, `__ia32_*` (which 64-bit processes
never reach) and: %s. Of bpf's own functions, those of all helpers, but where the kernel puts instructions or a map's
function in the place of a call, and: %s. Others exist
in /proc/kallsyms; of them the same is true as of other events. Attaching further into a function than behind the nop that begins it is
refused and noted as not modelled. kprobe.multi is EOPNOTSUPP: the claimed kernel is built without it.

`cap_capable` and `security_capable` are passed where a system call asks for a capability itself. Not told, and without a
note: what files' modes and owners make the kernel ask (CAP_DAC_OVERRIDE, CAP_FOWNER and their like).

What sendfile, splice and copy_file_range move makes `security_file_permission` and `vfs_iter_write` pass as often as on a kernel
where both ends are files of ext4 or tmpfs, pipes or sockets; what else they move is noted.

The word that a thread clears at its end passes `do_futex` when the thread was made while somebody listened. `do_send_sig_info` is told of what
`signal_generate` is told of. Not told, and noted: the file of shared memory (shmat), which of several threads a fault ends
(`do_group_exit`), and mremap() that moves to a given place and leaves the old one mapped.

bpf_probe_write_user fails where the page is to be copied first, as on a kernel. It writes where a kernel fails on a page that
a fork shared with a process that has ended since, and on a page of a disk file, mapped shared, that is clean.

A task's `se.cfs_rq` counts the supervised threads that run on its CPU or wait for it, nobody else's.

LSM programs (BPF_LSM_MAC) deny, and are told of, what passes these hooks of security modules: %s. Those of the `security_*`
functions around them that return something can be modified by fmod_ret programs, and all can have programs of cgroups
(BPF_LSM_CGROUP). Attaching to others is noted as not modelled. A signal to several processes, setpriority() of several, and the messages behind the first of sendmmsg() and
recvmmsg() are not asked about one by one; who denies an execve what it maps does not end it: that is noted. `ptrace_access_check`
is told for ptrace() and process_vm_*(), not for files in /proc.

fentry and fexit programs on functions of programs see what those are called with, the kernel's sk_buff or xdp_buff in the
place of the context; freplace programs run in their place.

Of sockets the hooks are told from what the host's own sockets say. Both ends of a connection on this machine are told, in the
order and the task in which one CPU does it; of a connection to elsewhere, this end alone. What connect() leads to inside the
kernel is told when it returns. What happens between calls (a peer elsewhere closes, a closed connection comes to its end) is
told within 50 ms (later where there are thousands), for the idle task, and segments that arrive at the next call on the socket. Packets are those of the
loopback device, without sequence numbers; `kfree_skb` tells of SYNs that meet no listener, of what a connection leaves in
its queues, and of the packets of test runs. A message received from a UNIX stream is one sk_buff. On hosts without sock_diag the other end is not told.

sock_ops programs of cgroups are called in that order, too: listen, connect, the questions for initial timeout, window and ECN,
both established callbacks, changes of state and samples of the round-trip time. connect() is told when it returns, so what a
program sets of the socket then comes behind the SYN, and its answers about timeout, window and ECN are noted and not heeded;
so are callbacks for retransmissions and header options, and fields that the host does not tell (sequence numbers, the hash). Of segments the host shows no header options: bpf_load_hdr_opt finds none, which is noted.

kprobe_events, uprobe_events and dynamic_events take everything that the kernel takes but event probes and synthetic events;
error_log, kprobe_profile and uprobe_profile show what they show there. Fetch arguments are fetched into the records that
samples and the trace carry; memory of the kernel that is not modelled is a fault there, aloud.

## tracefs and perf

An event that is modelled can be turned on in tracefs: `enable` of an event, a system or all, `set_event`, `set_event_pid`,
`set_event_notrace_pid`, `filter` with the kernel's language and its error texts. Its records are lines of `trace` and
`trace_pipe`, as 6.1 prints them; of a line's head, need-resched is not told, and the name of the task is the one that it had
then. `trace_options` that change lines are obeyed but `bin`, `latency-format` and the stack traces; `tracing_on`, `trace_marker`,
`buffer_size_kb`, `per_cpu/cpuN/trace` work. Turning on a system or all leaves out what is not modelled, with a line. Tracers other
than nop, triggers, instances and trace_pipe_raw are not modelled. With tracepoints, kprobes and uprobes perf counts and samples:
raw records, kernel and user stacks, groups, filters, inheritance, and records of comm, mmap, fork and exit; of switches,
namespaces, cgroups and loaded programs there are none. An inode's generation is 0 in records of mappings.

## System calls

Answered or watched even when no probe asks for them; all others run natively.

%s
""" % (
    table(["command", "since", "note"], ([r[0], "%s.%s" % (r[1], r[2]), r[5] or "as the kernel"]
                                         for r in rows("commands.inc", "COMMAND"))),
    table(["type", "since", "note"], ([r[2], "%s.%s" % (r[3], r[4]), r[8] or "as the kernel"] for r in maps)),
    len(running), len(helpers), names(running), names(checked),
    *(", ".join("`%s`" % name for name in group) for group in kfuncs),
    table(["target", "since", "note"], ([r[0], "%s.%s" % (r[1], r[2]), "not modelled" if r[3] == "nullptr" else r[5] or "as the kernel"]
                                        for r in rows("iter_targets.inc", "ITER_TARGET"))),
    table(["type", "since"], ([r[2], "%s.%s" % (r[3], r[4])] for r in rows("prog_types.inc", "PROG_TYPE"))),
    ", ".join("`%s:%s`" % (r[0], r[1]) for r in rows("hooks.inc", "TRACEPOINT")),
    ", ".join("`%s`" % r[1].strip('"') for r in rows("hooks.inc", "FUNCTION")),
    ", ".join("`%s`" % r[0] for r in rows("bpf_functions.inc", "BPF_FUNCTION")),
    ", ".join("`%s`" % r[0] for r in rows("lsm_hooks.inc", "LSM_HOOK")),
    table(["call", "note"], ([r[0], r[5]] for r in rows("traced_syscalls.inc", "SYSCALL"))),
)

if "--check" in sys.argv:
    same = os.path.exists(OUT) and open(OUT).read() == text
    if not same:
        print("docs/support.md differs from the tables: run scripts/gen_support.py")
    sys.exit(0 if same else 1)
os.makedirs(os.path.dirname(OUT), exist_ok=True)
with open(OUT, "w") as f:
    f.write(text)
