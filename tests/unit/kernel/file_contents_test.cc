// SPDX-License-Identifier: Apache-2.0
// What is said of a file by its bytes: SHA-256, and the build id of an ELF file.
#include <elf.h>
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <vector>

#include "emu/kernel/build_ids.h"
#include "emu/kernel/sha256.h"

namespace bpfemu::test {
namespace {

std::string sha256(std::string_view text, size_t piece) {
  Sha256 hash;
  const auto* bytes = reinterpret_cast<const u8*>(text.data());
  for (size_t at = 0; at < text.size(); at += piece) hash.add({bytes + at, std::min(piece, text.size() - at)});
  std::string shown;
  for (u8 byte : hash.finish()) shown += fmt::format("{:02x}", byte);
  return shown;
}

TEST_CASE("SHA-256 of the standard's examples, in whatever pieces") {
  CHECK(sha256("", 1) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  for (size_t piece : {1u, 7u, 64u, 1000u}) {
    CHECK(sha256("abc", piece) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", piece) ==
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    CHECK(sha256(std::string(1000, 'a'), piece) == "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3");
  }
}

// The first page of a file with one segment of notes.
struct File {
  std::vector<u8> page = std::vector<u8>(4096);
  Elf64_Ehdr head{};
  Elf64_Phdr segment{};
  Elf64_Nhdr note{.n_namesz = 4, .n_descsz = 20, .n_type = NT_GNU_BUILD_ID};

  File() {
    std::memcpy(head.e_ident, ELFMAG, SELFMAG);
    head.e_ident[EI_CLASS] = ELFCLASS64;
    head.e_type = ET_DYN;
    head.e_phnum = 1;
    segment.p_type = PT_NOTE;
    segment.p_offset = 512;
    segment.p_filesz = sizeof note + 4 + 20;
  }
  std::optional<std::array<u8, 20>> id() {
    std::memcpy(page.data(), &head, sizeof head);
    std::memcpy(page.data() + sizeof head, &segment, sizeof segment);
    if (segment.p_offset <= page.size() - sizeof note - 24) {
      u8* at = page.data() + segment.p_offset;
      std::memcpy(at, &note, sizeof note);
      std::memcpy(at + sizeof note, "GNU", 4);
      for (u8 n = 0; n < 20; ++n) at[sizeof note + 4 + n] = static_cast<u8>(n + 1);
    }
    return build_id_in(page);
  }
};

TEST_CASE("a build id is found where the kernel looks") {
  File file;
  REQUIRE(file.id());
  CHECK((*file.id())[0] == 1);
  CHECK((*file.id())[19] == 20);
  file.note.n_descsz = 8;
  REQUIRE(file.id());
  CHECK((*file.id())[7] == 8);
  CHECK((*file.id())[8] == 0);
}

TEST_CASE("what has no build id says none") {
  const auto refused = [](auto change) {
    File file;
    change(file);
    return !file.id();
  };
  CHECK(refused([](File& f) { f.head.e_ident[1] = 'X'; }));
  CHECK(refused([](File& f) { f.head.e_ident[EI_CLASS] = 3; }));
  CHECK(refused([](File& f) { f.head.e_type = ET_REL; }));
  CHECK(refused([](File& f) { f.head.e_phnum = 1000; }));
  CHECK(refused([](File& f) { f.segment.p_type = PT_LOAD; }));
  CHECK(refused([](File& f) { f.segment.p_offset = 4090; }));
  CHECK(refused([](File& f) { f.segment.p_offset = ~u64{0} - 8; }));
  CHECK(refused([](File& f) { f.segment.p_filesz = 8; }));
  CHECK(refused([](File& f) { f.note.n_type = 1; }));
  CHECK(refused([](File& f) { f.note.n_namesz = 0xffffffff; }));
  CHECK(refused([](File& f) { f.note.n_descsz = 21; }));
  CHECK(refused([](File& f) { f.note.n_descsz = 0; }));
  CHECK(refused([](File& f) { f.page.resize(100); f.page.resize(4096); f.head.e_phnum = 0; }));
}

}  // namespace
}  // namespace bpfemu::test
