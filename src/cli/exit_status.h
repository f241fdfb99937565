// SPDX-License-Identifier: Apache-2.0
// What `holdfast` ends with. One table; the help text and the manual page say the same.
#pragma once

#include "base/enum_names.h"

namespace holdfast::cli {

enum class ExitStatus {
    Done = 0,
    Failed = 1, ///< a rollout that was rolled back too
    Usage = 2,
    NotActive = 3,
    NoSuchUnit = 4,
    NotPermitted = 5,
    NoDaemon = 6,
};
constexpr auto enum_table(ExitStatus) {
    return std::array{EnumName{ExitStatus::Done, "done"},
                      EnumName{ExitStatus::Failed, "failed"},
                      EnumName{ExitStatus::Usage, "usage"},
                      EnumName{ExitStatus::NotActive, "not active"},
                      EnumName{ExitStatus::NoSuchUnit, "no such unit"},
                      EnumName{ExitStatus::NotPermitted, "not permitted"},
                      EnumName{ExitStatus::NoDaemon, "no daemon"}};
}

/// Of several units on one command line, the first that went wrong decides.
[[nodiscard]] constexpr ExitStatus first_bad(ExitStatus before, ExitStatus now) {
    return before != ExitStatus::Done ? before : now;
}

} // namespace holdfast::cli
