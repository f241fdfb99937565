// SPDX-License-Identifier: Apache-2.0
// What watches over the instances in tests: it knows the invariants of lifecycle/instances.h, and not the
// code.
#pragma once

#include "lifecycle/instances.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>

namespace holdfast::test {

using namespace lifecycle;
using namespace std::chrono_literals;

/// What there is, by the orders alone.
class Witness {
public:
    /// The names of the invariants that this step broke.
    std::set<std::string> see(InstanceRules const& rules, InstanceFact const& fact, MonotonicTime now,
                              InstanceOrders const& orders) {
        broken_.clear();
        bool const was_empty = live.empty();
        arrives_ = std::get_if<ConnectionArrived>(&fact);
        answers_ = 0;
        auto const held = hold;
        if (std::holds_alternative<Opened>(fact) && !is_open) { // counted anew
            starts_.clear();
            flood_.reset();
        }
        if (std::holds_alternative<Opened>(fact))
            is_open = true;
        may_tell_ = std::holds_alternative<Closed>(fact) ||
                    (std::holds_alternative<PatienceEnded>(fact) && now >= peace_);
        if (std::holds_alternative<Closed>(fact) || std::holds_alternative<Suspended>(fact))
            is_open = false;
        if (is_open || std::holds_alternative<Closed>(fact))
            peace_ = MonotonicTime::never();
        if (std::holds_alternative<Suspended>(fact))
            peace_ = rules.peace == forever ? MonotonicTime::never() : now + rules.peace;
        if (auto const* const ended = std::get_if<InstanceEnded>(&fact))
            live.erase(ended->id);
        if (auto const* const put_off = std::get_if<StartPutOff>(&fact);
            put_off != nullptr && live.erase(put_off->id) != 0)
            starts_.pop_back();
        bool is_said_gone = false;
        for (auto const& order : orders)
            std::visit([&](auto const& what) { note(what, rules, now, is_said_gone); }, order);
        expect(answers_ == (arrives_ != nullptr ? 1 : 0), "answered");
        expect_rate(rules, fact, now, held);
        bool const should = is_open && hold == MonotonicTime::never() &&
                            (live.size() < rules.most || rules.on_full == OnFull::Refuse);
        expect(accepts == should, "watched");
        auto due = MonotonicTime::never();
        for (auto const& [id, one] : live)
            due = std::min(due, one.is_told ? one.due : peace_);
        expect(wake == due, "deadline");
        expect(is_said_gone == (!is_open && live.empty() && !was_empty), "last");
        return broken_;
    }

    struct One {
        Source source;
        bool is_told = false;
        bool is_killed = false;
        MonotonicTime due = MonotonicTime::never();
    };
    std::map<InstanceId, One> live;
    bool is_open = false;
    bool accepts = false;
    MonotonicTime wake = MonotonicTime::never();
    MonotonicTime hold = MonotonicTime::never();

    [[nodiscard]] bool is_full(InstanceRules const& rules, MonotonicTime now) const {
        auto const lately =
            std::ranges::count_if(starts_, [&](auto at) { return at + rules.limit_interval > now; });
        return rules.limit_burst != 0 && lately >= rules.limit_burst;
    }
    [[nodiscard]] bool is_at_limit(InstanceRules const& rules, MonotonicTime now) const {
        if (rules.limit_burst == 0 || starts_.empty())
            return false;
        bool const is_flood = flood_ && now < *flood_ + rules.limit_interval;
        bool const is_too_soon = starts_.back() + rules.limit_interval / rules.limit_burst > now;
        return is_full(rules, now) || (is_flood && is_too_soon);
    }

private:
    void expect(bool is_so, char const* invariant) {
        if (!is_so)
            broken_.insert(invariant);
    }
    [[nodiscard]] long count(Source const& source) const {
        return std::ranges::count_if(live, [&](auto const& one) { return one.second.source == source; });
    }
    [[nodiscard]] bool is_one_too_many(InstanceRules const& rules, Source const& source) const {
        return rules.most_per_source != 0 && count(source) >= rules.most_per_source;
    }

    void expect_rate(InstanceRules const& rules, InstanceFact const& fact, MonotonicTime now,
                     MonotonicTime held) {
        bool const waits = std::holds_alternative<ClientWaits>(fact) && is_open;
        if (hold != held && hold != MonotonicTime::never())
            expect(waits || std::holds_alternative<RulesChanged>(fact), "rate");
        if (waits && is_at_limit(rules, now))
            expect(hold != MonotonicTime::never() && !is_at_limit(rules, hold), "rate");
        if (std::holds_alternative<HoldEnded>(fact) && now >= held)
            expect(hold == MonotonicTime::never(), "rate");
        expect(std::exchange(is_limit_said_, false) ==
                   (waits && is_at_limit(rules, now) && (!flood_ || now >= *flood_ + rules.limit_interval)),
               "rate");
        bool const is_asked = waits || std::holds_alternative<RulesChanged>(fact);
        if (hold != MonotonicTime::never() && is_asked && is_full(rules, now))
            flood_ = hold;
    }

    void note(StartInstance const& what, InstanceRules const& rules, MonotonicTime now, bool&) {
        ++answers_;
        starts_.push_back(now);
        if (arrives_ == nullptr)
            return;
        expect(is_open && live.size() < rules.most && !is_one_too_many(rules, arrives_->source), "limits");
        expect(used_.insert(what.id).second, "once");
        live[what.id] = {arrives_->source};
    }
    void note(RefuseConnection const& what, InstanceRules const& rules, MonotonicTime, bool&) {
        ++answers_;
        bool const is_full = live.size() >= rules.most;
        bool const is_too_many = arrives_ != nullptr && is_one_too_many(rules, arrives_->source);
        expect(what.why == (!is_open  ? Refusal::Closed
                            : is_full ? Refusal::Full
                                      : Refusal::SourceFull) &&
                   (!is_open || is_full || is_too_many),
               "reasons");
    }
    void note(TellInstance const& what, InstanceRules const& rules, MonotonicTime now, bool&) {
        auto const found = live.find(what.id);
        expect(found != live.end() && !found->second.is_told, "once");
        expect(may_tell_, "peace");
        if (found != live.end())
            found->second.is_told = true;
        if (found != live.end() && rules.patience != forever)
            found->second.due = now + rules.patience;
    }
    void note(KillInstance const& what, InstanceRules const&, MonotonicTime now, bool&) {
        auto const found = live.find(what.id);
        expect(found != live.end() && !found->second.is_killed, "once");
        expect(found != live.end() && found->second.is_told && now >= found->second.due, "patience");
        if (found != live.end())
            found->second.is_killed = true;
        if (found != live.end())
            found->second.due = now + 5s;
    }
    void note(AbandonInstance const& what, InstanceRules const&, MonotonicTime now, bool&) {
        auto const found = live.find(what.id);
        expect(found != live.end() && found->second.is_killed && now >= found->second.due, "patience");
        live.erase(what.id);
    }
    void note(AcceptConnections const& what, InstanceRules const&, MonotonicTime, bool&) {
        expect(what.on != accepts, "watched"); // a level: said when it changes
        accepts = what.on;
    }
    void note(AwaitPatience const& what, InstanceRules const&, MonotonicTime, bool&) { wake = what.at; }
    void note(AwaitHold const& what, InstanceRules const&, MonotonicTime, bool&) { hold = what.at; }
    void note(StartLimitMet const&, InstanceRules const&, MonotonicTime, bool&) { is_limit_said_ = true; }
    void note(AllInstancesGone const&, InstanceRules const&, MonotonicTime, bool& is_said) { is_said = true; }

    std::set<std::string> broken_;
    std::set<InstanceId> used_;
    std::vector<MonotonicTime> starts_;
    std::optional<MonotonicTime> flood_;
    MonotonicTime peace_ = MonotonicTime::never();
    bool may_tell_ = false;
    ConnectionArrived const* arrives_ = nullptr;
    int answers_ = 0;
    bool is_limit_said_ = false;
};

} // namespace holdfast::test
