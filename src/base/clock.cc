// SPDX-License-Identifier: Apache-2.0
// Apart from time.cc, whose numbers with a point bring the floating point of the C++ runtime and libm along:
// holdfast-keeper needs the clock alone, and is to be small.
#include "base/time.h"

#include <ctime>

namespace holdfast {

namespace {

Duration read_clock(clockid_t clock) {
    timespec ts{};
    ::clock_gettime(clock, &ts);
    return std::chrono::seconds{ts.tv_sec} + Duration{ts.tv_nsec / 1000};
}

} // namespace

MonotonicTime MonotonicTime::now() {
    return MonotonicTime{read_clock(CLOCK_MONOTONIC)};
}

Duration thread_cpu_time() {
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

} // namespace holdfast
