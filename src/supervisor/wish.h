// SPDX-License-Identifier: Apache-2.0
// Who waits for a wish (start, stop, restart), and what they are told in the end. Each wish is answered
// exactly once.
#pragma once

#include "base/time.h"
#include "base/words.h"
#include "socket/open_connections.h"
#include "unit/address.h"

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace holdfast {

/// What the kernel says a rollout did to one listener.
struct ListenerReport {
    std::string name;
    ListenAddress address;
    std::uint32_t queue_before = 0;
    std::uint32_t queue_highest = 0; ///< of the samples
    std::uint32_t queue_after = 0;
    std::uint32_t limit = 0;
    std::optional<std::uint64_t> drops;   ///< during the rollout
    std::optional<Duration> longest_wait; ///< an upper bound, see LongestWait
};

enum class Verdict { UnderWay, Done, Failed, Superseded, Stopped };
constexpr auto enum_table(Verdict) {
    return std::array{EnumName{Verdict::UnderWay, "under-way"}, EnumName{Verdict::Done, "done"},
                      EnumName{Verdict::Failed, "failed"}, EnumName{Verdict::Superseded, "superseded"},
                      EnumName{Verdict::Stopped, "stopped"}};
}

/// What may be wished of the rollout that is under way.
enum class RolloutWish { Undo, Pause, Resume };

struct RolloutReport {
    std::string unit;
    Verdict verdict{};
    Strategy strategy{};
    std::uint32_t generation = 0;
    std::optional<std::uint32_t> previous_generation;
    std::string reason;
    std::string stage;             ///< under way: how far it is
    std::optional<unsigned> share; ///< canary: percent of new connections
    bool is_paused = false;
    std::chrono::system_clock::time_point began;
    Duration lasted{}; ///< until its end, or (under way) until now
    std::optional<Duration> ready_after;
    std::optional<Duration> drained_after;
    unsigned killed_at_deadline = 0;
    ConnectionCount cut_at_deadline; ///< that those who were killed had open
    std::vector<ListenerReport> listeners;
    unsigned listeners_left_out = 0; ///< of an older report
    // Changes in this network namespace while the rollout ran: upper bounds.
    std::uint64_t listen_overflows = 0;
    std::uint64_t listen_drops = 0;
    std::uint64_t aborted_on_close = 0;
    std::uint64_t migrated = 0;
    std::uint64_t migrate_failed = 0;
};

struct WishResult {
    bool ok = false;
    std::string message;
    std::optional<RolloutReport> report;
};

using WishAnswer = std::function<void(WishResult const&)>;

} // namespace holdfast
