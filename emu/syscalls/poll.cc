// SPDX-License-Identifier: Apache-2.0
// poll and select look at every file at once, so that what emulated files report is known at entry.
#include "emu/syscalls/poll.h"

#include <sys/epoll.h>
#include <sys/poll.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "emu/syscalls/system.h"

namespace bpfemu {

namespace {

constexpr u64 kMaxDescriptors = 1 << 12;  // a longer list is left to the kernel
constexpr u32 kWordBits = 64;
constexpr short kAnything = POLLIN | POLLOUT | POLLPRI | POLLRDNORM | POLLRDBAND | POLLWRNORM | POLLWRBAND;

// kernel: POLLIN_SET, POLLOUT_SET, POLLEX_SET.
constexpr u32 kSelectMasks[] = {EPOLLRDNORM | EPOLLRDBAND | EPOLLIN | EPOLLHUP | EPOLLERR,
                                EPOLLWRBAND | EPOLLWRNORM | EPOLLOUT | EPOLLERR, EPOLLPRI};

// The emulated file of a descriptor that says more than its carrier. A synthetic file's carrier is as good as it.
std::shared_ptr<File> asked_file(System& system, Task& task, int fd) {
  auto file = fd >= 0 ? system.files.ours(task, fd) : nullptr;
  return file && (file->object() || file->pollable()) ? file : nullptr;
}

// What the entry found.
struct Survey {
  struct Found {
    size_t index;  // of the entry; select: the descriptor
    u32 mask;
  };
  std::vector<Found> found;
  bool ready = false;  // something to report at once
  bool once = false;   // what the wait reports must be taken away at its exit
};

Reply wait_natively(const Survey& survey) {
  return survey.once ? Reply::native_then_exit() : Reply::native();
}

Result<std::vector<pollfd>> read_entries(const Call& call) {
  if (call.args[1] > kMaxDescriptors) return fail(EINVAL);
  std::vector<pollfd> entries(call.args[1]);
  TRY(call.task.read(call.args[0], entries.data(), entries.size() * sizeof(pollfd)));
  return entries;
}

// Asks the kernel for all the others, without waiting.
Result<u64> poll_now(Call& call, const Survey& survey) {
  TRY(call.task.call(SYS_poll, {call.args[0], call.args[1], 0, 0, 0, 0}));
  auto entries = TRY(read_entries(call));
  for (const Survey::Found& each : survey.found) {
    pollfd& entry = entries[each.index];
    entry.revents = static_cast<short>(each.mask & (static_cast<u16>(entry.events) | EPOLLERR | EPOLLHUP));
  }
  TRY(call.task.write(call.args[0], entries.data(), entries.size() * sizeof(pollfd)));
  return static_cast<u64>(std::ranges::count_if(entries, [](const pollfd& entry) { return entry.revents != 0; }));
}

// The three sets of a select, null ones empty.
struct FdSets {
  u32 count = 0;  // descriptors
  std::array<std::vector<u64>, 3> sets;

  static Result<FdSets> read(const Call& call) {
    FdSets all;
    if (call.args[0] > kMaxDescriptors) return fail(EINVAL);
    all.count = static_cast<u32>(call.args[0]);
    for (size_t i = 0; i < all.sets.size(); ++i) {
      all.sets[i].resize((all.count + kWordBits - 1) / kWordBits);
      if (call.args[1 + i]) TRY(call.task.read(call.args[1 + i], all.sets[i].data(), all.bytes()));
    }
    return all;
  }
  Result<void> write(const Call& call) const {
    for (size_t i = 0; i < sets.size(); ++i) {
      if (call.args[1 + i]) TRY(call.task.write(call.args[1 + i], sets[i].data(), bytes()));
    }
    return {};
  }

  size_t bytes() const { return sets[0].size() * sizeof(u64); }
  bool has(size_t set, u32 fd) const { return sets[set][fd / kWordBits] >> (fd % kWordBits) & 1; }
  bool has(u32 fd) const { return has(0, fd) || has(1, fd) || has(2, fd); }
  void put(size_t set, u32 fd, bool on) {
    u64 bit = u64{1} << (fd % kWordBits);
    u64& word = sets[set][fd / kWordBits];
    word = on ? word | bit : word & ~bit;
  }
  u64 total() const {
    u64 bits = 0;
    for (auto& set : sets) {
      for (u64 word : set) bits += static_cast<u64>(std::popcount(word));
    }
    return bits;
  }
};

// What the kernel finds at these descriptors without waiting: EBADF when one is closed.
Result<void> poll_others(Task& task, std::vector<Survey::Found>& others) {
  constexpr size_t kAtOnce = 256;
  for (size_t first = 0; first < others.size(); first += kAtOnce) {
    pollfd entries[kAtOnce];
    size_t count = std::min(kAtOnce, others.size() - first), bytes = count * sizeof(pollfd);
    for (size_t i = 0; i < count; ++i) entries[i] = {static_cast<int>(others[first + i].index), kAnything, 0};
    u64 at = TRY(task.scratch(bytes));
    TRY(task.write(at, entries, bytes));
    TRY(task.call(SYS_poll, {at, count, 0, 0, 0, 0}));
    TRY(task.read(at, entries, bytes));
    for (size_t i = 0; i < count; ++i) {
      if (entries[i].revents & POLLNVAL) return fail(EBADF);
      others[first + i].mask = static_cast<u16>(entries[i].revents);
    }
  }
  return {};
}

Result<u64> select_now(Call& call, const FdSets& wanted, Survey& survey) {
  std::vector<bool> ours(wanted.count);
  for (const Survey::Found& each : survey.found) ours[each.index] = true;
  std::vector<Survey::Found> all;
  for (u32 fd = 0; fd < wanted.count; ++fd) {
    if (wanted.has(fd) && !ours[fd]) all.push_back({fd, 0});
  }
  TRY(poll_others(call.task, all));
  all.insert(all.end(), survey.found.begin(), survey.found.end());
  FdSets sets = wanted;
  for (const Survey::Found& each : all) {
    u32 fd = static_cast<u32>(each.index);
    for (size_t i = 0; i < sets.sets.size(); ++i) sets.put(i, fd, wanted.has(i, fd) && (each.mask & kSelectMasks[i]));
  }
  TRY(sets.write(call));
  return sets.total();
}

}  // namespace

u32 ask(System& system, File& file) {
  u32 mask = file.poll();
  if (!file.readable()) system.files.quiet(file);
  return mask;
}

Reply enter_poll(System& system, Call& call) {
  system.files.settle();
  auto entries = read_entries(call);
  if (!entries) return Reply::native();
  Survey survey;
  for (size_t i = 0; i < entries->size(); ++i) {
    const pollfd& entry = (*entries)[i];
    auto file = asked_file(system, call.task, entry.fd);
    if (!file) continue;
    u32 mask = ask(system, *file);
    survey.found.push_back({i, mask});
    survey.ready |= (mask & (static_cast<u16>(entry.events) | EPOLLERR | EPOLLHUP)) != 0;
    survey.once |= file->reports_once();
  }
  return survey.ready ? Reply::answer(poll_now(call, survey)) : wait_natively(survey);
}

s64 exit_poll(System& system, Call& call, s64 result) {
  if (result <= 0) return result;
  auto entries = read_entries(call);
  if (!entries) return result;
  for (const pollfd& entry : *entries) {
    auto file = entry.revents & POLLIN ? asked_file(system, call.task, entry.fd) : nullptr;
    if (file && file->reports_once()) ask(system, *file);
  }
  return result;
}

Reply enter_select(System& system, Call& call) {
  system.files.settle();
  auto sets = FdSets::read(call);
  if (!sets) return Reply::native();
  Survey survey;
  for (u32 fd = 0; fd < sets->count; ++fd) {
    auto file = sets->has(fd) ? asked_file(system, call.task, static_cast<int>(fd)) : nullptr;
    if (!file) continue;
    u32 mask = ask(system, *file);
    survey.found.push_back({fd, mask});
    for (size_t i = 0; i < sets->sets.size(); ++i) survey.ready |= sets->has(i, fd) && (mask & kSelectMasks[i]);
    survey.once |= file->reports_once();
  }
  return survey.ready ? Reply::answer(select_now(call, *sets, survey)) : wait_natively(survey);
}

s64 exit_select(System& system, Call& call, s64 result) {
  if (result <= 0) return result;
  auto sets = FdSets::read(call);
  if (!sets) return result;
  for (u32 fd = 0; fd < sets->count; ++fd) {
    auto file = sets->has(0, fd) ? asked_file(system, call.task, static_cast<int>(fd)) : nullptr;
    if (file && file->reports_once()) ask(system, *file);
  }
  return result;
}

}  // namespace bpfemu
