// SPDX-License-Identifier: Apache-2.0
#include "emu/runtime/inside/image.h"

#include "emu/base/bytes.h"

extern "C" const unsigned char bpfemu_inside_image[];
extern "C" const unsigned long bpfemu_inside_image_size;

namespace bpfemu {

std::span<const u8> image_bytes() {
  return {bpfemu_inside_image, bpfemu_inside_image_size};
}

const InsideHead& image_head() {
  static const InsideHead head = load<InsideHead>(bpfemu_inside_image);
  return head;
}

HelperFn image_helper(u32 id) {
  const u8* at = bpfemu_inside_image + image_head().helpers;
  for (;; at += sizeof(InsideHelper)) {
    const InsideHelper helper = load<InsideHelper>(at);
    if (helper.function == 0) return nullptr;
    if (helper.id == id) return reinterpret_cast<HelperFn>(helper.function);
  }
}

}  // namespace bpfemu
