// SPDX-License-Identifier: Apache-2.0
// What may come next on a command line of `holdfast`: the shells' completions ask `holdfast __complete`. It
// knows no verb and no option of its own; they come from the table of verbs and from what the command line is
// read by. Silent and quick, whatever is wrong: somebody is typing.
#pragma once

#include "cli/command_line.h"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::cli {

/// The first argument that asks for it; the words typed so far follow, the last of them the one at the
/// cursor.
inline constexpr std::string_view complete_verb = "__complete";

struct Candidate {
    std::string word;
    std::string about; ///< one short line, or empty
    bool operator==(Candidate const&) const = default;
};

// In the place of a word: the shell knows better.
inline constexpr std::string_view any_file = ":files";
inline constexpr std::string_view any_folder = ":folders";
inline constexpr std::string_view any_program = ":programs";

/// Where names come from; asked only when they are needed.
struct NameSources {
    std::function<std::vector<Candidate>(CommandLine const&)> units_of_daemon;
    std::function<std::vector<Candidate>(CommandLine const&)> units_in_folders;
    std::function<std::vector<Candidate>(CommandLine const&)> sockets_of_daemon; ///< of the unit that is named
};

/// Those that begin with the last of `words`.
[[nodiscard]] std::vector<Candidate> complete(std::vector<std::string> const& words,
                                              NameSources const& sources);

/// Asks the daemon for at most a second, prints "WORD\tABOUT" lines, and is always content.
void print_completions(std::vector<std::string> const& words);

} // namespace holdfast::cli
