// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/kernel_data.h"

#include <sys/stat.h>
#include <zstd.h>

#include <algorithm>
#include <fstream>

#include "emu/base/proc_files.h"

namespace bpfemu {

namespace {

constexpr u64 kLargest = 64 << 20;

Result<std::vector<u8>> load_packed(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return fail(ENOENT);
  std::vector<u8> packed(static_cast<size_t>(std::max<std::streamoff>(file.tellg(), 0)));
  file.seekg(0);
  if (!file.read(reinterpret_cast<char*>(packed.data()), static_cast<std::streamsize>(packed.size()))) return fail(EIO);
  return unpack(packed);
}

}  // namespace

Result<std::vector<u8>> unpack(std::span<const u8> packed) {
  u64 size = ZSTD_getFrameContentSize(packed.data(), packed.size());
  if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN || size > kLargest) return fail(EINVAL);
  std::vector<u8> content(size);
  size_t got = ZSTD_decompress(content.data(), content.size(), packed.data(), packed.size());
  if (ZSTD_isError(got) || got != size) return fail(EINVAL);
  return content;
}

Result<std::shared_ptr<Btf>> KernelData::btf() const {
  std::string path = folder_ + "/btf/" + name_ + ".zst";
  struct stat st;
  if (::stat(path.c_str(), &st) != 0) return fail(ENOENT);
  return Btf::load_kernel_lazily([path] { return load_packed(path); }, "vmlinux");
}

std::string KernelData::unpacked(std::string_view part) const {
  auto content = load_packed(folder_ + "/" + name_ + "/" + std::string(part) + ".zst");
  return content ? std::string(content->begin(), content->end()) : std::string();
}

const std::string& KernelData::text(std::optional<std::string>& cache, std::string_view part) const {
  if (!cache) cache = unpacked(part);
  return *cache;
}

bool KernelData::has_ext4() const {
  if (!has_ext4_) {
    const std::string mounts = read_proc(::getpid(), "mountinfo").value_or("");
    has_ext4_ = mounts.find(" - ext4 ") != mounts.npos;
  }
  return *has_ext4_;
}

const Symbols& KernelData::symbols() const {
  if (!symbols_)
    symbols_ = std::make_unique<Symbols>(unpacked("symbols"), has_ext4() ? unpacked("ext4_symbols") : std::string());
  return *symbols_;
}

const KernelStacks& KernelData::stacks() const {
  if (!stacks_) stacks_ = std::make_unique<KernelStacks>(symbols());
  return *stacks_;
}

const Events& KernelData::events() const {
  if (!events_) events_ = std::make_unique<Events>(unpacked("events"));
  return *events_;
}

const std::string& KernelData::traceable_functions() const {
  if (!functions_) functions_ = unpacked("functions") + (has_ext4() ? unpacked("ext4_functions") : std::string());
  return *functions_;
}
bool KernelData::is_traceable(std::string_view function) const {
  if (traceable_.empty()) {
    std::string_view rest = traceable_functions();
    for (size_t end; (end = rest.find('\n')) != rest.npos; rest.remove_prefix(end + 1)) {
      const std::string_view line = rest.substr(0, end);
      traceable_.insert(line.substr(0, line.find(' ')));
    }
  }
  return traceable_.contains(function);
}

const std::string& KernelData::config() const {
  return text(config_, "config");
}

std::string_view KernelData::file(std::string_view path) const {
  std::string_view all = text(files_, "files");
  std::string head = "@@@ " + std::string(path) + "\n";
  size_t at = all.find(head);
  if (at == std::string_view::npos) return {};
  at += head.size();
  size_t end = all.find("\n@@@ ", at);
  return all.substr(at, end == std::string_view::npos ? end : end + 1 - at);
}

}  // namespace bpfemu
