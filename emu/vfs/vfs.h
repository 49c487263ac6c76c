// SPDX-License-Identifier: Apache-2.0
// The synthetic file tree: tracefs, sysfs, procfs and bpffs as the tools see them. A node is asked for its content when
// it is opened; nothing is kept on disk.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "emu/base/result.h"
#include "emu/ports/task.h"

namespace bpfemu {

class System;
class File;

struct DirEntry {
  std::string name;
  u8 type;                 // DT_DIR, DT_REG, DT_LNK
};

class Vfs {};

}  // namespace bpfemu
