// SPDX-License-Identifier: Apache-2.0
// Small files of /proc, whole. The kernel makes them while they are read, so reading does not wait for a
// disk.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace holdfast {

/// The text of `path`, at most 256 KiB of it; nothing (and errno) where it cannot be read.
[[nodiscard]] std::optional<std::string> read_proc_file(char const* path);
/// The number that `path` begins with.
[[nodiscard]] std::optional<std::uint64_t> read_proc_number(char const* path);

} // namespace holdfast
