// SPDX-License-Identifier: Apache-2.0
// The command line of holdfast-keeper: a handful of options, and the program to keep.
#pragma once

#include "base/time.h"

namespace holdfast::keeper {

using namespace std::chrono_literals;

struct Options {
    Duration ready_timeout = 10s; ///< for the successor of an upgrade to say ready
    Duration stop_timeout = 10s;  ///< for holdfastd to say stopping
    char** program = nullptr;     ///< its arguments, the name first
};

/// Either options with a program, or the status to end with, everything said.
struct Parsed {
    Options options;
    int exit_status = 0;
};

[[nodiscard]] Parsed parse_options(char** argv);

} // namespace holdfast::keeper
