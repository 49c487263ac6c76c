// SPDX-License-Identifier: Apache-2.0
// As in the kernel, a first pass checks the format and copies the arguments (strings may be in unreadable memory), a
// second one prints. What is refused, and how much room the copies have, can be seen by programs.
#include "emu/runtime/helpers/format.h"

#include <cerrno>

#include "emu/base/bytes.h"
#include "emu/runtime/helpers/ctype.h"
#include "emu/runtime/helpers/memory.h"

namespace bpfemu {

namespace {

constexpr u64 kCopiesSize = 512;    // MAX_BPRINTF_BIN_ARGS
constexpr u32 kMaxWidth = 1 << 23;  // FIELD_WIDTH_MAX
constexpr u64 kSymbolText = sizeof(KernelSymbol::name) + 2 * sizeof("+0x0123456789abcdef");

enum class Kind : u8 { kNumber, kChar, kText, kPointer };

// One % conversion. Text is what the first pass has already turned into a string.
struct Conversion {
  Kind kind;
  char letter;      // d i u x X of numbers; what follows %p of pointers, 0 for plain %p
  char source;      // of text: s, k (%pks), u (%pus), B (%pB), or 4 and 6 of IP addresses
  bool capital_ip;  // %pI rather than %pi
  bool wide;        // l or ll
  bool left, plus, space, zero;
  u32 width;
};

class Parser {
 public:
  Parser(const char* format, u64 length) : at_(format), end_(format + length) {}

  bool done() const { return at_ == end_; }
  const char* position() const { return at_; }
  char next() { return *at_++; }
  char peek() const { return *at_; }  // the NUL at the end

  // After the '%' of a conversion: false when the kernel refuses it.
  bool conversion(Conversion& c) {
    c = {};
    if (*at_ & 0x80) return false;
    flags(c);
    switch (*at_) {
      case 'p': ++at_; return pointer(c);
      case 's': ++at_; return text(c, 's');
      case 'c':
        ++at_;
        c.kind = Kind::kChar;
        return true;
    }
    return number(c);
  }

  // Printing skips whatever letters follow a pointer.
  void skip_word() {
    while (is_alnum(*at_)) ++at_;
  }

 private:
  void flags(Conversion& c) {
    for (;; ++at_) {
      if (*at_ == '0')
        c.zero = true;
      else if (*at_ == '+')
        c.plus = true;
      else if (*at_ == '-')
        c.left = true;
      else if (*at_ == ' ')
        c.space = true;
      else
        break;
    }
    for (; is_digit(*at_); ++at_) {
      c.width = c.width * 10 + static_cast<u32>(*at_ - '0');
      if (c.width > kMaxWidth) c.width = kMaxWidth;
    }
  }

  bool ends_here() const { return !*at_ || is_space(*at_) || is_punct(*at_); }

  bool text(Conversion& c, char source) {
    c.kind = Kind::kText;
    c.source = source;
    return ends_here();
  }

  bool pointer(Conversion& c) {
    if (ends_here()) {
      c.kind = Kind::kPointer;
      return true;
    }
    char letter = *at_++;
    if ((letter == 'k' || letter == 'u') && *at_ == 's') {
      ++at_;
      return text(c, letter);
    }
    if (letter == 'K' || letter == 'x' || letter == 's' || letter == 'S') {
      c.kind = Kind::kPointer;
      c.letter = letter;
    } else if (letter == 'B') {
      c.kind = Kind::kText;
      c.source = letter;
    } else if ((letter == 'i' || letter == 'I') && (*at_ == '4' || *at_ == '6')) {
      c.kind = Kind::kText;
      c.source = *at_++;
      c.capital_ip = letter == 'I';
    } else {
      return false;
    }
    return true;
  }

  bool number(Conversion& c) {
    for (int i = 0; i < 2 && *at_ == 'l'; ++i, ++at_) c.wide = true;
    c.kind = Kind::kNumber;
    c.letter = *at_;
    if (c.letter != 'i' && c.letter != 'd' && c.letter != 'u' && c.letter != 'x' && c.letter != 'X') return false;
    ++at_;
    return true;
  }

  const char* at_;
  const char* end_;
};

// Writes what fits and counts the rest.
class Sink {
 public:
  Sink(char* to, u64 size) : to_(to), size_(size) {}
  void put(char c) {
    if (length_ < size_) to_[length_] = c;
    ++length_;
  }
  void put(char c, u64 times) {
    while (times--) put(c);
  }
  void text(const char* from, u64 length) {
    for (u64 i = 0; i < length; ++i) put(from[i]);
  }
  u64 finish() {
    if (size_) to_[length_ < size_ ? length_ : size_ - 1] = 0;
    return length_;
  }
  bool full() const { return length_ >= size_; }

 private:
  char* to_;
  u64 size_, length_ = 0;
};

void print_number(Sink& out, const Conversion& c, u64 value, u32 base, bool capitals, bool is_signed) {
  char sign = 0;
  if (is_signed) {
    if (static_cast<s64>(value) < 0) {
      sign = '-';
      value = -value;
    } else if (c.plus || c.space) {
      sign = c.plus ? '+' : ' ';
    }
  }
  const char* letters = capitals ? "0123456789ABCDEF" : "0123456789abcdef";
  char digits[20];
  u32 count = 0;
  do {
    digits[count++] = letters[value % base];
    value /= base;
  } while (value);
  u32 shown = count + (sign ? 1 : 0), padding = c.width > shown ? c.width - shown : 0;
  bool zeros = c.zero && !c.left;
  if (!c.left && !zeros) out.put(' ', padding);
  if (sign) out.put(sign);
  if (zeros) out.put('0', padding);
  while (count) out.put(digits[--count]);
  if (c.left) out.put(' ', padding);
}

void print_hex(Sink& out, u64 value) {
  out.text("0x", 2);
  print_number(out, {}, value, 16, false, false);
}

void print_padded(Sink& out, const Conversion& c, const char* text, u64 length) {
  u64 padding = c.width > length ? c.width - length : 0;
  if (!c.left) out.put(' ', padding);
  out.text(text, length);
  if (c.left) out.put(' ', padding);
}

enum class SymbolStyle : u8 { kName, kOffset, kReturn };  // %ps, %pS, %pB

// kernel: __sprint_symbol. A return address may lie one past its function: the byte before is looked up.
u64 symbol_text(Run* run, SymbolStyle style, u64 address, char* to, u64 room) {
  Sink out(to, room);
  u64 back = style == SymbolStyle::kReturn ? 1 : 0;
  KernelSymbol found;
  if (!run->env->symbol_at || !run->env->symbol_at(run->env->self, address - back, &found)) {
    print_hex(out, address);
    return out.finish();
  }
  out.text(found.name, found.length);
  if (style != SymbolStyle::kName) {
    out.put('+');
    print_hex(out, found.offset + back);
    out.put('/');
    print_hex(out, found.size);
  }
  return out.finish();
}

// Plain %p and %pK do not show addresses: a mixed value stands for them. 0 and error values are shown.
u64 hidden(u64 address) {
  if (address == 0 || address >= static_cast<u64>(-4095)) return address;
  return static_cast<u32>((address * 0x9e3779b97f4a7c15) >> 32);
}

void print_pointer(Run* run, Sink& out, Conversion c, u64 value) {
  if (c.letter == 's' || c.letter == 'S') {
    char text[kSymbolText];
    SymbolStyle style = c.letter == 's' ? SymbolStyle::kName : SymbolStyle::kOffset;
    return print_padded(out, c, text, symbol_text(run, style, value, text, sizeof text));
  }
  if (c.width == 0) {
    c.width = 16;
    c.zero = true;
  }
  print_number(out, c, c.letter == 'x' ? value : hidden(value), 16, false, false);
}

void print_ip4(Sink& out, const u8* ip, bool padded) {
  for (u32 i = 0; i < 4; ++i) {
    if (i) out.put('.');
    Conversion c{};
    if (padded) c.width = 3, c.zero = true;
    print_number(out, c, ip[i], 10, false, false);
  }
}

void print_ip6(Sink& out, const u8* ip, bool colons) {
  for (u32 i = 0; i < 16; ++i) {
    if (colons && i && i % 2 == 0) out.put(':');
    Conversion c{};
    c.width = 2, c.zero = true;
    print_number(out, c, ip[i], 16, false, false);
  }
}

struct Text {
  const char* at;
  u64 length;
};

// The copies of arguments that the first pass makes, read back in order by the second.
class Copies {
 public:
  explicit Copies(u8* memory) : memory_(memory) {}

  s64 add_word(u64 value, bool wide) {
    used_ = round_up(used_, 4);
    u64 size = wide ? 8 : 4;
    if (used_ + size > kCopiesSize) return -ENOSPC;
    __builtin_memcpy(memory_ + used_, &value, size);
    used_ += size;
    return 0;
  }
  s64 add_char(u64 value) {
    if (used_ == kCopiesSize) return -ENOSPC;
    memory_[used_++] = static_cast<u8>(value);
    return 0;
  }
  s64 add_text(Run* run, const Conversion& c, u64 address) {
    if (c.source == '4' || c.source == '6') return add_ip(run, c, address);
    if (used_ == kCopiesSize) return -ENOSPC;
    char* to = reinterpret_cast<char*>(memory_ + used_);
    u64 room = kCopiesSize - used_;
    if (c.source == 'B') return keep_text(symbol_text(run, SymbolStyle::kReturn, address, to, room), room);
    auto* read = c.source == 'k' ? read_kernel_str : c.source == 'u' ? read_user_str : read_any_str;
    s64 length = read(run, to, address, room);
    if (length < 0) {
      *to = 0;
      length = 1;
    }
    // Nothing is kept of an empty string of the task: what follows takes its place, as in the kernel.
    used_ += static_cast<u64>(length);
    return 0;
  }

  // What is taken may not be what was added, and may lie past it (see add_text).
  u64 take_word(bool wide) {
    taken_ = round_up(taken_, 4);
    u64 size = wide ? 8 : 4, value = 0;
    if (taken_ + size <= kCopiesSize) __builtin_memcpy(&value, memory_ + taken_, size);
    taken_ += size;
    return value;
  }
  char take_char() { return taken_ < kCopiesSize ? static_cast<char>(memory_[taken_++]) : 0; }
  Text take_text() {
    Text text{reinterpret_cast<const char*>(memory_ + taken_), 0};
    while (taken_ + text.length < kCopiesSize && text.at[text.length]) ++text.length;
    taken_ += text.length + 1;
    return text;
  }

 private:
  // The text at the end of what is used, cut off where the room ends.
  s64 keep_text(u64 length, u64 room) {
    if (length >= room) length = room - 1;
    used_ += length + 1;
    return 0;
  }

  s64 add_ip(Run* run, const Conversion& c, u64 address) {
    u8 ip[16];
    u64 size = c.source == '4' ? 4 : 16, room = kCopiesSize - used_;
    if (room < size) return -ENOSPC;
    if (read_kernel(run, ip, address, size) < 0) __builtin_memset(ip, 0, size);
    Sink out(reinterpret_cast<char*>(memory_ + used_), room);
    if (size == 4) {
      print_ip4(out, ip, !c.capital_ip);
    } else {
      print_ip6(out, ip, c.capital_ip);
    }
    return keep_text(out.finish(), room);
  }

  u8* memory_;
  u64 used_ = 0, taken_ = 0;
};

s64 copy_argument(Run* run, Copies& copies, const Conversion& c, u64 arg) {
  switch (c.kind) {
    case Kind::kNumber: return copies.add_word(arg, c.wide);
    case Kind::kPointer: return copies.add_word(arg, true);
    case Kind::kChar: return copies.add_char(arg);
    case Kind::kText: return copies.add_text(run, c, arg);
  }
  return -EINVAL;
}

// The first pass.
s64 prepare(Run* run, Copies& copies, const char* format, u64 length, const u64* args, u32 arg_count) {
  Parser parser(format, length);
  u32 used = 0;
  while (!parser.done()) {
    char letter = parser.next();
    if (!(letter & 0x80) && !is_print(letter) && !is_space(letter)) return -EINVAL;
    if (letter != '%') continue;
    if (parser.peek() == '%') {
      parser.next();
      continue;
    }
    Conversion c;
    if (used >= arg_count || !parser.conversion(c)) return -EINVAL;
    if (s64 error = copy_argument(run, copies, c, args[used++])) return error;
  }
  return 0;
}

void print_argument(Run* run, Sink& out, Copies& copies, const Conversion& c) {
  if (c.kind == Kind::kChar) {
    char letter = copies.take_char();
    print_padded(out, c, &letter, 1);
  } else if (c.kind == Kind::kText && c.source == 's') {
    Text text = copies.take_text();
    print_padded(out, c, text.at, text.length);
  } else if (c.kind == Kind::kText) {
    // The text of a %p is put as it is, and neither taken nor counted where the buffer is full (kernel: bstr_printf).
    if (out.full()) return;
    Text text = copies.take_text();
    out.text(text.at, text.length);
  } else if (c.kind == Kind::kPointer) {
    print_pointer(run, out, c, copies.take_word(true));
  } else {
    u64 value = copies.take_word(c.wide);
    bool is_signed = c.letter == 'd' || c.letter == 'i';
    if (is_signed && !c.wide) value = static_cast<u64>(s64{static_cast<s32>(value)});
    print_number(out, c, value, c.letter == 'x' || c.letter == 'X' ? 16 : 10, c.letter == 'X', is_signed);
  }
}

// Takes a piece of the vCPU's scratch memory for a scope; null when callers further up use it all.
class Scratch {
 public:
  Scratch(Vcpu& cpu, u32 size) : cpu_(cpu), size_(size) {
    if (cpu.scratch_used + size > sizeof cpu.scratch) return;
    memory_ = cpu.scratch + cpu.scratch_used;
    cpu.scratch_used += size;
  }
  ~Scratch() {
    if (memory_) cpu_.scratch_used -= size_;
  }
  u8* memory() const { return memory_; }

 private:
  Vcpu& cpu_;
  u32 size_;
  u8* memory_ = nullptr;
};

}  // namespace

s64 format_text(Run* run, char* to, u64 size, const char* format, u64 format_size, const u64* args, u32 arg_count) {
  u64 length = 0;
  while (length < format_size && format[length]) ++length;
  if (length == format_size) return -EINVAL;
  Scratch scratch(*run->cpu, kCopiesSize);
  if (!scratch.memory()) return -EBUSY;
  Copies copies(scratch.memory());
  if (s64 error = prepare(run, copies, format, length, args, arg_count)) return error;

  Sink out(to, size);
  Parser parser(format, length);
  while (!parser.done()) {
    char letter = parser.next();
    if (letter == '%' && parser.peek() != '%') {
      Conversion c;
      parser.conversion(c);
      print_argument(run, out, copies, c);
      if (c.kind == Kind::kPointer || (c.kind == Kind::kText && c.source != 's')) parser.skip_word();
      continue;
    }
    if (letter == '%') parser.next();
    out.put(letter);
  }
  return static_cast<s64>(out.finish());
}

}  // namespace bpfemu
