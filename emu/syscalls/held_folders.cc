// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/held_folders.h"

#include <dirent.h>
#include <linux/kcmp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <memory>
#include <string>
#include <vector>

#include "emu/base/proc_files.h"
#include "emu/syscalls/host_tree.h"
#include "emu/vfs/vfs.h"

namespace bpfemu {

namespace {

constexpr std::chrono::milliseconds kPause{2};
constexpr int kShare = 20;  // at most this part of the time goes into looking

bool gives_folders(long number) {
  switch (number) {
    case SYS_open:
    case SYS_openat:
    case SYS_openat2:
    case SYS_creat:
    case SYS_chdir:
    case SYS_open_tree:
    case SYS_open_by_handle_at:
    case SYS_pidfd_getfd:
    case SYS_restart_syscall: return true;
    default: return false;
  }
}

// Is the thread still on its way through the call? One that runs might be.
bool may_be_inside(pid_t tid) {
  auto text = read_proc(tid, "syscall");
  if (!text) return text.error().value != ESRCH;
  return text->starts_with("running") || gives_folders(::strtol(text->c_str(), nullptr, 10));
}

// Have both threads the same table of descriptors, or current folder? False when nobody can tell.
bool share(pid_t a, pid_t b, int what) { return ::syscall(SYS_kcmp, a, b, what, 0, 0) == 0; }

// What differs when the thread has run meanwhile. Empty: it runs now, or nobody can tell.
std::string still(pid_t tid) {
  auto text = read_proc(tid, "status");
  if (!text) return text.error().value == ESRCH ? "gone" : "";
  size_t state = text->find("\nState:\t"), switches = text->find("\nvoluntary_ctxt_switches:");
  if (state == text->npos || switches == text->npos || (*text)[state + 8] == 'R') return {};
  return text->substr(switches);
}

// Does a message that waits in the socket bring descriptors? A connection that nobody has accepted yet may have such.
bool may_bring(pid_t tid, const char* fd) {
  auto text = read_proc(tid, (std::string("fdinfo/") + fd).c_str());
  if (!text) return true;
  size_t count = text->find("scm_fds:");
  UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, tid, 0)));
  UniqueFd copy(static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), ::atoi(fd), 0)));
  int domain = AF_UNIX, listens = 1;
  socklen_t size = sizeof domain;
  if (copy) ::getsockopt(copy.get(), SOL_SOCKET, SO_DOMAIN, &domain, &size);
  if (domain != AF_UNIX) return false;
  if (copy) ::getsockopt(copy.get(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &size);
  return listens || count == text->npos || ::atoi(text->c_str() + count + sizeof "scm_fds:") != 0;
}

}  // namespace

bool HeldFolders::none() {
  if (!suspected_) return true;
  auto start = Clock::now();
  if (start < next_) return false;
  suspected_ = look();
  auto end = Clock::now();
  next_ = end + std::max<Clock::duration>(kPause, kShare * (end - start));
  return !suspected_;
}

// A descriptor that changes its number, or its owner, could be missed: counts only when nobody has moved.
bool HeldFolders::look() {
  std::erase_if(getting_, [](pid_t tid) { return !may_be_inside(tid); });
  if (!getting_.empty()) return true;
  std::vector<std::string> before;
  for (pid_t tid : host_.threads()) {
    before.push_back(still(tid));
    if (before.back().empty()) return true;
  }
  if (anybody()) return true;
  auto seen = before.begin();
  for (pid_t tid : host_.threads())
    if (still(tid) != *seen++) return true;
  return false;
}

bool HeldFolders::anybody() const {
  for (pid_t tid : host_.threads()) {
    Task* task = host_.find_task(tid);
    pid_t leader = task ? task->tgid() : tid;
    bool other = leader != tid && host_.find_task(leader);
    if (holds(tid, !other || !share(leader, tid, KCMP_FILES), !other || !share(leader, tid, KCMP_FS))) return true;
  }
  return false;
}

bool HeldFolders::holds(pid_t tid, bool files, bool place) const {
  std::string process = "/proc/" + std::to_string(tid);
  if (place && leads_in(link_text(process + "/cwd"))) return true;
  if (!files) return false;
  std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir((process + "/fd").c_str()), &::closedir);
  if (!open) return errno != ENOENT && errno != ESRCH;
  while (dirent* entry = ::readdir(open.get())) {
    if (entry->d_type != DT_LNK) continue;
    std::string link = link_text(process + "/fd/" + entry->d_name);
    if (leads_in(link) || (link.starts_with("socket:") && may_bring(tid, entry->d_name))) return true;
  }
  return false;
}

bool HeldFolders::leads_in(const std::string& link) const { return link.starts_with('/') && vfs_.concerns(link + "/"); }

}  // namespace bpfemu
