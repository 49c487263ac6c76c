// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/bpf.h>

#include "emu/base/types.h"

namespace bpfemu {

// Does a program of this type run on a packet, a struct sk_buff? A flow dissector's context has the same type in BTF and
// is none.
constexpr bool is_packet_program(u32 type) {
  constexpr u32 kTypes[] = {BPF_PROG_TYPE_SOCKET_FILTER, BPF_PROG_TYPE_SCHED_CLS,     BPF_PROG_TYPE_SCHED_ACT,
                            BPF_PROG_TYPE_CGROUP_SKB,    BPF_PROG_TYPE_LWT_IN,        BPF_PROG_TYPE_LWT_OUT,
                            BPF_PROG_TYPE_LWT_XMIT,      BPF_PROG_TYPE_LWT_SEG6LOCAL, BPF_PROG_TYPE_SK_SKB};
  for (u32 each : kTypes) {
    if (each == type) return true;
  }
  return false;
}

}  // namespace bpfemu
