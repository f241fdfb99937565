// SPDX-License-Identifier: Apache-2.0
#include "supervisor/saved_unit.h"

#include "unit/parse.h"

#include <charconv>

namespace holdfast {

namespace {

constexpr std::string_view path_mark = "#path ";
constexpr std::string_view stamp_mark = "#stamp ";

/// The rest of the first line of `text`, if it begins with `mark`; that line is taken off.
std::optional<std::string_view> take_mark(std::string_view& text, std::string_view mark) {
    if (!text.starts_with(mark))
        return std::nullopt;
    auto const line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    return line.substr(mark.size());
}

} // namespace

SavedWorker saved_worker(RunningWorker const& worker, lifecycle::SpecId spec) {
    SavedWorker saved{.worker = lifecycle::WorkerId{worker.process.id()},
                      .generation = worker.generation,
                      .slot = worker.slot,
                      .spec = spec,
                      .shard = worker.shard,
                      .leader = worker.process.leader(),
                      .main = worker.process.pid(),
                      .watchdog = worker.watchdog.is_watching() ? std::optional{worker.watchdog.period()}
                                                                : std::nullopt,
                      .reload_signals = worker.reload_signals,
                      .status = worker.status};
    if (auto const& reloading = worker.reloading; reloading && !reloading->command) {
        saved.reload_asked_at = reloading->asked_at;
        saved.reload_has_begun = reloading->has_begun;
        saved.reload_awaits_probe = reloading->awaits_probe;
    }
    return saved;
}

SavedRollout saved_rollout(RolloutRecord const& record) {
    auto const& report = record.report;
    SavedRollout saved{
        .generation = record.generation,
        .strategy = report.strategy,
        .began = record.began,
        .took_over = record.took_over,
        .proved = record.proved,
        .began_at_usec =
            std::chrono::duration_cast<std::chrono::microseconds>(report.began.time_since_epoch()).count(),
        .reason = report.reason,
        .killed = report.killed_at_deadline};
    if (report.previous_generation)
        saved.previous = lifecycle::GenerationId{*report.previous_generation};
    if (auto const& before = record.counters_before) {
        saved.listen_overflows = before->listen_overflows;
        saved.listen_drops = before->listen_drops;
        saved.abort_on_close = before->abort_on_close;
        saved.migrated = before->migrated;
        saved.migrate_failed = before->migrate_failed;
    }
    return saved;
}

void restore(RolloutRecord& record, SavedRollout const& saved) {
    record.began = saved.began;
    record.took_over = saved.took_over;
    record.proved = saved.proved;
    record.report.began =
        std::chrono::system_clock::time_point{std::chrono::microseconds{saved.began_at_usec}};
    record.report.reason = saved.reason;
    record.report.killed_at_deadline = saved.killed;
    NetCounters before;
    before.listen_overflows = saved.listen_overflows;
    before.listen_drops = saved.listen_drops;
    before.abort_on_close = saved.abort_on_close;
    before.migrated = saved.migrated;
    before.migrate_failed = saved.migrate_failed;
    record.counters_before = before;
}

// Comments of TOML, so that what is between is the unit as anybody can read it.
std::string to_text(UnitSpec const& spec) {
    return std::string{path_mark} + spec.path + "\n" + std::string{stamp_mark} +
           std::to_string(spec.source.stamp) + "\n" + to_toml(spec);
}

UnitSpecPtr read_spec(std::string_view name, std::string_view text) {
    auto const path = take_mark(text, path_mark).value_or("");
    std::uint64_t stamp = 0;
    if (auto const number = take_mark(text, stamp_mark))
        (void)std::from_chars(number->data(), number->data() + number->size(), stamp);
    auto parsed = parse_unit(name, {std::string{path}, std::string{text}});
    if (parsed.spec)
        parsed.spec->source.stamp = stamp;
    return parsed.spec;
}

} // namespace holdfast
