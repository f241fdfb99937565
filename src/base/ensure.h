// SPDX-License-Identifier: Apache-2.0
// ensure(): "we broke our promise". Throws; the event trampoline catches it, marks the one unit broken and
// lives on. Not for what the world may do to us: that is Result<T>.
#pragma once

#include <source_location>
#include <stdexcept>
#include <string>

namespace holdfast {

/// A promise of our own code that did not hold. what() names file, line and function.
class BrokenPromise : public std::logic_error {
public:
    using std::logic_error::logic_error;
};

inline void ensure(bool holds, char const* what = "promise",
                   std::source_location at = std::source_location::current()) {
    if (holds) [[likely]]
        return;
    throw BrokenPromise{std::string{what} + " broken at " + at.file_name() + ":" + std::to_string(at.line()) +
                        " in " + at.function_name()};
}

} // namespace holdfast
