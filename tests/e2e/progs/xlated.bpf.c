// SPDX-License-Identifier: Apache-2.0
// Programs whose rewriting by the kernel xlated shows. xlated-6.1.txt is what bpftool printed of them on a real 6.1.
#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>

#include <bpf/bpf_helpers.h>

#define MAP(name, kind, key_type, value_type)   \
  struct {                                      \
    __uint(type, BPF_MAP_TYPE_##kind);          \
    __type(key, key_type);                      \
    __type(value, value_type);                  \
    __uint(max_entries, 8);                     \
  } name SEC(".maps")

struct odd {
  int numbers[5];
};
MAP(hash, HASH, int, long);
MAP(lru, LRU_HASH, int, long);
MAP(array, ARRAY, int, long);
MAP(odds, ARRAY, int, struct odd);
MAP(each_array, PERCPU_ARRAY, int, long);
MAP(each_hash, PERCPU_HASH, int, long);
MAP(devices, DEVMAP, int, int);
MAP(programs, PROG_ARRAY, int, int);

long seen;

static int count(void* map, int* key, long* value, void* context) {
  return 0;
}

SEC("tracepoint/syscalls/sys_enter_openat") int lookups(void* context) {
  int key = 1;
  long* value;
  struct odd* odd = bpf_map_lookup_elem(&odds, &key);
  if (odd) seen += odd->numbers[1];
  if ((value = bpf_map_lookup_elem(&hash, &key))) seen += *value;
  if ((value = bpf_map_lookup_elem(&lru, &key))) seen += *value;
  if ((value = bpf_map_lookup_elem(&array, &key))) seen += *value;
  if ((value = bpf_map_lookup_elem(&each_array, &key))) seen += *value;
  if ((value = bpf_map_lookup_elem(&each_hash, &key))) seen += *value;
  return 0;
}

SEC("tracepoint/syscalls/sys_enter_openat") int calls(void* context) {
  int key = 1;
  long value = 2;
  bpf_map_update_elem(&hash, &key, &value, 0);
  bpf_map_delete_elem(&lru, &key);
  bpf_map_update_elem(&each_array, &key, &value, 0);
  bpf_map_update_elem(&each_hash, &key, &value, 0);
  bpf_for_each_map_elem(&hash, count, 0, 0);
  seen = (bpf_jiffies64() + bpf_ktime_get_ns()) / ((unsigned long)seen | 1);
  bpf_tail_call(context, &programs, 3);
  return 0;
}

SEC("xdp") int packet(struct xdp_md* context) {
  char *data = (char*)(long)context->data, *end = (char*)(long)context->data_end;
  if (data + 4 > end) return XDP_DROP;
  seen = context->ingress_ifindex + context->rx_queue_index + data[1];
  return bpf_redirect_map(&devices, 1, 0);
}

SEC("tc") int fields(struct __sk_buff* context) {
  seen = context->len + context->pkt_type + context->mark + context->queue_mapping + context->protocol +
         context->vlan_present + context->ifindex + context->tc_index + context->hash + context->tc_classid +
         context->napi_id + context->gso_segs + context->wire_len;
  context->mark = seen;
  context->queue_mapping = 3;
  context->cb[1] = seen;
  int parts, part;
  asm volatile("%0 = *(u8 *)(%1 + 0)" : "=r"(parts) : "r"(context));
  asm volatile("%0 = *(u16 *)(%1 + 8)" : "=r"(part) : "r"(context));
  parts += part;
  asm volatile("%0 = *(u8 *)(%1 + 69)" : "=r"(part) : "r"(context));
  return parts + part;
}

SEC("tc") int writes(struct __sk_buff* context) {
  char *data = (char*)(long)context->data, *end = (char*)(long)context->data_end;
  if (data + 4 > end) return 0;
  data[2] = 7;
  return context->sk ? 1 : 0;
}

SEC("cgroup_skb/egress") int sockets(struct __sk_buff* context) {
  seen = context->ifindex + context->remote_ip4 + context->remote_port + context->local_port + context->local_ip6[2] +
         context->family;
  return 1;
}

unsigned long long load_byte(void*, unsigned long long) asm("llvm.bpf.load.byte");
unsigned long long load_word(void*, unsigned long long) asm("llvm.bpf.load.word");

SEC("socket") int loads(struct __sk_buff* context) {
  return load_byte(context, load_word(context, 12) + 2);
}

SEC("perf_event") int sample(struct bpf_perf_event_data* context) {
  seen = context->sample_period + context->addr + context->regs.rip;
  return 0;
}

char LICENSE[] SEC("license") = "GPL";
