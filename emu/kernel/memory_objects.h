// SPDX-License-Identifier: Apache-2.0
// Mappings of a process as struct vm_area_struct.
#pragma once

#include <string>
#include <vector>

#include "emu/kernel/file_objects.h"
#include "emu/kernel/object_space.h"

namespace bpfemu {

// A mapping of a process, as /proc/PID/maps tells of it.
struct AreaFacts {
  u64 start = 0, end = 0;
  u64 flags = 0;      // kernel: VM_*: the rights, MAY rights and VM_SHARED
  u64 offset = 0, inode = 0;
  std::string path;
};

class MemoryObjects {
 public:
  MemoryObjects(ObjectSpace& space, Mounts& mounts, FileObjects& files)
      : space_(space), mounts_(mounts), files_(files) {}

  // The mappings of a process by their addresses; none of one that is gone or has no memory.
  static std::vector<AreaFacts> areas(pid_t tgid);
  // One of them as a vm_area_struct. `mm` is the arena address of the process' mm_struct. Null: no memory.
  KernelObject object(pid_t tgid, u64 mm, const AreaFacts& facts);
  // The mapping that `address` lies in (kernel: find_vma, of which it must be a part). Null: there is none.
  KernelObject area(pid_t tgid, u64 mm, u64 address);

 private:
  ObjectSpace& space_;
  Mounts& mounts_;
  FileObjects& files_;
};

}  // namespace bpfemu
