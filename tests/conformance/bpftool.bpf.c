// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// What bpftool-commands.txt shows: programs of several types, with functions, lines, global data and maps.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct value {
  __u64 count;
  __s32 last;
  char name[8];
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 8);
  __type(key, __u32);
  __type(value, struct value);
} counts SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 4);
  __type(key, __u32);
  __type(value, __u64);
} slots SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 2);
  __type(key, __u32);
  __type(value, __u64);
} per_cpu SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __uint(max_entries, 2);
  __type(key, __u32);
  __type(value, __u32);
} calls SEC(".maps");

const volatile __u32 limit = 100;
__u32 total = 7;
__u64 seen;

static __attribute__((noinline)) int add(struct __sk_buff* skb, __u32 key)
{
  struct value fresh = {.count = 1, .last = (int)skb->len, .name = "fresh"};
  struct value* old = bpf_map_lookup_elem(&counts, &key);
  if (!old)
    return (int)bpf_map_update_elem(&counts, &key, &fresh, BPF_NOEXIST);
  __sync_fetch_and_add(&old->count, 1);
  old->last = (int)skb->len;
  return 0;
}

SEC("tc")
int classify(struct __sk_buff* skb)
{
  __u32 key = skb->len & 3;
  __u64* slot = bpf_map_lookup_elem(&slots, &key);
  if (slot)
    *slot += 1;
  if (skb->len > limit)
    bpf_tail_call(skb, &calls, 1);
  seen += 1;
  return add(skb, key);
}

SEC("socket")
int filter(struct __sk_buff* skb)
{
  return skb->protocol == 8 ? (int)skb->len : 0;
}

SEC("xdp")
int pass(struct xdp_md* context)
{
  void* data = (void*)(long)context->data;
  void* end = (void*)(long)context->data_end;
  return data + 14 > end ? XDP_DROP : XDP_PASS;
}

static int step(__u32 index, void* context)
{
  *(__u32*)context += index;
  return 0;
}

SEC("raw_tp/sys_enter")
int on_call(void* context)
{
  __u32 sum = 0, key = 1;
  __u64* mine = bpf_map_lookup_elem(&per_cpu, &key);
  if (mine)
    *mine += 1;
  bpf_loop(4, step, &sum, 0);
  total = sum;
  return 0;
}

SEC("cgroup_skb/egress")
int out(struct __sk_buff* skb)
{
  return skb->len < 65000;
}

SEC("cgroup/sock_create")
int create(struct bpf_sock* sock)
{
  return sock->family != 77;
}

SEC("cgroup/dev")
int device(struct bpf_cgroup_dev_ctx* context)
{
  return context->major != 250;
}

char LICENSE[] SEC("license") = "GPL";
