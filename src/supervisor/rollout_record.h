// SPDX-License-Identifier: Apache-2.0
// The rollouts of one unit that are under way: who waits for each, and what is measured for its report.
#pragma once

#include "lifecycle/order.h"
#include "socket/inspect.h"
#include "socket/open_connections.h"
#include "supervisor/rollout_timeline.h"
#include "supervisor/wish.h"
#include "unit/spec.h"
#include "worker/pinned_program.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace holdfast {

class SocketCustody;

/// What a generation is started from.
struct Release {
    UnitSpecPtr spec;
    std::shared_ptr<PinnedProgram const> program; ///< null: what is at its path
    lifecycle::GenerationId next{};               ///< that came after it
};

/// What is measured of one listener while the rollout runs. A `reuse_port` one is several sockets: its depth
/// is that of all together, and each has waits and drops of its own.
struct QueueRecord {
    struct Socket {
        LongestWait wait;
        std::optional<std::uint64_t> drops_before; ///< the kernel's count at the first sample
        std::optional<std::uint64_t> drops_after;  ///< and at the last
    };
    QueueSeries depth;
    std::vector<Socket> sockets; ///< in the order that ShardGroup::members() has them, without the anchor
};

struct RolloutRecord {
    lifecycle::GenerationId generation{};
    MonotonicTime began;
    std::optional<MonotonicTime> took_over;
    std::optional<MonotonicTime> proved; ///< the old generation was told to go then, not at the take-over
    RolloutReport report;
    RolloutTimeline timeline;
    std::vector<QueueRecord> queues; ///< as report.listeners
    std::optional<NetCounters> counters_before;
    std::vector<WishAnswer> answers;
    std::vector<WishAnswer> undoers;              ///< they wait for the way back
    Release previous;                             ///< no spec: nothing served before
    std::shared_ptr<PinnedProgram const> program; ///< that it is to run, if it goes back
};

class RolloutRecords {
public:
    [[nodiscard]] std::vector<RolloutRecord> const& records() const { return records_; }
    [[nodiscard]] bool is_empty() const { return records_.empty(); }
    [[nodiscard]] bool has(lifecycle::GenerationId generation) { return find(generation) != nullptr; }
    /// Null when no such rollout is under way.
    [[nodiscard]] RolloutRecord* find(lifecycle::GenerationId generation);
    void begin(lifecycle::GenerationId generation, std::string const& unit, Strategy strategy,
               std::optional<lifecycle::GenerationId> previous, SocketCustody const& sockets,
               std::vector<WishAnswer> answers);
    /// Queue depths: at each step of any of the rollouts, and every now and then between.
    void sample(SocketCustody const& sockets);
    /// What has become of the workers.
    void observe(lifecycle::UnitState const& state);
    void took_over(lifecycle::GenerationId generation);
    void proved(lifecycle::GenerationId generation);
    /// A worker is, with so many connections open.
    void killed_at_deadline(ConnectionCount const& cut);
    /// The record leaves the set, its report completed. Nothing when no such rollout is under way.
    [[nodiscard]] std::optional<RolloutRecord> finish(lifecycle::GenerationId generation, Verdict verdict,
                                                      std::string reason, SocketCustody const& sockets);
    /// The reports as far as they go, oldest first.
    [[nodiscard]] std::vector<RolloutReport> so_far() const;
    /// Forgets all of them; gives back who waits for them.
    [[nodiscard]] std::vector<WishAnswer> abandon();

private:
    std::vector<RolloutRecord> records_;
};

} // namespace holdfast
