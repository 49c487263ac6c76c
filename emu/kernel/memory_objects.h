// SPDX-License-Identifier: Apache-2.0
// Mappings of a process as struct vm_area_struct.
#pragma once

#include "emu/kernel/file_objects.h"
#include "emu/kernel/object_space.h"

namespace bpfemu {

class MemoryObjects {
 public:
  MemoryObjects(ObjectSpace& space, Mounts& mounts, FileObjects& files)
      : space_(space), mounts_(mounts), files_(files) {}

  // The mapping of the process that `address` lies in (kernel: find_vma, of which it must be a part). `mm` is the arena
  // address of its mm_struct. Of vm_flags there are the rights, MAY rights and VM_SHARED. Null: there is none.
  KernelObject area(pid_t tgid, u64 mm, u64 address);

 private:
  ObjectSpace& space_;
  Mounts& mounts_;
  FileObjects& files_;
};

}  // namespace bpfemu
