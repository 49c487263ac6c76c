// SPDX-License-Identifier: Apache-2.0
// The open files of bpf objects: what their links, fdinfo and operations say.
#pragma once

#include <memory>
#include <string>

#include "emu/bpf/link.h"
#include "emu/bpf/map_object.h"
#include "emu/bpf/program.h"
#include "emu/probe/runner.h"
#include "emu/syscalls/files.h"

namespace bpfemu {

class MapFile : public File {
 public:
  // `flags`: O_RDONLY, O_WRONLY or O_RDWR.
  MapFile(std::shared_ptr<MapObject> map, u32 flags);
  ~MapFile() override;
  std::string link_name() const override { return "anon_inode:bpf-map"; }
  std::string fdinfo() const override;
  std::shared_ptr<Object> object() const override { return map_; }
  Result<u64> mmap(System& system, Call& call) override;
  const void* ring() const override;
  bool pollable() const override;
  bool readable() const override;
  bool can_poll() const override { return true; }
  u32 condition() const override;
  Extent mapping() const override { return map_->extent(); }

  // Remembers that a perf event was put into the map's element `index` through this descriptor.
  void put_event(u32 index, const Object& event) { put_[index] = &event; }

 private:
  std::shared_ptr<MapObject> map_;   // as user space holds it, see hold_map()
  std::map<u32, const Object*> put_;
};

class ProgramFile : public File {
 public:
  explicit ProgramFile(std::shared_ptr<Program> program) : program_(std::move(program)) {}
  std::string link_name() const override { return "anon_inode:bpf-prog"; }
  std::string fdinfo() const override;
  std::shared_ptr<Object> object() const override { return program_; }

 private:
  std::shared_ptr<Program> program_;
};

class BtfFile : public File {
 public:
  explicit BtfFile(std::shared_ptr<const Btf> btf);
  std::string link_name() const override { return "anon_inode:btf"; }
  std::string fdinfo() const override;
  std::shared_ptr<Object> object() const override { return std::const_pointer_cast<Btf>(btf_); }

 private:
  std::shared_ptr<const Btf> btf_;
};

class LinkFile : public File {
 public:
  // A new link's file and one reopened later have different names in the kernel.
  LinkFile(std::shared_ptr<Link> link, bool created);
  std::string link_name() const override { return created_ ? "anon_inode:bpf_link" : "anon_inode:bpf-link"; }
  std::string fdinfo() const override;
  std::shared_ptr<Object> object() const override { return link_; }

 private:
  std::shared_ptr<Link> link_;
  bool created_;
};

// BPF_ENABLE_STATS: while it is open, runs are counted.
class StatsFile : public File {
 public:
  explicit StatsFile(Runner& runner) : runner_(runner) { ++runner_.stats_users; }
  ~StatsFile() override { --runner_.stats_users; }
  std::string link_name() const override { return "anon_inode:bpf-stats"; }

 private:
  Runner& runner_;
};

// A map as user space holds it: descriptors and pins. When the last of them goes, a program array forgets its programs,
// which may hold the map themselves (kernel: usercnt, map_release_uref).
std::shared_ptr<MapObject> hold_map(const std::shared_ptr<MapObject>& map);

// "0123456789abcdef" of a program's or a function's tag.
std::string tag_text(const ProgTag& tag);
// Bytes that the kernel's accounting shows for a map and a program.
u64 map_memlock(const Map& map);
u64 program_memlock(const Program& program);

}  // namespace bpfemu
