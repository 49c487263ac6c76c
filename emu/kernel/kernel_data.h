// SPDX-License-Identifier: Apache-2.0
// The recorded facts of the claimed kernel (data/): BTF, symbols, trace events, build configuration. Everything is
// unpacked when it is first asked for, since most tools need little of it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>

#include "emu/base/result.h"
#include "emu/btf/btf.h"
#include "emu/kernel/events.h"
#include "emu/kernel/profile.h"
#include "emu/kernel/stacks.h"
#include "emu/kernel/symbols.h"

namespace bpfemu {

class KernelData {
 public:
  explicit KernelData(const Profile& profile) : folder_(profile.data), name_(profile.name) {}

  // The BTF of the claimed kernel; its bytes are unpacked at the first question. ENOENT: no such data file.
  Result<std::shared_ptr<Btf>> btf() const;
  // With those of the modules that a machine with this one's file systems has loaded: ext4's.
  const Symbols& symbols() const;
  const KernelStacks& stacks() const;
  const Events& events() const;
  // available_filter_functions, one name a line, with "[MODULE]" behind those of modules.
  const std::string& traceable_functions() const;
  bool is_traceable(std::string_view function) const;
  // /boot/config-RELEASE.
  const std::string& config() const;
  // A small file as that kernel had it ("trace/printk_formats"), empty when there is none.
  std::string_view file(std::string_view path) const;

 private:
  // Is ext4 mounted here? Debian has it as a module, with jbd2.
  bool has_ext4() const;
  std::string unpacked(std::string_view part) const;
  const std::string& text(std::optional<std::string>& cache, std::string_view part) const;

  std::string folder_, name_;
  mutable std::unique_ptr<Symbols> symbols_;
  mutable std::unique_ptr<KernelStacks> stacks_;
  mutable std::unique_ptr<Events> events_;
  mutable std::optional<bool> has_ext4_;
  mutable std::optional<std::string> functions_, config_, files_;
  mutable std::unordered_set<std::string_view> traceable_;  // the lines of functions_
};

// Unpacks one zstd frame: EINVAL when it is damaged or larger than 64 MiB.
Result<std::vector<u8>> unpack(std::span<const u8> packed);

}  // namespace bpfemu
