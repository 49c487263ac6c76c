// SPDX-License-Identifier: Apache-2.0
#include "emu/runtime/mem.h"

#include "emu/base/types.h"

namespace {

// From here on the string instructions, which take some tens of cycles to start, are faster than words.
constexpr __SIZE_TYPE__ kStringSize = 256;
constexpr __SIZE_TYPE__ kWord = sizeof(bpfemu::u64);
// Unaligned, of any type: what memory functions may look through.
using Word [[gnu::aligned(1), gnu::may_alias]] = bpfemu::u64;

}  // namespace

extern "C" {

void* memcpy(void* to, const void* from, __SIZE_TYPE__ size) {
  auto* out = static_cast<unsigned char*>(to);
  auto* in = static_cast<const unsigned char*>(from);
  if (size >= kStringSize) {
    asm volatile("rep movsb" : "+D"(out), "+S"(in), "+c"(size) : : "memory");
    return to;
  }
  for (; size >= kWord; size -= kWord, out += kWord, in += kWord) {
    *reinterpret_cast<Word*>(out) = *reinterpret_cast<const Word*>(in);
  }
  while (size--) *out++ = *in++;
  return to;
}

void* memmove(void* to, const void* from, __SIZE_TYPE__ size) {
  auto* out = static_cast<unsigned char*>(to);
  auto* in = static_cast<const unsigned char*>(from);
  if (out <= in || out >= in + size) {
    while (size--) *out++ = *in++;
  } else {
    while (size--) out[size] = in[size];
  }
  return to;
}

void* memset(void* to, int byte, __SIZE_TYPE__ size) {
  auto* out = static_cast<unsigned char*>(to);
  if (size >= kStringSize) {
    asm volatile("rep stosb" : "+D"(out), "+c"(size) : "a"(byte) : "memory");
    return to;
  }
  const bpfemu::u64 word = 0x0101010101010101u * static_cast<unsigned char>(byte);
  for (; size >= kWord; size -= kWord, out += kWord) *reinterpret_cast<Word*>(out) = word;
  while (size--) *out++ = static_cast<unsigned char>(byte);
  return to;
}

int memcmp(const void* a, const void* b, __SIZE_TYPE__ size) {
  auto* left = static_cast<const unsigned char*>(a);
  auto* right = static_cast<const unsigned char*>(b);
  for (; size >= kWord; size -= kWord, left += kWord, right += kWord) {
    if (*reinterpret_cast<const Word*>(left) != *reinterpret_cast<const Word*>(right)) break;
  }
  for (; size--; ++left, ++right) {
    if (*left != *right) return *left - *right;
  }
  return 0;
}

}  // extern "C"
