// SPDX-License-Identifier: Apache-2.0
// One process per connection: stories, then every run of a small scope and many random ones against a witness
// that knows the invariants of lifecycle/instances.h and not the code, and the mutants that it must notice.
#include "catch.h"
#include "instances_witness.h"

#include <array>
#include <random>

using namespace holdfast;
using namespace holdfast::test;
using namespace std::chrono_literals;

namespace {

constexpr Source ada{Source::Kind::IPv4, 1}, bob{Source::Kind::IPv4, 2};
constexpr MonotonicTime start{1000s};

using Step =
    std::function<InstanceOrders(InstancesState&, InstanceRules const&, InstanceFact const&, MonotonicTime)>;

template <class T>
std::vector<T> all_of(InstanceOrders const& orders) {
    std::vector<T> found;
    for (auto const& order : orders)
        if (auto const* const one = std::get_if<T>(&order))
            found.push_back(*one);
    return found;
}

struct World {
    InstancesState state;
    Witness witness;
    MonotonicTime now = start;
    std::size_t rules = 0;
    bool was_started = false; ///< somebody, in the step before
};

/// What the unit may say, before and after an apply.
std::vector<std::array<InstanceRules, 2>> const all_rules{
    {{{.most = 2, .most_per_source = 1, .patience = 10s, .peace = 5s, .limit_burst = 2, .limit_interval = 3s},
      {.most = 1, .patience = 20s, .peace = 5s, .limit_burst = 1, .limit_interval = 3s}}},
    {{{.most = 3, .patience = 10s, .limit_burst = 2, .limit_interval = 8s},
      {.most = 3, .patience = 10s, .limit_burst = 3, .limit_interval = 6s}}},
    {{{.most = 2, .on_full = OnFull::Refuse, .patience = 10s},
      {.most = 2, .most_per_source = 2, .patience = forever}}},
    {{{.most = 1, .most_per_source = 2, .on_full = OnFull::Refuse, .patience = 0s, .peace = forever},
      {.most = 2, .patience = 0s, .peace = 0s}}},
};

std::vector<InstanceFact> possible_facts(World const& world) {
    std::vector<InstanceFact> facts{Opened{},       Closed{},        ConnectionArrived{ada},
                                    RulesChanged{}, PatienceEnded{}, ConnectionArrived{bob},
                                    ClientWaits{},  HoldEnded{},     Suspended{}};
    for (auto const& [id, one] : world.witness.live)
        facts.emplace_back(InstanceEnded{id, false});
    if (world.was_started)
        facts.emplace_back(StartPutOff{world.state.last});
    facts.emplace_back(InstanceEnded{InstanceId{99}, true}); // a late one of somebody long gone
    return facts;
}

std::set<std::string> go(World& world, std::array<InstanceRules, 2> const& rules, InstanceFact fact,
                         Step const& by) {
    if (std::holds_alternative<RulesChanged>(fact))
        world.rules = 1 - world.rules;
    // Who accepts sees that the limit is met, and accepts nobody.
    if (std::holds_alternative<ConnectionArrived>(fact) &&
        world.witness.is_at_limit(rules[world.rules], world.now))
        fact = ClientWaits{};
    auto const orders = by(world.state, rules[world.rules], fact, world.now);
    world.was_started = !all_of<StartInstance>(orders).empty();
    return world.witness.see(rules[world.rules], fact, world.now, orders);
}

/// Of the first step that breaks any.
std::set<std::string> explore(World const& world, std::array<InstanceRules, 2> const& rules, int depth,
                              Step const& by) {
    if (depth == 0)
        return {};
    for (auto const& fact : possible_facts(world))
        // Each also when a deadline has come.
        for (auto const at : {world.now + 1s, world.witness.wake, world.witness.hold}) {
            if (at == MonotonicTime::never())
                continue;
            auto next = world;
            next.now = std::max(world.now, at);
            if (auto const broken = go(next, rules, fact, by); !broken.empty())
                return broken;
            if (auto const broken = explore(next, rules, depth - 1, by); !broken.empty())
                return broken;
        }
    return {};
}

std::set<std::string> run_at_random(unsigned seed, std::array<InstanceRules, 2> rules, int length,
                                    Step const& by) {
    std::mt19937 random{seed};
    for (auto& one : rules)
        one.most = static_cast<std::uint16_t>(one.most + random() % 5);
    World world;
    for (int i = 0; i < length; ++i) {
        auto const facts = possible_facts(world);
        auto const due = std::min(world.witness.wake, world.witness.hold);
        world.now = random() % 4 == 0 && due != MonotonicTime::never()
                        ? std::max(world.now, due)
                        : world.now + Duration{random() % 3000000};
        if (auto const broken = go(world, rules, facts[random() % facts.size()], by); !broken.empty())
            return broken;
    }
    return {};
}

std::string words(std::set<std::string> const& broken) {
    std::string text;
    for (auto const& one : broken)
        text += one + " ";
    return text;
}

InstanceOrders as_it_is(InstancesState& state, InstanceRules const& rules, InstanceFact const& fact,
                        MonotonicTime now) {
    return step(state, rules, fact, now);
}

template <class T>
InstanceOrders without(InstanceOrders orders) {
    std::erase_if(orders, [](InstanceOrder const& order) { return std::holds_alternative<T>(order); });
    return orders;
}

struct Mutant {
    char const* fault;
    char const* killed_by;
    Step step;
};

std::vector<Mutant> const mutants{
    {"the limit of a source is forgotten", "limits",
     [](auto& state, auto rules, auto const& fact, auto now) {
         rules.most_per_source = 0;
         return step(state, rules, fact, now);
     }},
    {"one more than may be", "limits",
     [](auto& state, auto rules, auto const& fact, auto now) {
         ++rules.most;
         return step(state, rules, fact, now);
     }},
    {"who is refused is left open", "answered",
     [](auto& state, auto const& rules, auto const& fact, auto now) {
         return without<RefuseConnection>(step(state, rules, fact, now));
     }},
    {"a full house is said to be the fault of the source", "reasons",
     [](auto& state, auto const& rules, auto const& fact, auto now) {
         auto orders = step(state, rules, fact, now);
         for (auto& order : orders)
             if (auto* const refused = std::get_if<RefuseConnection>(&order))
                 refused->why = Refusal::SourceFull;
         return orders;
     }},
    {"the watch is not taken up again", "watched",
     [](auto& state, auto const& rules, auto const& fact, auto now) {
         auto orders = step(state, rules, fact, now);
         return std::holds_alternative<InstanceEnded>(fact) ? without<AcceptConnections>(orders) : orders;
     }},
    {"a number is given again", "once",
     [](auto& state, auto const& rules, auto const& fact, auto now) {
         auto orders = step(state, rules, fact, now);
         state.last = state.live.empty() ? InstanceId{} : state.live.back().id;
         return orders;
     }},
    {"a second stop tells everybody again", "once",
     [](auto& state, auto const& rules, auto const& fact, auto now) {
         auto orders = step(state, rules, fact, now);
         if (std::holds_alternative<Closed>(fact))
             for (auto const& one : state.live)
                 if (all_of<TellInstance>(orders).empty())
                     orders.emplace_back(TellInstance{one.id});
         return orders;
     }},
    {"the deadline is not looked at", "patience",
     [](auto& state, auto const& rules, auto const& fact, auto now) {
         return step(state, rules, fact,
                     std::holds_alternative<PatienceEnded>(fact) ? std::max(now, state.deadline) : now);
     }},
    {"a second stop puts off the end of who was told at the first", "deadline",
     [](auto& state, auto const& rules, auto const& fact, auto now) {
         if (std::holds_alternative<Closed>(fact) && rules.patience != forever)
             for (auto& one : state.live)
                 if (one.phase == InstancePhase::Draining)
                     one.deadline = now + rules.patience;
         return step(state, rules, fact, now);
     }},
    {"the timer is left armed", "deadline",
     [](auto& state, auto const& rules, auto const& fact, auto now) {
         auto orders = step(state, rules, fact, now);
         return std::holds_alternative<InstanceEnded>(fact) ? without<AwaitPatience>(orders) : orders;
     }},
    {"the timer is not armed", "deadline",
     [](auto& state, auto const& rules, auto const& fact, auto now) {
         auto orders = step(state, rules, fact, now);
         return std::holds_alternative<Closed>(fact) ? without<AwaitPatience>(orders) : orders;
     }},
    {"too many starts are not noticed", "rate",
     [](auto& state, auto rules, auto const& fact, auto now) {
         rules.limit_burst = 0;
         return step(state, rules, fact, now);
     }},
    {"one start more than may be", "rate",
     [](auto& state, auto rules, auto const& fact, auto now) {
         rules.limit_burst = static_cast<std::uint16_t>(rules.limit_burst + (rules.limit_burst != 0));
         return step(state, rules, fact, now);
     }},
    {"in a flood they come in bursts", "rate",
     [](auto& state, auto const& rules, auto const& fact, auto now) {
         auto const flood = std::exchange(state.flood_until, std::nullopt);
         auto orders = step(state, rules, fact, now);
         if (!state.flood_until && !std::holds_alternative<Opened>(fact))
             state.flood_until = flood;
         return flood ? without<StartLimitMet>(orders) : orders;
     }},
    {"it is not accepted again by itself", "rate",
     [](auto& state, auto const& rules, auto const& fact, auto now) {
         return std::holds_alternative<HoldEnded>(fact) ? InstanceOrders{} : step(state, rules, fact, now);
     }},
    {"a flood is said again and again", "rate",
     [](auto& state, auto const& rules, auto const& fact, auto now) {
         state.flood_until.reset();
         return step(state, rules, fact, now);
     }},
    {"a pause tells everybody to go", "peace",
     [](auto& state, auto const& rules, auto const& fact, auto now) {
         return step(state, rules, std::holds_alternative<Suspended>(fact) ? InstanceFact{Closed{}} : fact,
                     now);
     }},
    {"who is left alone is left alone for ever", "deadline",
     [](auto& state, auto rules, auto const& fact, auto now) {
         rules.peace = forever;
         return step(state, rules, fact, now);
     }},
    {"nobody hears that the last one is gone", "last",
     [](auto& state, auto const& rules, auto const& fact, auto now) {
         return without<AllInstancesGone>(step(state, rules, fact, now));
     }},
};

} // namespace

TEST_CASE("a full house leaves the listener alone until one has ended", "[lifecycle][instances]") {
    InstancesState state;
    InstanceRules const rules{.most = 2};
    CHECK(all_of<AcceptConnections>(step(state, rules, Opened{}, start)).at(0).on);
    CHECK(all_of<AcceptConnections>(step(state, rules, ConnectionArrived{ada}, start)).empty());
    CHECK_FALSE(all_of<AcceptConnections>(step(state, rules, ConnectionArrived{bob}, start)).at(0).on);
    CHECK(all_of<AcceptConnections>(step(state, rules, InstanceEnded{InstanceId{1}, false}, start)).at(0).on);
    CHECK(state.counts == InstanceCounts{.accepted = 2});
}

TEST_CASE("who is one too many of his source is refused, and the others are not", "[lifecycle][instances]") {
    InstancesState state;
    InstanceRules const rules{.most = 5, .most_per_source = 1};
    (void)step(state, rules, Opened{}, start);
    (void)step(state, rules, ConnectionArrived{ada}, start);
    CHECK(all_of<RefuseConnection>(step(state, rules, ConnectionArrived{ada}, start)).at(0).why ==
          Refusal::SourceFull);
    CHECK(all_of<StartInstance>(step(state, rules, ConnectionArrived{bob}, start)).size() == 1);
    (void)step(state, rules, InstanceEnded{InstanceId{1}, true}, start);
    CHECK(all_of<StartInstance>(step(state, rules, ConnectionArrived{ada}, start)).size() == 1);
    CHECK(state.counts == InstanceCounts{.accepted = 3, .failed = 1, .refused_source = 1});
}

TEST_CASE("a stop tells everybody once, then kills who is left, then gives him up",
          "[lifecycle][instances]") {
    InstancesState state;
    InstanceRules const rules{.patience = 10s};
    (void)step(state, rules, Opened{}, start);
    (void)step(state, rules, ConnectionArrived{ada}, start);
    (void)step(state, rules, ConnectionArrived{bob}, start);
    auto const closed = step(state, rules, Closed{}, start);
    CHECK(all_of<TellInstance>(closed).size() == 2);
    CHECK(all_of<AwaitPatience>(closed).at(0).at == start + 10s);
    CHECK(all_of<TellInstance>(step(state, rules, Closed{}, start + 1s)).empty());
    (void)step(state, rules, InstanceEnded{InstanceId{1}, false}, start + 2s);
    auto const killed = step(state, rules, PatienceEnded{}, start + 10s);
    CHECK(all_of<KillInstance>(killed).size() == 1);
    auto const given_up = step(state, rules, PatienceEnded{}, start + 15s);
    CHECK(all_of<AbandonInstance>(given_up).size() == 1);
    CHECK(all_of<AllInstancesGone>(given_up).size() == 1);
}

// One deadline for all: a second stop put off the end of those who were told at the first.
TEST_CASE("who was told at an earlier stop is killed when his own time is over", "[lifecycle][instances]") {
    InstancesState state;
    InstanceRules const rules{.patience = 10s};
    (void)step(state, rules, Opened{}, start);
    (void)step(state, rules, ConnectionArrived{ada}, start);
    (void)step(state, rules, Closed{}, start);
    (void)step(state, rules, Opened{}, start + 4s);
    (void)step(state, rules, ConnectionArrived{bob}, start + 4s);
    CHECK(all_of<AwaitPatience>(step(state, rules, Closed{}, start + 8s)).empty());
    auto const first = step(state, rules, PatienceEnded{}, start + 10s);
    CHECK(all_of<KillInstance>(first).at(0).id == InstanceId{1});
    CHECK(all_of<KillInstance>(first).size() == 1);
    auto const second = step(state, rules, PatienceEnded{}, start + 18s);
    CHECK(all_of<AbandonInstance>(second).at(0).id == InstanceId{1});
    CHECK(all_of<KillInstance>(second).at(0).id == InstanceId{2});
}

TEST_CASE("with patience without end nobody is killed", "[lifecycle][instances]") {
    InstancesState state;
    InstanceRules const rules{.patience = forever};
    (void)step(state, rules, Opened{}, start);
    (void)step(state, rules, ConnectionArrived{ada}, start);
    (void)step(state, rules, Closed{}, start);
    CHECK(state.deadline == MonotonicTime::never());
    CHECK(step(state, rules, PatienceEnded{}, start + 1000h).empty());
}

TEST_CASE("a smaller limit ends nobody, and a larger one lets the next in at once",
          "[lifecycle][instances]") {
    InstancesState state;
    (void)step(state, {.most = 2}, Opened{}, start);
    (void)step(state, {.most = 2}, ConnectionArrived{ada}, start);
    CHECK_FALSE(all_of<AcceptConnections>(step(state, {.most = 1}, RulesChanged{}, start)).at(0).on);
    CHECK(state.live.size() == 1);
    CHECK(all_of<AcceptConnections>(step(state, {.most = 2}, RulesChanged{}, start)).at(0).on);
}

// There was no limit of rate for accept: a program that dies at once was started as fast as one core can.
TEST_CASE("after so many starts others wait until the first of them is long ago", "[lifecycle][instances]") {
    InstancesState state;
    InstanceRules const rules{.limit_burst = 2, .limit_interval = 10s};
    (void)step(state, rules, Opened{}, start);
    (void)step(state, rules, ConnectionArrived{ada}, start);
    (void)step(state, rules, ConnectionArrived{bob}, start + 4s);
    CHECK(is_at_limit(state, rules, start + 4s));
    CHECK(may_accept(state, rules)); // nobody waits yet
    auto const met = step(state, rules, ClientWaits{}, start + 5s);
    CHECK_FALSE(all_of<AcceptConnections>(met).at(0).on);
    CHECK(all_of<StartLimitMet>(met).at(0).until == start + 10s);
    CHECK(all_of<AwaitHold>(met).at(0).at == start + 10s);
    CHECK(all_of<AcceptConnections>(step(state, rules, HoldEnded{}, start + 10s)).at(0).on);
    (void)step(state, rules, ConnectionArrived{ada}, start + 10s);
    auto const again = step(state, rules, ClientWaits{}, start + 10s);
    CHECK(all_of<AwaitHold>(again).at(0).at == start + 15s); // not both at once whenever a span is over
    CHECK(all_of<StartLimitMet>(again).empty());             // it is the same flood
    (void)step(state, rules, HoldEnded{}, start + 15s);
    (void)step(state, rules, ConnectionArrived{ada}, start + 30s);
    (void)step(state, rules, ConnectionArrived{ada}, start + 30s);
    CHECK(all_of<StartLimitMet>(step(state, rules, ClientWaits{}, start + 30s)).size() == 1);
}

// Two at a time, now and then, were taken for the same flood for ever.
TEST_CASE("a flood ends when fewer come than may", "[lifecycle][instances]") {
    InstancesState state;
    InstanceRules const rules{.limit_burst = 3, .limit_interval = 9s};
    (void)step(state, rules, Opened{}, start);
    for (int i = 0; i < 3; ++i)
        (void)step(state, rules, ConnectionArrived{ada}, start);
    CHECK(all_of<StartLimitMet>(step(state, rules, ClientWaits{}, start)).size() == 1);
    (void)step(state, rules, HoldEnded{}, start + 9s);
    for (auto const at : {start + 9s, start + 17s}) { // one waits for his place behind the other
        (void)step(state, rules, ConnectionArrived{ada}, at);
        (void)step(state, rules, ClientWaits{}, at + 1s);
        (void)step(state, rules, HoldEnded{}, at + 3s);
        (void)step(state, rules, ConnectionArrived{ada}, at + 3s);
    }
    CHECK_FALSE(is_at_limit(state, rules, start + 21s)); // it is over since 18 s
}

TEST_CASE("who is suspended lets nobody in, and who is served may finish for a while",
          "[lifecycle][instances]") {
    InstancesState state;
    InstanceRules const rules{.patience = 10s, .peace = 5s};
    (void)step(state, rules, Opened{}, start);
    (void)step(state, rules, ConnectionArrived{ada}, start);
    (void)step(state, rules, ConnectionArrived{bob}, start);
    auto const suspended = step(state, rules, Suspended{}, start);
    CHECK_FALSE(all_of<AcceptConnections>(suspended).at(0).on);
    CHECK(all_of<TellInstance>(suspended).empty());
    CHECK(all_of<AwaitPatience>(suspended).at(0).at == start + 5s);
    (void)step(state, rules, InstanceEnded{InstanceId{1}, false}, start + 2s);
    auto const told = step(state, rules, PatienceEnded{}, start + 5s);
    CHECK(all_of<TellInstance>(told).at(0).id == InstanceId{2});
    CHECK(all_of<AwaitPatience>(told).at(0).at == start + 15s);
    CHECK(all_of<AllInstancesGone>(step(state, rules, InstanceEnded{InstanceId{2}, false}, start + 6s))
              .size() == 1);
}

TEST_CASE("who is opened again meanwhile leaves everybody alone", "[lifecycle][instances]") {
    InstancesState state;
    InstanceRules const rules{.peace = 5s};
    (void)step(state, rules, Opened{}, start);
    (void)step(state, rules, ConnectionArrived{ada}, start);
    (void)step(state, rules, Suspended{}, start);
    CHECK(all_of<AcceptConnections>(step(state, rules, Opened{}, start + 1s)).at(0).on);
    CHECK(step(state, rules, PatienceEnded{}, start + 5s).empty());
}

// Who was accepted in a want of descriptors was reset, though he could have waited in the queue.
TEST_CASE("who cannot be started just now counts as one who has not come yet", "[lifecycle][instances]") {
    InstancesState state;
    InstanceRules const rules{.most = 1, .limit_burst = 1, .limit_interval = 10s};
    (void)step(state, rules, Opened{}, start);
    (void)step(state, rules, ConnectionArrived{ada}, start);
    CHECK(all_of<AcceptConnections>(step(state, rules, StartPutOff{InstanceId{1}}, start)).at(0).on);
    CHECK(state.live.empty());
    CHECK(state.counts == InstanceCounts{});
    CHECK_FALSE(is_at_limit(state, rules, start));
    CHECK(all_of<StartInstance>(step(state, rules, ConnectionArrived{ada}, start)).at(0).id == InstanceId{2});
}

TEST_CASE("all that can happen in a small scope keeps the invariants", "[lifecycle][instances]") {
    for (auto const& rules : all_rules)
        CHECK(words(explore({}, rules, 5, as_it_is)).empty());
}

TEST_CASE("so do many long runs", "[lifecycle][instances]") {
    for (unsigned seed = 1; seed <= 600; ++seed) {
        CAPTURE(seed);
        REQUIRE(words(run_at_random(seed, all_rules[seed % all_rules.size()], 300, as_it_is)).empty());
    }
}

TEST_CASE("each invariant kills its mutants", "[lifecycle][instances]") {
    for (auto const& mutant : mutants) {
        std::set<std::string> broken;
        for (unsigned seed = 1; seed <= 200 && !broken.contains(mutant.killed_by); ++seed)
            broken = run_at_random(seed, all_rules[seed % all_rules.size()], 100, mutant.step);
        INFO(mutant.fault << ": " << words(broken));
        CHECK(broken.contains(mutant.killed_by));
    }
}
