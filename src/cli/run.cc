// SPDX-License-Identifier: Apache-2.0
#include "cli/run.h"

#include <cstdio>

namespace holdfast::cli {

int run_command(RunOptions const&) {
    std::fputs("holdfast: holdfast run is not supported yet\n", stderr);
    return 1;
}

} // namespace holdfast::cli
