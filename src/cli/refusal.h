// SPDX-License-Identifier: Apache-2.0
// What did not work, in words that say what to do next, and the exit status for it: for an error that the
// daemon answered, and for a daemon that does not answer.
#pragma once

#include "base/error.h"
#include "cli/exit_status.h"
#include "control/message.h"

#include <string>

namespace holdfast::cli {

struct Refusal {
    ExitStatus status = ExitStatus::Failed;
    std::string text; ///< without "holdfast: "; lines, each with its newline
};

[[nodiscard]] Refusal explain_answer(ControlAnswer const& answer);
/// `path`: of the control socket. `is_default`: no --runtime-dir was given.
[[nodiscard]] Refusal explain_silence(Error const& error, std::string const& path, bool is_default);

} // namespace holdfast::cli
