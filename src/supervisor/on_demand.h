// SPDX-License-Identifier: Apache-2.0
// What a unit does that serves nobody for a while: the wishes to pause and to resume it, and the look at its
// queues meanwhile. A view of the unit, made where it is needed; keeps nothing itself, and decides nothing
// but what "nearly full" means.
#pragma once

#include "lifecycle/order.h"
#include "socket/inspect.h"
#include "supervisor/unit_parts.h"

namespace holdfast {

class UnitRunner;

/// Four fifths of a queue are taken: connections, or bytes of a receive buffer.
[[nodiscard]] bool is_nearly_full(QueueState const& queue);

class OnDemand {
public:
    explicit OnDemand(UnitRunner& unit) : unit_{unit} {}

    /// `time`: shortest_pause_for to longest_pause_for. Where we accept ourselves it is told when the
    /// instances have ended, of which the core does not know.
    void pause(Duration time, WishAnswer answer);
    /// `or_restart`: a unit that is not paused any more is restarted, for what is installed was not whole
    /// when it resumed by itself.
    void resume(bool or_restart, WishAnswer answer);
    /// It is paused, also by the wishes that are not taken yet.
    [[nodiscard]] bool is_paused() const;
    /// Who asked for a pause of a supervisor that died since: false where the unit is not paused.
    [[nodiscard]] bool answer_again(WishAnswer const& answer);

    /// Before the core takes it: wishes that will mean nothing are answered here; and nobody is ended for
    /// being idle who is not so at this very moment.
    void take(lifecycle::Fact& fact);
    void tell(lifecycle::Report const& report, std::string const& told);
    /// Somebody has come to a listener, or may have: it is not idle, if it was.
    void hear_arrival();

    void watch_queues();
    void unwatch_queues();

private:
    void answer_all(WishKind kind, WishResult const& result);
    void look();

    UnitRunner& unit_;
};

inline constexpr Duration shortest_pause_for = std::chrono::milliseconds{1};
inline constexpr Duration longest_pause_for = std::chrono::hours{24};

} // namespace holdfast
