// SPDX-License-Identifier: Apache-2.0
// Every verb of `holdfast` in one table: its name, what it takes, the sentence of the help text, an example.
#pragma once

#include "base/enum_names.h"

#include <span>
#include <string_view>

namespace holdfast::cli {

enum class Verb {
    Run,
    Start,
    Stop,
    Restart,
    Scale,
    Status,
    List,
    Sockets,
    Show,
    Verify,
    Plan,
    Apply,
    Events,
    Trace,
    Shutdown,
    Version,
    Rollout,
    Report,
    Timeline,
    Reload,
    Pause,
    Resume,
    // Known, and not built yet.
    Cat,
    Kill,
    Signal,
    Logs,
    Top,
    Import,
    Enable,
    Disable,
    Mask,
    Unmask,
    Metrics,
    Upgrade,
};

/// How many unit names (for verify: files too) a verb takes.
enum class Operands { None, One, OneAndCount, ActionAndOne, MaybeOne, Some, Any };

struct VerbRow {
    Verb verb;
    std::string_view name;
    Operands operands = Operands::Any;
    std::string_view summary; ///< empty: not supported yet
    std::string_view example; ///< what somebody would type
    [[nodiscard]] constexpr bool is_supported() const { return !summary.empty(); }
};

[[nodiscard]] std::span<VerbRow const> verbs();
[[nodiscard]] std::string_view name_of(Verb verb);

} // namespace holdfast::cli
