// SPDX-License-Identifier: Apache-2.0
#include "supervisor/unit_memory.h"

#include "lifecycle/saved.h"
#include "lifecycle/trace.h"
#include "supervisor/instances.h"
#include "supervisor/saved_history.h"
#include "supervisor/saved_sockets.h"
#include "supervisor/saved_unit.h"
#include "supervisor/unit_runner.h"

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

void UnitMemory::end() {
    has_ended_ = true; // what is left of it now is not what the next one is to find
    names_.merge(socket_names_);
    keeping_.drop({names_.begin(), names_.end()});
    names_.clear();
}

// ---- what is said of it ----

std::string UnitMemory::state_text() const {
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
    for (auto const& worker : unit_.dumping_) {
        auto dumping = saved_worker(*worker, unit_.spec_id(worker->spec));
        dumping.dumps_since = worker->dumps_since;
        text += to_line(dumping);
    }
    for (auto const& pin : unit_.pins_)
        text += to_line(SavedPin{pin.generation, pin.program->path()});
    each_former([&](Release const& former) {
        text += to_line(SavedFormer{former.next, former.program ? former.program->path() : std::string{},
                                    &former == unit_.former_.get()});
    });
    each_way_back([&](GenerationId generation, PinnedProgram const& program) {
        text += to_line(SavedWayBack{generation, program.path()});
    });
    if (auto const& reload = unit_.last_reload_) {
        auto const& result = reload->result;
        text += to_line(SavedReload{reload->wished, result.has_value(), result && result->ok,
                                    result ? result->message : std::string{}});
    }
    if (unit_.underway_) {
        for (auto const& record : unit_.underway_->rollouts.records())
            text += to_line(saved_rollout(record));
        for (auto const& fact : unit_.underway_->facts)
            text += "queued " + to_string(fact) + "\n";
    }
    for (auto const& report : untold_)
        text += "untold " + to_string(Order{report}) + "\n";
    for (auto const& entry : unit_.trace_.facts())
        text += "fact " + to_string(TraceLine{entry.at, entry.fact}) + "\n";
    return text;
}

void UnitMemory::each_former(std::function<void(Release const&)> const& visit) const {
    if (unit_.former_)
        visit(*unit_.former_);
    if (unit_.underway_)
        for (auto const& record : unit_.underway_->rollouts.records())
            if (record.previous.spec && (!unit_.former_ || unit_.former_->next != record.previous.next))
                visit(record.previous);
}

void UnitMemory::each_way_back(std::function<void(GenerationId, PinnedProgram const&)> const& visit) const {
    if (!unit_.underway_)
        return;
    for (auto const& record : unit_.underway_->rollouts.records())
        if (record.program)
            visit(record.generation, *record.program);
    for (auto const& waiting : unit_.underway_->waiting)
        if (waiting.program)
            return visit(no_generation, *waiting.program); // one alone can be under way
}

// ---- saving ----

void UnitMemory::save_before(Orders const& orders) {
    untold_.clear();
    for (auto const& order : orders)
        if (auto const* const report = std::get_if<Report>(&order))
            untold_.push_back(*report);
    if (std::ranges::any_of(orders, has_effect))
        save_text(state_text());
}

void UnitMemory::note_told() {
    if (!untold_.empty())
        untold_.pop_front();
}

void UnitMemory::save() {
    save_text(state_text());
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
    if (!are_sockets_noted_ || has_ended_)
        return;
    auto const& unit = unit_.wanted_->name;
    std::set<std::string> names;
    std::vector<Keep> fresh;
    unit_.sockets_.each_listener([&](Listener& listener) {
        if (listener.inherited) // it is passed to the next one too
            return;
        bool const is_new = listener.kept == 0;
        if (is_new)
            listener.kept = ++last_listener_;
        auto name = kept_name("listener", unit, {listener.kept});
        if (is_new || puts_all_)
            fresh.push_back({name, listener.fd});
        names.insert(std::move(name));
    });
    // Under another name each time: where the service manager holds it too, there is no moment without any.
    auto const text = to_lines(unit_.sockets_);
    auto const hash = std::hash<std::string>{}(text);
    bool const is_other = hash != saved_sockets_ || puts_all_;
    // In one message with those that it tells of.
    bool const is_saved =
        !is_other || keeping_.put_text(kept_name("sockets", unit, {last_text_ + 1}), text, fresh);
    if ((!is_other || !is_saved) && !fresh.empty())
        keeping_.put(fresh);
    for (auto const& entry : fresh)
        socket_names_.insert(entry.name);
    if (!is_saved)
        return;
    last_text_ += is_other ? 1 : 0;
    names.insert(kept_name("sockets", unit, {last_text_}));
    saved_sockets_ = hash;
    are_sockets_noted_ = false;
    keeping_.drop(obsolete(socket_names_, std::move(names)));
}

void UnitMemory::save_text(std::string text) {
    is_posted_ = false;
    if (has_ended_)
        return;
    auto const& unit = unit_.wanted_->name;
    save_sockets();
    auto names = worker_names();
    save_programs(names);
    if (!save_specs(names) || !save_formers(names) || !save_history(names))
        return;
    auto const state = kept_name("state", unit);
    auto const hash = std::hash<std::string>{}(text);
    if ((hash != saved_ || puts_all_) && !keeping_.put_text(state, text))
        return;
    saved_ = hash;
    names.insert(state);
    // Only now: what is dropped is not in the state any more.
    keeping_.drop(obsolete(names_, std::move(names)));
}

bool UnitMemory::save_specs(std::set<std::string>& names) {
    auto const save_one = [&](SpecId id, UnitSpec const& spec) {
        auto name = kept_name("spec", spec.name, {number_of(id)});
        bool const is_saved = is_kept(name) || keeping_.put_text(name, to_text(spec));
        if (is_saved)
            names_.insert(name);
        names.insert(std::move(name));
        return is_saved;
    };
    return save_one(unit_.wanted_id_, *unit_.wanted_) &&
           std::ranges::all_of(unit_.older_specs_,
                               [&](KnownSpec const& older) { return save_one(older.id, *older.spec); });
}

void UnitMemory::save_program(std::string name, PinnedProgram const& program, std::set<std::string>& names) {
    if (!is_kept(name))
        keeping_.put({{name, program.file()}});
    names_.insert(name);
    names.insert(std::move(name));
}

void UnitMemory::save_programs(std::set<std::string>& names) {
    auto const& unit = unit_.wanted_->name;
    for (auto const& pin : unit_.pins_)
        save_program(kept_name("pin", unit, {number_of(pin.generation)}), *pin.program, names);
    each_way_back([&](GenerationId generation, PinnedProgram const& program) {
        save_program(kept_name("way-back", unit, {number_of(generation)}), program, names);
    });
    each_former([&](Release const& former) {
        if (former.program)
            save_program(kept_name("former-program", unit, {number_of(former.next)}), *former.program, names);
    });
}

bool UnitMemory::save_formers(std::set<std::string>& names) {
    bool is_saved = true;
    each_former([&](Release const& former) {
        auto name = kept_name("former", unit_.wanted_->name, {number_of(former.next)});
        is_saved = is_saved && (is_kept(name) || keeping_.put_text(name, to_text(*former.spec)));
        if (is_saved)
            names_.insert(name);
        names.insert(std::move(name));
    });
    return is_saved;
}

bool UnitMemory::save_history(std::set<std::string>& names) {
    if (!unit_.history_)
        return true;
    auto name = kept_name("history", unit_.wanted_->name);
    auto const reports = unit_.history_->added();
    if ((reports != saved_reports_ || puts_all_) && !keeping_.put_text(name, to_lines(*unit_.history_)))
        return false;
    saved_reports_ = reports;
    names.insert(std::move(name));
    return true;
}

void UnitMemory::put_again() {
    if (has_ended_)
        return;
    unit_.shared_.loop.set_owner(unit_.number_);
    puts_all_ = true;
    are_sockets_noted_ = true;
    for (auto const* const of : {&unit_.workers_, &unit_.dumping_})
        for (auto const& worker : *of)
            keep(*worker);
    if (unit_.store_)
        unit_.store_->put_all();
    if (unit_.instances_)
        unit_.instances_->put_again();
    save();
    puts_all_ = false;
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
        if (worker->reloading && worker->reloading->command)
            for (auto const& entry : command_entries(*worker))
                names.insert(entry.name);
    }
    for (auto const& worker : unit_.dumping_) {
        names.insert(worker_name(unit, *worker));
        if (worker->process.leader_pidfd().is_open())
            names.insert(kept_name("leader", unit, {worker->process.id()}));
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
    put_gated(entries, std::move(gate));
    if (worker.reloading && worker.reloading->command)
        keep_reload_command(worker);
}

void UnitMemory::put_gated(std::vector<Keep> const& entries, UniqueFd gate) {
    for (auto const& entry : entries)
        names_.insert(entry.name);
    auto const shared_gate = std::make_shared<UniqueFd>(std::move(gate));
    keeping_.put(entries, [shared_gate] { open_gate(std::move(*shared_gate)); });
}

std::vector<Keep> UnitMemory::command_entries(RunningWorker const& worker) const {
    auto const& process = worker.reloading->command->process();
    auto const& unit = unit_.wanted_->name;
    auto const pid = static_cast<std::uint64_t>(process.leader());
    std::vector<Keep> entries{{kept_name("reload", unit, {worker.process.id(), pid}), process.pidfd()}};
    if (process.launch_status().is_open())
        entries.push_back(
            {kept_name("reload-launch", unit, {worker.process.id(), pid}), process.launch_status()});
    return entries;
}

void UnitMemory::keep_reload_command(RunningWorker const& worker) {
    put_gated(command_entries(worker), worker.reloading->command->take_gate());
}

void UnitMemory::keep(RunningWorker const& worker) {
    keep(worker, UniqueFd{});
}

bool UnitMemory::signal(RunningWorker const& worker, int number) {
    return keeping_.signal(worker_name(unit_.wanted_->name, worker), number);
}

} // namespace holdfast
