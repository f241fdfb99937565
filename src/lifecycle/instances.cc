// SPDX-License-Identifier: Apache-2.0
#include "lifecycle/instances.h"

#include <algorithm>

namespace holdfast::lifecycle {

namespace {

/// What SIGKILL is given, at least: the kernel may take a large process down slowly.
constexpr Duration time_to_die = std::chrono::seconds{5};

class InstancesStep {
public:
    InstancesStep(InstancesState& state, InstanceRules const& rules, MonotonicTime now,
                  InstanceOrders& orders)
        : state_{state}, rules_{rules}, now_{now}, orders_{orders} {}

    void on(Opened const&) { state_.is_open = true; }

    void on(Closed const&) {
        state_.is_open = false;
        bool is_anybody_told = false;
        for (auto& instance : state_.live) {
            if (instance.phase != InstancePhase::Running)
                continue;
            instance.phase = InstancePhase::Draining;
            orders_.emplace_back(TellInstance{instance.id});
            is_anybody_told = true;
        }
        // Who is being ended since an earlier time has that for his share too: one deadline is enough.
        if (is_anybody_told && rules_.patience != forever)
            state_.deadline = now_ + rules_.patience;
    }

    void on(ConnectionArrived const& fact) {
        if (!state_.is_open)
            return refuse(Refusal::Closed);
        if (state_.live.size() >= rules_.most)
            return refuse(Refusal::Full);
        if (rules_.most_per_source != 0 && count_of(state_, fact.source) >= rules_.most_per_source)
            return refuse(Refusal::SourceFull);
        state_.last = InstanceId{static_cast<std::uint32_t>(state_.last) + 1};
        state_.live.push_back({state_.last, fact.source});
        ++state_.counts.accepted;
        orders_.emplace_back(StartInstance{state_.last});
    }

    void on(InstanceEnded const& fact) {
        auto const found = std::ranges::lower_bound(state_.live, fact.id, {}, &Instance::id);
        if (found == state_.live.end() || found->id != fact.id)
            return;
        state_.counts.failed += fact.is_failure ? 1 : 0;
        state_.live.erase(found);
    }

    void on(RulesChanged const&) {}

    void on(PatienceEnded const&) {
        if (now_ < state_.deadline)
            return;
        bool is_anybody_killed = false;
        std::erase_if(state_.live, [&](Instance& instance) {
            switch (instance.phase) {
            case InstancePhase::Running:
                return false;
            case InstancePhase::Draining:
                instance.phase = InstancePhase::Killed;
                orders_.emplace_back(KillInstance{instance.id});
                is_anybody_killed = true;
                return false;
            case InstancePhase::Killed:
                orders_.emplace_back(AbandonInstance{instance.id});
                return true;
            }
            return false;
        });
        state_.deadline = is_anybody_killed ? now_ + time_to_die : MonotonicTime::never();
    }

    /// Levels, and what follows from the last one's end.
    void settle(InstancesState const& before) {
        if (std::ranges::all_of(state_.live, [](Instance const& instance) {
                return instance.phase == InstancePhase::Running;
            }))
            state_.deadline = MonotonicTime::never();
        if (bool const accepts = may_accept(state_, rules_); accepts != state_.is_accepting) {
            state_.is_accepting = accepts;
            orders_.emplace_back(AcceptConnections{accepts});
        }
        if (state_.deadline != before.deadline)
            orders_.emplace_back(AwaitPatience{state_.deadline});
        if (!state_.is_open && state_.live.empty() && !before.live.empty())
            orders_.emplace_back(AllInstancesGone{});
    }

private:
    void refuse(Refusal why) {
        switch (why) {
        case Refusal::Full:
            ++state_.counts.refused_full;
            break;
        case Refusal::SourceFull:
            ++state_.counts.refused_source;
            break;
        case Refusal::Closed: // it came while we were closing
            break;
        }
        orders_.emplace_back(RefuseConnection{why});
    }

    InstancesState& state_;
    InstanceRules const& rules_;
    MonotonicTime now_;
    InstanceOrders& orders_;
};

} // namespace

InstanceOrders step(InstancesState& state, InstanceRules const& rules, InstanceFact const& fact,
                    MonotonicTime now) {
    InstanceOrders orders;
    InstancesState before;
    before.deadline = state.deadline;
    if (!state.live.empty()) // all that is asked of it
        before.live.push_back(state.live.front());
    InstancesStep one{state, rules, now, orders};
    std::visit([&](auto const& what) { one.on(what); }, fact);
    one.settle(before);
    return orders;
}

bool may_accept(InstancesState const& state, InstanceRules const& rules) {
    return state.is_open && (state.live.size() < rules.most || rules.on_full == OnFull::Refuse);
}

std::size_t count_of(InstancesState const& state, Source const& source) {
    return static_cast<std::size_t>(std::ranges::count(state.live, source, &Instance::source));
}

} // namespace holdfast::lifecycle
