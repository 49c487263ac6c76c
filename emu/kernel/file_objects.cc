// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/file_objects.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

namespace bpfemu {

namespace {

constexpr u32 kMostMounts = 32;  // how far mnt_parent is followed
constexpr u32 kInlineName = 32;  // kernel: DNAME_INLINE_LEN
constexpr u32 kTypeShift = 20;   // kernel: DCACHE_ENTRY_TYPE, by what a dentry leads to

// kernel: include/linux/fs.h, FMODE_*
constexpr u32 kModeRead = 1, kModeWrite = 2, kModeLseek = 4, kModePread = 8, kModePwrite = 0x10, kModePath = 0x4000,
              kModeAtomicPos = 0x8000, kModeWriter = 0x10000, kModeCanRead = 0x20000, kModeCanWrite = 0x40000,
              kModeOpened = 0x80000, kModeStream = 0x200000, kModeCreated = 0x100000, kModeUnsignedOffset = 0x2000,
              kModeCanOdirect = 0x400000, kModeNowait = 0x8000000, kModeBufRasync = 0x40000000;
constexpr u32 kSeekable = kModeLseek | kModePread | kModePwrite;

struct Devices {
  u32 major = 0, first = 0, last = 0;
};
#define DEVICE(major, first, last) \
  Devices {                        \
    major, first, last             \
  }
#define ANY_DEVICE std::nullopt
struct Operations {
  std::string_view type;
  u32 kind;
  std::optional<Devices> devices;
  const char* symbol;
  u32 mode;
};
constexpr Operations kOperations[] = {
#define FILE_OPERATIONS(type, kind, devices, symbol, mode) {type, kind, devices, symbol, mode},
#include "emu/abi/file_operations.inc"
#undef FILE_OPERATIONS
};
struct AnonymousOperations {
  std::string_view name;
  const char* symbol;
};
constexpr AnonymousOperations kAnonymousOperations[] = {
#define FILE_OPERATIONS(type, kind, devices, symbol, mode)
#define ANONYMOUS_OPERATIONS(name, symbol) {name, symbol},
#include "emu/abi/file_operations.inc"
#undef FILE_OPERATIONS
};
#undef DEVICE
#undef ANY_DEVICE

struct Operation {
  std::string_view object, member, function;
};
constexpr Operation kOperationFunctions[] = {
#define OPERATION(object, member, function) {#object, #member, #function},
#include "emu/abi/operations.inc"
#undef OPERATION
};

bool fits(const Operations& row, const FileFacts& file) {
  if (row.kind != (file.inode.mode & S_IFMT) || !(row.type.empty() || row.type == file.mount->type)) return false;
  if (!row.devices) return true;
  const u32 major = file.inode.rdev >> 20, minor = file.inode.rdev & 0xfffff;
  return major == row.devices->major && minor >= row.devices->first && minor <= row.devices->last;
}

const char* anonymous_operations(std::string_view name) {
  const auto* row = std::ranges::find(kAnonymousOperations, name, &AnonymousOperations::name);
  return row == std::end(kAnonymousOperations) ? "" : row->symbol;
}

// kernel: do_dentry_open; alloc_file, of what is opened by no name; stream_open, of pipes and sockets.
u32 file_mode(const FileFacts& file, const Operations* operations) {
  if (file.flags & O_PATH) return kModePath | kModeOpened;
  u32 mode = kModeOpened;
  if (file.readable) mode |= kModeRead | kModeCanRead;
  if (file.writable) mode |= kModeWrite | kModeCanWrite;
  const u32 kind = file.inode.mode & S_IFMT;
  if (kind == S_IFIFO || kind == S_IFSOCK) return mode | kModeStream;
  if (file.mount->internal) return mode | (file.mount->type == "tmpfs" ? kSeekable : kModeLseek);
  mode |= kSeekable;
  if (file.regular() || file.folder()) mode |= kModeAtomicPos;
  if (file.writable && kind != S_IFCHR && kind != S_IFBLK) mode |= kModeWriter;
  return operations ? mode ^ operations->mode : mode;
}

// kernel: d_flags_for_inode
u32 dentry_flags(u32 mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR: return 2u << kTypeShift;
    case S_IFREG: return 4u << kTypeShift;
    case S_IFLNK: return 6u << kTypeShift;
    default: return 5u << kTypeShift;
  }
}

// Some hash: the kernel's own starts at the parent's address.
u32 name_hash(u64 parent, std::string_view name) {
  u32 hash = static_cast<u32>(parent >> 6) ^ 2166136261u;
  for (char c : name) hash = (hash ^ static_cast<u8>(c)) * 16777619u;
  return hash;
}

std::string child_identity(const KernelObject& parent, std::string_view name) {
  return fmt::format("{:x}/{}", parent.address(), name);
}

void set_time(u64 at, const timespec& time) {
  if (!at) return;
  store(reinterpret_cast<void*>(at), s64{time.tv_sec});
  store(reinterpret_cast<void*>(at + sizeof(s64)), s64{time.tv_nsec});
}

}  // namespace

// Short names lie in the dentry.
void FileObjects::set_name(const KernelObject& dentry, u64 parent, std::string_view name) {
  u64 text = 0;
  if (name.size() < kInlineName) {
    dentry.set_text("d_iname", name, kInlineName);
    text = dentry.address("d_iname");
  } else {
    text = space_.text(name);
  }
  dentry.set("d_name.name", text);
  dentry.set("d_name.len", static_cast<u32>(name.size()));
  dentry.set("d_name.hash", name_hash(parent, name));
}

KernelObject FileObjects::super_block(const MountFacts& mount) {
  bool is_new = false;
  const KernelObject block = space_.object(space_.structure("super_block"), fmt::format("{:x}", mount.dev), &is_new);
  // Of the mounts above it is not known until a file of theirs is met.
  if (mount.magic) block.set("s_magic", mount.magic);
  if (!is_new) return block;
  const KernelObject type = space_.object(space_.structure("file_system_type"), mount.type);
  type.set("name", space_.text(mount.type));
  block.set("s_dev", mount.dev);
  block.set("s_type", type.address());
  block.set("s_count", s32{1});
  const bool device = mount.source.starts_with("/dev/");
  block.set_text("s_id", device ? std::string_view(mount.source).substr(5) : mount.type, kInlineName);
  return block;
}

KernelObject FileObjects::inode_of(const MountFacts& mount, const InodeFacts& facts) {
  const KernelObject inode = space_.object(space_.structure("inode"), fmt::format("{:x} {}", mount.dev, facts.ino));
  inode.set("i_ino", facts.ino);
  inode.set("i_mode", static_cast<u16>(facts.mode));
  inode.set("i_rdev", facts.rdev);
  inode.set("i_uid", facts.uid);
  inode.set("i_gid", facts.gid);
  inode.set("i_nlink", facts.nlink);
  inode.set("i_size", facts.size);
  inode.set("i_blocks", facts.blocks);
  inode.set("i_blkbits", static_cast<u8>(std::countr_zero(facts.block_size)));
  inode.set("i_count", s32{1});
  set_time(inode.address("i_atime"), facts.atime);
  set_time(inode.address("i_mtime"), facts.mtime);
  set_time(inode.address("i_ctime"), facts.ctime);
  inode.set("i_sb", super_block(mount).address());
  inode.set("i_mapping", inode.address("i_data"));
  inode.set("i_data.host", inode.address());
  return inode;
}

KernelObject FileObjects::inode(const FileFacts& file) {
  return inode_of(*file.mount, file.inode);
}

KernelObject FileObjects::root_of(const MountFacts& mount) {
  bool is_new = false;
  const KernelObject root = space_.object(space_.structure("dentry"), fmt::format("{:x}:/", mount.dev), &is_new);
  if (!is_new) return root;
  root.set("d_parent", root.address());
  set_name(root, 0, "/");
  set_inode(root, mount, inode_at(mount, "/"));
  const KernelObject block = super_block(mount);
  root.set("d_sb", block.address());
  block.set("s_root", root.address());
  return root;
}

KernelObject FileObjects::child(const MountFacts& mount, const KernelObject& parent, std::string_view name,
                                bool* is_new) {
  const KernelObject dentry = space_.object(space_.structure("dentry"), child_identity(parent, name), is_new);
  if (!*is_new) return dentry;
  dentry.set("d_parent", parent.address());
  set_name(dentry, parent.address(), name);
  dentry.set("d_sb", super_block(mount).address());
  return dentry;
}

void FileObjects::set_inode(const KernelObject& dentry, const MountFacts& mount,
                            const std::optional<InodeFacts>& inode) {
  dentry.set("d_inode", inode ? inode_of(mount, *inode).address() : u64{0});
  dentry.set("d_flags", inode ? dentry_flags(inode->mode) : u32{0});
  dentry.set("d_lockref.count", s32{1});
  dentry.set("d_hash.pprev", dentry.address());  // it is among the names (kernel: d_unhashed)
}

// The folders on the way are asked for their inodes when the last name or they themselves are met for the first time.
KernelObject FileObjects::dentry_at(const MountFacts& mount, std::string_view path,
                                    const std::optional<InodeFacts>& inode) {
  KernelObject at = root_of(mount);
  std::vector<std::pair<KernelObject, size_t>> way;  // and where in `path` each one's name ends
  bool is_new = false;
  for (size_t begin = 1; begin < path.size() && at;) {
    const size_t end = std::min(path.find('/', begin), path.size());
    at = child(mount, at, path.substr(begin, end - begin), &is_new);
    way.emplace_back(at, end);
    begin = end + 1;
  }
  for (size_t i = 0; is_new && i + 1 < way.size(); ++i)
    set_inode(way[i].first, mount, inode_at(mount, path.substr(0, way[i].second)));
  if (!way.empty() || inode) set_inode(at, mount, inode);
  return at;
}

// It is its own parent (kernel: d_alloc_pseudo).
KernelObject FileObjects::internal_dentry(const FileFacts& file) {
  const KernelObject dentry =
      space_.object(space_.structure("dentry"), fmt::format("{:x} {} {}", file.mount->dev, file.inode.ino, file.path));
  dentry.set("d_parent", dentry.address());
  set_name(dentry, dentry.address(), file.path);
  dentry.set("d_sb", super_block(*file.mount).address());
  set_inode(dentry, *file.mount, file.inode);
  return dentry;
}

KernelObject FileObjects::dentry(const FileFacts& file) {
  if (file.mount->internal) return internal_dentry(file);
  return file.deleted ? deleted_dentry(file) : dentry_at(*file.mount, file.path, file.inode);
}

// It keeps its place until the name means another file.
KernelObject FileObjects::deleted_dentry(const FileFacts& file) {
  const size_t slash = file.path.rfind('/');
  const std::string folder = slash == 0 ? "/" : file.path.substr(0, slash), name = file.path.substr(slash + 1);
  const KernelObject parent = dentry_at(*file.mount, folder, inode_at(*file.mount, folder));
  const KernelStruct& type = space_.structure("dentry");
  bool is_new = false;
  KernelObject dentry = child(*file.mount, parent, name, &is_new);
  if (!dentry) return dentry;
  const u64 inode = load<u64>(reinterpret_cast<const void*>(dentry.address("d_inode")));
  if (!is_new && inode != this->inode(file).address()) {
    dentry = space_.object(type, fmt::format("{} {}", child_identity(parent, name), file.inode.ino));
    dentry.set("d_parent", parent.address());
    set_name(dentry, parent.address(), name);
    dentry.set("d_sb", super_block(*file.mount).address());
  }
  set_inode(dentry, *file.mount, file.inode);
  dentry.set("d_hash.pprev", u64{0});
  return dentry;
}

KernelObject FileObjects::negative_dentry(const FileFacts& folder, std::string_view name, bool* known) {
  const KernelObject parent = dentry(folder);
  bool is_new = false;
  const KernelObject negative = child(*folder.mount, parent, name, &is_new);
  if (known) *known = negative && !is_new && load<u64>(reinterpret_cast<const void*>(negative.address("d_inode"))) == 0;
  set_inode(negative, *folder.mount, std::nullopt);
  return negative;
}

void FileObjects::renamed(const FileFacts& folder, std::string_view name, const FileFacts& new_folder,
                          std::string_view new_name) {
  const KernelStruct& type = space_.structure("dentry");
  const KernelObject from = dentry(folder), to = dentry(new_folder);
  space_.rename(type, child_identity(from, name), child_identity(to, new_name));
  const KernelObject dentry = space_.object(type, child_identity(to, new_name));
  dentry.set("d_parent", to.address());
  set_name(dentry, to.address(), new_name);
}

void FileObjects::exchanged(const FileFacts& folder, std::string_view name, const FileFacts& new_folder,
                            std::string_view new_name) {
  constexpr std::string_view kAside = "/";  // no name
  renamed(folder, name, folder, kAside);
  renamed(new_folder, new_name, folder, name);
  renamed(folder, kAside, new_folder, new_name);
}

// The first is its own parent, and lies on its own root (kernel: struct mount).
KernelObject FileObjects::mount_of(const MountFacts& facts, u32 depth) {
  bool is_new = false;
  const KernelObject mount =
      space_.object(space_.structure("mount"), fmt::format("{} {:x} {}", facts.id, facts.dev, facts.point), &is_new);
  if (!is_new) return mount;
  const KernelObject root = dentry_at(facts, facts.root, inode_at(facts, facts.root));
  mount.set("mnt_id", facts.id);
  mount.set("mnt_devname", space_.text(facts.source));
  mount.set("mnt.mnt_root", root.address());
  mount.set("mnt.mnt_sb", super_block(facts).address());
  const auto above = facts.internal || depth == kMostMounts ? nullptr : mounts_.mount(facts.parent);
  const std::optional<std::string> at = above && above->id != facts.id ? above->path_of(facts.point) : std::nullopt;
  mount.set("mnt_parent", at ? mount_of(*above, depth + 1).address() : mount.address());
  mount.set("mnt_mountpoint", at ? dentry_at(*above, *at, inode_at(*above, *at)).address() : root.address());
  return mount;
}

void FileObjects::set_path(const KernelObject& object, const char* mnt, const char* dentry, const FileFacts& file) {
  object.set(mnt, mount(*file.mount).address("mnt"));
  object.set(dentry, this->dentry(file).address());
}

KernelObject FileObjects::path(const FileFacts& file, std::string_view identity) {
  const KernelObject path = space_.object(space_.structure("path"), identity);
  set_path(path, "mnt", "dentry", file);
  return path;
}

// Programs compare its address with kallsyms' and look into it for what the file can do.
u64 FileObjects::operations(std::string_view symbol) {
  const u64 address = address_of_(symbol);
  if (!address) return 0;
  bool is_new = false;
  const KernelStruct& type = space_.structure("file_operations");
  const KernelObject object = space_.object(type, symbol, &is_new);
  if (!is_new) return address;
  for (const Operation& each : kOperationFunctions)
    if (symbol == each.object) object.set(each.member, address_of_(each.function));
  space_.stands_at(address, object.address(), type.size());
  return address;
}

KernelObject FileObjects::file(const FileFacts& facts) {
  const KernelObject file = space_.object(
      space_.structure("file"), fmt::format("{} {} {:x} {}", facts.tgid, facts.fd, facts.mount->dev, facts.inode.ino));
  set_path(file, "f_path.mnt", "f_path.dentry", facts);
  const KernelObject inode = this->inode(facts);
  file.set("f_inode", inode.address());
  file.set("f_mapping", inode.address("i_data"));
  const Operations* operations = nullptr;
  for (const Operations& row : kOperations)
    if (!operations && fits(row, facts)) operations = &row;
  const char* symbol = facts.mount->type == "anon_inodefs" ? anonymous_operations(facts.path) : operations ? operations->symbol : "";
  file.set("f_op", *symbol && !(facts.flags & O_PATH) ? this->operations(symbol) : u64{0});
  file.set("f_flags", facts.flags & ~u32{O_CLOEXEC});
  // Who has it open keeps knowing that it was created for that.
  const u64 mode = file.address("f_mode");
  const u32 created = mode ? load<u32>(reinterpret_cast<const void*>(mode)) & kModeCreated : 0;
  file.set("f_mode", file_mode(facts, operations) | created);
  if (S_ISSOCK(facts.inode.mode) && !(facts.flags & O_PATH) && socket_of)
    file.set("private_data", socket_of(facts.tgid, facts.fd));
  file.set("f_pos", facts.pos);
  file.set("f_count", s64{1});
  return file;
}

KernelObject FileObjects::open_files(pid_t tgid) {
  return space_.object(space_.structure("files_struct"), fmt::format("{}", tgid));
}

KernelObject FileObjects::file_to_open(const FileFacts& facts, u32 flags, bool created, Opening state) {
  const KernelObject file = this->file(facts);
  u32 mode = created ? kModeCreated : 0;
  if (facts.readable) mode |= kModeRead;
  if (facts.writable) mode |= kModeWrite;
  if (state == Opening::kChecked) {
    const u32 kind = facts.inode.mode & S_IFMT;
    const bool special = kind == S_IFCHR || kind == S_IFBLK || kind == S_IFIFO || kind == S_IFSOCK;
    if (kind == S_IFREG || kind == S_IFDIR) mode |= kModeAtomicPos;
    if (facts.writable && !special) mode |= kModeWriter;
  }
  file.set("f_mode", mode);
  file.set("f_flags", flags);
  return file;
}

}  // namespace bpfemu
