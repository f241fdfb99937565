// SPDX-License-Identifier: Apache-2.0
// What this process has open: taken before and after, it shows a descriptor that was lost.
#pragma once

#include <string>
#include <vector>

namespace holdfast::test {

/// "3 -> socket:[1]", … sorted.
[[nodiscard]] std::vector<std::string> open_descriptors();

} // namespace holdfast::test
