// SPDX-License-Identifier: Apache-2.0
// Programs of a network namespace: flow_dissector and sk_lookup (kernel: kernel/bpf/net_namespace.c).
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "emu/bpf/link.h"

namespace bpfemu {

class NetnsLink;

class NetnsPrograms {
 public:
  explicit NetnsPrograms(u32 inode) : inode_(inode) {}

  u32 inode() const { return inode_; }
  // Is anything attached as `type`?
  bool any(u32 type) const;
  std::vector<u32> ids(u32 type) const;
  // `elsewhere`: another namespace has one that excludes it. EEXIST; EINVAL: it is attached already, or the type has
  // links alone.
  Result<void> attach(u32 type, std::shared_ptr<Program> program, bool elsewhere);
  // EINVAL: there are links; ENOENT: it is not what is attached.
  Result<void> detach(u32 type, const Program& program);
  // E2BIG, EEXIST.
  Result<void> join(NetnsLink& link, bool elsewhere);
  void leave(const NetnsLink& link);
  // The namespace is gone: links stay without one.
  void gone();

 private:
  struct Attached {
    std::shared_ptr<Program> program;  // without a link
    std::vector<NetnsLink*> links;
  };

  u32 inode_;
  std::map<u32, Attached> attached_;  // by attach type
};

class NetnsLink : public Link {
 public:
  NetnsLink(std::shared_ptr<Program> program, u32 attach_type)
      : Link(BPF_LINK_TYPE_NETNS, std::move(program)), attach_type_(attach_type) {}
  ~NetnsLink() override { leave(); }

  u32 attach_type() const { return attach_type_; }
  Result<void> join(std::shared_ptr<NetnsPrograms> netns, bool elsewhere);
  void orphan() { netns_.reset(); }

  void fill_info(bpf_link_info& info, std::string& name) const override;
  std::string fdinfo() const override;
  Result<void> detach() override;
  // ENOLINK once its namespace has gone (kernel: bpf_netns_link_update_prog).
  Result<void> update(std::shared_ptr<Program> program, u32 flags, std::shared_ptr<Program> old) override;

 private:
  void leave();

  u32 attach_type_;
  std::shared_ptr<NetnsPrograms> netns_;
};

}  // namespace bpfemu
