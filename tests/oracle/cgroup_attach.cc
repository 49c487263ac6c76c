// SPDX-License-Identifier: Apache-2.0
// Programs of cgroups: which flags go together in one cgroup and in a tree of them, what is queried, replaced, detached.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "tests/oracle/oracle.h"

namespace oracle {

namespace {

constexpr u32 kOverride = BPF_F_ALLOW_OVERRIDE, kMulti = BPF_F_ALLOW_MULTI, kReplace = BPF_F_REPLACE;

// A hierarchy of our own choice of place, with a parent and a child in it.
struct Tree {
  std::string root;
  int parent = -1, child = -1;

  explicit Tree(const char* at) : root(at) {
    mkdir(at, 0755);
    say("cgroup/mount", mount("none", at, "cgroup2", 0, nullptr) ? -errno : 0);
    open_group();
  }
  ~Tree() {
    close_group();
    umount2(root.c_str(), MNT_DETACH);
    rmdir(root.c_str());
  }
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  // New ones, to which nothing is attached.
  void renew() {
    close_group();
    open_group();
  }

 private:
  std::string path(const char* end) const { return root + "/oracle_cgroup" + end; }
  void open_group() {
    mkdir(path("").c_str(), 0755);
    mkdir(path("/child").c_str(), 0755);
    parent = open(path("").c_str(), O_RDONLY | O_DIRECTORY);
    child = open(path("/child").c_str(), O_RDONLY | O_DIRECTORY);
  }
  void close_group() {
    close(parent), close(child);
    rmdir(path("/child").c_str()), rmdir(path("").c_str());
  }
};

struct Hook {
  const char* name;
  u32 type, attach;
};

constexpr Hook kHooks[] = {
    {"ingress", BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_INGRESS},
    {"egress", BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS},
    {"sock create", BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET_SOCK_CREATE},
    {"sock ops", BPF_PROG_TYPE_SOCK_OPS, BPF_CGROUP_SOCK_OPS},
    {"device", BPF_PROG_TYPE_CGROUP_DEVICE, BPF_CGROUP_DEVICE},
    {"bind4", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_BIND},
    {"connect6", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET6_CONNECT},
    {"post bind6", BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET6_POST_BIND},
    {"sendmsg4", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_UDP4_SENDMSG},
    {"sysctl", BPF_PROG_TYPE_CGROUP_SYSCTL, BPF_CGROUP_SYSCTL},
    {"getsockopt", BPF_PROG_TYPE_CGROUP_SOCKOPT, BPF_CGROUP_GETSOCKOPT},
    {"sock release", BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET_SOCK_RELEASE},
};

int program_for(const Hook& hook) {
  Program program = {mov(BPF_REG_0, 1), leave()};
  bpf_attr attr = prog_attr(hook.type, program);
  attr.expected_attach_type = hook.type == BPF_PROG_TYPE_SOCK_OPS || hook.type == BPF_PROG_TYPE_CGROUP_DEVICE ? 0 : hook.attach;
  long fd = bpf(BPF_PROG_LOAD, attr);
  if (fd < 0) say(std::string("cgroup/load ") + hook.name, fd);
  return static_cast<int>(fd);
}

long attach(int group, int program, u32 type, u32 flags, int replaced = 0) {
  bpf_attr attr{};
  attr.target_fd = static_cast<u32>(group);
  attr.attach_bpf_fd = static_cast<u32>(program);
  attr.attach_type = type;
  attr.attach_flags = flags;
  attr.replace_bpf_fd = static_cast<u32>(replaced);
  return bpf(BPF_PROG_ATTACH, attr);
}

long detach(int group, int program, u32 type) {
  bpf_attr attr{};
  attr.target_fd = static_cast<u32>(group);
  attr.attach_bpf_fd = static_cast<u32>(program);
  attr.attach_type = type;
  return bpf(BPF_PROG_DETACH, attr);
}

long link(int group, int program, u32 type, u32 flags = 0) {
  bpf_attr attr{};
  attr.link_create.target_fd = static_cast<u32>(group);
  attr.link_create.prog_fd = static_cast<u32>(program);
  attr.link_create.attach_type = type;
  attr.link_create.flags = flags;
  return bpf(BPF_LINK_CREATE, attr);
}

std::string query(int group, u32 type, u32 flags, u32 room = 8) {
  u32 ids[8] = {}, each[8] = {};
  bpf_attr attr{};
  attr.query.target_fd = static_cast<u32>(group);
  attr.query.attach_type = type;
  attr.query.query_flags = flags;
  attr.query.prog_cnt = room;
  attr.query.prog_ids = room ? ptr(ids) : 0;
  attr.query.prog_attach_flags = room && !(flags & BPF_F_QUERY_EFFECTIVE) ? ptr(each) : 0;
  long r = bpf_raw(BPF_PROG_QUERY, &attr, sizeof attr);
  u32 known = 0;
  for (u32 id : ids) known += id != 0;
  std::string answer = text(r) + " count " + std::to_string(attr.query.prog_cnt) + " ids " + std::to_string(known) + " flags " +
                       std::to_string(attr.query.attach_flags) + " of each";
  for (u32 one : each) answer += " " + std::to_string(one);
  return answer;
}

void ask_flags(Tree& tree, const Hook& hook, int first, int second) {
  const std::string name = std::string("cgroup/") + hook.name;
  for (u32 flags = 0; flags < 32; ++flags) {
    say(name + " with flags " + std::to_string(flags), attach(tree.parent, first, hook.attach, flags));
    say(name + " detached from flags " + std::to_string(flags), detach(tree.parent, first, hook.attach));
  }
  for (u32 above : {0u, kOverride, kMulti}) {
    for (u32 below : {0u, kOverride, kMulti}) {
      const std::string pair = name + " " + std::to_string(above) + " over " + std::to_string(below);
      tree.renew();
      say(pair + ", parent", attach(tree.parent, first, hook.attach, above));
      say(pair + ", child", attach(tree.child, second, hook.attach, below));
      say(pair + ", parent's", query(tree.parent, hook.attach, 0));
      say(pair + ", child's", query(tree.child, hook.attach, 0));
      say(pair + ", child's effective", query(tree.child, hook.attach, BPF_F_QUERY_EFFECTIVE));
      say(pair + ", parent once more", attach(tree.parent, first, hook.attach, above));
      say(pair + ", second in the parent", attach(tree.parent, second, hook.attach, above));
      say(pair + ", other flags in the parent", attach(tree.parent, second, hook.attach, below));
      say(pair + ", replaced", attach(tree.parent, second, hook.attach, above | kReplace, first));
      say(pair + ", replaced by itself", attach(tree.parent, first, hook.attach, above | kReplace, first));
      say(pair + ", a link beside", fd_text(link(tree.parent, first, hook.attach)));
      say(pair + ", parent's at last", query(tree.parent, hook.attach, 0));
      say(pair + ", child's effective at last", query(tree.child, hook.attach, BPF_F_QUERY_EFFECTIVE));
      say(pair + ", detach what is not there", detach(tree.child, first, hook.attach));
      say(pair + ", detach without a program", detach(tree.parent, -1, hook.attach));
      say(pair + ", detach", detach(tree.parent, first, hook.attach));
      say(pair + ", detach the second", detach(tree.parent, second, hook.attach));
      say(pair + ", child's effective afterwards", query(tree.child, hook.attach, BPF_F_QUERY_EFFECTIVE));
    }
  }
}

void ask_links_of(Tree& tree, const Hook& hook, int first, int second) {
  const std::string name = std::string("cgroup link/") + hook.name;
  tree.renew();
  long one = link(tree.parent, first, hook.attach);
  say(name, one < 0 ? text(one) : "fd");
  if (one < 0) return;
  say(name + " with a flag", link(tree.parent, first, hook.attach, 1));
  long two = link(tree.parent, first, hook.attach);
  say(name + " of the same again", two < 0 ? text(two) : "fd");
  say(name + ", attached beside", attach(tree.parent, second, hook.attach, kMulti));
  say(name + ", attached alone beside", attach(tree.parent, second, hook.attach, 0));
  say(name + ", queried", query(tree.parent, hook.attach, 0));
  say(name + ", queried without room", query(tree.parent, hook.attach, 0, 0));
  say(name + ", queried with little room", query(tree.parent, hook.attach, 0, 1));
  say(name + ", detached as a program", detach(tree.parent, first, hook.attach));
  bpf_attr attr{};
  attr.link_update.link_fd = static_cast<u32>(one);
  attr.link_update.new_prog_fd = static_cast<u32>(second);
  say(name + ", updated", bpf(BPF_LINK_UPDATE, attr));
  for (u32 flags : {2u, 4u, 8u}) {
    attr.link_update.flags = flags;
    say(name + ", updated with flag " + std::to_string(flags), bpf(BPF_LINK_UPDATE, attr));
  }
  attr.link_update.flags = 0;
  attr.link_update.old_prog_fd = static_cast<u32>(second);
  say(name + ", updated with an old one and no flag", bpf(BPF_LINK_UPDATE, attr));
  attr.link_update.flags = kReplace;
  attr.link_update.new_prog_fd = static_cast<u32>(first);
  say(name + ", updated from the right one", bpf(BPF_LINK_UPDATE, attr));
  say(name + ", updated from the wrong one", bpf(BPF_LINK_UPDATE, attr));
  Program other = nothing();
  int filter = make_program(BPF_PROG_TYPE_SOCKET_FILTER, other);
  attr = {};
  attr.link_update.link_fd = static_cast<u32>(one);
  attr.link_update.new_prog_fd = static_cast<u32>(filter);
  say(name + ", updated to another type", bpf(BPF_LINK_UPDATE, attr));
  close(filter);
  bpf_link_info info{};
  attr = {};
  attr.info.bpf_fd = static_cast<u32>(one);
  attr.info.info = ptr(&info);
  attr.info.info_len = sizeof info;
  long r = bpf(BPF_OBJ_GET_INFO_BY_FD, attr);
  say(name + "'s info", text(r) + " type " + std::to_string(info.type) + " attach type " + std::to_string(info.cgroup.attach_type) +
                            (info.cgroup.cgroup_id ? " of a cgroup" : " of none"));
  attr = {};
  attr.link_detach.link_fd = static_cast<u32>(one);
  say(name + ", detached", bpf(BPF_LINK_DETACH, attr));
  say(name + ", detached twice", bpf(BPF_LINK_DETACH, attr));
  info = {};
  attr = {};
  attr.info.bpf_fd = static_cast<u32>(one);
  attr.info.info = ptr(&info);
  attr.info.info_len = sizeof info;
  r = bpf(BPF_OBJ_GET_INFO_BY_FD, attr);
  say(name + "'s info afterwards", text(r) + (info.cgroup.cgroup_id ? " of a cgroup" : " of none"));
  attr = {};
  attr.link_update.link_fd = static_cast<u32>(one);
  attr.link_update.new_prog_fd = static_cast<u32>(second);
  say(name + ", updated afterwards", bpf(BPF_LINK_UPDATE, attr));
  say(name + ", queried afterwards", query(tree.parent, hook.attach, 0));
  close(static_cast<int>(one));
  if (two >= 0) close(static_cast<int>(two));
  say(name + ", queried at last", query(tree.parent, hook.attach, 0));
}

}  // namespace

void ask_cgroups() {
  Tree tree("/tmp/oracle_cgroup2");
  for (const Hook& hook : kHooks) {
    int first = program_for(hook), second = program_for(hook);
    ask_flags(tree, hook, first, second);
    ask_links_of(tree, hook, first, second);
    close(first), close(second);
  }
  int program = program_for(kHooks[0]);
  say("cgroup/ingress as device", attach(tree.parent, program, BPF_CGROUP_DEVICE, 0));
  for (u32 flags : {1u, 2u, 3u}) say("cgroup/query flag " + std::to_string(flags), query(tree.parent, BPF_CGROUP_INET_INGRESS, flags));
  int map = make_map({BPF_MAP_TYPE_CGROUP_ARRAY});
  u32 index = 0, value = static_cast<u32>(tree.parent), beyond = 4;
  say("cgroup array/update", update(map, &index, &value));
  say("cgroup array/update beyond", update(map, &beyond, &value));
  say("cgroup array/update with flag 1", update(map, &index, &value, BPF_NOEXIST));
  say("cgroup array/lookup", lookup(map, &index, &value));
  say("cgroup array/delete", erase(map, &index));
  say("cgroup array/delete again", erase(map, &index));
  close(map), close(program);
}

}  // namespace oracle
