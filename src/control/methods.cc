// SPDX-License-Identifier: Apache-2.0
#include "control/methods.h"

namespace holdfast {

namespace {

constexpr ControlParameter the_unit[] = {{"unit", ParameterType::Text, true}};
constexpr ControlParameter change[] = {{"unit", ParameterType::Text, true},
                                       {"asked_usec", ParameterType::Number, false}};
constexpr ControlParameter apply[] = {{"asked_usec", ParameterType::Number, false}};
constexpr ControlParameter maybe_unit[] = {{"unit", ParameterType::Text, false}};
constexpr ControlParameter restart[] = {{"unit", ParameterType::Text, true},
                                        {"strategy", ParameterType::Text, false},
                                        {"asked_usec", ParameterType::Number, false}};
constexpr ControlParameter scale[] = {{"unit", ParameterType::Text, true},
                                      {"workers", ParameterType::Number, true},
                                      {"asked_usec", ParameterType::Number, false}};
constexpr ControlParameter pause[] = {{"unit", ParameterType::Text, true},
                                      {"for_usec", ParameterType::Number, false},
                                      {"asked_usec", ParameterType::Number, false}};
constexpr ControlParameter resume[] = {{"unit", ParameterType::Text, true},
                                       {"or_restart", ParameterType::Flag, false},
                                       {"asked_usec", ParameterType::Number, false}};
constexpr ControlParameter report[] = {{"unit", ParameterType::Text, true},
                                       {"generation", ParameterType::Number, false}};
constexpr ControlParameter events[] = {{"unit", ParameterType::Text, false},
                                       {"follow", ParameterType::Flag, false},
                                       {"since", ParameterType::Number, false}};

constexpr ControlMethod table[] = {
    {"Start", Access::Change, change},
    {"Stop", Access::Change, change},
    {"Restart", Access::Change, restart},
    {"Reload", Access::Change, change},
    {"Scale", Access::Change, scale},
    {"Pause", Access::Change, pause},
    {"Resume", Access::Change, resume},
    {"UndoRollout", Access::Change, change},
    {"PauseRollout", Access::Change, change},
    {"ResumeRollout", Access::Change, change},
    {"Status", Access::Look, maybe_unit},
    {"List", Access::Look, {}},
    {"Sockets", Access::Look, maybe_unit},
    {"Show", Access::Look, the_unit},
    {"Plan", Access::Look, {}},
    {"Apply", Access::Change, apply},
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
