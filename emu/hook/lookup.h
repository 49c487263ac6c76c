// SPDX-License-Identifier: Apache-2.0
// Where a path of a call leads, looked up as the task sees it before its call runs: component by component, links
// followed. Nothing on the way waits for a process: what is served by one is not looked at.
#pragma once

#include <fcntl.h>

#include <memory>
#include <string>
#include <vector>

#include "emu/base/fd.h"
#include "emu/hook/open_file.h"

namespace bpfemu {

// What the folder of a call without one is.
inline constexpr u64 kHere = static_cast<u64>(AT_FDCWD);

class Lookup {
 public:
  enum class Last : u8 { kFollow, kKeep };  // a link at the end
  // The path at `user`, from the folder that `folder` is a descriptor of (or AT_FDCWD).
  Lookup(Occasion& on, u64 folder, u64 user, Last last);
  // A path that the kernel got from elsewhere, from the current folder.
  Lookup(Occasion& on, std::string path);

  // The path could be read, and is not empty (kernel: getname).
  bool named() const { return named_; }
  const std::string& path() const { return path_; }
  u64 from() const { return from_; }  // the folder that it counts from
  // The folder of the last component was found, and that is a name: not "/", "." or "..".
  bool has_last() const { return !last_.empty() && folder_; }
  const std::string& last() const { return last_; }
  bool slash_behind() const { return path_.ends_with('/'); }
  bool exists() const { return static_cast<bool>(target_); }
  // Whether the last component names something; what that is. Null: nothing, or nobody tells.
  const FileFacts* target();
  const FileFacts* folder();
  // The call has made or changed what the last component names: its structs are as it is now.
  void look_again();
  // Their structs, 0: unknown.
  u64 target_dentry();  // or one that leads nowhere
  u64 target_inode();
  u64 folder_inode();
  // struct path of the target, and of the folder.
  u64 target_path() { return path_of(target()); }
  u64 folder_path() { return path_of(folder()); }

  // Tells of lookup_fast for each name on the way, the last one only `with_last`: whether that was not in the cache.
  bool pass_names(bool with_last);
  // Tells of d_lookup of the last name; `missed`: it is known not to be there.
  void pass_last(bool missed = false);

 private:
  using Folder = std::shared_ptr<UniqueFd>;
  struct Step {
    Folder folder;
    std::string name;
    std::string text;  // from the name on
    bool exists;
  };

  void walk(u64 folder, Last last);
  bool start(Folder& at, u64 folder);
  Folder open_below(const Folder& folder, const char* name, int flags) const;
  Folder follow(const Folder& folder, const std::string& name, const Folder& link);
  Folder root() const;
  u64 path_of(const FileFacts* file);
  // The dentry of a step; and whether the cache had it.
  u64 dentry_of(const Step& step, bool& cached);
  KernelObject nameidata(const Step& step);

  Occasion& on_;
  std::string path_, rest_, last_;
  std::vector<size_t> behind_links_;  // how much at the end of rest_ is behind each link that is being followed
  u64 from_;
  bool named_ = false;
  u32 links_ = 0;
  Folder folder_, target_;
  std::vector<Step> steps_;
  std::optional<FileFacts> folder_facts_, target_facts_;
};

}  // namespace bpfemu
