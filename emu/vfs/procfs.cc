// SPDX-License-Identifier: Apache-2.0
// procfs: symbols, configuration, version, mounts and the sysctls that tools read.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
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
  bool asks_reads() const override { return world_.sysctls_asked_for && world_.sysctls_asked_for(); }
  // What is left behind the first read is lost (kernel: do_proc_dointvec).
  Result<std::string> read_at(Task& task, u64& position) override {
    SysctlUse use{.name = path_, .current = TRY(read(&task)), .value = {}, .position = position};
    TRY(world_.ask_for_sysctl(task, use));
    position = use.position;
    return position ? std::string() : use.current;
  }
  Result<u64> write(Task* task, std::string_view text) override {
    SysctlUse use{.name = path_, .write = true, .current = TRY(read(task)), .value = std::string(text)};
    if (task && world_.ask_for_sysctl) TRY(world_.ask_for_sysctl(*task, use));
    const std::string_view data = use.value;
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

constexpr int kFirstMount = 9000;  // far from the host's numbers
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
  int next_id = kFirstMount;
  for (const auto& [point, type] : ours) {
    out += info ? fmt::format("{} {} 0:{} / {} {} shared:{} - {} {} rw\n", next_id, parent, type->minor, point,
                              kMountOptions, next_id, type->name, type->name)
                : fmt::format("{0} {1} {0} {2} 0 0\n", type->name, point, kMountOptions);
    ++next_id;
  }
  return out;
}

bool is_number(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; });
}

// The number is its reader's, who may be in a pid namespace with a /proc of its own.
class CgroupFile : public FileNode {
 public:
  CgroupFile(const VfsWorld& world, pid_t number) : FileNode(0444, kProcfs), world_(world), number_(number) {}
  Result<std::string> read(Task* reader) override {
    const Task* const named = reader && world_.find_task ? world_.find_task(*reader, number_) : nullptr;
    const auto& cgroup = world_.cgroups.of(named ? named->tid() : number_);
    return fmt::format("0::{}{}\n", cgroup->path(), cgroup->dead ? " (deleted)" : "");
  }

 private:
  const VfsWorld& world_;
  pid_t number_;
};

// What of /proc/PID, or /proc/PID/task/TID, is ours.
class ThreadDirectory : public Directory {
 public:
  ThreadDirectory(const Vfs& vfs, const std::string& folder, const std::string& number) : Directory(0555, kProcfs) {
    add_text("mounts", 0444, [&vfs, folder] { return mount_list(vfs, folder + "/mounts", 1, false); });
    add_text("mountinfo", 0444, [&vfs, folder] { return mount_list(vfs, folder + "/mountinfo", 4, true); });
    add("cgroup", std::make_shared<CgroupFile>(vfs.world(), ::atoi(number.c_str())));
  }
  bool overlay() const override { return true; }
};

class ThreadsDirectory : public Directory {
 public:
  ThreadsDirectory(const Vfs& vfs, std::string folder)
      : Directory(0555, kProcfs), vfs_(vfs), folder_(std::move(folder)) {}
  bool overlay() const override { return true; }
  Result<NodePtr> child(std::string_view name) override {
    if (!is_number(name)) return fail(ENOENT);
    const std::string number(name), path = folder_ + "/" + number;
    if (::access(path.c_str(), F_OK) != 0) return fail(ENOENT);
    return std::make_shared<ThreadDirectory>(vfs_, path, number);
  }

 private:
  const Vfs& vfs_;
  std::string folder_;
};

class ProcRoot : public Directory {
 public:
  explicit ProcRoot(const Vfs& vfs) : Directory(0555, kProcfs), vfs_(vfs) {}
  bool overlay() const override { return true; }
  Result<NodePtr> child(std::string_view name) override {
    if (!is_number(name)) return Directory::child(name);
    const std::string number(name), path = "/proc/" + number;
    if (::access(path.c_str(), F_OK) != 0) return fail(ENOENT);
    auto process = std::make_shared<ThreadDirectory>(vfs_, path, number);
    process->add("task", std::make_shared<ThreadsDirectory>(vfs_, path + "/task"));
    return process;
  }

 private:
  const Vfs& vfs_;
};

// The congestion controls of TCP. Which of them everybody may choose is the host's to change.
void place_congestion(Vfs& vfs) {
  VfsWorld& world = vfs.world();
  vfs.place("/proc/sys/net/ipv4/tcp_available_congestion_control",
            std::make_shared<TextFile>(0444, kProcfs, [&world] { return world.congestion_controls.available() + "\n"; }));
  vfs.place("/proc/sys/net/ipv4/tcp_allowed_congestion_control",
            std::make_shared<TextFile>(
                0644, kProcfs, [&world] { return world.congestion_controls.allowed() + "\n"; },
                [&world](std::string_view) -> Result<void> {
                  world.unmodelled.note("setting tcp_allowed_congestion_control");
                  return fail(EPERM);
                }));
}

}  // namespace

int Vfs::mount_number(std::string_view path) const {
  const std::string_view point = mount_of(path);
  const auto all = mounts();
  const auto it = std::ranges::find_if(all, [&](const auto& mount) { return mount.first == point; });
  return kFirstMount + static_cast<int>(it - all.begin());
}

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
  place_congestion(vfs);
  auto text = [](std::string value) {
    return std::make_shared<TextFile>(0444, kProcfs, [value = std::move(value)] { return value + "\n"; });
  };
  vfs.place("/proc/sys/kernel/osrelease", text(world.profile.release));
  vfs.place("/proc/sys/kernel/version", text(world.profile.version));
}

}  // namespace bpfemu
