// SPDX-License-Identifier: Apache-2.0
// Sequences of bpf() calls that a seed makes; the script `diff` compares what they give on a real kernel and here.
//   diff_fuzz FIRST LAST       a line for each seed: its number and the hash of what it said
//   diff_fuzz --text SEED...   what they said
//   diff_fuzz --file FILE      the same of lines "SEED INDEX...": only these operations of the sequence
// Each sequence runs in a process of its own on the same memory, on CPU 0.
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fstream>
#include <memory>
#include <sstream>

#include "tests/fuzz/diff_code.h"

namespace bpfemu::fuzz {
namespace {

constexpr u32 kLength = 28;

struct Task {
  u64 seed;
  const std::vector<u32>& operations;
  std::string text;

  static void run(void* pointer) {
    Task* self = static_cast<Task*>(pointer);
    const auto sequence = std::make_unique<Sequence>(self->seed);
    for (u32 index : self->operations) sequence->run(index);
    self->text = std::move(sequence->text());
  }
};

std::string run_sequence(u64 seed, const std::vector<u32>& operations) {
  static Child child;
  Task task{seed, operations, ""};
  const int status = child.run(Task::run, &task);
  return status ? task.text + "died " + std::to_string(status) + "\n" : task.text;
}

std::vector<u32> all_operations() {
  std::vector<u32> all;
  for (u32 i = 0; i < kLength; ++i) all.push_back(i);
  return all;
}

void show(u64 seed, const std::vector<u32>& operations) {
  printf("sequence %llu\n%send\n", static_cast<unsigned long long>(seed), run_sequence(seed, operations).c_str());
  fflush(stdout);
}

void hash(u64 seed) {
  u64 hash = 14695981039346656037u;
  for (char c : run_sequence(seed, all_operations())) hash = (hash ^ static_cast<u8>(c)) * 1099511628211u;
  printf("%llu %08x\n", static_cast<unsigned long long>(seed), static_cast<u32>(hash ^ hash >> 32));
  fflush(stdout);
}

void show_file(const char* path) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    u64 seed;
    if (!(words >> seed)) continue;
    std::vector<u32> operations;
    for (u32 index; words >> index;) operations.push_back(index);
    show(seed, operations);
  }
}

}  // namespace
}  // namespace bpfemu::fuzz

int main(int argc, char** argv) {
  using namespace bpfemu::fuzz;
  cpu_set_t first;
  CPU_ZERO(&first);
  CPU_SET(0, &first);
  sched_setaffinity(0, sizeof first, &first);
  for (const ProgShape& shape : prog_shapes()) kernel_id(shape);  // before there are sequences
  if (argc == 3 && strcmp(argv[1], "--file") == 0) {
    show_file(argv[2]);
  } else if (argc > 1 && strcmp(argv[1], "--text") == 0) {
    for (int i = 2; i < argc; ++i) show(strtoull(argv[i], nullptr, 0), all_operations());
  } else if (argc == 3) {
    const bpfemu::u64 last = strtoull(argv[2], nullptr, 0);
    for (bpfemu::u64 seed = strtoull(argv[1], nullptr, 0); seed <= last; ++seed) hash(seed);
  } else {
    return 2;
  }
  return 0;
}
