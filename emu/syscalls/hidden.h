// SPDX-License-Identifier: Apache-2.0
// Real files and folders that nobody can find: made, opened and removed. They stand for synthetic ones where the kernel
// itself must hold something: as current folder, as an open folder, as what O_PATH gives.
#pragma once

#include <sys/types.h>

#include <string>

#include "emu/base/fd.h"
#include "emu/base/result.h"
#include "emu/ports/task.h"

namespace bpfemu {

// An empty folder. ENOMEM: nowhere can one be made.
Result<UniqueFd> hidden_folder();

// A folder with one entry, for a task to open. Both are removed with it.
class HiddenPlace {
 public:
  static constexpr char kName[] = "x";
  // S_IFDIR, S_IFREG or S_IFLNK.
  static Result<HiddenPlace> make(mode_t kind);
  ~HiddenPlace();
  HiddenPlace(HiddenPlace&& other) noexcept;
  HiddenPlace& operator=(HiddenPlace&&) = delete;

  int folder() const { return folder_.get(); }
  std::string entry() const { return path_ + "/" + kName; }
  FileId id() const { return id_; }

 private:
  HiddenPlace(std::string path, UniqueFd folder) : path_(std::move(path)), folder_(std::move(folder)) {}
  std::string path_;
  UniqueFd folder_;
  FileId id_{};
};

}  // namespace bpfemu
