// SPDX-License-Identifier: Apache-2.0
// execve: the files that it opens and what it reads of them.
#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>

#include "emu/hook/binprm.h"
#include "emu/hook/lookup.h"
#include "emu/hook/paths.h"
#include "emu/hook/task_name.h"

namespace bpfemu {

namespace {

constexpr u32 kLargeFile = 0100000, kModeExec = 0x20;  // kernel: O_LARGEFILE, FMODE_EXEC
constexpr u64 kMayExec = 1, kMayRead = 4;              // kernel: MAY_*
constexpr s32 kLookupOpen = 0x100, kLookupFollow = 1;
constexpr u8 kIterKernel = 1;    // kernel: ITER_KVEC
constexpr size_t kHead = 256;    // kernel: BINPRM_BUF_SIZE
constexpr u64 kMostStrings = 1 << 20;
constexpr int kMostScripts = 5;  // kernel: exec_binprm

// The hooks that lie here. Without listeners nothing is looked at.
bool listened_to(const Transit& call) {
  return std::ranges::any_of(
      std::to_array({Hook::do_filp_open, Hook::lookup_fast, Hook::d_lookup, Hook::vfs_open, Hook::security_file_open,
                     Hook::ext4_file_open, Hook::ext4_file_read_iter, Hook::security_file_permission,
                     Hook::security_bprm_creds_for_exec, Hook::security_bprm_check}),
      [&](Hook hook) { return call.awaited(hook) || call.decided(hook); });
}

// What execve makes up its mind with, as far as it has come (kernel: alloc_bprm, prepare_binprm).
struct Binprm {
  std::string filename, interpreter, head = {};
  u64 count = 0, environment = 0;
  bool secure = false;

  u64 place(Transit& call, const FileFacts& file) const {
    return place_binprm(call, {.filename = filename,
                               .interpreter = interpreter,
                               .file = &file,
                               .head = head,
                               .arguments = static_cast<u32>(count),
                               .variables = static_cast<u32>(environment),
                               .secure = secure});
  }
};

// kernel: count
u64 count_strings(Transit& call, u64 vector) {
  u64 n = 0;
  for (u64 text = 0; vector && call.task().read(vector + n * sizeof text, &text, sizeof text) && text; ++n)
    if (n == kMostStrings) break;
  return n;
}

// kernel: do_open_execat, open_exec. Null: nothing that can be executed is there.
const FileFacts* pass_open(Transit& call, Lookup& at, u64 folder, u64 name) {
  if (!at.named()) return nullptr;
  const Passing do_filp_open = call.enter(Hook::do_filp_open, [&](Arguments& a) {
    a[0] = folder;
    a.lazily(1, [&] { return filename(call, at.path(), name); });
    a.lazily(2, [&] {
      const KernelObject flags = local(call, "open_flags");
      flags.set("open_flag", kLargeFile | kModeExec);
      flags.set("acc_mode", s32{kMayExec});
      flags.set("intent", kLookupOpen);
      flags.set("lookup_flags", kLookupFollow);
      return flags.address();
    });
  });
  if (at.pass_names(true)) at.pass_last(true);
  const FileFacts* found = at.target();
  const bool opens = found && found->regular() && found->inode.mode & 0111;
  if (!opens) {
    do_filp_open.leave(found ? -EACCES : -ENOENT);
    return nullptr;
  }
  FileObjects& files = call.services().files;
  FileFacts opened = *found;
  opened.flags = kLargeFile | kModeExec;
  opened.readable = true;
  auto file = [&] { return files.file(opened).address(); };
  auto to_open = [&](FileObjects::Opening state) {
    return files.file_to_open(opened, opened.flags, false, state).address();
  };
  const Passing vfs_open = call.enter(Hook::vfs_open, [&](Arguments& a) {
    a.lazily(0, [&] { return at.target_path(); });
    a.lazily(1, [&] { return to_open(FileObjects::Opening::kBegins); });
  });
  call.ask(Hook::security_file_open,
           [&](Arguments& a) { a.lazily(0, [&] { return to_open(FileObjects::Opening::kChecked); }); });
  if (call.awaited(Hook::vfs_open)) (void)file();
  if (found->mount->type == "ext4")
    call.enter(Hook::ext4_file_open,
               [&](Arguments& a) {
                 a.lazily(0, [&] { return files.inode(*found).address(); });
                 a.lazily(1, file);
               })
        .leave(0);
  vfs_open.leave(call.denial().value_or(0));
  do_filp_open.leave(call.denial() ? *call.denial() : call.awaited(Hook::do_filp_open) ? static_cast<s64>(file()) : 0);
  return call.denial() ? nullptr : found;
}

// kernel: kernel_read
void pass_read(Transit& call, const FileFacts& file, u64 position, u64 count, s64 result) {
  auto address = [&] { return call.services().files.file(file).address(); };
  call.ask(Hook::security_file_permission, [&](Arguments& a) {
    a.lazily(0, address);
    a[1] = kMayRead;
  });
  if (file.mount->type != "ext4") return;
  call.enter(Hook::ext4_file_read_iter,
             [&](Arguments& a) {
               a.lazily(0, [&] {
                 const KernelObject kiocb = local(call, "kiocb");
                 kiocb.set("ki_filp", address());
                 kiocb.set("ki_pos", position);
                 return kiocb.address();
               });
               a.lazily(1, [&] {
                 const KernelObject iter = local(call, "iov_iter");
                 iter.set("iter_type", kIterKernel);
                 iter.set("nr_segs", u64{1});
                 iter.set("count", count);
                 return iter.address();
               });
             })
      .leave(result);
}

// What the file at a place holds; shorter at its end.
std::string content(const FileFacts& file, u64 position, size_t count) {
  const std::string path = file.mount->served() ? "" : file.mount->host_path(file.path);
  const UniqueFd fd(path.empty() ? -1 : ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  std::string bytes(count, '\0');
  const ssize_t n = fd ? ::pread(fd.get(), bytes.data(), count, static_cast<off_t>(position)) : 0;
  bytes.resize(n > 0 ? static_cast<size_t>(n) : 0);
  return bytes;
}

// kernel: load_script. The interpreter's path.
std::string script_interpreter(const std::string& head) {
  const size_t end = std::min(head.find('\n'), head.size()), begin = head.find_first_not_of(" \t", 2);
  if (begin == head.npos || begin >= end) return {};
  return head.substr(begin, std::min(head.find_first_of(" \t\n", begin), end) - begin);
}

// kernel: load_elf_binary. Tells of the reads and gives the interpreter's path; none: a static program.
std::string pass_program(Transit& call, const FileFacts& file, const std::string& head) {
  Elf64_Ehdr elf;
  if (head.size() < sizeof elf) return {};
  memcpy(&elf, head.data(), sizeof elf);
  const size_t size = elf.e_phnum * sizeof(Elf64_Phdr);
  if (elf.e_phentsize != sizeof(Elf64_Phdr) || size == 0 || size > 65536) return {};
  const std::string table = content(file, elf.e_phoff, size);
  pass_read(call, file, elf.e_phoff, size, static_cast<s64>(table.size()));
  for (size_t at = 0; at + sizeof(Elf64_Phdr) <= table.size(); at += sizeof(Elf64_Phdr)) {
    Elf64_Phdr segment;
    memcpy(&segment, table.data() + at, sizeof segment);
    if (segment.p_type != PT_INTERP || segment.p_filesz < 2 || segment.p_filesz > PATH_MAX) continue;
    const std::string name = content(file, segment.p_offset, segment.p_filesz);
    pass_read(call, file, segment.p_offset, segment.p_filesz, static_cast<s64>(name.size()));
    return name.c_str();
  }
  return {};
}

void pass_interpreter(Transit& call, const std::string& path) {
  Lookup at(call, path);
  call.goes_by(kOfInterpreter);
  const FileFacts* file = pass_open(call, at, kHere, 0);
  call.goes_by(0);
  if (!file) return;
  const std::string head = content(*file, 0, sizeof(Elf64_Ehdr));
  pass_read(call, *file, 0, sizeof(Elf64_Ehdr), static_cast<s64>(head.size()));
  (void)pass_program(call, *file, head);
}

// The new program is told on its stack, behind its arguments and its environment (kernel: create_elf_tables), and gets no
// signal when its parent dies (begin_new_exec).
void make_secure(Task& task) {
  u64 at = task.regs().rsp, words[2] = {};
  if (!task.read(at, words, sizeof words[0])) return;
  at += (words[0] + 2) * sizeof(u64);
  do {
    if (!task.read(at, words, sizeof words[0])) return;
    at += sizeof(u64);
  } while (words[0]);
  for (constexpr u64 kSecure = 1; task.read(at, words, sizeof words) && words[0] != AT_NULL; at += sizeof words)
    if (words[0] == AT_SECURE) (void)task.write(at + sizeof(u64), &kSecure, sizeof kSecure);
  (void)task.call(SYS_prctl, {PR_SET_PDEATHSIG, 0});
}

}  // namespace

// execve, execveat
Path executing(Transit& call) {
  if (rename_awaited(call)) call.caller_facts = named_facts(call, call.task().tid());
  if (!listened_to(call)) co_return;
  const bool at_folder = call.number() == SYS_execveat;
  const u64 folder = at_folder ? call.arg(0) : kHere, name = call.arg(at_folder ? 1 : 0);
  const u32 flags = at_folder ? static_cast<u32>(call.arg(4)) : 0;
  std::optional<Lookup> at(std::in_place, call, folder, name,
                           flags & AT_SYMLINK_NOFOLLOW ? Lookup::Last::kKeep : Lookup::Last::kFollow);
  const FileFacts* file = pass_open(call, *at, folder, name);
  Binprm binprm{.filename = at->path(), .interpreter = at->path()};
  // Who gives none is given an empty one.
  binprm.count = std::max<u64>(count_strings(call, call.arg(at_folder ? 2 : 1)), 1);
  binprm.environment = count_strings(call, call.arg(at_folder ? 3 : 2));
  u64 placed = 0;
  if (file)
    call.ask(Hook::security_bprm_creds_for_exec,
             [&](Arguments& a) { a.lazily(0, [&] { return placed = binprm.place(call, *file); }); });
  binprm.secure = is_secure(call, placed);
  for (int scripts = 0; file && scripts <= kMostScripts; ++scripts) {
    const std::string head = content(*file, 0, kHead);
    pass_read(call, *file, 0, kHead, static_cast<s64>(head.size()));
    binprm.head = head;
    call.ask(Hook::security_bprm_check, [&](Arguments& a) { a.lazily(0, [&] { return binprm.place(call, *file); }); });
    if (call.denial()) co_return;
    if (!head.starts_with("#!")) {
      const std::string interpreter = head.starts_with(ELFMAG) ? pass_program(call, *file, head) : std::string();
      if (!interpreter.empty()) pass_interpreter(call, interpreter);
      break;
    }
    binprm.interpreter = script_interpreter(head);
    at.emplace(call, binprm.interpreter);
    call.goes_by(kOfScript);
    file = pass_open(call, *at, kHere, 0);
    call.goes_by(0);
  }
  if (!binprm.secure) co_return;
  if (co_await call.done() == 0) make_secure(call.task());
}

}  // namespace bpfemu
