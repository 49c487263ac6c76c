// SPDX-License-Identifier: Apache-2.0
// procfs: symbols, configuration, version, mounts and the sysctls that tools read.
#include <fcntl.h>
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <sstream>

#include "emu/vfs/filesystems.h"

namespace bpfemu {

namespace {

// A number that root may set within bounds.
struct Sysctl {
  const char* path;
  u32 mode;
  s64 value, least, most;
};
constexpr s64 kAny = 0x7fffffff;
constexpr Sysctl kSysctls[] = {
    {"kernel/bpf_stats_enabled", 0644, 0, 0, 1},
    {"kernel/dmesg_restrict", 0644, 1, 0, 1},
    {"kernel/ftrace_enabled", 0644, 1, 0, kAny},
    {"kernel/kptr_restrict", 0644, 0, 0, 2},
    {"kernel/perf_cpu_time_max_percent", 0644, 25, 0, 100},
    {"kernel/perf_event_max_contexts_per_stack", 0644, 8, 0, 1000},
    {"kernel/perf_event_max_sample_rate", 0644, 100000, 1, kAny},
    {"kernel/perf_event_max_stack", 0644, 127, 0, 640 * 1024},
    {"kernel/perf_event_mlock_kb", 0644, 516, 0, kAny},
    {"kernel/perf_event_paranoid", 0644, 3, -1, 3},
    {"kernel/stack_tracer_enabled", 0644, 0, 0, 1},
    {"kernel/traceoff_on_warning", 0644, 0, 0, 1},
    {"kernel/tracepoint_printk", 0644, 0, 0, 1},
    {"kernel/unprivileged_bpf_disabled", 0644, 2, 0, 2},
    {"net/core/bpf_jit_enable", 0644, 1, 0, 2},
    {"net/core/bpf_jit_harden", 0600, 0, 0, 2},
    {"net/core/bpf_jit_kallsyms", 0600, 1, 0, 1},
    {"net/core/bpf_jit_limit", 0600, 528482304, 1, 528482304},
};

// kernel: proc_dointvec_minmax, as far as one number goes.
class SysctlFile : public FileNode {
 public:
  SysctlFile(const Sysctl& row, VfsWorld& world)
      : FileNode(row.mode, kProcfs), row_(row), value_(row.value), world_(world) {}
  Result<std::string> read(Task*) override { return std::to_string(value_) + "\n"; }
  Result<u64> write(Task*, std::string_view data) override {
    std::string_view text = data.substr(std::min(data.find_first_not_of(" \t"), data.size()));
    text = text.substr(0, text.find_last_not_of(" \t\n") + 1);
    s64 value = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return fail(EINVAL);
    if (value < row_.least || value > row_.most) return fail(EINVAL);
    std::string_view path = row_.path;
    if (path == "kernel/unprivileged_bpf_disabled") {
      // Once off for good, it stays (kernel: bpf_unpriv_handler).
      if (value_ == 1 && value != 1) return fail(EPERM);
      world_.unprivileged_bpf_disabled = value;
    }
    value_ = value;
    if (path == "kernel/bpf_stats_enabled" && world_.set_bpf_stats) world_.set_bpf_stats(value != 0);
    return data.size();
  }

 private:
  const Sysctl& row_;
  s64 value_;
  VfsWorld& world_;
};

// Four megabytes that change only with the loaded programs: kept from one opening to the next.
class KallsymsFile : public FileNode {
 public:
  explicit KallsymsFile(VfsWorld& world) : FileNode(0444, kProcfs), world_(world) {}
  Result<std::string> read(Task*) override { return world_.kernel.symbols().listing(world_.privileged) + programs(); }
  Result<Opened> open(Task*, int flags) override {
    std::string programs_now = programs();
    if (!content_ || programs_now != programs_) {
      content_ = TRY(content_fd("kallsyms", TRY(read(nullptr))));
      programs_ = std::move(programs_now);
    }
    return Opened{TRY(reopen(content_.get(), flags & O_ACCMODE)), false};
  }

 private:
  std::string programs() const {
    return world_.program_symbols && world_.privileged ? world_.program_symbols() : std::string();
  }

  VfsWorld& world_;
  std::string programs_;
  UniqueFd content_;
};

std::string gzip(const std::string& text) {
  z_stream stream{};
  constexpr int kGzip = 15 + 16;
  if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY) != Z_OK) return {};
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  bool done = deflate(&stream, Z_FINISH) == Z_STREAM_END;
  out.resize(done ? stream.total_out : 0);
  deflateEnd(&stream);
  return out;
}

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
    if (is_process || name == "self" || name == "thread-self") {
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
  root->add("version_signature", nullptr);  // Ubuntu's; tools prefer it to uname
  root->add("config.gz", std::make_shared<TextFile>(0444, kProcfs, [&world] { return gzip(world.kernel.config()); }));
  root->add_text("filesystems", 0444, [&world] { return std::string(world.kernel.file("filesystems")); });
  // A link to self/mounts in the kernel; a file here, since it shows the same to all who share our mounts.
  root->add_text("mounts", 0444, [&vfs] { return mount_list(vfs, "/proc/self/mounts", 1, false); });
  for (const Sysctl& row : kSysctls) {
    vfs.place(std::string("/proc/sys/") + row.path, std::make_shared<SysctlFile>(row, world));
  }
  auto text = [](std::string value) {
    return std::make_shared<TextFile>(0444, kProcfs, [value = std::move(value)] { return value + "\n"; });
  };
  vfs.place("/proc/sys/kernel/osrelease", text(world.profile.release));
  vfs.place("/proc/sys/kernel/version", text(world.profile.version));
}

}  // namespace bpfemu
