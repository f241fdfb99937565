// SPDX-License-Identifier: Apache-2.0
// Who waits for a wish (start, stop, restart), and what they are told in the end. Each wish is answered
// exactly once.
#pragma once

#include "base/time.h"
#include "base/words.h"
#include "unit/address.h"

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
    std::uint32_t queue_highest = 0; ///< of the samples taken at each step
    std::uint32_t queue_after = 0;
    std::uint32_t limit = 0;
    std::optional<std::uint64_t> drops; ///< during the rollout
};

enum class Verdict { Done, Failed, Superseded, Stopped };
constexpr auto enum_table(Verdict) {
    return std::array{EnumName{Verdict::Done, "done"}, EnumName{Verdict::Failed, "failed"},
                      EnumName{Verdict::Superseded, "superseded"}, EnumName{Verdict::Stopped, "stopped"}};
}

struct RolloutReport {
    std::string unit;
    Verdict verdict{};
    Strategy strategy{};
    std::uint32_t generation = 0;
    std::optional<std::uint32_t> previous_generation;
    std::string reason;
    std::optional<Duration> ready_after;
    std::optional<Duration> drained_after;
    unsigned killed_at_deadline = 0;
    std::vector<ListenerReport> listeners;
    // Changes in this network namespace while the rollout ran: upper bounds.
    std::uint64_t listen_overflows = 0;
    std::uint64_t listen_drops = 0;
    std::uint64_t aborted_on_close = 0;
};

struct WishResult {
    bool ok = false;
    std::string message;
    std::optional<RolloutReport> report;
};

using WishAnswer = std::function<void(WishResult const&)>;

} // namespace holdfast
