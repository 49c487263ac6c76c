// SPDX-License-Identifier: Apache-2.0
// The runtime's own mem*: libc is not there in a traced process. Included in front of every runtime source (`freestanding`
// in meson.build), so that the calls that the compiler makes up for copies go there too. As in libc. Runtime code.
#pragma once

extern "C" {
void* memcpy(void* to, const void* from, __SIZE_TYPE__ size) __asm__("bpfemu_memcpy");
void* memmove(void* to, const void* from, __SIZE_TYPE__ size) __asm__("bpfemu_memmove");
void* memset(void* to, int byte, __SIZE_TYPE__ size) __asm__("bpfemu_memset");
int memcmp(const void* a, const void* b, __SIZE_TYPE__ size) __asm__("bpfemu_memcmp");
}
