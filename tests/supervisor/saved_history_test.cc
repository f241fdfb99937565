// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "supervisor/saved_history.h"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

RolloutReport full_report(std::uint32_t generation) {
    RolloutReport report;
    report.unit = "web";
    report.verdict = Verdict::Failed;
    report.strategy = Strategy::Canary;
    report.generation = generation;
    report.previous_generation = generation - 1;
    report.reason = "worker 3 died:\n100 % of \"it\"";
    report.began = std::chrono::system_clock::time_point{1700000000123456us};
    report.lasted = 3s;
    report.ready_after = 1s;
    report.drained_after = 2s;
    report.killed_at_deadline = 4;
    report.cut_at_deadline = {7, false};
    report.listeners_left_out = 1;
    report.listen_overflows = 1;
    report.listen_drops = 2;
    report.aborted_on_close = 3;
    report.migrated = 4;
    report.migrate_failed = 5;
    ListenerReport listener;
    listener.name = "http";
    listener.address = {Transport::UnixStream, "/run/a b/%.sock", 0};
    listener.queue_before = 1;
    listener.queue_highest = 2;
    listener.queue_after = 3;
    listener.limit = 4096;
    listener.drops = 6;
    listener.longest_wait = 12ms;
    report.listeners = {listener, listener};
    return report;
}

} // namespace

TEST_CASE("reports are read back as they were", "[supervisor]") {
    RolloutHistory history;
    history.add(full_report(2), RolloutTimeline{});
    history.add(full_report(3));
    auto const text = to_lines(history);
    auto const read = read_reports(text);
    REQUIRE(read.size() == 2);
    RolloutHistory again;
    for (auto const& report : read)
        again.add(report);
    CHECK(to_lines(again) == text);
    CHECK(read[1].reason == full_report(3).reason);
    CHECK(read[0].began == full_report(2).began);
    CHECK(read[0].listeners[1].address == full_report(2).listeners[1].address);
    CHECK(read[0].cut_at_deadline == full_report(2).cut_at_deadline);
    CHECK(again.find(2)->timeline == nullptr);
}

TEST_CASE("a report that cannot be read is left out, with its listeners", "[supervisor]") {
    RolloutHistory history;
    history.add(full_report(2));
    auto const good = to_lines(history);
    CHECK(read_reports("report generation=x\nlistener name=a address=80\n" + good).size() == 1);
    CHECK(read_reports("listener name=a address=80\n").empty());
    CHECK(read_reports("report generation=4 colour=red\n").front().generation == 4);
}
