// SPDX-License-Identifier: Apache-2.0
// SHA-256 (FIPS 180-4, 6.2).
#pragma once

#include <array>
#include <span>

#include "emu/base/types.h"

namespace bpfemu {

class Sha256 {
 public:
  void add(std::span<const u8> bytes);
  std::array<u8, 32> finish();

 private:
  void add_block(const u8* block);

  std::array<u32, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                               0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<u8, 64> rest_{};  // of a block that is not whole yet
  u64 size_ = 0;
};

}  // namespace bpfemu
