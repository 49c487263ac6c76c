// SPDX-License-Identifier: Apache-2.0
// Functions and USDT probes of the workload itself.
#include "tests/oracle/events/steps.h"

#include <elf.h>
#include <link.h>

#include <cstdio>
#include <cstring>

#include "tests/oracle/events/listener.h"

namespace events {

extern "C" {
[[gnu::noinline]] long probed_sum(long a, long b, const char* text) { return a + b + text[0]; }
[[gnu::noinline]] long probed_depth(long n) {
  asm volatile("" : "+r"(n));
  return n <= 0 ? 0 : probed_depth(n - 1) + 1;
}
[[gnu::noinline]] int probed_failure(int number) {
  asm volatile("" : "+r"(number));
  return -number;
}
}

namespace {

// A probe as <sys/sdt.h> writes it, with its arguments in the registers of a function's.
#define EVENTS_PROBE(name, first, second)                                                      \
  asm volatile(                                                                                \
      "990: nop\n"                                                                             \
      ".pushsection .note.stapsdt,\"?\",\"note\"\n"                                            \
      ".balign 4\n .4byte 992f-991f, 994f-993f, 3\n"                                           \
      "991: .asciz \"stapsdt\"\n"                                                              \
      "992: .balign 4\n"                                                                       \
      "993: .8byte 990b\n .8byte 0\n .8byte 0\n"                                               \
      ".asciz \"events\"\n .asciz \"" #name "\"\n .asciz \"8@%%rdi 8@%%rsi\"\n"                \
      "994: .balign 4\n .popsection\n" ::"D"(first), "S"(second))

void functions() {
  probed_sum(1, 2, "text");
  probed_sum(-5, 1L << 40, "");
  probed_depth(3);
  probed_failure(22);
}

void usdt() {
  for (long i = 0; i < 3; ++i) {
    EVENTS_PROBE(turn, i, "a turn");
    if (i == 1) EVENTS_PROBE(middle, i * 10, "the middle");
  }
}

constexpr Step kSteps[] = {{"functions", functions}, {"usdt", usdt}};

struct Function {
  const char* name;
  u64 address;
};

const Function* find_function(const std::string& name) {
  static const Function kFunctions[] = {
      {"probed_sum", reinterpret_cast<u64>(probed_sum)},
      {"probed_depth", reinterpret_cast<u64>(probed_depth)},
      {"probed_failure", reinterpret_cast<u64>(probed_failure)},
  };
  for (const Function& function : kFunctions)
    if (name == function.name) return &function;
  return nullptr;
}

struct Search {
  u64 address, offset;
};

// By the segment that holds the address.
int find_segment(dl_phdr_info* info, size_t, void* data) {
  auto& search = *static_cast<Search*>(data);
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& segment = info->dlpi_phdr[i];
    const u64 start = info->dlpi_addr + segment.p_vaddr;
    if (segment.p_type == PT_LOAD && search.address >= start && search.address < start + segment.p_memsz) {
      search.offset = search.address - start + segment.p_offset;
      return 1;
    }
  }
  return 0;
}

}  // namespace

void need(bool holds, const char* what) {
  if (!holds) fail(std::string("the workload needs ") + what);
}

void touch_program() {
  const auto touch = [](dl_phdr_info* info, size_t, void*) {
    for (int i = 0; i < info->dlpi_phnum; ++i) {
      const auto& segment = info->dlpi_phdr[i];
      if (segment.p_type != PT_LOAD) continue;
      const u64 start = info->dlpi_addr + segment.p_vaddr;
      for (u64 at = start & ~4095ul; at < start + segment.p_memsz; at += 4096)
        (void)*reinterpret_cast<const volatile char*>(at);
    }
    return 1;
  };
  dl_iterate_phdr(touch, nullptr);
}

u64 offset_in_file(const std::string& symbol) {
  const Function* function = find_function(symbol);
  Search search{function ? function->address : 0, 0};
  dl_iterate_phdr(find_segment, &search);
  return search.offset;
}

// The note is looked for by what it must be: its names, and before them the three addresses.
u64 offset_of_usdt(const std::string& name) {
  const std::string file = contents("/proc/self/exe");
  const std::string names = std::string("events\0", 7) + name + '\0' + "8@";
  const size_t at = file.find(names);
  if (at == std::string::npos || at < 24) return 0;
  u64 address, base = 0;
  memcpy(&address, file.data() + at - 24, sizeof address);
  Search search{0, 0};
  dl_iterate_phdr([](dl_phdr_info* info, size_t, void* data) { *static_cast<u64*>(data) = info->dlpi_addr; return 1; }, &base);
  search.address = address + base;
  dl_iterate_phdr(find_segment, &search);
  return search.offset;
}

std::span<const Step> user_steps() { return kSteps; }

std::vector<Step> all_steps() {
  std::vector<Step> steps;
  for (const auto family : {file_steps(), name_steps(), process_steps(), signal_steps(), socket_steps(), memory_steps(),
                            mount_steps(), question_steps(),
                            user_steps()})
    steps.insert(steps.end(), family.begin(), family.end());
  return steps;
}

}  // namespace events
