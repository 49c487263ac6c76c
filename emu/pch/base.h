// SPDX-License-Identifier: Apache-2.0
// The part of the precompiled headers that all folders share. Parsing headers is most of what compiling
// costs here. No file relies on a precompiled header: each includes what it uses, and -Db_pch=false builds without any.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>
