// SPDX-License-Identifier: Apache-2.0
// What tracefs says of each event: its id, its format, the files of its folder. Formats are long: each is told by a
// hash.
#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <sstream>

#include "tests/oracle/events/events.h"
#include "tests/oracle/events/value.h"

namespace events {
namespace {

const std::string kTracing = "/sys/kernel/tracing/";
// Modules of the kernel that the answers were recorded on.
constexpr const char* kOfModules[] = {"9p", "fscache", "netfs"};

bool of_module(const std::string& system) {
  return std::ranges::count(kOfModules, system) != 0;
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  DIR* open = opendir(folder.c_str());
  if (!open) fail(folder);
  while (const dirent* entry = readdir(open))
    if (entry->d_name[0] != '.' && !of_module(entry->d_name)) names.emplace_back(entry->d_name);
  closedir(open);
  std::ranges::sort(names);
  return names;
}

bool is_folder(const std::string& path) {
  struct stat found {};
  return stat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode);
}

// "enable 0640, id 0440".
std::string files_of(const std::string& folder) {
  std::string files;
  for (const std::string& name : names_in(folder)) {
    struct stat found {};
    if (stat((folder + "/" + name).c_str(), &found) != 0 || !S_ISREG(found.st_mode)) continue;
    char mode[8];
    snprintf(mode, sizeof mode, " %04o", found.st_mode & 07777);
    files += (files.empty() ? "" : ", ") + name + mode;
  }
  return files;
}

// FNV-1a.
u64 hash(const std::string& text) {
  u64 result = 0xcbf29ce484222325;
  for (const char byte : text) result = (result ^ static_cast<u8>(byte)) * 0x100000001b3;
  return result;
}

void print_event(const std::string& system, const std::string& event) {
  const std::string folder = kTracing + "events/" + system + "/" + event, format = contents(folder + "/format");
  std::string id = contents(folder + "/id");
  if (!id.empty()) id.pop_back();
  printf("format %s/%s: id %s, format %016lx, files %s\n", system.c_str(), event.c_str(),
         id.empty() ? "none" : id.c_str(), hash(format), files_of(folder).c_str());
}

// The systems and the events of each, in the order in which the kernel names them.
void print_available() {
  std::vector<std::string> systems;
  std::map<std::string, std::string> events;
  std::istringstream lines(contents(kTracing + "available_events"));
  for (std::string line; std::getline(lines, line);) {
    const size_t colon = line.find(':');
    const std::string system = line.substr(0, colon);
    if (of_module(system)) continue;
    if (systems.empty() || systems.back() != system) systems.push_back(system);
    events[system] += " " + line.substr(colon + 1);
  }
  printf("available systems:");
  for (const std::string& system : systems) printf(" %s", system.c_str());
  printf("\n");
  for (const auto& [system, names] : events) printf("available %s:%s\n", system.c_str(), names.c_str());
}

void print_on_one_line(const char* name) {
  std::string text = contents(kTracing + name);
  std::ranges::replace(text, '\n', '|');
  printf("text %s: %s\n", name, text.c_str());
}

}  // namespace

void print_formats() {
  print_available();
  for (const char* name : {"events/header_page", "events/header_event", "printk_formats", "available_tracers"})
    print_on_one_line(name);
  printf("files of .: %s\n", files_of(kTracing).c_str());
  printf("files of events: %s\n", files_of(kTracing + "events").c_str());
  for (const std::string& system : names_in(kTracing + "events")) {
    const std::string folder = kTracing + "events/" + system;
    if (!is_folder(folder)) continue;
    printf("files of events/%s: %s\n", system.c_str(), files_of(folder).c_str());
    for (const std::string& event : names_in(folder))
      if (is_folder(folder + "/" + event)) print_event(system, event);
  }
}

}  // namespace events
