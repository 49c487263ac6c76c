// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/fdinfo.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

namespace bpfemu {

namespace {

// A line of the host's own fdinfo of the carrier ("flags:", "mnt_id:"), as a number of the given base.
u64 host_line(const DescriptorPath& descriptor, const char* name, int base) {
  std::string path = fmt::format("/proc/{}/fdinfo/{}", descriptor.task->tid(), descriptor.fd);
  std::FILE* file = std::fopen(path.c_str(), "re");
  if (!file) return 0;
  char line[128];
  u64 value = 0;
  while (std::fgets(line, sizeof line, file)) {
    std::string_view text = line;
    if (text.starts_with(name)) value = std::strtoull(line + std::string_view(name).size(), nullptr, base);
  }
  std::fclose(file);
  return value;
}

}  // namespace

Result<std::string> fdinfo_text(const DescriptorPath& descriptor) {
  TRY(descriptor.task->file_id(descriptor.fd));
  u64 cloexec = host_line(descriptor, "flags:", 8) & O_CLOEXEC;
  struct stat st;
  descriptor.file->stat(st);
  bool native = descriptor.file->is_native();
  u64 flags = native ? host_line(descriptor, "flags:", 8) : descriptor.file->open_flags | cloexec;
  return fmt::format("pos:\t{}\nflags:\t0{:o}\nmnt_id:\t{}\nino:\t{}\n",
                     native ? host_line(descriptor, "pos:", 10) : descriptor.file->position(), flags, host_line(descriptor, "mnt_id:", 10),
                     st.st_ino) +
         descriptor.file->fdinfo();
}

}  // namespace bpfemu
