// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"
#include "catch.h"
#include "cli/command_line.h"
#include "cli/help.h"
#include "cli/screen.h"

using namespace holdfast;
using namespace holdfast::cli;

namespace {

std::string help_of(std::vector<std::string> const& words) {
    auto const result = read_command_line(words);
    REQUIRE(std::holds_alternative<PrintAndExit>(result));
    auto const& print = std::get<PrintAndExit>(result);
    CHECK(print.status == ExitStatus::Done);
    return print.text;
}

void check_fits(std::string const& help) {
    for (auto const line : split(help, '\n')) {
        INFO(line);
        CHECK(width_of(line) <= help_width);
        CHECK((line.empty() || line.back() != ' '));
    }
}

} // namespace

TEST_CASE("the help of every verb has an example that is read, and fits 80 columns", "[cli]") {
    check_fits(help_of({"--help"}));
    for (auto const& row : verbs()) {
        if (!row.is_supported())
            continue;
        INFO(row.name);
        auto const help = help_of({std::string{row.name}, "--help"});
        check_fits(help);
        auto const example = std::string{row.example};
        CHECK(help.find("Example:\n  " + example + "\n") != std::string::npos);
        std::vector<std::string> words;
        for (auto const word : split(example, ' '))
            words.emplace_back(word);
        REQUIRE(words.front() == "holdfast");
        words.erase(words.begin());
        auto const read = read_command_line(words);
        REQUIRE(std::holds_alternative<CommandLine>(read));
        CHECK(std::get<CommandLine>(read).verb == row.verb);
    }
}

TEST_CASE("a line that is too long goes on below its description", "[cli]") {
    std::string const option = "  --strategy WORD             ";
    std::string const words = "a description of more than fifty letters that has to be broken somewhere";
    CHECK(fitted(option + words) == option + "a description of more than fifty letters that has\n" +
                                        std::string(30, ' ') + "to be broken somewhere\n");
    CHECK(fitted("Verbs   \n\n\n") == "Verbs\n");
    CHECK(fitted("word " + std::string(100, 'x')) == "word\n  " + std::string(100, 'x') + "\n");
}
