// SPDX-License-Identifier: Apache-2.0
// ksym: the symbols of the kernel, of its modules and of loaded programs, as /proc/kallsyms lists them (kernel:
// bpf_iter_ksym_seq_show, struct kallsym_iter). ftrace and kprobes have no pages of their own here.
#include <cctype>

#include "emu/iter/targets.h"

namespace bpfemu {

namespace {

constexpr size_t kNameSize = 512, kModuleSize = 56;  // KSYM_NAME_LEN, MODULE_NAME_LEN

// One line of the list.
struct Line {
  u64 address = 0;
  char type = 't';
  std::string_view name, module;
  bool exported = false;
};

class SymbolsWalk : public IterWalk {
 public:
  explicit SymbolsWalk(IterWorld& world)
      : world_(world), type_(world.space.structure("kallsym_iter")), shows_addresses_(world.shows_addresses()) {
    const auto& all = world.kernel.symbols().all();
    while (core_ < all.size() && all[core_].module.empty()) ++core_;
  }
  Result<bool> start() override {
    programs_ = world_.program_symbols();
    return settle();
  }
  bool next() override {
    ++position_;
    return settle();
  }
  void show(std::span<u64> words, Run&) override { words[0] = object_.address(); }
  u64 memory_size() const override { return type_.size(); }
  void take_memory(u64 address) override { object_ = KernelObject(type_.size() ? address : 0, type_); }

 private:
  bool settle() {
    const auto line = this->line();
    object_.set("pos", static_cast<s64>(position_) + (position_ < core_));  // the kernel's has gone on already
    object_.set("pos_arch_end", end(core_));
    object_.set("pos_mod_end", end(world_.kernel.symbols().all().size()));
    object_.set("pos_ftrace_mod_end", end(world_.kernel.symbols().all().size()));
    object_.set("pos_bpf_end", line ? s64{0} : static_cast<s64>(position_));
    object_.set("show_value", s32{shows_addresses_});
    object_.set("exported", s32{line && line->exported});
    // The last call of the program still has the last symbol, as one that kprobes do not have.
    object_.set_text("module_name", line ? line->module : "__builtin__kprobes", kModuleSize);
    if (!line) return false;
    object_.set("value", line->address);
    object_.set("type", line->type);
    object_.set_text("name", line->name, kNameSize);
    return true;
  }
  // The kernel finds the end of a part when it gets there.
  s64 end(size_t position) const { return position_ >= position ? static_cast<s64>(position) : 0; }

  std::optional<Line> line() const {
    const auto& all = world_.kernel.symbols().all();
    if (position_ < all.size()) {
      const Symbol& symbol = all[position_];
      Line line{symbol.address, symbol.type, symbol.name, symbol.module};
      if (line.module.empty()) return line;
      // What a module exports has a capital there.
      line.exported = std::isupper(static_cast<unsigned char>(symbol.type));
      line.type = static_cast<char>(std::tolower(static_cast<unsigned char>(symbol.type)));
      line.module.remove_prefix(1);
      line.module.remove_suffix(1);
      return line;
    }
    const size_t program = position_ - all.size();
    if (program >= programs_.size()) return std::nullopt;
    return Line{programs_[program].address, 't', programs_[program].name, "bpf"};
  }
  IterWorld& world_;
  const KernelStruct& type_;
  KernelObject object_;
  bool shows_addresses_;
  std::vector<ProgramSymbol> programs_;
  size_t core_ = 0;  // symbols of the image
  size_t position_ = 0;
};

class SymbolsSubject : public IterSubject {
 public:
  explicit SymbolsSubject(IterWorld& world) : world_(world) {}
  Result<std::unique_ptr<IterWalk>> walk(Task&) override { return std::make_unique<SymbolsWalk>(world_); }

 private:
  IterWorld& world_;
};

}  // namespace

Result<std::unique_ptr<IterSubject>> ksym_subject(const IterRequest& request) {
  return std::make_unique<SymbolsSubject>(request.world);
}

}  // namespace bpfemu
