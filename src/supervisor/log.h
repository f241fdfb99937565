// SPDX-License-Identifier: Apache-2.0
// Where the supervisor's own log goes: the journal where there is one, else standard error. Written by a
// thread of its own from a bounded queue, oldest lines dropped first, so that a stuck journal or a full pipe
// never stops the event loop.
#pragma once

#include "unit/daemon_spec.h"

#include <string_view>

namespace holdfast {

/// How much what is said matters to who reads it.
enum class Weight { Normal, Warning, Failure };

struct LogOptions {
    bool to_journal = false;
    bool quiet = false; ///< warnings and worse only
};

/// From now on; where LogOptions has said otherwise.
void set_log_level(LogLevel level);
/// All signals must be blocked before, since the writing thread inherits the mask.
void open_log(LogOptions options);
/// Writes what is queued, waiting a little, and ends the thread.
void close_log();
[[nodiscard]] bool has_journal();
/// Queues one line; never waits. Before open_log() and after close_log() it goes nowhere.
void log_line(Weight weight, std::string_view text);

} // namespace holdfast
