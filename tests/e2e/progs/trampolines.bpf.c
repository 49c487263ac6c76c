// SPDX-License-Identifier: Apache-2.0
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "trampolines.h"

char LICENSE[] SEC("license") = "GPL";

struct open_how { __u64 flags, mode, resolve; } __attribute__((preserve_access_index));
struct pt_regs { unsigned long di; } __attribute__((preserve_access_index));

struct Seen seen;

static int ours(void) { return bpf_get_current_pid_tgid() >> 32 == seen.watched; }

SEC("fentry/do_sys_openat2")
int BPF_PROG(on_open, int dfd, const char *filename, struct open_how *how) {
  if (!ours()) return 0;
  seen.opens++;
  seen.flags = how->flags;
  bpf_probe_read_user_str(seen.name, sizeof seen.name, filename);
  return 0;
}

SEC("fexit/do_sys_openat2")
int BPF_PROG(on_opened, int dfd, const char *filename, struct open_how *how, long ret) {
  if (!ours()) return 0;
  __u64 value = 0;
  seen.result = ret;
  seen.arguments = bpf_get_func_arg_cnt(ctx);
  bpf_get_func_ret(ctx, &value);
  seen.by_helper = value;
  bpf_get_func_arg(ctx, 1, &value);
  seen.wrong = bpf_get_func_ip(ctx) == 0 || value != (unsigned long)filename;
  return 0;
}

SEC("fentry/__x64_sys_openat")
int BPF_PROG(on_handler, struct pt_regs *regs) {
  if (!ours()) return 0;
  seen.handlers++;
  seen.descriptor = regs->di;
  return 0;
}

SEC("fentry/__x64_sys_stat")
int BPF_PROG(on_silent, struct pt_regs *regs) {
  seen.silent++;
  return 0;
}

SEC("kprobe.multi/")
int on_entry(void *ctx) {
  return 0;
}
