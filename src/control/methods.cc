// SPDX-License-Identifier: Apache-2.0
#include "control/methods.h"

namespace holdfast {

namespace {

constexpr ControlParameter the_unit[] = {{"unit", ParameterType::Text, true}};
constexpr ControlParameter maybe_unit[] = {{"unit", ParameterType::Text, false}};
constexpr ControlParameter restart[] = {{"unit", ParameterType::Text, true},
                                        {"strategy", ParameterType::Text, false}};
constexpr ControlParameter scale[] = {{"unit", ParameterType::Text, true},
                                      {"workers", ParameterType::Number, true}};
constexpr ControlParameter report[] = {{"unit", ParameterType::Text, true},
                                       {"generation", ParameterType::Number, false}};
constexpr ControlParameter events[] = {{"unit", ParameterType::Text, false},
                                       {"follow", ParameterType::Flag, false},
                                       {"since", ParameterType::Number, false}};

constexpr ControlMethod table[] = {
    {"Start", Access::Change, the_unit},
    {"Stop", Access::Change, the_unit},
    {"Restart", Access::Change, restart},
    {"Reload", Access::Change, the_unit},
    {"Scale", Access::Change, scale},
    {"UndoRollout", Access::Change, the_unit},
    {"PauseRollout", Access::Change, the_unit},
    {"ResumeRollout", Access::Change, the_unit},
    {"Status", Access::Look, maybe_unit},
    {"List", Access::Look, {}},
    {"Sockets", Access::Look, maybe_unit},
    {"Show", Access::Look, the_unit},
    {"Plan", Access::Look, {}},
    {"Apply", Access::Change, {}},
    {"Events", Access::Look, events},
    {"Trace", Access::Look, the_unit},
    {"Report", Access::Look, report},
    {"History", Access::Look, the_unit},
    {"Shutdown", Access::Change, {}},
    {"Version", Access::Look, {}},
    {"Upgrade", Access::Change, {}},
};

} // namespace

std::span<ControlMethod const> control_methods() {
    return table;
}

ControlMethod const* find_control_method(std::string_view name) {
    for (auto const& method : table)
        if (method.name == name)
            return &method;
    return nullptr;
}

} // namespace holdfast
