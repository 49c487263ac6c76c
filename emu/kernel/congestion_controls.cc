// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/congestion_controls.h"

#include <algorithm>
#include <fstream>
#include <sstream>

namespace bpfemu {

namespace {

constexpr u32 kNonRestricted = 1;  // TCP_CONG_NON_RESTRICTED

// The host's own, without the newline.
std::string host_list(const char* which) {
  std::ifstream file(std::string("/proc/sys/net/ipv4/tcp_") + which + "_congestion_control");
  std::string line;
  std::getline(file, line);
  return line;
}

void append(std::string& list, const std::string& name) {
  if (!list.empty()) list += ' ';
  list += name;
}

}  // namespace

bool CongestionControl::everybody() const { return (flags & kNonRestricted) != 0; }

Result<void> CongestionControls::add(CongestionControl control) {
  if (exists(control.name)) return fail(EEXIST);
  registered_.push_back(std::make_shared<CongestionControl>(std::move(control)));
  return {};
}

void CongestionControls::remove(const Object& holder) {
  std::erase_if(registered_, [&](const auto& each) { return each->holder.get() == &holder; });
}

bool CongestionControls::exists(std::string_view name) const {
  if (find(name)) return true;
  std::istringstream words(host_list("available"));
  for (std::string word; words >> word;)
    if (word == name) return true;
  return false;
}

std::shared_ptr<CongestionControl> CongestionControls::find(std::string_view name) const {
  const auto it = std::ranges::find(registered_, name, [](const auto& each) -> std::string_view { return each->name; });
  return it == registered_.end() ? nullptr : *it;
}

std::string CongestionControls::available() const {
  std::string list = host_list("available");
  for (const auto& each : registered_) append(list, each->name);
  return list;
}

std::string CongestionControls::allowed() const {
  std::string list = host_list("allowed");
  for (const auto& each : registered_)
    if (each->everybody()) append(list, each->name);
  return list;
}

void CongestionControls::choose(u64 socket, std::shared_ptr<CongestionControl> control) {
  if (control) ++*control->references;
  const auto had = sockets_.find(socket);
  if (had != sockets_.end()) {
    --*had->second->references;
    sockets_.erase(had);
  }
  if (control) sockets_.emplace(socket, std::move(control));
}

void CongestionControls::forget_closed(const std::function<bool(u64 socket)>& is_open) {
  std::erase_if(sockets_, [&](const auto& each) {
    if (is_open(each.first)) return false;
    --*each.second->references;
    return true;
  });
}

void CongestionControls::inherit(u64 listener, u64 connection) {
  if (auto control = of(listener)) choose(connection, std::move(control));
}

std::shared_ptr<CongestionControl> CongestionControls::of(u64 socket) const {
  const auto found = sockets_.find(socket);
  return found == sockets_.end() ? nullptr : found->second;
}

}  // namespace bpfemu
