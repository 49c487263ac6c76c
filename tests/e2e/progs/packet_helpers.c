// SPDX-License-Identifier: Apache-2.0
// The tool of packet_helpers.bpf.c: runs each program on a packet, and prints what it found and how the packet has
// changed.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "packet_helpers.skel.h"

enum { kSize = 120 };

// A SYN over IPv4 that announces segments of 1450 bytes; the sender understands congestion marks (ECT(0)).
static const unsigned char tcp4[kSize] = {
    0,    0,    0, 0,   0, 0, 0, 0, 0,  0, 0,    0,    0x08, 0x00,                           // Ethernet
    0x45, 0x02, 0, 106, 0, 1, 0, 0, 64, 6, 0x12, 0x34, 10,   0,    0,    1,    10, 0, 0, 2,  // IPv4
    0x30, 0x39, 0, 80,  0, 0, 1, 0, 0,  0, 0,    0,    0x60, 0x02, 0xff, 0xff, 0,  0, 0, 0, 2, 4, 0x05, 0xaa};
static const unsigned char tcp6[kSize] = {
    0,    0,    0, 0, 0, 0,  0, 0,  0,    0, 0,        0,    0x86, 0xdd,  // Ethernet
    0x60, 0x10, 0, 0, 0, 66, 6, 64, 0x20, 1, [37] = 1, 0x20, 1,    [53] = 2, 0x30, 0x39, 0, 80};

static void tell(struct packet_helpers* skel, const char* name, int status, int result) {
  printf("%s: %s, %d:", name, status ? strerror(errno) : "ran", result);
  for (unsigned i = 0; i < skel->bss->found; ++i) printf(" %lld", (long long)skel->bss->results[i]);
  printf("\n");
}

static void run(struct packet_helpers* skel, struct bpf_program* program, const unsigned char* packet, int gso) {
  unsigned char out[kSize + 64];
  struct __sk_buff skb = {.gso_size = gso, .gso_segs = gso ? 2 : 0};
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet, .data_size_in = kSize, .data_out = out,
              .data_size_out = sizeof out);
  if (gso) options.ctx_in = &skb, options.ctx_size_in = sizeof skb;
  memset(skel->bss->results, 0, sizeof skel->bss->results);
  skel->bss->found = 0;
  const int status = bpf_prog_test_run_opts(bpf_program__fd(program), &options);
  tell(skel, bpf_program__name(program), status, options.retval);
  if (options.data_size_out != kSize) printf("  %u bytes\n", options.data_size_out);
  for (unsigned i = 0; i < kSize && options.data_size_out == kSize; ++i)
    if (out[i] != packet[i] && i < 34) printf("  byte %u: %02x, %02x\n", i, packet[i], out[i]);
  if (options.data_size_out == kSize) return;
  printf("  starts");
  for (unsigned i = 12; i < 40; ++i) printf(" %02x", out[i]);
  printf("\n");
}

static void choose(struct packet_helpers* skel) {
  struct bpf_sk_lookup context = {.family = 2, .protocol = 6, .local_port = 80};
  LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &context, .ctx_size_in = sizeof context);
  skel->bss->found = 0;
  const int status = bpf_prog_test_run_opts(bpf_program__fd(skel->progs.choose), &options);
  tell(skel, "choose", status, options.retval);
}

int main(void) {
  struct packet_helpers* skel = packet_helpers__open_and_load();
  if (!skel) return 1;
  run(skel, skel->progs.sums, tcp4, 0);
  run(skel, skel->progs.congested, tcp4, 0);
  run(skel, skel->progs.congested, tcp6, 0);
  run(skel, skel->progs.delivery, tcp4, 0);
  run(skel, skel->progs.tunnel, tcp4, 0);
  run(skel, skel->progs.other_protocol, tcp4, 0);
  run(skel, skel->progs.and_back, tcp6, 0);
  run(skel, skel->progs.sockets, tcp4, 0);
  run(skel, skel->progs.away, tcp4, 0);
  run(skel, skel->progs.fits, tcp4, 0);
  run(skel, skel->progs.fits, tcp4, 100);
  run(skel, skel->progs.frame_fits, tcp4, 0);
  run(skel, skel->progs.cookies, tcp4, 0);
  choose(skel);
  packet_helpers__destroy(skel);
}
