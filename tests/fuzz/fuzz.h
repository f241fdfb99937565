// SPDX-License-Identifier: Apache-2.0
// What a fuzz target defines, and how it says that a promise was broken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size);

/// Ends the process, as a sanitizer would: what a target checks beyond not crashing.
inline void must(bool holds, char const* promise) {
    if (holds)
        return;
    std::fprintf(stderr, "broken promise: %s\n", promise);
    std::abort();
}
