// SPDX-License-Identifier: Apache-2.0
// main of holdfast-keeper, a table of contents: options, what a process must have, what was in hand before,
// or the first start; then the loop, which never returns.
#include "keeper/keeper.h"
#include "keeper/say.h"

#include <fcntl.h>
#include <sys/prctl.h>

namespace holdfast::keeper {

namespace {

// In memory that is zero and costs nothing until it is used.
constinit Tables tables;

/// What we open must not become somebody's standard output.
void open_standard_descriptors() {
    for (int number = ::open("/dev/null", O_RDWR); number >= 0; number = ::open("/dev/null", O_RDWR))
        if (number > STDERR_FILENO) {
            ::close(number);
            return;
        }
}

int keep(int argc, char** argv) {
    auto const [options, exit_status] = parse_options(argv);
    if (options.program == nullptr || argc == 0)
        return exit_status;
    open_standard_descriptors();
    auto carried = Program::take_carried();
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    static Keeper keeper{tables};
    if (!keeper.open(options, argv))
        return 1;
    if (carried.is_open()) {
        if (!keeper.take_over(std::move(carried)))
            return 1;
    } else if (int const status = keeper.start_first(); status != 0) {
        return status;
    }
    keeper.run();
}

} // namespace

} // namespace holdfast::keeper

int main(int argc, char** argv) {
    return holdfast::keeper::keep(argc, argv);
}
