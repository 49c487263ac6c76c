// SPDX-License-Identifier: Apache-2.0
#include "loader/auxv.h"

#include <elf.h>
#include <sys/auxv.h>

#include <algorithm>
#include <optional>

#include "emu/base/bytes.h"
#include "loader/memory_worker.h"

namespace bpfemu {

namespace {

constexpr u64 kPage = 4096;
constexpr size_t kMost = size_t{8} << 20;  // the kernel lets arguments and environment have three quarters of that

// argc, the arguments and a null, the environment and a null, the vector and AT_NULL. Empty: they do not end in there.
template <class Word>
std::optional<AuxVector> parse(const std::vector<u8>& stack) {
  const size_t count = stack.size() / sizeof(Word);
  const auto word = [&](size_t i) -> u64 { return load<Word>(&stack[i * sizeof(Word)]); };
  size_t at = 1;
  for (int nulls = 0; nulls < 2; ++at) {
    if (at >= count) return std::nullopt;
    nulls += word(at) == 0;
  }
  AuxVector vector;
  for (; at + 1 < count; at += 2) {
    if (word(at) == AT_NULL) return vector;
    vector.words.insert(vector.words.end(), {word(at), word(at + 1)});
  }
  return std::nullopt;
}

}  // namespace

u64 AuxVector::of(u64 type) const {
  for (size_t i = 0; i < words.size(); i += 2)
    if (words[i] == type) return words[i + 1];
  return 0;
}

u64 AuxVector::first_image() const {
  const u64 interpreter = of(AT_BASE), own = of(AT_PHDR);
  return interpreter || own < sizeof(Elf64_Ehdr) ? interpreter : own - sizeof(Elf64_Ehdr);
}

Result<AuxVector> read_auxv(pid_t tid, u64 stack, bool compat) {
  std::vector<u8> bytes;
  while (bytes.size() < kMost) {
    const size_t known = bytes.size();
    bytes.resize(known + std::max<size_t>(known, kPage - stack % kPage));  // to the end of a page
    TRY(access_memory(tid, stack + known, &bytes[known], bytes.size() - known, Access::kRead));
    if (auto vector = compat ? parse<u32>(bytes) : parse<u64>(bytes)) return *vector;
  }
  return fail(EFAULT);
}

}  // namespace bpfemu
