// SPDX-License-Identifier: Apache-2.0
#include "supervisor/handover.h"

#include "supervisor/addresses.h"

namespace holdfast {

Handover::Handover(ApplyPlan const& plan, Find find) : find_{std::move(find)} {
    for (auto const& step : plan.steps)
        if (step.action != UnitAction::Keep && step.action != UnitAction::Bad)
            parts_[step.unit].step = &step;
    find_links();
    refuse_shards();
    refuse_waiting_workers();
    for (auto& [unit, part] : parts_)
        if (part.step->spec && part.refusal.empty())
            prepare(part);
    refuse_linked();
    for (auto const& link : links_)
        if (parts_.at(link.from).refusal.empty() && parts_.at(link.to).refusal.empty())
            follow(link);
}

Handover::~Handover() {
    for (auto& [unit, part] : parts_)
        for (auto& listener : part.ready)
            give_up(std::move(listener));
}

/// Only what is really held can be moved or make way: after a rollout that failed, what serves and the file
/// differ in what was moved before.
void Handover::find_links() {
    auto const link = [this](std::string const& from, std::string const& to, ListenAddress const& address,
                             bool is_move) {
        if (from != to && listener_of(from, address) != nullptr && listener_of(to, address) == nullptr)
            links_.push_back({from, to, address, is_move});
    };
    for (auto const& [unit, part] : parts_)
        for (auto const& listener : part.step->listeners) {
            if (listener.action != ListenerAction::Add)
                continue;
            if (!listener.other_unit.empty())
                link(listener.other_unit, unit, listener.address, true);
            for (auto const& displaced : listener.displaced)
                link(displaced.unit, unit, displaced.address, false);
        }
}

/// A group is bound for the places and the generations of its unit: it cannot pass to another one, nor can a
/// listener become one.
void Handover::refuse_shards() {
    auto const wants_shards = [](UnitSpec const& spec, ListenAddress const& wanted) {
        bool is_wanted = false;
        each_address(spec, [&](SocketSpec const& socket, ListenAddress const& address) {
            is_wanted = is_wanted || (address == wanted && is_sharded(socket, address));
        });
        return is_wanted;
    };
    for (auto& [unit, part] : parts_)
        for (auto const& listener : part.step->listeners) {
            if (listener.action != ListenerAction::Add || listener.other_unit.empty() || !part.step->spec)
                continue;
            auto const* const from = find_(listener.other_unit);
            auto const* const shards = from == nullptr ? nullptr : from->sockets().shards();
            bool const has_shards =
                shards != nullptr && shards->find({std::string{}, listener.address}) != nullptr;
            if (!has_shards && !wants_shards(*part.step->spec, listener.address))
                continue;
            auto const why = to_string(listener.address) + " cannot move from unit " + listener.other_unit +
                             " to unit " + unit +
                             " with `reuse_port`: apply the one without it first, then the other with it; "
                             "nothing is changed, what runs goes on";
            refuse(part, why);
            refuse(parts_.at(listener.other_unit), why);
        }
}

/// Who accepts for a unit with `accept` must not wait in accept(2), and whether one waits there is the
/// listener's, for all who hold it: a worker that still serves would see EAGAIN of a sudden.
void Handover::refuse_waiting_workers() {
    for (auto const& link : links_) {
        auto& to = parts_.at(link.to);
        if (!link.is_move || !to.step->spec || !to.step->spec->service.accept ||
            !find_(link.from)->is_running() || listener_of(link.from, link.address)->bound_with.non_blocking)
            continue;
        auto const why = to_string(link.address) + " cannot move to unit " + link.to +
                         ", which has `accept`, while workers of unit " + link.from +
                         " wait on it: stop that unit first; nothing is changed, what runs goes on";
        refuse(to, why);
        refuse(parts_.at(link.from), why);
    }
}

Listener const* Handover::listener_of(std::string const& unit, ListenAddress const& address) const {
    auto* const runner = find_(unit);
    // Neither a move nor a collision is planned where the kernel chooses the port: the name does not count.
    return runner == nullptr ? nullptr : runner->sockets().find({std::string{}, address});
}

void Handover::prepare(Part& part) {
    Arrivals arrivals;
    for (auto const& link : links_)
        if (link.to == part.step->unit) {
            if (link.is_move)
                arrivals.coming.emplace(std::string{}, link.address);
            else
                arrivals.displaced.push_back(listener_of(link.from, link.address));
        }
    auto ready = find_(part.step->unit)->prepare(*part.step->spec, arrivals);
    if (ready)
        part.ready = std::move(ready).value();
    else
        refuse(part, refusal_text(ready.error()));
}

void Handover::refuse(Part& part, std::string why) {
    part.refusal = std::move(why);
    for (auto& listener : part.ready)
        give_up(std::move(listener));
    part.ready.clear();
}

void Handover::refuse_linked() {
    auto const pass_on = [this](std::string const& refused, std::string const& other,
                                std::string const& what) {
        auto& part = parts_.at(other);
        if (parts_.at(refused).refusal.empty() || !part.refusal.empty())
            return false;
        refuse(part,
               what + ", and unit " + refused + " is not changed; nothing is changed, what runs goes on");
        return true;
    };
    for (bool is_changed = true; is_changed;) {
        is_changed = false;
        for (auto const& link : links_) {
            auto const address = to_string(link.address);
            is_changed |= pass_on(link.from, link.to, address + " is to come from unit " + link.from);
            is_changed |= pass_on(link.to, link.from, address + " is to go to unit " + link.to);
        }
    }
}

void Handover::follow(Link const& link) {
    auto& from = *find_(link.from);
    if (link.is_move)
        parts_.at(link.to).ready.push_back(from.release({std::string{}, link.address}));
    else
        from.mark_replaced({std::string{}, link.address});
}

std::string Handover::refusal(std::string const& unit) const {
    auto const found = parts_.find(unit);
    return found == parts_.end() ? std::string{} : found->second.refusal;
}

std::vector<Listener> Handover::take(std::string const& unit) {
    auto const found = parts_.find(unit);
    return found == parts_.end() ? std::vector<Listener>{} : std::exchange(found->second.ready, {});
}

} // namespace holdfast
