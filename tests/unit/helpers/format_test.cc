// SPDX-License-Identifier: Apache-2.0
// bpf_trace_printk and its kin print and refuse what the kernel prints and refuses.
#include "tests/unit/helpers/fixture.h"

namespace bpfemu::test {
namespace {

struct FormatWorld : HelperWorld {
  // What bpf_snprintf prints, or "error -N".
  std::string print(const char* format, std::vector<u64> args = {}) {
    char buffer[2048];
    s64 r = call(165, buffer, sizeof buffer, format, args.data(), args.size() * 8);
    if (r < 0) return "error " + std::to_string(r);
    CHECK(static_cast<u64>(r) == std::strlen(buffer) + 1);
    return buffer;
  }
};

TEST_CASE("numbers print as in the kernel") {
  FormatWorld w;
  CHECK(w.print("%d %i %u", {u64(-1), 7, u64(-1)}) == "-1 7 4294967295");
  CHECK(w.print("%ld %lld %lu %llu", {u64(-1), u64(-2), 3, u64(-1)}) == "-1 -2 3 18446744073709551615");
  CHECK(w.print("%x %X %lx %llX", {0xabc, 0xABC, u64(-1), 0x123456789a}) == "abc ABC ffffffffffffffff 123456789A");
  CHECK(w.print("[%5d][%-5d][%05d][%+d][% d]", {42, 42, 42, 42, 42}) == "[   42][42   ][00042][+42][ 42]");
  CHECK(w.print("[%5d][%-5d][%05d][%1d]", {u64(-42), u64(-42), u64(-42), u64(-42)}) == "[  -42][-42  ][-0042][-42]");
  CHECK(w.print("[%8x][%08x][%-8x]", {0xab, 0xab, 0xab}) == "[      ab][000000ab][ab      ]");
  CHECK(w.print("100%% of %d", {3}) == "100% of 3");
  CHECK(w.print("%d", {u64{1} << 32 | 5}) == "5");
}

TEST_CASE("characters and strings print as in the kernel") {
  FormatWorld w;
  u64 user = w.put_user(0, "user"), kernel = w.put_kernel("kernel", 7);
  CHECK(w.print("%c%c|%3c|%-3c|", {'a', 'b', 'c', 'd'}) == "ab|  c|d  |");
  CHECK(w.print("%s %s", {user, kernel}) == "user kernel");
  CHECK(w.print("%pus %pks", {user, kernel}) == "user kernel");
  CHECK(w.print("[%8s][%-8s]", {user, user}) == "[    user][user    ]");
  CHECK(w.print("[%s][%pks]", {0, user}) == "[][]");
}

// Measured on a real 6.1.
TEST_CASE("symbols print as in the kernel") {
  FormatWorld w;
  u64 at = kSchedule;
  CHECK(w.print("%ps|%pS|%pB", {at + 5, at + 5, at + 5}) == "schedule|schedule+0x5/0xd0|schedule+0x5/0xd0");
  CHECK(w.print("%ps|%pS", {at, at}) == "schedule|schedule+0x0/0xd0");
  // A return address belongs to the function whose last instruction is the call.
  CHECK(w.print("%pB|%pB", {at + 0xd0, at}) == "schedule+0xd0/0xd0|0xffffffff81a00000");
  CHECK(w.print("[%20ps][%-20pS]", {at, at + 1}) == "[            schedule][schedule+0x1/0xd0   ]");
  CHECK(w.print("[%40pB]", {at + 1}) == "[schedule+0x1/0xd0]");
  CHECK(w.print("%ps|%pS|%pB", {0, 1, 2}) == "0x0|0x1|0x2");
  CHECK(w.print("%ps", {u64(-1)}) == "0xffffffffffffffff");
}

TEST_CASE("the text of a pointer is neither taken nor counted where the buffer is full") {
  FormatWorld w;
  char buffer[10];
  u64 args[] = {kSchedule + 1, 77};
  CHECK(w.call(165, buffer, 10, "12345678901%pS%d", args, 16) == 31);
  CHECK(w.call(165, buffer, 10, "1234%pB%d", args, 16) == 24);
  s64 skipped = w.call(165, buffer, 10, "12345678901%pB%d", args, 16);
  CHECK(skipped < 24);
  CHECK(std::string(buffer) == "123456789");
}

TEST_CASE("an empty string of the task leaves its place to what follows") {
  FormatWorld w;
  u64 empty = w.put_user(0, "");
  char buffer[32] = {};
  u64 args[] = {empty, 'x'};
  CHECK(w.call(165, buffer, sizeof buffer, "[%s][%c]", args, 16) == 7);
  CHECK(std::string(buffer).starts_with("[x]["));
}

TEST_CASE("pointers print as in the kernel") {
  FormatWorld w;
  CHECK(w.print("%px", {0xdeadbeef}) == "00000000deadbeef");
  CHECK(w.print("%p", {0}) == "0000000000000000");
  std::string hidden = w.print("%p", {0xffffffff81234567});
  CHECK(hidden.size() == 16);
  CHECK(hidden.substr(0, 8) == "00000000");
  CHECK(w.print("%pK", {0xffffffff81234567}) == hidden);
  CHECK(w.print("%ps %pS", {0x1234, 0x1234}) == "0x1234 0x1234");
  CHECK(w.print("%pB|", {0x1234}) == "0x1234|");
  u8 ip4[] = {192, 168, 1, 20}, ip6[16] = {0x20, 1, 0xd, 0xb8};
  ip6[15] = 1;
  u64 at4 = w.put_kernel(ip4, 4), at6 = w.put_kernel(ip6, 16);
  CHECK(w.print("%pI4 %pi4", {at4, at4}) == "192.168.1.20 192.168.001.020");
  CHECK(w.print("%pI6", {at6}) == "2001:0db8:0000:0000:0000:0000:0000:0001");
  CHECK(w.print("%pi6", {at6}) == "20010db8000000000000000000000001");
  CHECK(w.print("%pI4", {0}) == "0.0.0.0");
  CHECK(w.print("%pxyz!", {1}) == "0000000000000001!");
}

TEST_CASE("bad formats are refused as in the kernel") {
  FormatWorld w;
  for (const char* format : {"%f", "%", "%q", "%hd", "%.5d", "%#x", "%*d", "%z", "%lld%n", "%llld", "%pa", "%pI5",
                             "%sx", "%pksx", "a\x01", "%\xc3", "%lc", "%ls"}) {
    INFO(format);
    CHECK(w.print(format, {1, 2}) == "error -22");
  }
  CHECK(w.print("%d %d", {1}) == "error -22");
  CHECK(w.print("%d", {1, 2}) == "1");
  CHECK(w.print("\xc3\xa4 %d\n\t", {1}) == "\xc3\xa4 1\n\t");
  CHECK(w.call(165, 0, 0, "", 0, 4) == -EINVAL);
  CHECK(w.call(165, 0, 0, "", 0, 8) == -EINVAL);
  u64 args[13] = {};
  CHECK(w.call(165, 0, 0, "", args, 13 * 8) == -EINVAL);
}

TEST_CASE("output is cut off, its length is not") {
  FormatWorld w;
  char buffer[4] = "xxx";
  CHECK(w.call(165, buffer, 4, "abcdef", 0, 0) == 7);
  CHECK(std::string(buffer) == "abc");
  CHECK(w.call(165, 0, 0, "abcdef", 0, 0) == 7);
}

TEST_CASE("the kernel's room for arguments is bounded") {
  FormatWorld w;
  std::string text(600, 'a');
  u64 at = w.put_kernel(text.c_str(), 601);
  CHECK(w.print("%s", {at}) == std::string(511, 'a'));
  CHECK(w.print("%s%d", {at, 1}) == "error -28");
  CHECK(w.print("%s%s", {at, at}) == "error -28");
}

TEST_CASE("bpf_trace_printk takes three arguments") {
  HelperWorld w;
  const char format[] = "pid %d comm %s\n";
  u64 comm = w.put_user(0, "sh");
  CHECK(w.call(6, format, sizeof format, 12, comm, 0) == 15);
  CHECK(w.traced == std::vector<std::string>{"pid 12 comm sh\n"});
  const char four[] = "%d%d%d%d";
  CHECK(w.call(6, four, sizeof four, 1, 2, 3) == -EINVAL);
  CHECK(w.call(6, format, 4, 1, 2, 3) == -EINVAL);
  u64 args[] = {1, 2, 3, 4};
  CHECK(w.call(177, four, sizeof four, args, sizeof args) == 4);
  CHECK(w.traced.back() == "1234");
  CHECK(w.call(177, four, sizeof four, args, 5) == -EINVAL);
  CHECK(w.call(177, "hi", 3, 0, 0) == 2);
  const char nul[] = "a%cb";
  CHECK(w.call(6, nul, sizeof nul, 0, 0, 0) == 3);
  CHECK(w.traced.back() == "a");
  const char wide[] = "%2000d";
  CHECK(w.call(6, wide, sizeof wide, 1, 0, 0) == 2000);
  CHECK(w.traced.back().size() == 1023);
}

}  // namespace
}  // namespace bpfemu::test
