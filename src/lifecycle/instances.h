// SPDX-License-Identifier: Apache-2.0
// A unit with `accept = true`: which connection gets a process, which is refused, when the listeners are left
// alone, and how those who serve are ended. A value and a function, as step.h; apart from it, since an
// instance has no slot, no generation and no second life.
//
//   closed ──Opened──▶ open ──ConnectionArrived──▶ Running ──Ended──▶ gone
//      ▲                 │                            │ Closed, or the peace is over: told to go
//      └Closed, Suspended┘                        Draining ──deadline──▶ Killed ──deadline──▶ given up
//
// Invariants, each checked after every step in tests/lifecycle/instances_test.cc:
//   limits        nobody is started beyond `most`, or beyond `most_per_source` of his source
//   answered      each connection is started or refused, one of both, and once
//   reasons       who is refused is refused for what is so
//   watched       the listeners are accepted from exactly while one more would be answered at once
//   rate          in no `limit_interval` are more than `limit_burst` started, and while that is met one after
//                 the other, as far apart; who came then is told once that he waits, and for no longer
//   once          an id is used once; nobody is told to go twice, or killed twice
//   peace         who is served is told to go by a Closed, or when it was so long suspended
//   patience      only who was told to go is killed, when his time is over, and not before
//   deadline      the deadline that is armed is the first of those who are being ended, or that of the peace
//   last          when it is closed and the last one is gone, that is said, once
#pragma once

#include "base/source.h"
#include "base/time.h"
#include "base/words.h"

#include <cstdint>
#include <deque>
#include <optional>
#include <variant>
#include <vector>

namespace holdfast::lifecycle {

/// From 1, and never used again within a unit.
enum class InstanceId : std::uint32_t {};

struct InstanceRules {
    std::uint16_t most = 64;
    std::uint16_t most_per_source = 0; ///< 0: any number
    OnFull on_full = OnFull::Wait;
    Duration patience = std::chrono::seconds{30}; ///< drain signal to SIGKILL; `forever`: no SIGKILL
    Duration peace = std::chrono::seconds{30};    ///< Suspended to drain signal; `forever`: no signal
    std::uint16_t limit_burst = 0;                ///< starts in limit_interval; 0: any number
    Duration limit_interval{};
};

enum class InstancePhase : std::uint8_t { Running, Draining, Killed };
constexpr auto enum_table(InstancePhase) {
    return std::array{EnumName{InstancePhase::Running, "running"},
                      EnumName{InstancePhase::Draining, "draining"},
                      EnumName{InstancePhase::Killed, "killed"}};
}

struct Instance {
    InstanceId id{};
    Source source;
    InstancePhase phase = InstancePhase::Running;
    MonotonicTime deadline = MonotonicTime::never(); ///< Draining: it is killed then; Killed: given up
    bool operator==(Instance const&) const = default;
};

enum class Refusal : std::uint8_t { Full, SourceFull, Closed };
constexpr auto enum_table(Refusal) {
    return std::array{EnumName{Refusal::Full, "full"}, EnumName{Refusal::SourceFull, "source-full"},
                      EnumName{Refusal::Closed, "closed"}};
}

/// Since the unit was loaded.
struct InstanceCounts {
    std::uint64_t accepted = 0; ///< that a process was started for
    std::uint64_t failed = 0;   ///< of these, that ended badly or were never executed
    std::uint64_t refused_full = 0;
    std::uint64_t refused_source = 0;
    bool operator==(InstanceCounts const&) const = default;
};

struct InstancesState {
    bool is_open = false;
    bool is_accepting = false; ///< what was ordered last
    InstanceId last{};
    std::vector<Instance> live;                         ///< the oldest first
    MonotonicTime deadline = MonotonicTime::never();    ///< the first of theirs
    MonotonicTime peace_until = MonotonicTime::never(); ///< suspended: who serves is told to go then
    std::deque<MonotonicTime> starts;                   ///< within limit_interval, the oldest first
    /// Nobody is accepted until then: there were limit_burst starts, and somebody waits.
    MonotonicTime held_until = MonotonicTime::never();
    /// The limit was met last; what follows within an interval is the same flood.
    std::optional<MonotonicTime> flood_until;
    InstanceCounts counts;
    bool operator==(InstancesState const&) const = default;
};

// ---- facts ----

struct Opened {};
/// No more connections, and those who serve are told to finish.
struct Closed {};
/// No more connections for now, and those who serve may finish by themselves.
struct Suspended {};
/// Somebody is in a queue, and is accepted next if we still accept then.
struct ClientWaits {};
struct ConnectionArrived {
    Source source;
};
struct InstanceEnded {
    InstanceId id{};
    bool is_failure = false;
};
/// No process could be made for it just now: it counts as not started, and arrives again.
struct StartPutOff {
    InstanceId id{};
};
struct RulesChanged {};
struct PatienceEnded {};
struct HoldEnded {};
using InstanceFact = std::variant<Opened, Closed, Suspended, ClientWaits, ConnectionArrived, InstanceEnded,
                                  StartPutOff, RulesChanged, PatienceEnded, HoldEnded>;

// ---- orders ----

/// A process for the connection that has just arrived. Answered by InstanceEnded, also where it cannot be
/// started, or at once by StartPutOff.
struct StartInstance {
    InstanceId id{};
};
struct RefuseConnection {
    Refusal why{};
};
struct TellInstance { ///< drain_signal
    InstanceId id{};
};
struct KillInstance {
    InstanceId id{};
};
/// Not even SIGKILL has ended it: it is no longer waited for.
struct AbandonInstance {
    InstanceId id{};
};
struct AcceptConnections { ///< a level: from now on, or no longer
    bool on = false;
};
struct AwaitPatience { ///< a level: PatienceEnded at this time, or never
    MonotonicTime at = MonotonicTime::never();
};
struct AwaitHold { ///< a level: HoldEnded at this time, or never
    MonotonicTime at = MonotonicTime::never();
};
/// That is to be said: who waits is accepted then. Once in a flood, however often it is met.
struct StartLimitMet {
    MonotonicTime until;
};
struct AllInstancesGone {};
using InstanceOrder =
    std::variant<StartInstance, RefuseConnection, TellInstance, KillInstance, AbandonInstance,
                 AcceptConnections, AwaitPatience, AwaitHold, StartLimitMet, AllInstancesGone>;
using InstanceOrders = std::vector<InstanceOrder>;

/// Facts of ids that are not live, or not any more, are passed over.
[[nodiscard]] InstanceOrders step(InstancesState& state, InstanceRules const& rules, InstanceFact const& fact,
                                  MonotonicTime now);

/// There were so many starts that the next one has to wait, as a ClientWaits says.
[[nodiscard]] bool is_at_limit(InstancesState const& state, InstanceRules const& rules, MonotonicTime now);
/// One more would be answered at once.
[[nodiscard]] bool may_accept(InstancesState const& state, InstanceRules const& rules);
[[nodiscard]] std::size_t count_of(InstancesState const& state, Source const& source);

} // namespace holdfast::lifecycle
