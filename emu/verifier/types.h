// SPDX-License-Identifier: Apache-2.0
// What registers, helper arguments and helper results can be: a base type in the low 8 bits, flags above.
// The order of the bases is part of the contract with the log (kernel: enum bpf_reg_type, bpf_arg_type,
// bpf_return_type).
#pragma once

#include "emu/base/types.h"

namespace bpfemu {

using RegType = u32;  // RegBase | flags
using ArgType = u32;  // ArgBase | flags
using RetType = u32;  // RetBase | flags

inline constexpr u32 kBaseTypeBits = 8;
constexpr u32 base_type(u32 type) {
  return type & ((1u << kBaseTypeBits) - 1);
}
constexpr u32 type_flags(u32 type) {
  return type & ~((1u << kBaseTypeBits) - 1);
}

inline constexpr u32 kMaybeNull = 1u << 8;   // must be compared with NULL before use
inline constexpr u32 kRdonly = 1u << 9;      // memory must not be written; as an argument: read-only memory is fine too
inline constexpr u32 kAlloc = 1u << 10;      // memory of bpf_ringbuf_reserve
inline constexpr u32 kUser = 1u << 11;       // user memory (type tag "user")
inline constexpr u32 kPercpu = 1u << 12;     // per-CPU variable: only for bpf_per_cpu_ptr and bpf_this_cpu_ptr
inline constexpr u32 kRelease = 1u << 13;    // argument: the call releases the reference
inline constexpr u32 kUntrusted = 1u << 14;  // pointer loaded from a kptr: may be read through, not handed on
inline constexpr u32 kUninit = 1u << 15;     // argument: the helper fills the memory
inline constexpr u32 kDynptrLocal = 1u << 16;
inline constexpr u32 kDynptrRingbuf = 1u << 17;
inline constexpr u32 kFixedSize = 1u << 18;  // argument: size is in HelperProto::arg_size
inline constexpr u32 kAligned = 1u << 25;    // argument with kFixedSize: must be aligned
inline constexpr u32 kMemWrite = 1u << 26;   // argument: the helper writes the memory
inline constexpr u32 kDynptrFlags = kDynptrLocal | kDynptrRingbuf;

enum RegBase : u32 {
  kNotInit = 0,
  kScalar,
  kPtrToCtx,
  kConstPtrToMap,
  kPtrToMapValue,
  kPtrToMapKey,
  kPtrToStack,
  kPtrToPacketMeta,
  kPtrToPacket,
  kPtrToPacketEnd,
  kPtrToFlowKeys,
  kPtrToSocket,
  kPtrToSockCommon,
  kPtrToTcpSock,
  kPtrToTpBuffer,
  kPtrToXdpSock,
  kPtrToBtfId,
  kPtrToMem,
  kPtrToBuf,
  kPtrToFunc,
  kPtrToDynptr,
  kRegBaseCount,
};

enum ArgBase : u32 {
  kArgNone = 0,  // the helper does not take this argument
  kArgConstMapPtr,
  kArgPtrToMapKey,
  kArgPtrToMapValue,
  kArgPtrToMem,
  kArgConstSize,
  kArgConstSizeOrZero,
  kArgPtrToCtx,
  kArgAnything,
  kArgPtrToSpinLock,
  kArgPtrToSockCommon,
  kArgPtrToSocket,
  kArgPtrToBtfId,
  kArgPtrToAllocMem,
  kArgConstAllocSizeOrZero,
  kArgPtrToBtfIdSockCommon,
  kArgPtrToPercpuBtfId,
  kArgPtrToFunc,
  kArgPtrToStack,
  kArgPtrToConstStr,
  kArgPtrToTimer,
  kArgPtrToKptr,
  kArgPtrToDynptr,
  kArgBaseCount,
};
inline constexpr ArgType kArgPtrToUninitMem = kUninit | kMemWrite | kArgPtrToMem;
inline constexpr ArgType kArgPtrToFixedSizeMem = kFixedSize | kArgPtrToMem;

enum RetBase : u32 {
  kRetInteger = 0,
  kRetVoid,
  kRetPtrToMapValue,
  kRetPtrToSocket,
  kRetPtrToTcpSock,
  kRetPtrToSockCommon,
  kRetPtrToAllocMem,
  kRetPtrToMemOrBtfId,
  kRetPtrToBtfId,
  kRetBaseCount,
};
inline constexpr RetType kRetPtrToAllocMemOrNull = kMaybeNull | kAlloc | kRetPtrToAllocMem;  // ringbuf_reserve
inline constexpr RetType kRetPtrToDynptrMemOrNull = kMaybeNull | kRetPtrToAllocMem;          // dynptr_data

// Kind of memory access, with the kernel's numbers (kernel: enum bpf_access_type).
enum class Access : u8 { kRead = 1, kWrite = 2 };

}  // namespace bpfemu
