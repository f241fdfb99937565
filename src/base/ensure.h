// SPDX-License-Identifier: Apache-2.0
// ensure(): "we broke our promise". Throws; the event trampoline catches it, marks the one unit broken and
// lives on. Not for what the world may do to us: that is Result<T>.
#pragma once

#include <stdexcept>
#include <string>

namespace holdfast {

/// A promise of our own code that did not hold. what() names file, line and function.
class BrokenPromise : public std::logic_error {
public:
    using std::logic_error::logic_error;
};

// Not std::source_location: clang 14 and 15 have none with libstdc++, but all compilers have what it is made
// of.
inline void ensure(bool holds, char const* what = "promise", char const* file = __builtin_FILE(),
                   int line = __builtin_LINE(), char const* function = __builtin_FUNCTION()) {
    if (holds) [[likely]]
        return;
    throw BrokenPromise{std::string{what} + " broken at " + file + ":" + std::to_string(line) + " in " +
                        function};
}

} // namespace holdfast
