// SPDX-License-Identifier: Apache-2.0
#include "emu/probe/fetch.h"

#include <fmt/format.h>

#include <cstring>
#include <optional>

#include "emu/base/bytes.h"
#include "emu/runtime/helpers/memory.h"

namespace bpfemu {

namespace {

constexpr u64 kUserEnd = 0x7ffffffff000;  // TASK_SIZE_MAX
constexpr size_t kMaxText = 4096;         // kernel: MAX_STRING_SIZE
constexpr size_t kMaxRecord = 4096;
constexpr u32 kArgumentRegs[] = {offsetof(PtRegs, rdi), offsetof(PtRegs, rsi), offsetof(PtRegs, rdx),
                                 offsetof(PtRegs, rcx), offsetof(PtRegs, r8),  offsetof(PtRegs, r9)};

class Fetcher {
 public:
  Fetcher(const FetchScene& scene, const FetchArg& arg, std::vector<u8>& record)
      : s_(scene), arg_(arg), record_(record) {}

  // Into the field at `at`, which is zero; texts go behind the record.
  void fetch(u32 at);

 private:
  u64 reg(size_t offset) const { return load<u64>(reinterpret_cast<const u8*>(&s_.regs) + offset); }
  std::optional<u64> first(const FetchStep& step);
  std::optional<u64> stack_word(u64 n);
  void note_missing(u64 address);
  bool read(bool user, u64 address, void* to, size_t size);
  std::optional<std::string> text_at(bool user, u64 address);
  void put_text(u32 at, std::string_view text, bool terminated = true);
  void put_number(u32 at, u64 value);
  void put_element(u32 at, u64 value);
  static bool is_read(FetchOp op) { return op == FetchOp::kRead || op == FetchOp::kReadUser; }

  const FetchScene& s_;
  const FetchArg& arg_;
  std::vector<u8>& record_;
};

// What the claimed kernel would have there.
void Fetcher::note_missing(u64 address) {
  constexpr u64 kKernelBegin = 0xffff800000000000;
  if (address >= kKernelBegin) s_.unmodelled.note(fmt::format("kernel memory that {} fetches", s_.probe.event));
}

// Addresses of the user's are known as such on x86 (kernel: probe_mem_read).
bool Fetcher::read(bool user, u64 address, void* to, size_t size) {
  Run& run = s_.scope.run();
  if (s_.probe.uprobe) return run.env->copy_user(run.env->self, to, address, size) == 0;
  if (user) return run.env->read_user(run.env->self, to, address, size) == 0;
  if (read_kernel(&run, to, address, size) == 0) return true;
  if (address < kUserEnd) return run.env->read_user(run.env->self, to, address, size) == 0;
  note_missing(address);
  return false;
}

std::optional<std::string> Fetcher::text_at(bool user, u64 address) {
  Run& run = s_.scope.run();
  std::string text(kMaxText, '\0');
  const bool of_user = user || s_.probe.uprobe;
  s64 got = of_user ? -EFAULT : read_kernel_str(&run, text.data(), address, text.size());
  if (got < 0 && (of_user || address < kUserEnd)) {
    const auto read = s_.probe.uprobe ? run.env->copy_user_str : run.env->read_user_str;
    got = read(run.env->self, text.data(), address, text.size());
    if (got >= 0) return text.substr(0, strnlen(text.data(), static_cast<size_t>(got)));
  }
  if (got < 0) {
    if (!of_user) note_missing(address);
    return std::nullopt;
  }
  return text.substr(0, strnlen(text.data(), static_cast<size_t>(got)));
}

std::optional<u64> Fetcher::stack_word(u64 n) {
  u64 word = 0;
  if (read(s_.probe.uprobe, s_.regs.rsp + n * sizeof word, &word, sizeof word)) return word;
  return s_.probe.uprobe ? std::optional<u64>() : 0;
}

std::optional<u64> Fetcher::first(const FetchStep& step) {
  const u64 value = static_cast<u64>(step.value);
  switch (step.op) {
    case FetchOp::kRegister: return reg(value);
    case FetchOp::kStack: return stack_word(value);
    case FetchOp::kStackPointer: return s_.regs.rsp;
    case FetchOp::kRetval: return s_.regs.rax;
    case FetchOp::kArg:
      if (value < std::size(kArgumentRegs)) return reg(kArgumentRegs[value]);
      return stack_word(value - std::size(kArgumentRegs) + 1);
    case FetchOp::kFileOffset: return s_.file_address + value;
    case FetchOp::kSymbol: return fetched_symbol(arg_.symbols[value], s_.symbols);
    default: return value;
  }
}

// A place of the text, behind what the record has: its size with the NUL, and where (kernel: make_data_loc).
void Fetcher::put_text(u32 at, std::string_view text, bool terminated) {
  const size_t room = kMaxRecord > record_.size() + 1 ? kMaxRecord - record_.size() - 1 : 0;
  text = text.substr(0, room);
  const size_t from = record_.size(), size = text.size() + terminated;
  store(record_.data() + at, static_cast<u32>(size << 16 | from));
  record_.insert(record_.end(), text.begin(), text.end());
  if (terminated) record_.push_back(0);
}

void Fetcher::put_number(u32 at, u64 value) {
  if (arg_.bits) {
    const u32 width = 8 * arg_.type->size;
    value = value >> arg_.shift & (arg_.bits < width ? (u64{1} << arg_.bits) - 1 : ~u64{0});
  }
  memcpy(record_.data() + at, &value, arg_.type->size);
}

void Fetcher::fetch(u32 at) {
  const bool terminated = std::string_view(arg_.type->name) != "symstr";
  if (arg_.steps[0].op == FetchOp::kComm) {
    const char* comm = s_.scope.run().task->comm;
    return put_text(at, {comm, strnlen(comm, sizeof s_.scope.run().task->comm)});
  }
  if (arg_.steps[0].op == FetchOp::kText) return put_text(at, arg_.literal);
  const bool string = arg_.type->is_string;
  // Arrays of strings are of pointers to them.
  const bool reads = is_read(arg_.steps.back().op) && !(string && arg_.count);
  const size_t steps = arg_.steps.size() - reads;  // until the address or value
  std::optional<u64> value = first(arg_.steps[0]);
  u64 before = value.value_or(0);  // what the last pointer was read at
  bool pointer = false;
  for (size_t n = 1; value && n < steps; ++n) {
    const FetchStep& step = arg_.steps[n];
    before = *value + static_cast<u64>(step.value);
    pointer = true;
    u64 next = 0;
    value = read(step.op == FetchOp::kReadUser, before, &next, sizeof next) ? std::optional<u64>(next) : std::nullopt;
  }
  for (u32 n = 0; value && n < std::max(arg_.count, 1u); ++n) {
    const u32 to = at + n * arg_.type->size;
    const FetchStep& last = arg_.steps.back();
    const bool user = std::string_view(arg_.type->name) == "ustring" || (reads && last.op == FetchOp::kReadUser);
    const u64 address = *value + (reads ? static_cast<u64>(last.value) : 0);
    if (!terminated) {
      u64 symbol = *value;
      if (reads && !read(user, address, &symbol, sizeof symbol)) return;
      const auto place = s_.symbols.locate(symbol);
      put_text(to,
               place ? fmt::format("{}+0x{:x}/0x{:x}", place->name, place->offset, place->size)
                     : fmt::format("0x{:x}", symbol),
               false);
    } else if (string) {
      if (const auto text = text_at(user, address)) put_text(to, *text);
    } else if (reads) {
      u64 number = 0;
      if (!read(user, address, &number, arg_.type->size)) return;
      put_number(to, number);
    } else {
      put_number(to, *value);
    }
    if (n + 1 >= arg_.count) return;
    if (!string) {
      *value += arg_.type->size;
    } else if (pointer) {
      before += sizeof(u64);
      u64 next = 0;
      const FetchStep& step = arg_.steps[steps - 1];
      if (!read(step.op == FetchOp::kReadUser, before, &next, sizeof next)) return;
      value = next;
    }
  }
}

}  // namespace

void fetch_arguments(const FetchScene& scene, std::vector<u8>& record) {
  u32 at = static_cast<u32>(record.size());
  size_t fixed = record.size();
  for (const FetchArg& arg : scene.probe.args) fixed += arg.size();
  record.resize(fixed);
  for (const FetchArg& arg : scene.probe.args) {
    Fetcher(scene, arg, record).fetch(at);
    at += arg.size();
  }
}

}  // namespace bpfemu
