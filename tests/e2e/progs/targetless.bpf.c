// SPDX-License-Identifier: Apache-2.0
// Programs that only their loader can complete: no verdict of theirs is without a reason.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

SEC("fentry")
int without_target(void *ctx) {
  return 0;
}
SEC("fentry/no_such_function")
int wrong_target(void *ctx) {
  return 0;
}
SEC("freplace/other")
int replaces(int number) {
  return number;
}
SEC("a_section_of_our_own")
int ours(void *ctx) {
  return 0;
}
SEC("kprobe/do_unlinkat")
int good(void *ctx) {
  return 0;
}
