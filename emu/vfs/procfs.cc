// SPDX-License-Identifier: Apache-2.0
// procfs: symbols, configuration, version, mounts and the sysctls that tools read.
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>

#include "emu/vfs/filesystems.h"

namespace bpfemu {

namespace {

class SysctlFile : public FileNode {
 public:
  SysctlFile(const Sysctl& sysctl, VfsWorld& world)
      : FileNode(sysctl.mode, kProcfs), sysctl_(sysctl), path_(sysctl.path), world_(world) {}
  Result<std::string> read(Task*) override { return std::to_string(world_.sysctls[path_]) + "\n"; }
  Result<u64> write(Task*, std::string_view data) override {
    s64 before = world_.sysctls[path_];
    TRY(world_.sysctls.write(sysctl_, data));
    s64 now = world_.sysctls[path_];
    if (path_ == "kernel/bpf_stats_enabled" && now != before && world_.set_bpf_stats) world_.set_bpf_stats(now != 0);
    if (path_ == "net/core/bpf_jit_enable" && now == 0) world_.unmodelled.note("programs without the JIT");
    if (path_ == "net/core/bpf_jit_harden" && now != 0) world_.unmodelled.note("blinding of constants");
    return data.size();
  }

 private:
  const Sysctl& sysctl_;
  std::string_view path_;
  VfsWorld& world_;
};

// Four megabytes that change only with the loaded programs: kept from one opening to the next.
class KallsymsFile : public FileNode {
 public:
  explicit KallsymsFile(VfsWorld& world) : FileNode(0444, kProcfs), world_(world) {}
  Result<std::string> read(Task*) override { return world_.kernel.symbols().listing(world_.shows_addresses()) + programs(); }
  Result<Opened> open(Task*, int flags) override {
    std::string programs_now = programs();
    bool addresses_now = world_.shows_addresses();
    if (!content_ || programs_now != programs_ || addresses_now != addresses_) {
      content_ = TRY(content_fd("kallsyms", TRY(read(nullptr))));
      programs_ = std::move(programs_now);
      addresses_ = addresses_now;
    }
    return Opened{TRY(reopen(content_.get(), flags & O_ACCMODE)), false};
  }

 private:
  std::string programs() const {
    return world_.program_symbols && world_.shows_programs() ? world_.program_symbols() : std::string();
  }

  VfsWorld& world_;
  std::string programs_;
  bool addresses_ = false;
  UniqueFd content_;
};

std::string host_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

constexpr const char* kMountOptions = "rw,nosuid,nodev,noexec,relatime";

// The host's list without what lies below our mounts, and ours. `place` is the column of the mount point.
std::string mount_list(const Vfs& vfs, const std::string& path, size_t place, bool info) {
  auto ours = vfs.mounts();
  auto is_hidden = [&](const std::string& point) {
    return std::any_of(ours.begin(), ours.end(),
                       [&](const auto& mount) { return point == mount.first || point.starts_with(mount.first + "/"); });
  };
  std::string out, parent = "1";
  std::istringstream host(host_text(path));
  for (std::string line; std::getline(host, line);) {
    std::istringstream columns(line);
    std::string id, point;
    columns >> id;
    for (size_t i = 0; i < place; ++i) columns >> point;
    if (point == "/sys") parent = id;
    if (!is_hidden(point)) out += line + "\n";
  }
  int next_id = 9000;
  for (const auto& [point, type] : ours) {
    out += info ? fmt::format("{} {} 0:{} / {} {} shared:{} - {} {} rw\n", next_id, parent, type->minor, point,
                              kMountOptions, next_id, type->name, type->name)
                : fmt::format("{0} {1} {0} {2} 0 0\n", type->name, point, kMountOptions);
    ++next_id;
  }
  return out;
}

// /proc/PID as far as it is ours.
class ProcessDirectory : public Directory {
 public:
  ProcessDirectory(const Vfs& vfs, const std::string& pid) : Directory(0555, kProcfs) {
    std::string folder = "/proc/" + pid;
    add_text("mounts", 0444, [&vfs, folder] { return mount_list(vfs, folder + "/mounts", 1, false); });
    add_text("mountinfo", 0444, [&vfs, folder] { return mount_list(vfs, folder + "/mountinfo", 4, true); });
  }
  bool overlay() const override { return true; }
};

class ProcRoot : public Directory {
 public:
  explicit ProcRoot(const Vfs& vfs) : Directory(0555, kProcfs), vfs_(vfs) {}
  bool overlay() const override { return true; }
  Result<NodePtr> child(std::string_view name) override {
    bool is_process = std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (is_process) {
      return std::make_shared<ProcessDirectory>(vfs_, std::string(name));
    }
    return Directory::child(name);
  }

 private:
  const Vfs& vfs_;
};

}  // namespace

void place_procfs(Vfs& vfs) {
  VfsWorld& world = vfs.world();
  auto root = std::make_shared<ProcRoot>(vfs);
  vfs.place("/proc", root);
  root->add("kallsyms", std::make_shared<KallsymsFile>(world));
  root->add_text("version", 0444, [&world] { return world.profile.banner + "\n"; });
  // Debian's kernel has neither, whatever the host's has: tools prefer them to uname and /boot/config.
  root->add("version_signature", nullptr);
  root->add("config.gz", nullptr);
  root->add_text("filesystems", 0444, [&world] { return std::string(world.kernel.file("filesystems")); });
  // A link to self/mounts in the kernel; a file here, since it shows the same to all who share our mounts.
  root->add_text("mounts", 0444, [&vfs] { return mount_list(vfs, "/proc/self/mounts", 1, false); });
  for (const Sysctl& sysctl : Sysctls::all()) {
    vfs.place(std::string("/proc/sys/") + sysctl.path, std::make_shared<SysctlFile>(sysctl, world));
  }
  auto text = [](std::string value) {
    return std::make_shared<TextFile>(0444, kProcfs, [value = std::move(value)] { return value + "\n"; });
  };
  vfs.place("/proc/sys/kernel/osrelease", text(world.profile.release));
  vfs.place("/proc/sys/kernel/version", text(world.profile.version));
}

}  // namespace bpfemu
