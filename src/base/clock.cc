// SPDX-License-Identifier: Apache-2.0
// Apart from time.cc, whose numbers with a point bring the floating point of the C++ runtime and libm along:
// holdfast-keeper needs the clock alone, and is to be small.
#include "base/time.h"

#include <ctime>

namespace holdfast {

MonotonicTime MonotonicTime::now() {
    timespec ts{};
    ::clock_gettime(CLOCK_MONOTONIC, &ts);
    return MonotonicTime{std::chrono::seconds{ts.tv_sec} + Duration{ts.tv_nsec / 1000}};
}

} // namespace holdfast
