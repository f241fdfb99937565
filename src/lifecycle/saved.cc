// SPDX-License-Identifier: Apache-2.0
#include "lifecycle/saved.h"

#include "lifecycle/fields.h"

#include <algorithm>

namespace holdfast::lifecycle {

namespace text {

// clang-format off
void describe(auto& field, Of<UnitState> auto& it) {
    field("goal", it.goal); field("listening", it.listening); field("start-owed", it.start_owed);
    field("stop-owed", it.stop_owed); field("resize-owed", it.resize_owed); field("quick-ends", it.quick_ends);
    field("stop-covers", it.stop_covers); field("last-generation", it.last_generation);
    field("last-worker", it.last_worker); field("shares", it.shares);
    field("idle-since", it.idle_since);
}
void describe(auto& field, Of<NextGeneration> auto& it) {
    field("id", it.id); field("strategy", it.strategy); field("rollout", it.is_rollout);
    field("announced", it.announced); field("urgent", it.is_urgent); field("paused", it.is_paused);
}
void describe(auto& field, Of<Rollout> auto& it) {
    field("id", it.id); field("strategy", it.strategy); field("stage", it.stage); field("paused", it.is_paused);
    field("share", it.share); field("aim", it.aim); field("cause", it.cause); field("exit", it.exit);
    field("failed", it.failed); field("until", it.until); field("left", it.left);
}
void describe(auto& field, Of<ReloadRound> auto& it) {
    field("rollout", it.rollout); field("wished", it.is_wished); field("again", it.is_again);
    field("asked", it.is_asked); field("worker", it.worker); field("reloaded", it.reloaded);
    field("last", it.last); field("deadline", it.deadline);
}
void describe(auto& field, Of<Pause> auto& it) { field("owed", it.is_owed); field("until", it.until); }
void describe(auto& field, Of<Generation> auto& it) {
    field("id", it.id); field("role", it.role); field("has-served", it.has_served);
    field("thinned", it.is_thinned); field("retired-by", it.retired_by);
}
void describe(auto& field, Of<Worker> auto& it) {
    field("id", it.id); field("generation", it.generation); field("slot", it.slot); field("tries", it.tries);
    field("phase", it.phase); field("was-ready", it.was_ready); field("forked", it.forked); field("shown", it.shown);
    field("sent", it.sent); field("told", it.told); field("dismissed", it.dismissed); field("lent", it.is_lent);
    field("bank", it.bank); field("unhealthy", it.is_unhealthy); field("missed-watchdog", it.missed_watchdog);
    field("stuck", it.is_stuck);
    field("since", it.since); field("ready-at", it.ready_at); field("deadline", it.deadline);
}
void describe(auto& field, Of<Refill> auto& it) {
    field("generation", it.generation); field("slot", it.slot); field("tries", it.tries);
    field("limited", it.limited); field("at", it.at);
}
void describe(auto& field, Of<AutomaticStart> auto& it) { field("slot", it.slot); field("at", it.at); }
void describe(auto& field, Of<RestlessShard> auto& it) {
    field("shard", it.shard); field("times-lent", it.lent); field("stranded", it.is_stranded); field("at", it.at);
}
// clang-format on

} // namespace text

namespace {

void write_line(std::string& out, std::string_view word, auto const& it) {
    out += word;
    text::Writer writer{out};
    describe(writer, it);
    out += '\n';
}

template <class T>
bool read_line(std::string_view fields, T& it) {
    text::LooseReader reader{fields};
    describe(reader, it);
    return reader.is_good();
}

/// What step() takes for granted.
bool is_sound(UnitState const& state) {
    auto const has_generation = [&](auto const& it) {
        return std::ranges::find(state.generations, it.generation, &Generation::id) !=
               state.generations.end();
    };
    return std::ranges::all_of(state.workers, has_generation) &&
           std::ranges::all_of(state.refills, [&](Refill const& it) {
               return it.generation == no_generation || has_generation(it);
           });
}

} // namespace

std::string to_lines(UnitState const& state) {
    std::string out;
    write_line(out, "unit", state);
    if (state.next)
        write_line(out, "next", *state.next);
    if (state.rollout)
        write_line(out, "rollout", *state.rollout);
    if (state.reload)
        write_line(out, "reload", *state.reload);
    if (state.pause)
        write_line(out, "pause", *state.pause);
    for (auto const& generation : state.generations) {
        write_line(out, "generation", generation);
        write_line(out, "policy", generation.policy);
    }
    for (auto const& worker : state.workers)
        write_line(out, "worker", worker);
    for (auto const& refill : state.refills)
        write_line(out, "refill", refill);
    for (auto const& start : state.automatic_starts)
        write_line(out, "start", start);
    for (auto const& restless : state.restless)
        write_line(out, "restless", restless);
    return out;
}

bool StateReader::take(std::string_view line) {
    auto const word = line.substr(0, line.find(' '));
    auto const fields = line.substr(std::min(line.size(), word.size() + 1));
    auto const into = [&](auto& it) {
        is_good_ = read_line(fields, it) && is_good_;
        return true;
    };
    if (word == "unit")
        return has_unit_ = into(state_);
    if (word == "next")
        return into(state_.next.emplace());
    if (word == "rollout")
        return into(state_.rollout.emplace());
    if (word == "reload")
        return into(state_.reload.emplace());
    if (word == "pause")
        return into(state_.pause.emplace());
    if (word == "generation")
        return into(state_.generations.emplace_back());
    if (word == "policy") {
        is_good_ = is_good_ && !state_.generations.empty();
        return is_good_ ? into(state_.generations.back().policy) : true;
    }
    if (word == "worker")
        return into(state_.workers.emplace_back());
    if (word == "refill")
        return into(state_.refills.emplace_back());
    if (word == "start")
        return into(state_.automatic_starts.emplace_back());
    if (word == "restless")
        return into(state_.restless.emplace_back());
    return false;
}

std::optional<UnitState> StateReader::finish() && {
    if (!is_good_ || !has_unit_ || !is_sound(state_))
        return std::nullopt;
    return std::move(state_);
}

} // namespace holdfast::lifecycle
