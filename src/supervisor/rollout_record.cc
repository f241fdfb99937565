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

ListenerReport* find_listener(RolloutReport& report, ListenAddress const& address) {
    auto const found = std::find_if(report.listeners.begin(), report.listeners.end(),
                                    [&](ListenerReport const& known) { return known.address == address; });
    return found == report.listeners.end() ? nullptr : &*found;
}

} // namespace

void RolloutRecords::begin(lifecycle::GenerationId generation, std::string const& unit, Strategy strategy,
                           std::optional<lifecycle::GenerationId> previous, SocketCustody const& sockets,
                           std::vector<WishAnswer> answers) {
    RolloutRecord record;
    record.generation = generation;
    record.began = MonotonicTime::now();
    record.answers = std::move(answers);
    auto& report = record.report;
    report.unit = unit;
    report.strategy = strategy;
    report.generation = static_cast<std::uint32_t>(generation);
    if (previous)
        report.previous_generation = static_cast<std::uint32_t>(*previous);
    if (auto counters = read_net_counters())
        record.counters_before = *counters;
    QueueSnapshot queues;
    for (auto const& held : sockets.held()) {
        ListenerReport listener;
        listener.name = held.name;
        listener.address = held.bound();
        if (auto const queue = queues.queue_of(held)) {
            listener.queue_before = queue->waiting;
            listener.queue_highest = queue->waiting;
            listener.limit = queue->limit;
            listener.drops = queue->drops; // the count at the beginning, until finish() makes it the growth
        }
        report.listeners.push_back(std::move(listener));
    }
    records_.push_back(std::move(record));
}

void RolloutRecords::sample(SocketCustody const& sockets) {
    if (records_.empty())
        return;
    QueueSnapshot queues;
    for (auto const& held : sockets.held()) {
        auto const queue = queues.queue_of(held);
        if (!queue)
            continue;
        for (auto& record : records_)
            if (auto* listener = find_listener(record.report, held.bound())) {
                listener->queue_highest = std::max(listener->queue_highest, queue->waiting);
                listener->queue_after = queue->waiting;
            }
    }
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
    if (verdict == Verdict::Done && record.took_over && report.previous_generation)
        report.drained_after = MonotonicTime::now() - *record.took_over;
    for (auto& listener : report.listeners) {
        auto const before = std::exchange(listener.drops, std::nullopt);
        for (auto const& held : sockets.held())
            if (before && held.bound() == listener.address)
                if (auto const queue = inspect_queue(held.fd, held.wanted.transport); queue && queue->drops)
                    listener.drops = growth(*before, *queue->drops);
    }
    if (auto const after = read_net_counters(); after && record.counters_before) {
        report.listen_overflows = growth(record.counters_before->listen_overflows, after->listen_overflows);
        report.listen_drops = growth(record.counters_before->listen_drops, after->listen_drops);
        report.aborted_on_close = growth(record.counters_before->abort_on_close, after->abort_on_close);
    }
    return record;
}

std::vector<WishAnswer> RolloutRecords::abandon() {
    std::vector<WishAnswer> answers;
    for (auto& record : std::exchange(records_, {}))
        std::move(record.answers.begin(), record.answers.end(), std::back_inserter(answers));
    return answers;
}

RolloutRecord* RolloutRecords::find(lifecycle::GenerationId generation) {
    auto const found = std::find_if(records_.begin(), records_.end(), [&](RolloutRecord const& record) {
        return record.generation == generation;
    });
    return found == records_.end() ? nullptr : &*found;
}

} // namespace holdfast
