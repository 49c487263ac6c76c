// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/networks.h"

#include <dirent.h>
#include <fmt/format.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "emu/kernel/network.h"

namespace bpfemu {

namespace {

bool links_to(const std::string& path, const std::string& target) {
  char link[64] = {};
  return ::readlink(path.c_str(), link, sizeof link - 1) > 0 && target == link;
}

bool has_descriptor(pid_t process, const std::string& target) {
  const std::string folder = fmt::format("/proc/{}/fd", process);
  DIR* const descriptors = ::opendir(folder.c_str());
  bool found = false;
  for (const dirent* entry; descriptors && !found && (entry = ::readdir(descriptors));)
    found = links_to(folder + '/' + entry->d_name, target);
  if (descriptors) ::closedir(descriptors);
  return found;
}

// As `ip netns` keeps them: the root of the mount is the namespace's own name.
bool has_mount(pid_t process, const std::string& target) {
  std::ifstream mounts(fmt::format("/proc/{}/mountinfo", process));
  for (std::string line; std::getline(mounts, line);)
    if (line.find(' ' + target + ' ') != std::string::npos) return true;
  return false;
}

}  // namespace

UniqueFd route_socket(Task& task) {
  return make_socket_in(&task, network_of(task), AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
}

bool Networks::any_xdp() const {
  return std::ranges::any_of(networks_, [](const auto& network) {
    return std::ranges::any_of(network.second.devices, [](const auto& device) { return device.second->any(); });
  });
}

const XdpDevice* Networks::device(u32 network, u32 index) const {
  const auto in = networks_.find(network);
  if (in == networks_.end()) return nullptr;
  const auto found = in->second.devices.find(index);
  return found == in->second.devices.end() ? nullptr : found->second.get();
}

XdpResult Networks::attach(Task& task, u32 index, XdpAttach attach) {
  look_again(task);
  const UniqueFd netlink = route_socket(task);
  const auto facts = device_facts(netlink.get(), index);
  if (!facts) return std::unexpected(XdpRefusal{facts.error().value});
  const auto& program = attach.link ? attach.link->program() : attach.program;
  const XdpDriver driver = xdp_driver(netlink.get(), *facts, program && program->xdp_has_frags);
  Network& network = at(network_of(task));
  const bool upper_has_one = std::ranges::any_of(network.devices, [&](const auto& other) {
    if (!other.second->any() || other.first == index) return false;
    const auto upper = device_facts(netlink.get(), other.first);
    return upper && is_upper(*upper, *facts);
  });
  auto& device = network.devices[index];
  if (!device) device = std::make_shared<XdpDevice>(index);
  if (attach.link) return attach.link->join(device, driver, upper_has_one);
  return device->attach(driver, attach, upper_has_one);
}

bool Networks::excluded(u32 network, u32 type) const {
  if (type != BPF_FLOW_DISSECTOR) return false;
  const u32 root = own_network();
  return std::ranges::any_of(networks_, [&](const auto& other) {
    const bool excludes = other.first != network && (network == root || other.first == root);
    return excludes && other.second.programs->any(type);
  });
}

// Sockets hold their namespace, too: those are not looked at.
bool Networks::lives(u32 network) const {
  if (network == own_network()) return true;
  const std::string name = fmt::format("net:[{}]", network);
  for (pid_t thread : host_.threads())
    if (links_to(fmt::format("/proc/{}/ns/net", thread), name)) return true;
  for (pid_t process : host_.thread_groups())
    if (has_descriptor(process, name) || has_mount(process, name)) return true;
  return false;
}

void Networks::look_again(Task& task) {
  if (networks_.empty()) return;
  const u32 here = network_of(task);
  std::erase_if(networks_, [&](auto& entry) {
    if (lives(entry.first)) return false;
    entry.second.programs->gone();
    for (auto& [index, device] : entry.second.devices) device->gone();
    return true;
  });
  const auto network = networks_.find(here);
  if (network == networks_.end() || network->second.devices.empty()) return;
  const UniqueFd netlink = route_socket(task);
  std::erase_if(network->second.devices, [&](auto& entry) {
    const auto facts = device_facts(netlink.get(), entry.first);
    if (facts || facts.error().value != ENODEV) return false;
    entry.second->gone();
    return true;
  });
}

}  // namespace bpfemu
