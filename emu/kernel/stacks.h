// SPDX-License-Identifier: Apache-2.0
// Stacks of the claimed kernel: which functions lie between an event and the user's system call or fault, and where
// each of them goes on. The rows are in emu/abi/kernel_stacks.inc.
#pragma once

#include <string_view>
#include <vector>

#include "emu/base/types.h"

namespace bpfemu {

class Symbols;

enum class StackPart : u8 {
  kBottom,
  kUnknown,  // no row: a program that asks for the stack is told that there is none
  kInCall,
  kLeavingCall,
  kDispatched,
  kOpener,
  kCloser,
  kReader,
  kWriter,
  kReadFunction,
  kWriteFunction,
  kSyncer,
  kSyncFunction,
  kAllocator,
  kCopier,
  kFileOpener,
  kVfsOpener,
  kOwnOpener,
  kOpenChecker,
  kCreateChecker,
  kUnnamedOpener,
  kAccessChecker,
  kTruncater,
  kUnlinker,
  kRmdirer,
  kFolderMaker,
  kNodeMaker,
  kSymlinker,
  kLinker,
  kRenamer,
  kPathUnlinkChecker,
  kInodeUnlinkChecker,
  kPathRmdirChecker,
  kInodeRmdirChecker,
  kPathMkdirChecker,
  kInodeMkdirChecker,
  kPathSymlinkChecker,
  kInodeSymlinkChecker,
  kPathLinkChecker,
  kInodeLinkChecker,
  kPathRenameChecker,
  kInodeRenameChecker,
  kPathMknodChecker,
  kInodeMknodChecker,
  kCreator,
  kReadlinkChecker,
  kGetattrChecker,
  kVfsUnlinker,
  kVfsRmdirer,
  kNameMaker,
  kVfsFolderMaker,
  kVfsNodeMaker,
  kVfsSymlinker,
  kVfsLinker,
  kVfsRenamer,
  kAsker,
  kStatx,
  kGetattr,
  kFstat,
  kLinkReader,
  kPathTruncater,
  kTimeSetter,
  kAttributes,
  kSyscallEnter,
  kSyscallExit,
  kFirstReturn,
  kSwitch,
  kFork,
  kForker,
  kNewTask,
  kNewWakeup,
  kSetComm,
  kCommSetter,
  kExec,
  kExit,
  kNotifyParent,
  kNotifyParentOfLeader,
  kExitCall,
  kKilled,
  kSignalInCall,
  kSignalInUser,
  kPageFault,
  kInvalidOpcode,
  kProtectionFault,
  kBreakpointTrap,
  kInterrupt,
  kSocketMaker,
  kSocketAllocator,
  kSocketMade,
  kBindChecker,
  kBinder,
  kListenChecker,
  kListener,
  kConnectChecker,
  kConnecter,
  kTcpConnecter,
  kAcceptChecker,
  kAccepter,
  kSocketCloser,
  kSend,
  kSender,
  kGroupSender,
  kForced,
  kForcedByPageFault,
  kForcedByInvalidOpcode,
  kForcedByProtectionFault,
  kForcedByBreakpoint,
  kDelivered,
  kEndDelivered,
};

// Addresses, innermost first.
struct KernelFrames {
  static constexpr u32 kMost = 24;
  u64 ips[kMost] = {};
  u32 count = 0;

  void push(u64 ip) {
    if (count < kMost) ips[count++] = ip;
  }
};

// Beside a call's number, or kAnyCall: it goes another way than most of that number.
inline constexpr long kAnyCall = 0xffff;
inline constexpr long kOfStream = 1 << 16;       // reads or writes a file without a position, as pipes and sockets
inline constexpr long kOfPath = 2 << 16;         // O_PATH
inline constexpr long kUnnamed = 3 << 16;        // O_TMPFILE
inline constexpr long kOfInterpreter = 4 << 16;  // execve, when it opens the one that an ELF file names
inline constexpr long kOfScript = 5 << 16;       // execve, when it opens the one that a script names
inline constexpr long kOfDescriptor = 6 << 16;   // of no path
inline constexpr long kAwaited = 7 << 16;        // CLONE_VFORK

class KernelStacks {
 public:
  explicit KernelStacks(const Symbols& symbols);
  // Appends the part and all that follow it outwards, in this system call (-1: in none) and on its way. False: not
  // recorded.
  bool append(StackPart part, long call, KernelFrames& frames) const;

 private:
  struct Row {
    StackPart part;
    long call;
    StackPart next;
    std::vector<u64> ips;
  };
  const Row* find(StackPart part, long call) const;

  std::vector<Row> rows_;
};

}  // namespace bpfemu
