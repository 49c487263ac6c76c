// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/own_file.h"

#include <sys/sysmacros.h>

#include "emu/syscalls/node_file.h"

namespace bpfemu {

namespace {

InodeFacts inode_facts(const struct stat& st) {
  InodeFacts facts;
  facts.ino = st.st_ino;
  facts.mode = st.st_mode;
  facts.rdev = kernel_device(major(st.st_rdev), minor(st.st_rdev));
  facts.uid = st.st_uid;
  facts.gid = st.st_gid;
  facts.nlink = static_cast<u32>(st.st_nlink);
  facts.size = static_cast<u64>(st.st_size);
  facts.blocks = static_cast<u64>(st.st_blocks);
  facts.block_size = static_cast<u32>(st.st_blksize);
  facts.atime = st.st_atim;
  facts.mtime = st.st_mtim;
  facts.ctime = st.st_ctim;
  return facts;
}

}  // namespace

OwnFile own_file(const Vfs& vfs, File& file) {
  struct stat st;
  file.stat(st);
  OwnFile own;
  own.inode = inode_facts(st);
  own.dev = kernel_device(major(st.st_dev), minor(st.st_dev));
  own.magic = file.fs_magic();
  own.object = file.object();
  const NodeFile* node = file.node();
  if (!node) {
    own.text = file.link_name();
    return own;
  }
  const Found& found = node->found();
  own.type = found.node->type->name;
  own.point = vfs.mount_of(found.path);
  own.text = found.path;
  own.deleted = found.node->links == 0;
  return own;
}

}  // namespace bpfemu
