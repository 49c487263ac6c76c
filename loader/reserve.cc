// SPDX-License-Identifier: Apache-2.0
#include "loader/reserve.h"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <new>
#include <string_view>

namespace bpfemu {

namespace {

constexpr size_t kSize = size_t{8} << 20;
constexpr int kFailed = 125;  // the exit status of "bpfemu failed"

// operator new asks a function without arguments.
std::atomic<void*>& area() {
  static std::atomic<void*> kept = nullptr;
  return kept;
}

bool fill() {
  void* const fresh = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (fresh == MAP_FAILED) return false;
  area() = fresh;
  return true;
}

void spend() {
  if (void* const kept = area().exchange(nullptr)) {
    ::munmap(kept, kSize);
    return;
  }
  constexpr std::string_view kText = "bpfemu: out of memory\n";
  (void)!::write(STDERR_FILENO, kText.data(), kText.size());
  ::_exit(kFailed);
}

}  // namespace

Reserve::Reserve() {
  if (fill()) std::set_new_handler(spend);
}

Reserve::~Reserve() {
  std::set_new_handler(nullptr);
  if (void* const kept = area().exchange(nullptr)) ::munmap(kept, kSize);
}

bool Reserve::whole() {
  return area() != nullptr || fill();
}

}  // namespace bpfemu
