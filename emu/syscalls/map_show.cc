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

// "1: ", "{1,2,}: "; nothing for the one value of a data section.
std::string key_text(const MapObject& map, std::span<const u8> key) {
  if (!map.btf_key_type_id) return {};
  if (map.ops().btf == BtfRule::kArrayIndex || map.ops().btf == BtfRule::kIntKey) {
    return fmt::format("{}: ", load<u32>(key.data()));
  }
  return btf_show(*map.btf, map.btf_key_type_id, key) + ": ";
}

std::string value_text(const MapObject& map, std::span<const u8> value) {
  auto shown = [&](std::span<const u8> one) { return btf_show(*map.btf, map.btf_value_type_id, one) + "\n"; };
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
  if (!has_trait(map.map(), kShown) || !map.btf || !map.btf_value_type_id) return fail(EIO);
  std::string text =
      "# WARNING!! The output is for debug purpose only\n"
      "# WARNING!! The output format will change\n";
  std::vector<u8> key(map.map().key_size), next(key), value(user_value_size(map.map()));
  MapRun run(system, task);
  const auto& ops = map.ops();
  for (bool first = true; ops.get_next_key(map.map(), first ? nullptr : key.data(), next.data()) == 0; first = false) {
    key.swap(next);
    if (ops.copy_value(run, map.map(), key.data(), value.data()) < 0) continue;  // gone meanwhile
    text += key_text(map, key) + value_text(map, value);
    if (text.size() > kMaxText) {
      system.unmodelled.note("reading a large pinned map as a file");
      return fail(EFBIG);
    }
  }
  return text;
}

}  // namespace bpfemu
