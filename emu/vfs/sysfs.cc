// SPDX-License-Identifier: Apache-2.0
// sysfs and securityfs: perf PMUs, CPU lists, BTF, lockdown.
#include <fcntl.h>

#include "emu/vfs/filesystems.h"

namespace bpfemu {

namespace {

struct Pmu {
  const char* name;
  int type;
  struct Format {
    const char *name, *text;
  } formats[2];
};
// The PMUs that every kernel has, in the order of their types (kernel: perf_pmu_register; kprobe and uprobe come first
// among the dynamic ones).
constexpr Pmu kPmus[] = {
    {"software", 1, {}},
    {"tracepoint", 2, {}},
    {"breakpoint", 5, {}},
    {"kprobe", 6, {{"retprobe", "config:0"}}},
    {"uprobe", 7, {{"retprobe", "config:0"}, {"ref_ctr_offset", "config:32-63"}}},
};

// "0-3", or "0" for one.
std::string cpu_list(u32 count) {
  return count <= 1 ? "0\n" : "0-" + std::to_string(count - 1) + "\n";
}

std::shared_ptr<TextFile> text_file(std::string text, u32 mode = 0444) {
  return std::make_shared<TextFile>(mode, kSysfs, [text = std::move(text)] { return text; });
}

std::shared_ptr<Directory> pmu_folder(const Pmu& pmu) {
  auto folder = std::make_shared<Directory>(0755, kSysfs);
  folder->add("type", text_file(std::to_string(pmu.type) + "\n"));
  folder->add("perf_event_mux_interval_ms", text_file("0\n", 0644));
  folder->add("uevent", text_file("", 0644));
  folder->add("subsystem", std::make_shared<LinkNode>("../../bus/event_source", kSysfs));
  std::shared_ptr<Directory> formats;
  for (const Pmu::Format& format : pmu.formats) {
    if (!format.name) continue;
    if (!formats) formats = folder->add_folder("format", 0755);
    formats->add(format.name, text_file(std::string(format.text) + "\n"));
  }
  return folder;
}

// The raw BTF: large, so made once and handed out from then on.
class BtfNode : public FileNode {
 public:
  explicit BtfNode(std::shared_ptr<const Btf> btf) : FileNode(0444, kSysfs), btf_(std::move(btf)) {}
  u64 size() const override { return btf_->raw().size(); }
  Result<std::string> read(Task*) override { return std::string(btf_->raw().begin(), btf_->raw().end()); }
  Result<Opened> open(Task*, int flags) override {
    if (!content_) {
      std::span<const u8> raw = btf_->raw();
      content_ = TRY(content_fd("vmlinux", {reinterpret_cast<const char*>(raw.data()), raw.size()}));
    }
    return Opened{TRY(reopen(content_.get(), flags & O_ACCMODE)), false};
  }

 private:
  std::shared_ptr<const Btf> btf_;
  UniqueFd content_;
};

}  // namespace

void place_sysfs(Vfs& vfs) {
  VfsWorld& world = vfs.world();
  for (const Pmu& pmu : kPmus) {
    std::string name = pmu.name;
    vfs.place("/sys/devices/" + name, pmu_folder(pmu));
    vfs.place("/sys/bus/event_source/devices/" + name, std::make_shared<LinkNode>("../../../devices/" + name, kSysfs));
  }
  vfs.place("/sys/devices/system/cpu/online", text_file(cpu_list(world.cpus_online)));
  vfs.place("/sys/devices/system/cpu/possible", text_file(cpu_list(world.cpus_possible)));
  vfs.place("/sys/devices/system/cpu/present", text_file(cpu_list(world.cpus_possible)));

  // No module BTF: the claimed kernel has no modules loaded.
  auto btf = std::make_shared<Directory>(0755, kSysfs);
  if (world.vmlinux) btf->add("vmlinux", std::make_shared<BtfNode>(world.vmlinux));
  vfs.place("/sys/kernel/btf", world.vmlinux ? btf : nullptr);

  auto security = std::make_shared<Directory>(0755, kSecurityfs);
  security->add_text("lockdown", 0644, [] { return "[none] integrity confidentiality\n"; });
  security->add_text("lsm", 0444, [] { return "lockdown,capability,landlock,yama,apparmor,tomoyo,bpf"; });
  vfs.place("/sys/kernel/security", security);
}

}  // namespace bpfemu
