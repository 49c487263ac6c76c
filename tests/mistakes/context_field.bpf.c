// SPDX-License-Identifier: Apache-2.0
// A member of the context that this type of program does not have.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("socket")
int keep_stamped(struct __sk_buff *skb) {
  return skb->tstamp ? skb->len : 0;
}

char LICENSE[] SEC("license") = "GPL";
