// SPDX-License-Identifier: Apache-2.0
#include "supervisor/requests.h"

#include "lifecycle/trace.h"
#include "supervisor/on_demand.h"
#include "supervisor/view.h"

#include <algorithm>

#include <malloc.h>
#include <unistd.h>

namespace holdfast {

using nlohmann::json;

namespace {

/// Events of one unit go into a reply as long as somebody waits for it.
class EventFeed : public std::enable_shared_from_this<EventFeed> {
public:
    EventFeed(EventLog& events, ControlReply reply) : events_{events}, reply_{std::move(reply)} {}

    /// `as_list`: each event as the `events` of a reply, else as its `event`.
    void begin(std::string unit, bool as_list) {
        // The feed lives as long as it follows, and it follows as long as the client is there.
        following_ =
            events_.follow([self = shared_from_this(), unit = std::move(unit), as_list](Event const& event) {
                if (unit.empty() || event.unit == unit)
                    self->reply_.progress(as_list ? json{{"events", json::array({view::of(event)})}}
                                                  : json{{"event", view::of(event)}});
            });
        reply_.on_gone([weak = weak_from_this()] {
            if (auto const self = weak.lock())
                self->following_.end();
        });
    }
    void done(json const& parameters) {
        reply_.done(parameters);
        following_.end();
    }
    [[nodiscard]] ControlReply& reply() { return reply_; }

private:
    EventLog& events_;
    ControlReply reply_;
    EventLog::Following following_;
};

json shape_of(ApplyPlan const& plan) {
    json units = json::array();
    for (auto const& step : plan.steps)
        units.push_back(view::of(step));
    return {{"units", std::move(units)},
            {"folder_errors", view::of(plan.folder_errors)},
            {"warnings", view::of(plan.warnings)},
            {"complete", plan.is_complete()}};
}

/// By who was cut off when the holdfastd before us died.
std::optional<MonotonicTime> asked_before(ControlRequest const& request) {
    auto const usec = request.number("asked_usec");
    return usec ? std::optional{MonotonicTime{Duration{*usec}}} : std::nullopt;
}

void not_active(ControlRequest& request, UnitRunner const& unit) {
    request.reply.fail("NotActive", {{"unit", unit.spec().name}, {"state", view::state_name(unit)}});
}

} // namespace

/// What a long reply was made of is in many pieces that the allocator keeps: with 1000 units, 17 MiB.
void Requests::give_back_memory(std::size_t shown) {
    constexpr std::size_t many = 500;
    if (shown > many)
        supervisor_.shared().loop.post([] { ::malloc_trim(0); });
}

void Requests::handle(ControlRequest request) {
    using Method = void (Requests::*)(ControlRequest);
    static constexpr std::pair<std::string_view, Method> lookups[]{
        {"Status", &Requests::status},   {"List", &Requests::list},       {"Sockets", &Requests::sockets},
        {"Show", &Requests::show},       {"Plan", &Requests::plan},       {"Events", &Requests::events},
        {"Trace", &Requests::trace},     {"Version", &Requests::version}, {"Report", &Requests::report},
        {"History", &Requests::history},
    };
    for (auto const& [name, method] : lookups)
        if (request.method == name)
            return (this->*method)(std::move(request));
    if (request.method == "Shutdown") {
        request.reply.done({{"ok", true}});
        return shut_down_();
    }
    if (supervisor_.is_shutting_down())
        return request.reply.fail("ShuttingDown", json::object());
    if (request.method == "Upgrade")
        return upgrade(std::move(request));
    if (request.method == "Start")
        return wish(std::move(request),
                    [](UnitRunner& unit, WishAnswer answer) { unit.start(std::move(answer)); });
    if (request.method == "Stop")
        return wish(std::move(request),
                    [](UnitRunner& unit, WishAnswer answer) { unit.stop(std::move(answer)); });
    if (request.method == "Restart")
        return restart(std::move(request));
    if (request.method == "Reload")
        return reload(std::move(request));
    if (request.method == "UndoRollout")
        return change_rollout(std::move(request), RolloutWish::Undo);
    if (request.method == "PauseRollout")
        return change_rollout(std::move(request), RolloutWish::Pause);
    if (request.method == "ResumeRollout")
        return change_rollout(std::move(request), RolloutWish::Resume);
    if (request.method == "Pause")
        return pause(std::move(request));
    if (request.method == "Resume")
        return resume(std::move(request));
    if (request.method == "Scale")
        return scale(std::move(request));
    if (request.method == "Apply")
        return apply(std::move(request));
    request.reply.fail("NotSupportedYet", {{"what", request.method}});
}

void Requests::no_such_unit(ControlRequest& request, std::string const& name) {
    if (auto const bad = supervisor_.bad_units().find(name); bad != supervisor_.bad_units().end())
        return request.reply.fail("BadUnit", {{"unit", name}, {"diagnostics", view::of(bad->second)}});
    auto const near = supervisor_.nearest_unit(name);
    request.reply.fail("NoSuchUnit",
                       {{"unit", name}, {"suggestion", near.empty() ? json(nullptr) : json(near)}});
}

UnitRunner* Requests::named_unit(ControlRequest& request) {
    auto const name = request.text("unit").value_or("");
    auto* const unit = supervisor_.find(name);
    if (unit == nullptr)
        no_such_unit(request, name);
    return unit;
}

void Requests::wish(ControlRequest request, Wish const& wish) {
    auto* const unit = named_unit(request);
    if (unit == nullptr)
        return;
    auto const asked = asked_before(request);
    auto const feed = std::make_shared<EventFeed>(supervisor_.shared().events, std::move(request.reply));
    if (request.more)
        feed->begin(unit->spec().name, false);
    auto const answer = [feed](WishResult const& result) { feed->done(view::of(result)); };
    static constexpr std::pair<std::string_view, WishKind> never_twice[]{{"Restart", WishKind::Restart},
                                                                         {"Reload", WishKind::Reload},
                                                                         {"UndoRollout", WishKind::Undo},
                                                                         {"ResumeRollout", WishKind::Resume},
                                                                         {"Pause", WishKind::PauseUnit}};
    auto const known =
        std::ranges::find_if(never_twice, [&](auto const& entry) { return entry.first == request.method; });
    if (!asked || known == std::end(never_twice) || !unit->answer_again(known->second, *asked, answer))
        wish(*unit, answer);
}

void Requests::restart(ControlRequest request) {
    std::optional<Strategy> strategy;
    if (auto const name = request.text("strategy")) {
        strategy = from_name<Strategy>(*name);
        if (!strategy)
            return request.reply.fail("org.varlink.service.InvalidParameter", {{"parameter", "strategy"}});
    }
    wish(std::move(request),
         [strategy](UnitRunner& unit, WishAnswer answer) { unit.restart(strategy, std::move(answer)); });
}

void Requests::reload(ControlRequest request) {
    auto* const unit = named_unit(request);
    if (unit == nullptr)
        return;
    bool const accepts = unit->spec().service.accept && unit->is_wanted_up();
    if ((!unit->is_running() && !accepts) || OnDemand{*unit}.is_paused())
        return not_active(request, *unit);
    wish(std::move(request), [](UnitRunner& it, WishAnswer answer) { it.reload(std::move(answer)); });
}

void Requests::change_rollout(ControlRequest request, RolloutWish rollout_wish) {
    wish(std::move(request), [rollout_wish](UnitRunner& unit, WishAnswer answer) {
        unit.change_rollout(rollout_wish, std::move(answer));
    });
}

bool Requests::is_up(ControlRequest& request) {
    auto const* const unit = named_unit(request);
    if (unit == nullptr)
        return false;
    if (unit->is_wanted_up())
        return true;
    not_active(request, *unit);
    return false;
}

void Requests::pause(ControlRequest request) {
    if (!is_up(request))
        return;
    auto const usec = request.number("for_usec");
    auto const time = usec ? Duration{*usec} : lifecycle::PauseWished{}.time;
    if (time < shortest_pause_for || time > longest_pause_for)
        return request.reply.fail("org.varlink.service.InvalidParameter", {{"parameter", "for_usec"}});
    wish(std::move(request),
         [time](UnitRunner& unit, WishAnswer answer) { OnDemand{unit}.pause(time, std::move(answer)); });
}

void Requests::resume(ControlRequest request) {
    if (!is_up(request))
        return;
    bool const or_restart = request.flag("or_restart").value_or(false);
    wish(std::move(request), [or_restart](UnitRunner& unit, WishAnswer answer) {
        OnDemand{unit}.resume(or_restart, std::move(answer));
    });
}

void Requests::scale(ControlRequest request) {
    auto const workers = request.number("workers").value_or(0);
    if (workers < 1 || workers > most_workers)
        return request.reply.fail("org.varlink.service.InvalidParameter", {{"parameter", "workers"}});
    wish(std::move(request), [workers](UnitRunner& unit, WishAnswer answer) {
        unit.scale(static_cast<std::uint16_t>(workers), std::move(answer));
    });
}

void Requests::status(ControlRequest request) {
    auto const wanted = request.text("unit");
    if (wanted) {
        json units = json::array();
        view::Look look{supervisor_};
        if (auto const bad = supervisor_.bad_units().find(*wanted);
            bad != supervisor_.bad_units().end() && supervisor_.find(*wanted) == nullptr)
            units.push_back(view::bad_unit(*wanted, bad->second));
        else if (auto* const unit = named_unit(request))
            units.push_back(view::unit(*unit, look, true));
        else
            return;
        return request.reply.done({{"units", std::move(units)}});
    }
    list(std::move(request));
}

void Requests::list(ControlRequest request) {
    json units = json::array();
    view::Look look{supervisor_};
    for (auto const& [name, unit] : supervisor_.units())
        units.push_back(view::unit(*unit, look, false));
    for (auto const& [name, diagnostics] : supervisor_.bad_units())
        if (supervisor_.find(name) == nullptr)
            units.push_back(view::bad_unit(name, diagnostics));
    auto const shown = units.size();
    request.reply.done({{"units", std::move(units)}});
    give_back_memory(shown);
}

void Requests::sockets(ControlRequest request) {
    json sockets = json::array();
    view::Look look{supervisor_};
    auto const append = [&](UnitRunner const& unit) {
        for (auto& socket : view::sockets(unit, look))
            sockets.push_back(std::move(socket));
    };
    if (request.text("unit")) {
        auto* const unit = named_unit(request);
        if (unit == nullptr)
            return;
        append(*unit);
    } else {
        for (auto const& [name, unit] : supervisor_.units())
            append(*unit);
    }
    auto const shown = sockets.size();
    request.reply.done({{"sockets", std::move(sockets)}});
    give_back_memory(shown);
}

void Requests::show(ControlRequest request) {
    auto* const unit = named_unit(request);
    if (unit == nullptr)
        return;
    json files = json::array();
    if (!unit->spec().path.empty())
        files.push_back(unit->spec().path);
    request.reply.done(
        {{"unit", unit->spec().name}, {"files", std::move(files)}, {"toml", to_toml(unit->spec())}});
}

void Requests::plan(ControlRequest request) {
    auto const plan = supervisor_.plan();
    request.reply.done(shape_of(plan));
    give_back_memory(plan.steps.size());
}

void Requests::apply(ControlRequest request) {
    auto const feed = std::make_shared<EventFeed>(supervisor_.shared().events, std::move(request.reply));
    if (request.more)
        feed->begin({}, false);
    supervisor_.apply(asked_before(request), [feed](Supervisor::Applied const& applied) {
        auto shape = shape_of(applied.plan);
        shape["event"] = nullptr;
        shape["ok"] = applied.ok;
        shape["message"] = applied.message;
        feed->done(shape);
    });
}

void Requests::events(ControlRequest request) {
    std::string unit;
    if (request.text("unit")) {
        auto const* const named = named_unit(request);
        if (named == nullptr)
            return;
        unit = named->spec().name;
    }
    auto const since =
        static_cast<std::uint64_t>(std::max<std::int64_t>(0, request.number("since").value_or(0)));
    json events = json::array();
    for (auto const& event : supervisor_.shared().events.recent())
        if (event.number > since && (unit.empty() || event.unit == unit))
            events.push_back(view::of(event));
    json const first{{"events", std::move(events)}};
    if (!request.flag("follow").value_or(false))
        return request.reply.done(first);
    if (!request.more)
        return request.reply.fail("org.varlink.service.ExpectedMore", json::object());
    auto const feed = std::make_shared<EventFeed>(supervisor_.shared().events, std::move(request.reply));
    feed->reply().progress(first);
    feed->begin(unit, true);
}

void Requests::trace(ControlRequest request) {
    auto* const unit = named_unit(request);
    if (unit == nullptr)
        return;
    auto const trace = unit->trace().facts();
    json facts = json::array();
    auto const since = trace.empty() ? MonotonicTime::now() : trace.front().at;
    facts.push_back(lifecycle::to_string(lifecycle::TraceLine{since, unit->policy()}));
    for (auto const& traced : trace)
        facts.push_back(lifecycle::to_string(lifecycle::TraceLine{traced.at, traced.fact}));
    request.reply.done({{"facts", std::move(facts)}, {"dropped", unit->trace().forgotten()}});
}

void Requests::report(ControlRequest request) {
    auto* const unit = named_unit(request);
    if (unit == nullptr)
        return;
    std::optional<std::uint32_t> generation;
    auto const number = request.number("generation");
    if (number)
        generation = static_cast<std::uint32_t>(std::clamp<std::int64_t>(*number, 0, UINT32_MAX));
    auto const* const history = unit->history();
    auto const* const past = history == nullptr ? nullptr : history->find(generation);
    if (past == nullptr)
        return request.reply.fail("NoSuchRollout", {{"unit", unit->spec().name},
                                                    {"generation", number ? json(*number) : json(nullptr)}});
    request.reply.done({{"report", view::of(past->report)}, {"timeline", view::of(*past)}});
}

void Requests::history(ControlRequest request) {
    auto* const unit = named_unit(request);
    if (unit == nullptr)
        return;
    json under_way = json::array();
    for (auto const& report : unit->rollouts_under_way())
        under_way.push_back(view::of(report));
    json rollouts = json::array();
    if (auto const* const history = unit->history())
        for (auto const& past : history->all())
            rollouts.push_back(view::of(past.report));
    request.reply.done({{"under_way", std::move(under_way)}, {"rollouts", std::move(rollouts)}});
}

void Requests::version(ControlRequest request) {
    json answer{{"version", HOLDFAST_VERSION},
                {"pid", ::getpid()},
                {"mode", std::string{to_name(supervisor_.options().around.mode)}},
                {"uptime_usec", (MonotonicTime::now() - supervisor_.started_at()).count()}};
    if (auto const& keeping = supervisor_.shared().keeping) {
        auto const& start = keeping->start();
        answer["starts"] = start.starts;
        if (start.upgrade != UpgradeOutcome::None)
            answer["upgrade"] = std::string{to_name(start.upgrade)};
        if (start.upgrade == UpgradeOutcome::Failed)
            answer["problem"] = start.problem;
    }
    request.reply.done(std::move(answer));
}

/// Answered first: who asked finds out from the next one what became of it.
void Requests::upgrade(ControlRequest request) {
    if (auto prepared = supervisor_.prepare_upgrade(); !prepared)
        return request.reply.fail("CannotUpgrade", {{"message", to_string(prepared.error())}});
    request.reply.done({{"pid", ::getpid()}});
    supervisor_.shared().events.say(Weight::Normal, "upgrade", "",
                                    "makes way for the program that is at its path now");
    supervisor_.shared().loop.stop(start_successor);
}

} // namespace holdfast
