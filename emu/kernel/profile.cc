// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/profile.h"

#include <unistd.h>

#include <charconv>
#include <climits>
#include <fstream>

namespace bpfemu {

namespace {

// Where data/ may be: beside the binary's folder, where the build found it, where it is installed.
std::string data_folder(const std::string& name) {
  char exe[PATH_MAX];
  ssize_t length = ::readlink("/proc/self/exe", exe, sizeof exe);
  std::string folder(exe, length > 0 ? static_cast<size_t>(length) : 0);
  folder.resize(folder.rfind('/') == std::string::npos ? 0 : folder.rfind('/'));
  for (const std::string& data :
       {folder + "/../data", std::string(BPFEMU_SOURCE_DATA), std::string(BPFEMU_INSTALL_DATA)}) {
    if (::access((data + "/" + name + "/kernel").c_str(), R_OK) == 0) return data;
  }
  return {};
}

}  // namespace

Profile default_profile() {
  Profile profile{.name = "6.1", .release = "6.1.0", .version = "#1 SMP", .code = kernel_version(6, 1), .data = {}};
  profile.data = data_folder(profile.name);
  std::ifstream facts(profile.data + "/" + profile.name + "/kernel");
  for (std::string key, value; facts >> key && std::getline(facts >> std::ws, value);) {
    if (key == "release") profile.release = value;
    if (key == "version") profile.version = value;
    if (key == "banner") profile.banner = value;
    if (key == "patch") {
      u32 patch = 0;
      std::from_chars(value.data(), value.data() + value.size(), patch);
      profile.code = kernel_version(6, 1, patch);
    }
  }
  return profile;
}

}  // namespace bpfemu
