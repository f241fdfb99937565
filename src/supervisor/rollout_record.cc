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

/// Calls `see(Listener, QueueState)` for every listener that is held: the one place that says what is
/// sampled.
template <class See>
void for_each_queue(SocketCustody const& sockets, See const& see) {
    QueueSnapshot queues;
    for (auto const& held : sockets.held())
        if (auto const queue = queues.queue_of(held))
            see(held, *queue);
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

void note(ListenerReport& listener, QueueSeries& series, Duration at, QueueState const& queue) {
    series.add(at, queue.waiting);
    listener.queue_highest = std::max(listener.queue_highest, queue.waiting);
    listener.queue_after = queue.waiting;
    listener.longest_wait = series.longest_wait();
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
    for_each_queue(sockets, [&](Listener const& held, QueueState const& queue) {
        auto& listener = report.listeners.emplace_back();
        listener.name = held.name;
        listener.address = held.bound();
        listener.queue_before = queue.waiting;
        listener.limit = queue.limit;
        listener.drops = queue.drops; // the count at the beginning, until finish() makes it the growth
        note(listener, record.series.emplace_back(), Duration{0}, queue);
    });
    records_.push_back(std::move(record));
}

void RolloutRecords::sample(SocketCustody const& sockets) {
    if (records_.empty())
        return;
    auto const now = MonotonicTime::now();
    std::size_t last = 0;
    for_each_queue(sockets, [&](Listener const& held, QueueState const& queue) {
        auto const address = held.bound();
        for (auto& record : records_) {
            auto const index = index_of(record.report.listeners, address, last);
            if (index == record.series.size())
                continue; // it came later, or could not be looked at then
            note(record.report.listeners[index], record.series[index], now - record.began, queue);
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
        for (auto& listener : report.listeners)
            listener.drops.reset(); // known at the end
    }
    return reports;
}

void RolloutRecords::took_over(lifecycle::GenerationId generation) {
    if (auto* record = find(generation)) {
        record->took_over = MonotonicTime::now();
        record->report.ready_after = *record->took_over - record->began;
    }
}

void RolloutRecords::killed_at_deadline() {
    for (auto& record : records_)
        ++record.report.killed_at_deadline;
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
        report.drained_after = now - *record.took_over;
    for (auto& series : record.series)
        if (record.timeline.queues.size() < RolloutTimeline::most_queues)
            record.timeline.queues.push_back(series.take_points());
    record.series.clear();
    std::vector<std::optional<std::uint64_t>> before;
    for (auto& listener : report.listeners)
        before.push_back(std::exchange(listener.drops, std::nullopt));
    std::size_t last = 0;
    for_each_queue(sockets, [&](Listener const& held, QueueState const& queue) {
        auto const index = index_of(report.listeners, held.bound(), last);
        if (index == before.size())
            return;
        if (before[index] && queue.drops)
            report.listeners[index].drops = growth(*before[index], *queue.drops);
        last = index;
    });
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
