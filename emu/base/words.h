// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace bpfemu {

// What white space divides (kernel: argv_split).
inline std::vector<std::string> words_of(std::string_view line) {
  constexpr std::string_view kSpace = " \t\n\v\f\r";
  std::vector<std::string> words;
  for (size_t start; (start = line.find_first_not_of(kSpace)) != std::string_view::npos;) {
    line.remove_prefix(start);
    size_t end = std::min(line.find_first_of(kSpace), line.size());
    words.emplace_back(line.substr(0, end));
    line.remove_prefix(end);
  }
  return words;
}

}  // namespace bpfemu
