// SPDX-License-Identifier: Apache-2.0
// What changes of a file's inode ask the security modules (kernel: notify_change), and what comes before that.
#pragma once

#include <functional>

#include "emu/hook/lookup.h"
#include "emu/hook/transit.h"

namespace bpfemu {

// kernel: ATTR_*
inline constexpr u32 kAttrMode = 1, kAttrUid = 2, kAttrGid = 4, kAttrSize = 8, kAttrAtime = 1 << 4, kAttrMtime = 1 << 5,
                     kAttrCtime = 1 << 6, kAttrAtimeSet = 1 << 7, kAttrMtimeSet = 1 << 8, kAttrKillSuid = 1 << 11,
                     kAttrFile = 1 << 13, kAttrOpen = 1 << 15, kAttrTimesSet = 1 << 16, kAttrTouch = 1 << 17;

// struct iattr
struct Change {
  u32 valid = 0;
  u32 mode = 0, uid = 0, gid = 0;
  u64 size = 0;
  std::function<u64()> file = {};  // the struct file by which it is changed
};
void pass_change(Transit& call, const FileFacts& file, const Change& change);

// A socket makes its name (kernel: unix_bind_bsd): all before the name is there; to be left when it is.
struct SocketName {
  Lookup at;
  Passing vfs_mknod;
  void leave(Transit& call, s64 result);
};
void pass_socket_name(Transit& call, SocketName& name);

// A struct path of the file, for as long as the call lasts.
u64 path_of(Occasion& on, const FileFacts& file);
// Would the task itself be granted `mode` (R_OK, ...) at the path, links followed? It is asked.
bool allows(Transit& call, u64 folder, u64 path, int mode);
// And to make and take away names in the folder of the path's last component?
bool folder_allows(Transit& call, const Lookup& at);
// Which number the next descriptor of the task has.
int next_descriptor(pid_t tid);

}  // namespace bpfemu
