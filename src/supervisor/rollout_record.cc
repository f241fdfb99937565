// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rollout_record.h"

#include "socket/queue_snapshot.h"
#include "supervisor/socket_custody.h"

#include <algorithm>

namespace holdfast {

namespace {

/// The difference of two readings of a counter; one that went backwards (another namespace) counts as none.
std::uint64_t growth(std::uint64_t before, std::uint64_t after) {
    return after > before ? after - before : 0;
}

/// One listener as it is now: its one socket, or the shards of its address.
struct SeenListener {
    std::string const& name;
    ListenAddress address;
    std::uint32_t limit = 0; ///< of a `reuse_port` socket: of the shards of one bank, since one serves
    std::vector<QueueState> sockets;
    [[nodiscard]] std::uint32_t waiting() const {
        std::uint32_t sum = 0;
        for (auto const& socket : sockets)
            sum += socket.waiting;
        return sum;
    }
};

SeenListener look_at(ShardGroup const& group, QueueSnapshot& queues) {
    SeenListener seen{group.members().front().listener.name, group.bound(), 0, {}};
    for (auto const& member : group.members()) {
        if (!member.shard) // the anchor, to which nothing is steered
            continue;
        // One that cannot be looked at keeps its place among the others.
        auto const queue = queues.queue_of(member.listener);
        seen.sockets.push_back(queue ? *queue : QueueState{});
        if (member.shard->bank == Bank::Green)
            seen.limit += seen.sockets.back().limit;
    }
    return seen;
}

/// Calls `see(SeenListener)` for every listener that is held: the one place that says what is sampled.
template <class See>
void for_each_queue(SocketCustody const& sockets, See const& see) {
    QueueSnapshot queues;
    for (auto const& held : sockets.held())
        if (auto const queue = queues.queue_of(held))
            see(SeenListener{held.name, held.bound(), queue->limit, {*queue}});
    if (auto const* const shards = sockets.shards())
        for (auto const& group : shards->groups())
            see(look_at(group, queues));
}

/// Where the report has it; listeners.size() if it came later. They are asked for in the report's order, so
/// that the next one after `last` is mostly right.
std::size_t index_of(std::vector<ListenerReport> const& listeners, ListenAddress const& address,
                     std::size_t last) {
    if (last + 1 < listeners.size() && listeners[last + 1].address == address)
        return last + 1;
    auto const found = std::find_if(listeners.begin(), listeners.end(),
                                    [&](ListenerReport const& known) { return known.address == address; });
    return static_cast<std::size_t>(found - listeners.begin());
}

void note(ListenerReport& report, QueueRecord& record, Duration at, SeenListener const& seen) {
    auto const waiting = seen.waiting();
    record.depth.add(at, waiting);
    report.queue_highest = std::max(report.queue_highest, waiting);
    report.queue_after = waiting;
    if (record.sockets.size() < seen.sockets.size()) // a bigger pool
        record.sockets.resize(seen.sockets.size());
    for (std::size_t i = 0; i < seen.sockets.size(); ++i) {
        auto& socket = record.sockets[i];
        socket.wait.add(at, seen.sockets[i].waiting);
        report.longest_wait = std::max(report.longest_wait, socket.wait.bound());
        if (!socket.drops_before)
            socket.drops_before = seen.sockets[i].drops;
        if (seen.sockets[i].drops)
            socket.drops_after = seen.sockets[i].drops;
    }
}

/// Nothing where the kernel counts none (unix sockets).
std::optional<std::uint64_t> drops_of(QueueRecord const& record) {
    std::optional<std::uint64_t> drops;
    for (auto const& socket : record.sockets)
        if (socket.drops_before && socket.drops_after)
            drops = drops.value_or(0) + growth(*socket.drops_before, *socket.drops_after);
    return drops;
}

void note_growth(RolloutReport& report, NetCounters const& before, NetCounters const& after) {
    report.listen_overflows = growth(before.listen_overflows, after.listen_overflows);
    report.listen_drops = growth(before.listen_drops, after.listen_drops);
    report.aborted_on_close = growth(before.abort_on_close, after.abort_on_close);
    report.migrated = growth(before.migrated, after.migrated);
    report.migrate_failed = growth(before.migrate_failed, after.migrate_failed);
}

} // namespace

void RolloutRecords::begin(lifecycle::GenerationId generation, std::string const& unit, Strategy strategy,
                           std::optional<lifecycle::GenerationId> previous, SocketCustody const& sockets,
                           std::vector<WishAnswer> answers) {
    RolloutRecord record;
    record.generation = generation;
    record.began = MonotonicTime::now();
    record.report.began = std::chrono::system_clock::now();
    record.answers = std::move(answers);
    auto& report = record.report;
    report.unit = unit;
    report.strategy = strategy;
    report.generation = static_cast<std::uint32_t>(generation);
    if (previous)
        report.previous_generation = static_cast<std::uint32_t>(*previous);
    if (auto counters = read_net_counters())
        record.counters_before = *counters;
    for_each_queue(sockets, [&](SeenListener const& seen) {
        auto& listener = report.listeners.emplace_back();
        listener.name = seen.name;
        listener.address = seen.address;
        listener.queue_before = seen.waiting();
        listener.limit = seen.limit;
        note(listener, record.queues.emplace_back(), Duration{0}, seen);
    });
    records_.push_back(std::move(record));
}

void RolloutRecords::sample(SocketCustody const& sockets) {
    if (records_.empty())
        return;
    auto const now = MonotonicTime::now();
    std::size_t last = 0;
    for_each_queue(sockets, [&](SeenListener const& seen) {
        for (auto& record : records_) {
            auto const index = index_of(record.report.listeners, seen.address, last);
            if (index == record.queues.size())
                continue; // it came later, or could not be looked at then
            note(record.report.listeners[index], record.queues[index], now - record.began, seen);
            last = index;
        }
    });
}

void RolloutRecords::observe(lifecycle::UnitState const& state) {
    auto const now = MonotonicTime::now();
    for (auto& record : records_)
        holdfast::observe(record.timeline, state, now - record.began);
}

std::vector<RolloutReport> RolloutRecords::so_far() const {
    std::vector<RolloutReport> reports;
    auto const now = MonotonicTime::now();
    for (auto const& record : records_) {
        auto& report = reports.emplace_back(record.report);
        report.lasted = now - record.began;
    }
    return reports;
}

void RolloutRecords::took_over(lifecycle::GenerationId generation) {
    if (auto* record = find(generation)) {
        record->took_over = MonotonicTime::now();
        record->report.ready_after = *record->took_over - record->began;
    }
}

void RolloutRecords::proved(lifecycle::GenerationId generation) {
    if (auto* record = find(generation))
        record->proved = MonotonicTime::now();
}

void RolloutRecords::killed_at_deadline(ConnectionCount const& cut) {
    for (auto& record : records_) {
        ++record.report.killed_at_deadline;
        record.report.cut_at_deadline += cut;
    }
}

std::optional<RolloutRecord> RolloutRecords::finish(lifecycle::GenerationId generation, Verdict verdict,
                                                    std::string reason, SocketCustody const& sockets) {
    auto* const found = find(generation);
    if (found == nullptr)
        return std::nullopt;
    sample(sockets);
    auto record = std::move(*found);
    records_.erase(records_.begin() + (found - records_.data()));
    auto& report = record.report;
    report.verdict = verdict;
    report.reason = std::move(reason);
    auto const now = MonotonicTime::now();
    report.lasted = record.timeline.length = now - record.began;
    if (verdict == Verdict::Done && record.took_over && report.previous_generation)
        report.drained_after = now - record.proved.value_or(*record.took_over);
    for (std::size_t i = 0; i < record.queues.size(); ++i) {
        report.listeners[i].drops = drops_of(record.queues[i]);
        if (i < RolloutTimeline::most_queues)
            record.timeline.queues.push_back(record.queues[i].depth.take_points());
    }
    record.queues.clear();
    if (auto const after = read_net_counters(); after && record.counters_before)
        note_growth(report, *record.counters_before, *after);
    return record;
}

std::vector<WishAnswer> RolloutRecords::abandon() {
    std::vector<WishAnswer> answers;
    for (auto& record : std::exchange(records_, {}))
        for (auto* const waiting : {&record.answers, &record.undoers})
            std::move(waiting->begin(), waiting->end(), std::back_inserter(answers));
    return answers;
}

RolloutRecord* RolloutRecords::find(lifecycle::GenerationId generation) {
    auto const found = std::find_if(records_.begin(), records_.end(), [&](RolloutRecord const& record) {
        return record.generation == generation;
    });
    return found == records_.end() ? nullptr : &*found;
}

} // namespace holdfast
