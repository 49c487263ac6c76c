// SPDX-License-Identifier: Apache-2.0
// One call of greet(), as the eBPF program reports it.
#pragma once

struct event {
  int pid;
  int times;
  char name[32];
};
