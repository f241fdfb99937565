// SPDX-License-Identifier: Apache-2.0
// What the keeper knows of holdfastd's life, as a value, and what its end means, as a pure function. The one
// list of fields is also what goes along when the keeper re-executes itself.
#pragma once

#include "base/time.h"
#include "store/protocol.h"

namespace holdfast::keeper {

struct Life {
    // Of the present one, or the latest.
    pid_t pid = -1; ///< -1: none runs
    MonotonicTime started;
    bool has_spoken = false;  ///< anything: it hears signals by now
    unsigned waiting = 0;     ///< signals that came before that, a bit each (1 << number)
    bool is_ready = false;    ///< it said so
    bool is_stopping = false; ///< it said so
    bool was_late = false;    ///< we killed it: a successor that was not ready in time
    bool was_forced = false;  ///< we killed it: it did not hear that it should stop
    int unstarted = 0;        ///< an errno: the process could not even become it
    // Of them all.
    unsigned starts = 0;
    StartReason reason = StartReason::First;
    UpgradeOutcome upgrade = UpgradeOutcome::None;
    FixedText<300> problem{};
    pid_t previous = 0;
    FixedText<24> previous_exit{};
    bool was_ever_ready = false;
    unsigned short_lives = 0;  ///< in a row: those that were not ready, or ended within a second
    int stop_signal = 0;       ///< SIGTERM or SIGINT, when it was to be forwarded
    bool is_upgrading = false; ///< the successor was started and has not said ready
    unsigned successor_ends = 0;
    unsigned refused = 0;   ///< messages
    unsigned stop_ends = 0; ///< those that died while they were to stop, and left workers
    // Deadlines.
    MonotonicTime ready_by = MonotonicTime::never();
    MonotonicTime stop_by = MonotonicTime::never();
    MonotonicTime start_at = MonotonicTime::never();
    MonotonicTime alive_by = MonotonicTime::never(); ///< it asked to be killed if it does not say so again

    [[nodiscard]] bool is_running() const { return pid >= 0; }
    [[nodiscard]] bool must_stop() const { return stop_signal != 0 || is_stopping; }
};

template <class Visit>
void visit_fields(Life& life, Visit&& visit) {
    visit("pid", life.pid);
    visit("started", life.started);
    visit("has_spoken", life.has_spoken);
    visit("waiting", life.waiting);
    visit("is_ready", life.is_ready);
    visit("is_stopping", life.is_stopping);
    visit("was_late", life.was_late);
    visit("was_forced", life.was_forced);
    visit("unstarted", life.unstarted);
    visit("starts", life.starts);
    visit("reason", life.reason);
    visit("upgrade", life.upgrade);
    visit("problem", life.problem);
    visit("previous", life.previous);
    visit("previous_exit", life.previous_exit);
    visit("was_ever_ready", life.was_ever_ready);
    visit("short_lives", life.short_lives);
    visit("stop_signal", life.stop_signal);
    visit("is_upgrading", life.is_upgrading);
    visit("successor_ends", life.successor_ends);
    visit("refused", life.refused);
    visit("stop_ends", life.stop_ends);
    visit("ready_by", life.ready_by);
    visit("stop_by", life.stop_by);
    visit("start_at", life.start_at);
    visit("alive_by", life.alive_by);
}

enum class Next {
    Leave,              ///< it ended as it should: so do we, and all that was held is let go
    EndWorkers,         ///< it ended while it should stop, and nobody is left to end its workers but us
    StartAgain,         ///< a crash, also while it stopped: the next one goes on stopping
    StartSuccessor,     ///< what is at its path now
    StartSameSuccessor, ///< once more
    FallBack,           ///< what ran before the upgrade
};

struct Fate {
    Next next;
    int exit_status = 0; ///< of Leave and EndWorkers
};

/// What is to be done after holdfastd ended like this. `has_workers`: it left some.
[[nodiscard]] Fate fate_of(Life const& life, ChildExit const& end, bool has_workers);

/// So many may die while they are to stop: then nobody is left to end the workers.
inline constexpr unsigned most_stop_ends = 3;

/// How long the next start has to wait: after one short life not at all, then 100 ms, doubling up to 10 s.
[[nodiscard]] Duration back_off(unsigned short_lives);

/// "was killed by SIGSEGV", "ended with status 1".
using EndText = FixedText<64>;
[[nodiscard]] EndText words_for(ChildExit const& end);

} // namespace holdfast::keeper
