// SPDX-License-Identifier: Apache-2.0
// Files of this process, described from /proc and read back the way a CO-RE program reads kernel objects.
#include "emu/kernel/file_objects.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "emu/base/fd.h"
#include "emu/kernel/d_path.h"
#include "emu/kernel/kernel_data.h"

namespace bpfemu {
namespace {

struct Folder {
  std::string path = std::filesystem::temp_directory_path() / ("bpfemu-files-" + std::to_string(::getpid()));
  Folder() {
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path + "/inner");
    path = std::filesystem::canonical(path);
  }
  ~Folder() { std::filesystem::remove_all(path); }
};

struct Fixture {
  Folder folder;
  std::string name = folder.path + "/inner/some file";
  std::unique_ptr<Arena> arena = Arena::create(2).value();
  std::shared_ptr<Btf> btf = KernelData(default_profile()).btf().value();
  ObjectSpace space{*arena, btf};
  Mounts mounts;
  FileObjects objects{
      space, mounts, [](std::string_view symbol) {
        return symbol == "pipefifo_fops" ? u64{0xffffffff82000000} : symbol == "fifo_open" ? u64{0x99} : 0;
      }};
  pid_t self = ::getpid();

  template <class T = u64>
  T get(u64 address, const char* structure, const char* path) const {
    const auto offset = btf->offset_of(structure, path);
    REQUIRE(offset);
    REQUIRE(arena->contains(address, *offset + sizeof(T)));
    return load<T>(reinterpret_cast<const void*>(address + *offset));
  }
  std::string name_of(u64 dentry) const {
    const u64 text = get(dentry, "dentry", "d_name.name");
    REQUIRE(arena->contains(text, 1));
    const std::string found(reinterpret_cast<const char*>(text));
    CHECK(found.size() == get<u32>(dentry, "dentry", "d_name.len"));
    return found;
  }
  // As d_path() walks: up to the mount's root, then on from where that is mounted.
  std::string shown(u64 file) const {
    u64 mnt = get(file, "file", "f_path.mnt"), dentry = get(file, "file", "f_path.dentry");
    const u64 in_mount = btf->offset_of("mount", "mnt").value();
    std::string path;
    for (int i = 0; i < 100; ++i) {
      if (dentry == get(mnt, "vfsmount", "mnt_root")) {
        const u64 mount = mnt - in_mount, parent = get(mount, "mount", "mnt_parent");
        if (parent == mount) break;
        dentry = get(mount, "mount", "mnt_mountpoint");
        mnt = parent + in_mount;
        continue;
      }
      path = "/" + name_of(dentry) + path;
      dentry = get(dentry, "dentry", "d_parent");
    }
    return path.empty() ? "/" : path;
  }
  std::string text(int fd) {
    return d_path(*arena, space, file(fd) + btf->offset_of("file", "f_path").value()).value();
  }
  u64 file(int fd) { return objects.file(mounts.describe(self, fd).value()).address(); }
};

TEST_CASE_METHOD(Fixture, "an open file, its inode and its super block are the kernel's own") {
  std::ofstream(name) << "12345";
  UniqueFd fd(::open(name.c_str(), O_RDWR | O_APPEND | O_CLOEXEC));
  REQUIRE(::lseek(fd.get(), 3, SEEK_SET) == 3);
  struct stat st;
  struct statfs fs;
  REQUIRE((::fstat(fd.get(), &st) == 0 && ::fstatfs(fd.get(), &fs) == 0));
  const u64 at = file(fd.get());
  CHECK(shown(at) == name);
  CHECK(get(at, "file", "f_pos") == 3);
  CHECK((get<u32>(at, "file", "f_flags") & (O_ACCMODE | O_APPEND | O_CLOEXEC)) == (O_RDWR | O_APPEND));
  CHECK((get<u32>(at, "file", "f_mode") & 0x1f) == 0x1f);
  const u64 inode = get(at, "file", "f_inode");
  CHECK(get(get(at, "file", "f_path.dentry"), "dentry", "d_inode") == inode);
  CHECK(get(inode, "inode", "i_ino") == st.st_ino);
  CHECK(get<u16>(inode, "inode", "i_mode") == st.st_mode);
  CHECK(get(inode, "inode", "i_size") == 5);
  CHECK(get<u32>(inode, "inode", "i_nlink") == 1);
  CHECK(get<u32>(inode, "inode", "i_uid") == st.st_uid);
  CHECK(get(inode, "inode", "i_mtime") == static_cast<u64>(st.st_mtim.tv_sec));
  const u64 block = get(inode, "inode", "i_sb");
  CHECK(get(block, "super_block", "s_magic") == static_cast<u64>(fs.f_type));
  const u64 root = get(block, "super_block", "s_root");
  CHECK(name_of(root) == "/");
  CHECK(get(root, "dentry", "d_parent") == root);
  const u64 parent = get(get(at, "file", "f_path.dentry"), "dentry", "d_parent");
  REQUIRE(::stat((folder.path + "/inner").c_str(), &st) == 0);
  CHECK(get(get(parent, "dentry", "d_inode"), "inode", "i_ino") == st.st_ino);

  SECTION("it is found again") {
    std::ofstream(name) << "1234567";
    CHECK(file(fd.get()) == at);
    CHECK(get(inode, "inode", "i_size") == 7);
  }
  SECTION("a second name of the inode is another dentry") {
    const std::string other(200, 'n'), link = folder.path + "/" + other;
    REQUIRE(::link(name.c_str(), link.c_str()) == 0);
    UniqueFd second(::open(link.c_str(), O_WRONLY));
    const u64 also = file(second.get());
    CHECK(get(also, "file", "f_inode") == inode);
    CHECK(shown(also) == link);
    CHECK((get<u32>(also, "file", "f_mode") & 3) == 2);
  }
  SECTION("a name that is gone stays in the dentry") {
    REQUIRE(::unlink(name.c_str()) == 0);
    CHECK(mounts.describe(self, fd.get())->deleted);
    CHECK(shown(file(fd.get())) == name);
    CHECK(text(fd.get()) == name + " (deleted)");
    std::ofstream(name) << "another";
    UniqueFd other(::open(name.c_str(), O_RDONLY));
    CHECK(shown(file(other.get())) == name);
    CHECK(text(other.get()) == name);
    CHECK(get(get(file(fd.get()), "file", "f_path.dentry"), "dentry", "d_inode") == inode);
    CHECK(get(get(file(other.get()), "file", "f_path.dentry"), "dentry", "d_inode") != inode);
  }
  SECTION("a name may look as if it were gone") {
    const std::string odd = name + " (deleted)";
    REQUIRE(::rename(name.c_str(), odd.c_str()) == 0);
    CHECK_FALSE(mounts.describe(self, fd.get())->deleted);
    CHECK(shown(file(fd.get())) == odd);
    CHECK(text(fd.get()) == odd);
  }
  SECTION("a dentry keeps its place when it is renamed") {
    const u64 dentry = get(at, "file", "f_path.dentry");
    UniqueFd inner(::open((folder.path + "/inner").c_str(), O_PATH)), outer(::open(folder.path.c_str(), O_PATH));
    const FileFacts from = mounts.describe(self, inner.get()).value(), to = mounts.describe(self, outer.get()).value();
    const u64 negative = objects.negative_dentry(to, "new").address();
    CHECK(get(negative, "dentry", "d_inode") == 0);
    CHECK(name_of(negative) == "new");
    REQUIRE(::rename(name.c_str(), (folder.path + "/new").c_str()) == 0);
    objects.renamed(from, "some file", to, "new");
    CHECK(get(file(fd.get()), "file", "f_path.dentry") == dentry);
    CHECK(shown(file(fd.get())) == folder.path + "/new");
  }
}

TEST_CASE_METHOD(Fixture, "files without a folder") {
  int pipes[2], sockets[2];
  REQUIRE((::pipe(pipes) == 0 && ::socketpair(AF_UNIX, SOCK_DGRAM, 0, sockets) == 0));
  UniqueFd in(pipes[0]), out(pipes[1]), left(sockets[0]), right(sockets[1]), event(::eventfd(0, 0)),
      memory(::memfd_create("a/b", 0)), tcp(::socket(AF_INET, SOCK_STREAM, 0));
  auto name = [&](u64 file) { return name_of(get(file, "file", "f_path.dentry")); };
  auto type = [&](u64 file) {
    const u64 block = get(get(file, "file", "f_inode"), "inode", "i_sb");
    return std::string(
        reinterpret_cast<const char*>(get(get(block, "super_block", "s_type"), "file_system_type", "name")));
  };
  CHECK((name(file(in.get())).empty() && type(file(in.get())) == "pipefs"));
  CHECK(get<u16>(get(file(in.get()), "file", "f_inode"), "inode", "i_mode") == (S_IFIFO | 0600));
  CHECK(get(file(in.get()), "file", "f_op") == 0xffffffff82000000);
  const u64 open = 0xffffffff82000000 + btf->offset_of("file_operations", "open").value();
  CHECK(load<u64>(reinterpret_cast<const void*>(space.at_kernel_address(open, 8))) == 0x99);
  CHECK(space.at_kernel_address(0xffffffff82000000,
                                btf->size_of(btf->find("file_operations", BTF_KIND_STRUCT).value()).value() + 1) == 0);
  CHECK(space.at_kernel_address(0xffffffff82000000 - 1, 1) == 0);
  CHECK((get<u32>(file(in.get()), "file", "f_mode") & 0x7) == 1);
  CHECK((get<u32>(file(out.get()), "file", "f_mode") & 0x7) == 2);
  CHECK((name(file(tcp.get())) == "TCP" && type(file(tcp.get())) == "sockfs"));
  CHECK((name(file(event.get())) == "[eventfd]" && type(file(event.get())) == "anon_inodefs"));
  CHECK((name(file(memory.get())) == "memfd:a/b" && type(file(memory.get())) == "tmpfs"));
  CHECK(file(left.get()) != file(right.get()));
  for (const UniqueFd* each : {&in, &left, &event, &memory, &tcp}) {
    const std::string link = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(each->get()));
    CHECK(text(each->get()) == link);
  }
  CHECK(d_path(*arena, space, 0).error().value == EFAULT);
}

TEST_CASE_METHOD(Fixture, "devices have the kernel's numbers") {
  UniqueFd null(::open("/dev/null", O_RDONLY));
  const u64 inode = get(file(null.get()), "file", "f_inode");
  CHECK(get<u32>(inode, "inode", "i_rdev") == (1u << 20 | 3));
  CHECK(shown(file(null.get())) == "/dev/null");
}

TEST_CASE_METHOD(Fixture, "how a descriptor may be used costs little to know") {
  UniqueFd null(::open("/dev/null", O_WRONLY)), path(::open("/dev/null", O_PATH));
  CHECK((descriptor_access(self, null.get())->writable && !descriptor_access(self, null.get())->readable));
  CHECK((!descriptor_access(self, path.get())->writable && !descriptor_access(self, path.get())->readable));
  CHECK(descriptor_access(self, 9999).error().value == EBADF);
  CHECK(mounts.describe(self, 9999).error().value == EBADF);
  CHECK(mounts.describe(0x7ffffff, 0).error().value == ESRCH);
  CHECK(mounts.describe_link(self, "root")->path == "/");
  CHECK(mounts.describe_link(self, "exe")->regular());
}

}  // namespace
}  // namespace bpfemu
