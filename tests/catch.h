// SPDX-License-Identifier: Apache-2.0
// Catch2 as it is found: 3.x splits its header, 2.13 has one.
#pragma once

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Matchers::ContainsSubstring;
#else
#include <catch2/catch.hpp>
inline auto ContainsSubstring(std::string const& text) {
    return Catch::Matchers::Contains(text);
}
#endif
