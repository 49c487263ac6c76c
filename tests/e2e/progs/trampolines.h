// SPDX-License-Identifier: Apache-2.0
// What the programs of trampolines.bpf.c saw: the only thing in their .bss.
struct Seen {
  int watched;  // only what this process does counts
  int opens, arguments, wrong, handlers, descriptor, silent;
  unsigned long flags;
  long result, by_helper;
  char name[64];
};
