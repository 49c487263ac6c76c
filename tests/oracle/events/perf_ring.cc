// SPDX-License-Identifier: Apache-2.0
#include "tests/oracle/events/perf_ring.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <sstream>

#include "tests/oracle/events/value.h"

extern "C" const char __executable_start, _end;  // the linker's

namespace events {
namespace {

// The words of a record, one after another.
class Words {
 public:
  explicit Words(const std::vector<u8>& bytes) : bytes_(bytes) {}
  template <class T>
  T next() {
    T value{};
    if (at_ + sizeof value <= bytes_.size()) memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  std::string text() {
    const size_t begin = at_;
    while (at_ < bytes_.size() && bytes_[at_]) ++at_;
    std::string found(bytes_.begin() + static_cast<long>(std::min(begin, bytes_.size())),
                      bytes_.begin() + static_cast<long>(std::min(at_, bytes_.size())));
    at_ = (at_ / 8 + 1) * 8;
    return found;
  }
  const u8* here() const { return bytes_.data() + at_; }
  void skip(size_t size) { at_ += size; }
  size_t left() const { return bytes_.size() - std::min(at_, bytes_.size()); }

 private:
  const std::vector<u8>& bytes_;
  size_t at_ = 0;
};

std::string hex(u64 value) {
  char text[32];
  snprintf(text, sizeof text, "%#lx", value);
  return text;
}

// The kernel's symbols, sorted by address.
const std::map<u64, std::string>& symbols() {
  static const std::map<u64, std::string> known = [] {
    std::map<u64, std::string> found;
    std::istringstream lines(contents("/proc/kallsyms"));
    u64 address;
    std::string type, name;
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      if (words >> std::hex >> address >> type >> name && (type == "t" || type == "T"))
        found.try_emplace(address, name);
    }
    return found;
  }();
  return known;
}

constexpr u64 kKernel = u64{1} << 63;

// It is not relocated, so that its places are low.
bool lies_in_program(u64 address) {
  return address >= reinterpret_cast<u64>(&__executable_start) && address < reinterpret_cast<u64>(&_end);
}

std::string address_text(u64 address) {
  if (address < 4096) return std::to_string(address);
  if (!(address & kKernel)) return "user";
  auto found = symbols().upper_bound(address);
  if (found == symbols().begin()) return "kernel";
  --found;
  return found->second + "+" + hex(address - found->first);
}

std::string chain_text(Words& words) {
  const u64 count = words.next<u64>();
  std::string text;
  size_t user = 0;
  for (u64 i = 0; i < count && i < 300; ++i) {
    const u64 address = words.next<u64>();
    if (address == PERF_CONTEXT_KERNEL)
      text += " kernel:";
    else if (address == PERF_CONTEXT_USER)
      text += " user";
    else if (address & kKernel)
      text += " " + address_text(address);
    else
      ++user;
  }
  return "(" + std::string(text.empty() ? "none" : text.substr(1)) + (user ? ", some of the user's" : "") + ")";
}

// A field of a tracepoint's record: pids by name, addresses by where they lie.
std::string field_text(const std::string& name, const u8* at, size_t size, bool is_signed, Names& names) {
  u64 value = 0;
  memcpy(&value, at, std::min(size, sizeof value));
  if (name.find("pid") != std::string::npos || names.tasks.contains(static_cast<u32>(value)))
    return names.task(static_cast<u32>(value));
  if (name.starts_with("__probe_") || lies_in_program(value)) return address_text(value);
  if (size == 8 && value > 0xffffffff && !(is_signed && static_cast<s64>(value) < 0 && static_cast<s64>(value) > -4096))
    return address_text(value);
  if (is_signed && size < 8) value = static_cast<u64>(static_cast<s64>(value << (64 - 8 * size)) >> (64 - 8 * size));
  return is_signed ? std::to_string(static_cast<s64>(value)) : std::to_string(value);
}

std::string text_at(const u8* at, size_t size) {
  std::string text;
  for (size_t i = 0; i < size && at[i]; ++i) text += at[i] < ' ' || at[i] > '~' ? '?' : static_cast<char>(at[i]);
  return '"' + text.substr(text.rfind('/') == std::string::npos ? 0 : text.rfind('/') + 1) + '"';
}

std::string fields_text(const u8* raw, size_t size, const std::string& format, Names& names) {
  std::string text;
  std::istringstream lines(format);
  for (std::string line; std::getline(lines, line);) {
    const size_t begin = line.find("field:"), end = line.find(';'), offset_at = line.find("offset:"),
                 size_at = line.find("size:");
    if (begin == std::string::npos || offset_at == std::string::npos || size_at == std::string::npos) continue;
    const std::string whole = line.substr(begin + 6, end - begin - 6);
    std::string name = whole.substr(whole.rfind(' ') + 1);
    const bool array = name.find('[') != std::string::npos, dynamic = whole.find("__data_loc") == 0;
    name = name.substr(0, name.find('['));
    const size_t offset = std::stoul(line.substr(offset_at + 7)), wide = std::stoul(line.substr(size_at + 5));
    if (offset + wide > size || name == "common_type") continue;
    text += (text.empty() ? "" : " ") + name + "=";
    u32 location = 0;
    memcpy(&location, raw + offset, std::min(wide, sizeof location));
    if (dynamic && (location & 0xffff) + (location >> 16) <= size)
      text += text_at(raw + (location & 0xffff), location >> 16);
    else if (array && whole.find("char") != std::string::npos)
      text += text_at(raw + offset, wide);
    else if (array)
      for (size_t at = 0; at + 8 <= wide; at += 8)
        text += (at ? "," : "") + field_text(name, raw + offset + at, 8, false, names);
    else
      text += field_text(name, raw + offset, wide, line.find("signed:1") != std::string::npos, names);
  }
  return "{" + text + "}";
}

std::string read_text(Words& words, u64 format, Names& names) {
  std::string text;
  u64 members = 1;
  if (format & PERF_FORMAT_GROUP)
    text += "members " + std::to_string(members = words.next<u64>());
  else
    text += "count " + std::to_string(words.next<u64>());
  // The first record may come before any time has passed.
  const u64 enabled = format & PERF_FORMAT_TOTAL_TIME_ENABLED ? words.next<u64>() : 0;
  if (format & PERF_FORMAT_TOTAL_TIME_RUNNING)
    text += words.next<u64>() == enabled ? ", always running" : ", not always running";
  for (u64 i = 0; i < members && members < 16; ++i) {
    if (format & PERF_FORMAT_GROUP) text += ", count " + std::to_string(words.next<u64>());
    if (format & PERF_FORMAT_ID) text += " of " + names.id(words.next<u64>());
    if (format & PERF_FORMAT_LOST) text += ", lost " + std::to_string(words.next<u64>());
  }
  return text;
}

std::string registers_text(Words& words, u64 mask, Names& names) {
  const u64 abi = words.next<u64>();
  std::string text = "abi " + std::to_string(abi);
  for (int bit = 0; abi && bit < 64; ++bit)
    if (mask >> bit & 1) {
      const u64 value = words.next<u64>();
      text += " r" + std::to_string(bit) + "=" +
              (names.tasks.contains(static_cast<u32>(value)) ? names.task(static_cast<u32>(value))
               : value > 0x100000 && value < kKernel         ? "user"
                                                             : hex(value));
    }
  return text;
}

std::string stack_text(Words& words) {
  const u64 size = words.next<u64>();
  if (!size) return "0";
  words.skip(size);
  const u64 got = words.next<u64>();
  return std::to_string(size) + (got == size ? ", all of it" : got ? ", some of it" : ", none of it");
}

std::string sample_text(Words& words, const perf_event_attr& attr, Names& names, const std::string& format) {
  std::string text;
  const u64 type = attr.sample_type;
  const auto add = [&](u64 bit, const char* name, auto make) {
    if (type & bit) text += std::string(" ") + name + "=" + make();
  };
  const auto number = [&] { return std::to_string(words.next<u64>()); };
  const auto id = [&] { return names.id(words.next<u64>()); };
  add(PERF_SAMPLE_IDENTIFIER, "identifier", id);
  add(PERF_SAMPLE_IP, "ip", [&] { return address_text(words.next<u64>()); });
  add(PERF_SAMPLE_TID, "task", [&] {
    const u32 pid = words.next<u32>();
    return names.task(pid) + "/" + names.task(words.next<u32>());
  });
  add(PERF_SAMPLE_TIME, "time", [&] { return words.next<u64>() ? "some" : "0"; });
  add(PERF_SAMPLE_ADDR, "addr", [&] { return address_text(words.next<u64>()); });
  add(PERF_SAMPLE_ID, "id", id);
  add(PERF_SAMPLE_STREAM_ID, "stream", id);
  add(PERF_SAMPLE_CPU, "cpu", number);
  add(PERF_SAMPLE_PERIOD, "period", number);
  add(PERF_SAMPLE_READ, "read", [&] { return read_text(words, attr.read_format, names); });
  add(PERF_SAMPLE_CALLCHAIN, "chain", [&] { return chain_text(words); });
  add(PERF_SAMPLE_RAW, "raw", [&] {
    const u32 size = words.next<u32>();
    const std::string fields = size <= words.left() ? fields_text(words.here(), size, format, names) : "too long";
    words.skip(size);
    return std::to_string(size) + fields;
  });
  add(PERF_SAMPLE_REGS_USER, "registers", [&] { return registers_text(words, attr.sample_regs_user, names); });
  add(PERF_SAMPLE_STACK_USER, "stack", [&] { return stack_text(words); });
  add(PERF_SAMPLE_WEIGHT | PERF_SAMPLE_WEIGHT_STRUCT, "weight", number);
  add(PERF_SAMPLE_DATA_SRC, "source", [&] { return hex(words.next<u64>()); });
  add(PERF_SAMPLE_TRANSACTION, "transaction", number);
  add(PERF_SAMPLE_PHYS_ADDR, "physical", number);
  add(PERF_SAMPLE_CGROUP, "cgroup", [&] { return words.next<u64>() ? "some" : "0"; });
  add(PERF_SAMPLE_DATA_PAGE_SIZE, "page", number);
  return text;
}

// What ends the records that are no samples.
std::string trailer_text(Words& words, const perf_event_attr& attr, Names& names) {
  if (!attr.sample_id_all) return "";
  perf_event_attr plain = attr;
  plain.sample_type &= PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_ID | PERF_SAMPLE_STREAM_ID | PERF_SAMPLE_CPU;
  std::string text = sample_text(words, plain, names, "");
  if (attr.sample_type & PERF_SAMPLE_IDENTIFIER) text += " identifier=" + names.id(words.next<u64>());
  return text.empty() ? "" : " |" + text;
}

std::string base_name(const std::string& path) {
  return path.starts_with('/') && path.rfind('/') != 0 ? path.substr(path.rfind('/') + 1) : path;
}

std::string task_pair(Words& words, Names& names) {
  const std::string first = names.task(words.next<u32>());
  return first + "/" + names.task(words.next<u32>());
}

std::string mapping_text(Words& words, bool second, Names& names) {
  std::string text = task_pair(words, names);
  words.next<u64>();
  words.next<u64>();
  const u64 offset = words.next<u64>();
  u32 protection = 0, flags = 0, major = 0, minor = 0;
  u64 inode = 0, generation = 0;
  if (second) {
    major = words.next<u32>(), minor = words.next<u32>();
    inode = words.next<u64>(), generation = words.next<u64>();
    protection = words.next<u32>(), flags = words.next<u32>();
  }
  const std::string name = words.text();
  text += " '" + base_name(name) + "'";
  if (!name.starts_with('/')) text += offset > 0x3fffff ? " at its address" : " at " + std::to_string(offset);
  (void)generation;
  if (second)
    text += " protection " + std::to_string(protection) + " flags " + hex(flags) + (inode ? " inode" : "") +
            (major || minor ? " device" : "");
  return text;
}

std::string misc_text(u16 misc) {
  constexpr const char* kModes[] = {"", " kernel", " user", " hypervisor", " guest kernel", " guest user", " 6", " 7"};
  const u16 rest = misc & static_cast<u16>(~PERF_RECORD_MISC_CPUMODE_MASK);
  return kModes[misc & PERF_RECORD_MISC_CPUMODE_MASK] + (rest ? " " + hex(rest) : "");
}

}  // namespace

PerfRing::PerfRing(const Perf& event, size_t pages, int protection) : data_(pages * 4096) {
  memory_ = mmap(nullptr, data_ + 4096, protection, MAP_SHARED, event.fd(), 0);
  if (memory_ == MAP_FAILED) fail("a buffer");
}

PerfRing::~PerfRing() {
  munmap(memory_, data_ + 4096);
}

std::vector<u8> PerfRing::bytes(u64 at, size_t size) const {
  std::vector<u8> copy(size);
  const auto* data = static_cast<const u8*>(memory_) + 4096;
  for (size_t i = 0; i < size; ++i) copy[i] = data[(at + i) % data_];
  return copy;
}

std::vector<std::vector<u8>> PerfRing::take() {
  std::vector<std::vector<u8>> records;
  const u64 head = __atomic_load_n(&page().data_head, __ATOMIC_ACQUIRE);
  u64 at = page().data_tail;
  while (at + sizeof(perf_event_header) <= head) {
    perf_event_header header;
    memcpy(&header, bytes(at, sizeof header).data(), sizeof header);
    if (header.size < sizeof header) break;
    records.push_back(bytes(at, header.size));
    at += header.size;
  }
  __atomic_store_n(&page().data_tail, at, __ATOMIC_RELEASE);
  return records;
}

std::vector<std::vector<u8>> PerfRing::downward() const {
  std::vector<std::vector<u8>> records;
  const u64 head = __atomic_load_n(&page().data_head, __ATOMIC_ACQUIRE);
  const u64 end = 0 - head < data_ ? 0 : head + data_;
  for (u64 at = head; at != end;) {
    perf_event_header header;
    memcpy(&header, bytes(at, sizeof header).data(), sizeof header);
    if (header.size < sizeof header || end - at < header.size) break;
    records.push_back(bytes(at, header.size));
    at += header.size;
  }
  return records;
}

std::string Names::id(u64 value) const {
  const auto found = ids.find(value);
  return found != ids.end() ? found->second : value ? "unknown" : "0";
}

std::string Names::task(u32 value) {
  if (value <= 1 || value == ~u32{0}) return std::to_string(static_cast<int>(value));
  const auto [found, is_new] = tasks.try_emplace(value);
  if (is_new) found->second = "task" + std::to_string(tasks.size());
  return found->second;
}

u64 id_of(const Perf& event) {
  u64 id = 0;
  event.control(PERF_EVENT_IOC_ID, reinterpret_cast<u64>(&id));
  return id;
}

std::string record_text(const std::vector<u8>& record, const perf_event_attr& attr, Names& names,
                        const std::string& format) {
  Words words(record);
  const auto header = words.next<perf_event_header>();
  const std::string misc = misc_text(header.misc);
  switch (header.type) {
    case PERF_RECORD_SAMPLE: {
      const std::string text = "sample" + misc + sample_text(words, attr, names, format);
      return text + (words.left() ? ", " + std::to_string(words.left()) + " bytes left" : "");
    }
    case PERF_RECORD_COMM: {
      const std::string task = task_pair(words, names), name = words.text();
      return "comm" + misc + " " + task + " '" + name + "'" + trailer_text(words, attr, names);
    }
    case PERF_RECORD_FORK:
    case PERF_RECORD_EXIT: {
      const char* what = header.type == PERF_RECORD_FORK ? "fork" : "exit";
      const std::string pid = names.task(words.next<u32>()), parent = names.task(words.next<u32>());
      const std::string tid = names.task(words.next<u32>()), parent_tid = names.task(words.next<u32>());
      const bool time = words.next<u64>() != 0;
      return what + misc + " " + pid + "/" + tid + " of " + parent + "/" + parent_tid + (time ? "" : ", no time") +
             trailer_text(words, attr, names);
    }
    case PERF_RECORD_MMAP:
    case PERF_RECORD_MMAP2: {
      const bool second = header.type == PERF_RECORD_MMAP2;
      const std::string text = mapping_text(words, second, names);
      return (second ? "mmap2" : "mmap") + misc + " " + text + trailer_text(words, attr, names);
    }
    case PERF_RECORD_LOST: {
      const std::string id = names.id(words.next<u64>()), lost = std::to_string(words.next<u64>());
      return "lost" + misc + " " + lost + " of " + id + trailer_text(words, attr, names);
    }
    default: return "type " + std::to_string(header.type) + misc + ", " + std::to_string(header.size) + " bytes";
  }
}

}  // namespace events
