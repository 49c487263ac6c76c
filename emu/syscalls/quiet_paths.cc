// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/quiet_paths.h"

#include <sys/resource.h>
#include <sys/syscall.h>

#include "emu/syscalls/quiet_maps.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

namespace {

// What others change is noticed within this time, as by HostPaths.
constexpr u64 kKept = 500'000'000;

// Paths that two texts may stand for are not worth a thought.
bool is_plain(std::string_view path) {
  return path.size() > 1 && path[0] == '/' && path.back() != '/' && path.find("//") == path.npos &&
         path.find("/.") == path.npos;
}

}  // namespace

QuietPaths::QuietPaths(System& system) : held(system.host, *system.vfs), system_(system) {}

// Where memory is counted it is kept for objects.
void QuietPaths::begin() {
  rlimit limit;
  if (std::exchange(asked_, true) || ::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY) return;
  auto made = PathTable::create();
  if (!made) return;
  table_ = std::move(*made);
  begun_ = true;
  ask();
  publish();
}

void QuietPaths::publish() {
  if (!begun_) return;
  if (denied_ != system_.vfs->revision()) deny_names();
  if (owners_ != system_.owners.any()) ask();
  bool ordinary = !system_.roots_differ;
  table_->open(PathTable::Gate::kAbsolute, ordinary);
  table_->open(PathTable::Gate::kEmpty, system_.files.none());
  table_->open(PathTable::Gate::kMapping, system_.files.none() && !all_mappings);
  table_->open(PathTable::Gate::kMaps, system_.quiet_maps->unseen());
  table_->open(PathTable::Gate::kRelative, ordinary && !system_.files.any_folders() && held.none());
}

void QuietPaths::listen(const SyscallSet& calls) {
  listened_ = calls;
  if (begun_) ask();
}

void QuietPaths::always_ask(const SyscallSet& calls) {
  always_ |= calls;
  if (begun_) ask();
}

// While owners are remembered that the host does not know, stat shows them.
void QuietPaths::ask() {
  SyscallSet calls = listened_ | always_;
  owners_ = system_.owners.any();
  if (owners_)
    for (long number : {SYS_stat, SYS_lstat, SYS_newfstatat, SYS_statx}) calls.set(static_cast<size_t>(number));
  table_->ask(calls);
}

void QuietPaths::deny_names() {
  denied_ = system_.vfs->revision();
  for (std::string_view path : system_.vfs->entrances())
    for (size_t at = path.find_first_not_of('/'); at != path.npos; at = path.find_first_not_of('/', at)) {
      size_t end = std::min(path.find('/', at), path.size());
      table_->deny(path.substr(at, end - at));
      at = end;
    }
  held.suspect();
}

void QuietPaths::admit(std::string_view path, bool follow) {
  if (!begun_ || system_.roots_differ || !is_plain(path) || !table_->admit(path, follow)) return;
  admitted_ = true;
  if (timer_ != 0) return;
  timer_ = system_.host.add_timer(kKept, [this] { expire(); });
}

// What is still asked for stops once more, and is admitted anew.
void QuietPaths::expire() {
  table_->forget();
  system_.host_paths.expire();
  if (std::exchange(admitted_, false)) return;
  system_.host.cancel_timer(std::exchange(timer_, 0));
}

}  // namespace bpfemu
