// SPDX-License-Identifier: Apache-2.0
// What is to be known of a unit besides the lifecycle core's state, as lines of text, and back. One field
// list for each kind of line writes and reads it; what a line lacks has its default, what is unknown is
// passed over.
#pragma once

#include "lifecycle/instances.h"
#include "lifecycle/line.h"
#include "lifecycle/state.h"
#include "supervisor/rollout_record.h"
#include "supervisor/running_worker.h"

#include <concepts>
#include <string>
#include <string_view>
#include <type_traits>

namespace holdfast {

/// The version of the whole text. Another number means that the fields that are known do not mean the same.
inline constexpr unsigned saved_version = 1;

/// Of a type that a field list is for, to be written or to be read.
template <class T, class... Saved>
concept OneOf = (std::same_as<std::remove_const_t<T>, Saved> || ...);

struct SavedUnit {
    static constexpr std::string_view word = "holdfast-unit";
    unsigned version = saved_version;
    std::string name;
    lifecycle::SpecId wanted{};
    std::uint16_t scaled_to = 0;
    bool is_leaving = false;
    bool starts_when_held = false;
    MonotonicTime since;
    Strategy strategy_of_next{};
    std::uint64_t forgotten = 0; ///< facts, before those that are kept
    std::string trouble;
};
void describe(auto& field, OneOf<SavedUnit> auto& it) {
    field("version", it.version);
    field("name", it.name);
    field("wanted", it.wanted);
    field("scaled-to", it.scaled_to);
    field("leaving", it.is_leaving);
    field("starts-when-held", it.starts_when_held);
    field("since", it.since);
    field("strategy", it.strategy_of_next);
    field("forgotten", it.forgotten);
    field("trouble", it.trouble);
}

struct SavedWorker {
    static constexpr std::string_view word = "process";
    lifecycle::WorkerId worker{};
    lifecycle::GenerationId generation{};
    lifecycle::Slot slot{};
    lifecycle::SpecId spec{};
    Shard shard;
    pid_t leader = 0;
    pid_t main = 0;
    std::optional<Duration> watchdog{}; ///< it is watched, with this period
    unsigned reload_signals = 0;
    std::optional<MonotonicTime> reload_asked_at{}; ///< it reloads
    bool reload_has_begun = false;
    bool reload_awaits_probe = false;
    std::optional<MonotonicTime> dumps_since{}; ///< it was replaced while it dumps core
    std::string status;
};
void describe(auto& field, OneOf<SavedWorker> auto& it) {
    field("worker", it.worker);
    field("generation", it.generation);
    field("slot", it.slot);
    field("spec", it.spec);
    field("shard", it.shard);
    field("leader", it.leader);
    field("main", it.main);
    field("watchdog", it.watchdog);
    field("reload-signals", it.reload_signals);
    field("reload-asked-at", it.reload_asked_at);
    field("reload-has-begun", it.reload_has_begun);
    field("reload-awaits-probe", it.reload_awaits_probe);
    field("dumps-since", it.dumps_since);
    field("status", it.status);
}

/// Of a unit with accept, besides the processes; kept by itself, as it changes with each connection.
struct SavedInstances {
    static constexpr std::string_view word = "instances";
    lifecycle::InstanceId last{};
    std::uint64_t accepted = 0;
    std::uint64_t failed = 0;
    std::uint64_t refused_full = 0;
    std::uint64_t refused_source = 0;
    std::optional<MonotonicTime> deadline{}; ///< of those that were told to go
};
void describe(auto& field, OneOf<SavedInstances> auto& it) {
    field("last", it.last);
    field("accepted", it.accepted);
    field("failed", it.failed);
    field("refused-full", it.refused_full);
    field("refused-source", it.refused_source);
    field("deadline", it.deadline);
}

struct SavedPin {
    static constexpr std::string_view word = "pin";
    lifecycle::GenerationId generation{};
    std::string path;
};
/// The program that a generation is to run since it goes back; of none: the next one.
struct SavedWayBack {
    static constexpr std::string_view word = "way-back";
    lifecycle::GenerationId generation{};
    std::string path;
};
void describe(auto& field, OneOf<SavedPin, SavedWayBack> auto& it) {
    field("generation", it.generation);
    field("path", it.path);
}

/// What ran before a generation: its text and its program are kept beside.
struct SavedFormer {
    static constexpr std::string_view word = "former";
    lifecycle::GenerationId generation{};
    std::string path;        ///< of the program
    bool is_current = false; ///< what an undo goes back to
};
void describe(auto& field, OneOf<SavedFormer> auto& it) {
    field("generation", it.generation);
    field("path", it.path);
    field("current", it.is_current);
}

/// LastReload.
struct SavedReload {
    static constexpr std::string_view word = "last-reload";
    MonotonicTime wished;
    bool has_ended = false;
    bool ok = false;
    std::string message;
};
void describe(auto& field, OneOf<SavedReload> auto& it) {
    field("wished", it.wished);
    field("ended", it.has_ended);
    field("ok", it.ok);
    field("message", it.message);
}

/// A rollout under way. How deep the queues were and what the workers did until now is not kept.
struct SavedRollout {
    static constexpr std::string_view word = "rollout-record";
    lifecycle::GenerationId generation{};
    Strategy strategy{};
    std::optional<lifecycle::GenerationId> previous{};
    MonotonicTime began;
    std::optional<MonotonicTime> took_over;
    std::optional<MonotonicTime> proved;
    std::int64_t began_at_usec = 0; ///< of the system clock
    std::string reason;
    unsigned killed = 0;
    std::uint64_t listen_overflows = 0; ///< counters before it
    std::uint64_t listen_drops = 0;
    std::uint64_t abort_on_close = 0;
    std::uint64_t migrated = 0;
    std::uint64_t migrate_failed = 0;
};
void describe(auto& field, OneOf<SavedRollout> auto& it) {
    field("generation", it.generation);
    field("strategy", it.strategy);
    field("previous", it.previous);
    field("began", it.began);
    field("took-over", it.took_over);
    field("proved", it.proved);
    field("began-at", it.began_at_usec);
    field("reason", it.reason);
    field("killed", it.killed);
    field("listen-overflows", it.listen_overflows);
    field("listen-drops", it.listen_drops);
    field("abort-on-close", it.abort_on_close);
    field("migrated", it.migrated);
    field("migrate-failed", it.migrate_failed);
}

[[nodiscard]] SavedWorker saved_worker(RunningWorker const& worker, lifecycle::SpecId spec);
[[nodiscard]] SavedRollout saved_rollout(RolloutRecord const& record);
/// The other way, into a record that was just begun.
void restore(RolloutRecord& record, SavedRollout const& saved);

/// A spec, so that read_spec() makes the same of it.
[[nodiscard]] std::string to_text(UnitSpec const& spec);
[[nodiscard]] UnitSpecPtr read_spec(std::string_view name, std::string_view text);

template <class Saved>
std::string to_line(Saved const& saved) {
    std::string line{Saved::word};
    lifecycle::text::Writer writer{line};
    describe(writer, saved);
    line += '\n';
    return line;
}
/// Whether `line` is a Saved whose values can all be read.
template <class Saved>
bool read_line(std::string_view line, Saved& saved) {
    lifecycle::text::LooseReader reader{line};
    describe(reader, saved);
    return reader.is_good();
}

} // namespace holdfast
