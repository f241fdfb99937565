// SPDX-License-Identifier: Apache-2.0
// main of `holdfast`: read what was typed, do it, exit with its status.
#include "cli/act.h"
#include "cli/command_line.h"
#include "cli/complete.h"

#include <cstdio>
#include <exception>

namespace {

using namespace holdfast::cli;

int carry_out(CommandLine const& line) {
    if (line.verb == Verb::Run)
        return run_command(line.run);
    auto const status = act(line);
    // A full disk must not look like success.
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
        std::perror("holdfast: cannot write to standard output");
        return static_cast<int>(ExitStatus::Failed);
    }
    return static_cast<int>(status);
}

int print_and_exit(PrintAndExit const& print) {
    std::fputs(print.text.c_str(), print.status == ExitStatus::Done ? stdout : stderr);
    return static_cast<int>(print.status);
}

} // namespace

int main(int count, char** arguments) {
    try {
        if (count > 1 && arguments[1] == complete_verb) {
            print_completions({arguments + 2, arguments + count});
            return static_cast<int>(ExitStatus::Done);
        }
        auto const read = read_command_line({arguments + (count > 0 ? 1 : 0), arguments + count});
        if (auto const* print = std::get_if<PrintAndExit>(&read))
            return print_and_exit(*print);
        return carry_out(std::get<CommandLine>(read));
    } catch (std::exception const& broken) {
        std::fprintf(stderr, "holdfast: this is a mistake of holdfast itself, please report it: %s\n",
                     broken.what());
        return static_cast<int>(ExitStatus::Failed);
    }
}
