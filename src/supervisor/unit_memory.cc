// SPDX-License-Identifier: Apache-2.0
#include "supervisor/unit_memory.h"

#include "lifecycle/saved.h"
#include "lifecycle/trace.h"
#include "supervisor/saved_history.h"
#include "supervisor/saved_sockets.h"
#include "supervisor/saved_unit.h"
#include "supervisor/unit_runner.h"

#include <functional>

namespace holdfast {

using namespace lifecycle;

namespace {

std::uint64_t number_of(auto id) {
    return static_cast<std::uint64_t>(id);
}

/// What can be done a second time without harm, or is told again, needs no saving before it.
bool has_effect(Order const& order) {
    return std::holds_alternative<Spawn>(order) || std::holds_alternative<Drain>(order) ||
           std::holds_alternative<Kill>(order) || std::holds_alternative<Reload>(order) ||
           std::holds_alternative<Steer>(order) || std::holds_alternative<HoldShards>(order);
}

/// Those of `known` that are not in `wanted` any more; `known` is that from now on.
std::vector<std::string> obsolete(std::set<std::string>& known, std::set<std::string> wanted) {
    std::vector<std::string> gone;
    for (auto const& name : known)
        if (!wanted.contains(name))
            gone.push_back(name);
    known = std::move(wanted);
    return gone;
}

} // namespace

std::string worker_name(std::string_view unit, RunningWorker const& worker) {
    return kept_name("worker", unit,
                     {worker.process.id(), number_of(worker.generation), number_of(worker.slot)});
}

UnitMemory::~UnitMemory() {
    names_.merge(socket_names_);
    keeping_.drop({names_.begin(), names_.end()});
}

// ---- what is said of it ----

std::string UnitMemory::state_text(Orders const& orders) const {
    SavedUnit saved{.name = unit_.wanted_->name,
                    .wanted = unit_.wanted_id_,
                    .scaled_to = unit_.scaled_to_,
                    .is_leaving = unit_.is_leaving_,
                    .starts_when_held = unit_.starts_when_held_,
                    .since = unit_.since_,
                    .strategy_of_next = unit_.strategy_of_next_,
                    .forgotten = unit_.trace_.forgotten(),
                    .trouble = unit_.trouble_};
    auto text = to_line(saved) + to_lines(unit_.state_);
    for (auto const& worker : unit_.workers_)
        text += to_line(saved_worker(*worker, unit_.spec_id(worker->spec)));
    for (auto const& pin : unit_.pins_)
        text += to_line(SavedPin{pin.generation, pin.program->path()});
    if (unit_.underway_) {
        for (auto const& record : unit_.underway_->rollouts.records())
            text += to_line(saved_rollout(record));
        for (auto const& fact : unit_.underway_->facts)
            text += "queued " + to_string(fact) + "\n";
    }
    for (auto const& order : orders)
        if (std::holds_alternative<Report>(order))
            text += "untold " + to_string(order) + "\n";
    for (auto const& entry : unit_.trace_.facts())
        text += "fact " + to_string(TraceLine{entry.at, entry.fact}) + "\n";
    return text;
}

// ---- saving ----

void UnitMemory::save_before(Orders const& orders) {
    if (std::ranges::any_of(orders, has_effect))
        save_text(state_text(orders));
}

void UnitMemory::save() {
    save_text(state_text({}));
}

void UnitMemory::save_later() {
    if (std::exchange(is_posted_, true))
        return;
    unit_.shared_.loop.post(unit_.later(&UnitRunner::save));
}

void UnitMemory::note_sockets() {
    are_sockets_noted_ = true;
    save_later();
}

void UnitMemory::save_sockets() {
    if (!std::exchange(are_sockets_noted_, false))
        return;
    auto const& unit = unit_.wanted_->name;
    // Under another name each time: where the service manager holds it too, there is no moment without any.
    auto const text_name = kept_name("sockets", unit, {++last_text_});
    std::set<std::string> names{text_name};
    std::vector<Keep> fresh;
    unit_.sockets_.each_listener([&](Listener& listener) {
        if (listener.inherited) // it is passed to the next one too
            return;
        bool const is_new = listener.kept == 0;
        if (is_new)
            listener.kept = ++last_listener_;
        auto name = kept_name("listener", unit, {listener.kept});
        if (is_new)
            fresh.push_back({name, listener.fd});
        names.insert(std::move(name));
    });
    if (!fresh.empty())
        keeping_.put(fresh);
    keeping_.put_text(text_name, to_lines(unit_.sockets_));
    keeping_.drop(obsolete(socket_names_, std::move(names)));
}

void UnitMemory::save_text(std::string text) {
    is_posted_ = false;
    auto const& unit = unit_.wanted_->name;
    save_sockets();
    auto names = worker_names();
    names.insert(kept_name("state", unit));
    save_specs(names);
    if (unit_.history_) {
        auto name = kept_name("history", unit);
        if (std::exchange(saved_reports_, unit_.history_->added()) != unit_.history_->added())
            keeping_.put_text(name, to_lines(*unit_.history_));
        names.insert(std::move(name));
    }
    for (auto const& pin : unit_.pins_) {
        auto name = kept_name("pin", unit, {number_of(pin.generation)});
        if (!names_.contains(name))
            keeping_.put({{name, pin.program->file()}});
        names.insert(std::move(name));
    }
    if (auto const hash = std::hash<std::string>{}(text); hash != std::exchange(saved_, hash))
        keeping_.put_text(kept_name("state", unit), text);
    // Only now: what is dropped is not in the state any more.
    keeping_.drop(obsolete(names_, std::move(names)));
}

void UnitMemory::save_specs(std::set<std::string>& names) {
    auto const save_one = [&](SpecId id, UnitSpec const& spec) {
        auto name = kept_name("spec", spec.name, {number_of(id)});
        if (!names_.contains(name))
            keeping_.put_text(name, to_text(spec));
        names.insert(std::move(name));
    };
    save_one(unit_.wanted_id_, *unit_.wanted_);
    for (auto const& older : unit_.older_specs_)
        save_one(older.id, *older.spec);
}

// ---- workers ----

std::set<std::string> UnitMemory::worker_names() const {
    std::set<std::string> names;
    auto const& unit = unit_.wanted_->name;
    for (auto const& worker : unit_.workers_) {
        names.insert(worker_name(unit, *worker));
        auto const add = [&](char const* kind, bool is_there) {
            if (is_there)
                names.insert(kept_name(kind, unit, {worker->process.id()}));
        };
        add("leader", worker->process.leader_pidfd().is_open());
        add("launch", worker->process.launch_status().is_open());
        add("handoff", worker->handoff != nullptr);
        add("health", worker->prober != nullptr);
    }
    return names;
}

void UnitMemory::keep(RunningWorker const& worker, UniqueFd gate) {
    save_sockets(); // it may have been given one that was bound just now
    auto const& unit = unit_.wanted_->name;
    std::vector<Keep> entries{{worker_name(unit, worker), worker.process.pidfd()}};
    auto const add = [&](char const* kind, FdRef fd) {
        if (fd.is_open())
            entries.push_back({kept_name(kind, unit, {worker.process.id()}), fd});
    };
    add("leader", worker.process.leader_pidfd());
    add("launch", worker.process.launch_status());
    if (worker.handoff)
        add("handoff", worker.handoff->session().socket());
    if (worker.prober)
        add("health", worker.prober->listener().listener.fd);
    for (auto const& entry : entries)
        names_.insert(entry.name);
    auto const shared_gate = std::make_shared<UniqueFd>(std::move(gate));
    keeping_.put(entries, [shared_gate] { open_gate(std::move(*shared_gate)); });
}

void UnitMemory::keep(RunningWorker const& worker) {
    keep(worker, UniqueFd{});
}

void UnitMemory::signal(RunningWorker const& worker, int number) {
    keeping_.signal(worker_name(unit_.wanted_->name, worker), number);
}

} // namespace holdfast
