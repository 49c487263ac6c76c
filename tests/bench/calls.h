// SPDX-License-Identifier: Apache-2.0
// bpf() calls against the clock: the same against a real kernel, under bpfemu and with the model in one process.
#pragma once

#include <linux/bpf.h>

#ifdef __cplusplus
extern "C" {
#endif

// bpf(), whoever answers it: a descriptor or 0, negative on error.
typedef long (*bench_bpf)(int command, union bpf_attr* attr, unsigned size);

// Prints a line a measurement: name, best of the rounds, unit; between tabs. `scale` 1 for calls that cost 100 ns,
// greater for dearer ones. Only what has `wanted` in its name. Ends the process with 1 when a call fails.
int bench_calls(bench_bpf bpf, unsigned scale, const char* wanted);

#ifdef __cplusplus
}
#endif
