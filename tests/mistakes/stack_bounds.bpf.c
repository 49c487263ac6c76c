// SPDX-License-Identifier: Apache-2.0
// A helper is told that a buffer is larger than it is.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define NAME_MAX 64

struct open_args {
  __u64 unused;
  __s64 number;
  __u64 directory;
  const char *path;
};

SEC("tracepoint/syscalls/sys_enter_openat")
int print_opens(struct open_args *args) {
  char path[32];
  bpf_probe_read_user_str(path, NAME_MAX, args->path);
  bpf_printk("%s", path);
  return 0;
}

char LICENSE[] SEC("license") = "GPL";
