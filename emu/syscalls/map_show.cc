// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/map_show.h"

#include <fmt/format.h>

#include <vector>

#include "emu/base/bytes.h"
#include "emu/btf/btf_show.h"
#include "emu/syscalls/map_elements.h"
#include "emu/syscalls/map_run.h"

namespace bpfemu {

namespace {

constexpr size_t kMaxText = 16 << 20;

// Through which type a map's values are shown: the tool's, or the kernel's own structure.
struct ValueType {
  const Btf* btf = nullptr;
  u32 id = 0;
};

ValueType value_type(const System& system, const MapObject& map) {
  if (map.btf_vmlinux_value_type_id) return {system.vmlinux.get(), map.btf_vmlinux_value_type_id};
  return {map.btf.get(), map.btf_value_type_id};
}

// "1: ", "{1,2,}: "; nothing for the one value of a data section or of a kernel structure.
std::string key_text(const MapObject& map, std::span<const u8> key) {
  const bool number = map.ops().btf == BtfRule::kArrayIndex || map.ops().btf == BtfRule::kIntKey;
  if (map.map().type == BPF_MAP_TYPE_PROG_ARRAY || (number && map.btf_key_type_id)) {
    return fmt::format("{}: ", load<u32>(key.data()));
  }
  return map.btf_key_type_id ? btf_show(*map.btf, map.btf_key_type_id, key) + ": " : std::string();
}

std::string value_text(const MapObject& map, ValueType type, std::span<const u8> value) {
  auto shown = [&](std::span<const u8> one) { return btf_show(*type.btf, type.id, one) + "\n"; };
  if (!map.ops().per_cpu) return shown(value);
  std::string text = "{\n";
  const size_t stride = round_up(map.map().value_size, sizeof(u64));
  for (u32 cpu = 0; cpu < map.map().cpus; ++cpu) {
    text += fmt::format("\tcpu{}: {}", cpu, shown(value.subspan(cpu * stride, map.map().value_size)));
  }
  return text + "}\n";
}

}  // namespace

Result<std::string> show_map(System& system, Task& task, MapObject& map) {
  const ValueType type = value_type(system, map);
  if (!has_trait(map.map(), kShown) || !type.btf || !type.id) return fail(EIO);
  std::string text =
      "# WARNING!! The output is for debug purpose only\n"
      "# WARNING!! The output format will change\n";
  std::vector<u8> key(map.map().key_size), next(key), value(user_value_size(map.map()));
  MapRun run(system, task, map.map());
  const auto& ops = map.ops();
  for (bool first = true; ops.get_next_key(map.map(), first ? nullptr : key.data(), next.data()) == 0; first = false) {
    key.swap(next);
    if (ops.copy_value(run, map.map(), key.data(), value.data()) < 0) continue;  // gone meanwhile
    text += key_text(map, key) + value_text(map, type, value);
    if (text.size() > kMaxText) {
      system.unmodelled.note("reading a large pinned map as a file");
      return fail(EFBIG);
    }
  }
  return text;
}

}  // namespace bpfemu
