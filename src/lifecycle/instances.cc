// SPDX-License-Identifier: Apache-2.0
#include "lifecycle/instances.h"

#include <algorithm>

namespace holdfast::lifecycle {

namespace {

/// What SIGKILL is given, at least: the kernel may take a large process down slowly.
constexpr Duration time_to_die = std::chrono::seconds{5};

MonotonicTime next_deadline(InstancesState const& state) {
    return std::min(state.deadline, state.peace_until);
}

/// What of the state before is asked of.
struct Before {
    bool is_empty;
    MonotonicTime deadline;
    MonotonicTime held_until;
};

bool is_full(InstancesState const& state, InstanceRules const& rules, MonotonicTime now) {
    auto const& starts = state.starts;
    return rules.limit_burst != 0 && starts.size() >= rules.limit_burst &&
           now < starts[starts.size() - rules.limit_burst] + rules.limit_interval;
}

/// In a flood they come one by one: as many at once, whenever a span is over, would cost others a moment.
bool is_flooded(InstancesState const& state, InstanceRules const& rules, MonotonicTime now) {
    return state.flood_until && now < *state.flood_until + rules.limit_interval;
}

/// When one more may be started, as far as their rate goes.
MonotonicTime next_start(InstancesState const& state, InstanceRules const& rules, MonotonicTime now) {
    auto next = MonotonicTime{};
    auto const& starts = state.starts;
    if (rules.limit_burst == 0 || starts.empty())
        return next;
    if (is_full(state, rules, now))
        next = starts[starts.size() - rules.limit_burst] + rules.limit_interval;
    if (is_flooded(state, rules, now))
        next = std::max(next, starts.back() + rules.limit_interval / rules.limit_burst);
    return next;
}

class InstancesStep {
public:
    InstancesStep(InstancesState& state, InstanceRules const& rules, MonotonicTime now,
                  InstanceOrders& orders)
        : state_{state}, rules_{rules}, now_{now}, orders_{orders} {}

    void on(Opened const&) {
        if (state_.is_open)
            return;
        state_.is_open = true;
        state_.peace_until = MonotonicTime::never();
        state_.starts.clear(); // a wish: what was before does not count
        state_.flood_until.reset();
    }

    void on(Closed const&) {
        close();
        tell_all();
    }

    void on(Suspended const&) {
        close();
        if (rules_.peace != forever)
            state_.peace_until = now_ + rules_.peace;
    }

    void on(ClientWaits const&) {
        if (!state_.is_open || !is_at_limit(state_, rules_, now_))
            return;
        bool const is_new = !is_flooded(state_, rules_, now_);
        hold();
        if (is_new)
            orders_.emplace_back(StartLimitMet{state_.held_until});
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
        count_start();
        orders_.emplace_back(StartInstance{state_.last});
    }

    void on(InstanceEnded const& fact) {
        auto const found = std::ranges::lower_bound(state_.live, fact.id, {}, &Instance::id);
        if (found == state_.live.end() || found->id != fact.id)
            return;
        state_.counts.failed += fact.is_failure ? 1 : 0;
        state_.live.erase(found);
    }

    void on(StartPutOff const& fact) {
        if (state_.live.empty() || state_.live.back().id != fact.id)
            return;
        state_.live.pop_back();
        --state_.counts.accepted;
        if (!state_.starts.empty())
            state_.starts.pop_back();
    }

    void on(RulesChanged const&) {
        if (!is_at_limit(state_, rules_, now_))
            state_.held_until = MonotonicTime::never();
        else if (state_.held_until != MonotonicTime::never())
            hold();
    }

    void on(HoldEnded const&) {
        if (now_ >= state_.held_until)
            state_.held_until = MonotonicTime::never();
    }

    void on(PatienceEnded const&) {
        if (now_ >= state_.peace_until) {
            state_.peace_until = MonotonicTime::never();
            tell_all();
        }
        if (now_ < state_.deadline)
            return;
        std::erase_if(state_.live, [&](Instance& instance) {
            if (instance.phase == InstancePhase::Running || now_ < instance.deadline)
                return false;
            if (instance.phase == InstancePhase::Killed) {
                orders_.emplace_back(AbandonInstance{instance.id});
                return true;
            }
            instance.phase = InstancePhase::Killed;
            instance.deadline = now_ + time_to_die;
            orders_.emplace_back(KillInstance{instance.id});
            return false;
        });
    }

    /// Levels, and what follows from the last one's end.
    void settle(Before const& before) {
        settle_deadlines();
        if (bool const accepts = may_accept(state_, rules_); accepts != state_.is_accepting) {
            state_.is_accepting = accepts;
            orders_.emplace_back(AcceptConnections{accepts});
        }
        if (next_deadline(state_) != before.deadline)
            orders_.emplace_back(AwaitPatience{next_deadline(state_)});
        if (state_.held_until != before.held_until)
            orders_.emplace_back(AwaitHold{state_.held_until});
        if (!state_.is_open && state_.live.empty() && !before.is_empty)
            orders_.emplace_back(AllInstancesGone{});
    }

private:
    void close() {
        state_.is_open = false;
        state_.peace_until = MonotonicTime::never();
        state_.held_until = MonotonicTime::never();
    }

    void tell_all() {
        for (auto& instance : state_.live) {
            if (instance.phase != InstancePhase::Running)
                continue;
            instance.phase = InstancePhase::Draining;
            if (rules_.patience != forever)
                instance.deadline = now_ + rules_.patience;
            orders_.emplace_back(TellInstance{instance.id});
        }
    }

    void settle_deadlines() {
        if (state_.is_open && state_.deadline == MonotonicTime::never())
            return; // nobody has one
        state_.deadline = MonotonicTime::never();
        bool is_anybody_left_alone = false;
        for (auto const& instance : state_.live) {
            state_.deadline = std::min(state_.deadline, instance.deadline);
            is_anybody_left_alone |= instance.phase == InstancePhase::Running;
        }
        if (!is_anybody_left_alone)
            state_.peace_until = MonotonicTime::never();
    }

    /// It goes on only while the span is full: who waits for his place in the row alone is no flood.
    void hold() {
        state_.held_until = next_start(state_, rules_, now_);
        if (is_full(state_, rules_, now_))
            state_.flood_until = state_.held_until;
    }

    void count_start() {
        if (rules_.limit_burst == 0)
            return state_.starts.clear();
        while (!state_.starts.empty() && state_.starts.front() + rules_.limit_interval <= now_)
            state_.starts.pop_front();
        state_.starts.push_back(now_);
    }

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
    Before const before{state.live.empty(), next_deadline(state), state.held_until};
    InstancesStep one{state, rules, now, orders};
    std::visit([&](auto const& what) { one.on(what); }, fact);
    one.settle(before);
    return orders;
}

bool is_at_limit(InstancesState const& state, InstanceRules const& rules, MonotonicTime now) {
    return now < next_start(state, rules, now);
}

bool may_accept(InstancesState const& state, InstanceRules const& rules) {
    return state.is_open && state.held_until == MonotonicTime::never() &&
           (state.live.size() < rules.most || rules.on_full == OnFull::Refuse);
}

std::size_t count_of(InstancesState const& state, Source const& source) {
    return static_cast<std::size_t>(std::ranges::count(state.live, source, &Instance::source));
}

} // namespace holdfast::lifecycle
