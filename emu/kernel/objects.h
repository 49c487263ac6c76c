// SPDX-License-Identifier: Apache-2.0
// The kernel objects that programs find: who builds which family of them, over one space.
#pragma once

#include "emu/kernel/file_objects.h"
#include "emu/kernel/memory_objects.h"
#include "emu/kernel/task_objects.h"

namespace bpfemu {

struct KernelObjects {
  KernelObjects(ObjectSpace& space, TaskObjects::FactsOf facts_of, TaskObjects::RunnableOn runnable_on,
                FileObjects::AddressOf address_of)
      : files(space, mounts, std::move(address_of)), tasks(space, mounts, files, std::move(facts_of), std::move(runnable_on)),
        memory(space, mounts, files) {}

  Mounts mounts;
  FileObjects files;
  TaskObjects tasks;
  MemoryObjects memory;
};

}  // namespace bpfemu
