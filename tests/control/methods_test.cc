// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "control/methods.h"

#include <map>
#include <regex>
#include <set>

using namespace holdfast;

namespace {

/// "Restart" → "unit: string, strategy: ?string", for every method line of the interface text.
std::map<std::string, std::string> described_methods() {
    std::map<std::string, std::string> methods;
    std::string const text{interface_text(control_interface)};
    std::regex const line{R"(\nmethod (\w+)\(([^)]*)\))"};
    for (std::sregex_iterator it{text.begin(), text.end(), line}, end; it != end; ++it)
        methods[(*it)[1]] = (*it)[2];
    return methods;
}

std::string described(ControlMethod const& method) {
    std::string text;
    for (auto const& parameter : method.parameters)
        text += (text.empty() ? "" : ", ") + std::string{parameter.name} + ": " +
                (parameter.required ? "" : "?") + std::string{to_name(parameter.type)};
    return text;
}

} // namespace

TEST_CASE("the table of methods and the interface text say the same", "[control]") {
    std::map<std::string, std::string> table;
    for (auto const& method : control_methods())
        table[std::string{method.name}] = described(method);
    CHECK(table.size() == control_methods().size());
    CHECK(table == described_methods());
}

TEST_CASE("exactly these methods change something", "[control]") {
    std::set<std::string_view> changing;
    for (auto const& method : control_methods())
        if (method.access == Access::Change)
            changing.insert(method.name);
    CHECK(changing == std::set<std::string_view>{"Start", "Stop", "Restart", "Reload", "Scale", "Pause",
                                                 "Resume", "UndoRollout", "PauseRollout", "ResumeRollout",
                                                 "Apply", "Shutdown", "Upgrade"});
}

TEST_CASE("a method that does not exist is not found", "[control]") {
    CHECK(find_control_method("Restart") != nullptr);
    CHECK(find_control_method("restart") == nullptr);
    CHECK(find_control_method("") == nullptr);
}
