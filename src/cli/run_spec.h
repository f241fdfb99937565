// SPDX-License-Identifier: Apache-2.0
// The unit that `holdfast run` is told on its command line, in the place of a unit file. Pure.
#pragma once

#include "base/result.h"
#include "cli/run.h"
#include "unit/spec.h"

namespace holdfast::cli {

/// Errors say which option is wrong, or what is not supported yet. The unit is named after the program; a
/// socket without --name is "socket", the next one "socket2", and so on.
[[nodiscard]] Result<UnitSpecPtr> make_run_spec(RunOptions const& options);

} // namespace holdfast::cli
