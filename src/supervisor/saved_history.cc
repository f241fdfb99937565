// SPDX-License-Identifier: Apache-2.0
#include "supervisor/saved_history.h"

#include "base/text.h"
#include "lifecycle/line.h"

namespace holdfast {

using lifecycle::text::LooseReader;
using lifecycle::text::Writer;

namespace {

// What a field list cannot say directly: a count, a time of day, an address.
struct Said {
    std::uint64_t cut = 0;
    bool cut_is_all = true;
    std::int64_t began_usec = 0;
};

void describe(auto& field, auto& report, auto& said) {
    field("unit", report.unit);
    field("verdict", report.verdict);
    field("strategy", report.strategy);
    field("generation", report.generation);
    field("previous", report.previous_generation);
    field("reason", report.reason);
    field("began", said.began_usec);
    field("lasted", report.lasted);
    field("ready-after", report.ready_after);
    field("drained-after", report.drained_after);
    field("killed", report.killed_at_deadline);
    field("cut", said.cut);
    field("cut-is-all", said.cut_is_all);
    field("listeners-left-out", report.listeners_left_out);
    field("listen-overflows", report.listen_overflows);
    field("listen-drops", report.listen_drops);
    field("aborted-on-close", report.aborted_on_close);
    field("migrated", report.migrated);
    field("migrate-failed", report.migrate_failed);
}

void describe_listener(auto& field, auto& listener, auto& address) {
    field("name", listener.name);
    field("address", address);
    field("before", listener.queue_before);
    field("highest", listener.queue_highest);
    field("after", listener.queue_after);
    field("limit", listener.limit);
    field("drops", listener.drops);
    field("longest-wait", listener.longest_wait);
}

std::optional<RolloutReport> read_report(std::string_view line) {
    RolloutReport report;
    Said said;
    LooseReader reader{line};
    describe(reader, report, said);
    if (!reader.is_good())
        return std::nullopt;
    report.began = std::chrono::system_clock::time_point{std::chrono::microseconds{said.began_usec}};
    report.cut_at_deadline = {static_cast<std::size_t>(said.cut), said.cut_is_all};
    return report;
}

void read_listener(std::string_view line, RolloutReport& report) {
    ListenerReport listener;
    std::string address;
    LooseReader reader{line};
    describe_listener(reader, listener, address);
    auto where = parse_address(address);
    if (!reader.is_good() || !where)
        return;
    listener.address = *std::move(where);
    report.listeners.push_back(std::move(listener));
}

} // namespace

std::string to_lines(RolloutHistory const& history) {
    std::string out;
    for (auto const& past : history.all()) {
        auto const& report = past.report;
        Said const said{
            report.cut_at_deadline.found, report.cut_at_deadline.is_all,
            std::chrono::duration_cast<std::chrono::microseconds>(report.began.time_since_epoch()).count()};
        out += "report";
        Writer writer{out};
        describe(writer, report, said);
        out += '\n';
        for (auto const& listener : report.listeners) {
            out += "listener";
            Writer of_listener{out};
            auto const address = to_string(listener.address);
            describe_listener(of_listener, listener, address);
            out += '\n';
        }
    }
    return out;
}

std::vector<RolloutReport> read_reports(std::string_view lines) {
    std::vector<RolloutReport> reports;
    bool is_read = false;
    for (auto const line : split(lines, '\n')) {
        if (line.starts_with("report ")) {
            auto report = read_report(line);
            is_read = report.has_value();
            if (is_read)
                reports.push_back(*std::move(report));
        } else if (line.starts_with("listener ") && is_read) {
            read_listener(line, reports.back());
        }
    }
    return reports;
}

} // namespace holdfast
