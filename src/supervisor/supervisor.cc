// SPDX-License-Identifier: Apache-2.0
#include "supervisor/supervisor.h"

#include "base/text.h"
#include "supervisor/addresses.h"
#include "supervisor/instances.h"
#include "supervisor/on_demand.h"

#include <cerrno>
#include <csignal>

#include <sys/prctl.h>
#include <unistd.h>

namespace holdfast {

Supervisor::Supervisor(EventLoop& loop, SupervisorOptions options)
    : options_{std::move(options)}, shared_{.loop = loop,
                                            .events = {},
                                            .around = options_.around,
                                            .alarms = {loop, [this](std::uint32_t unit) { ring(unit); }}} {}

Supervisor::~Supervisor() {
    shared_.remains.reset(); // what runs on is for the one who comes after us
}

Result<std::unique_ptr<Supervisor>> Supervisor::create(EventLoop& loop, SupervisorOptions options) {
    std::unique_ptr<Supervisor> supervisor{new Supervisor{loop, std::move(options)}};
    auto* const raw = supervisor.get();
    raw->shared_.passed = std::move(raw->options_.passed);
    raw->keep_for_the_next();
    if (auto opened = raw->open_notify(); !opened)
        return std::move(opened).error();
    raw->open_remains();
    auto hangups = HangupWatch::create(loop, [raw](std::uint32_t unit, int fd) {
        if (auto const found = raw->shared_.units.find(unit); found != raw->shared_.units.end())
            found->second->hear_hangup(fd);
    });
    if (!hangups)
        return std::move(hangups).error();
    raw->shared_.hangups = std::move(hangups).value();
    auto arrivals = ArrivalWatch::create(loop, [raw](std::uint32_t unit) {
        if (auto const found = raw->shared_.units.find(unit); found != raw->shared_.units.end())
            OnDemand{*found->second}.hear_arrival();
    });
    if (!arrivals)
        return std::move(arrivals).error();
    raw->shared_.arrivals = std::move(arrivals).value();
    raw->shared_.leaders.hear_core_dumps(loop, [](UnitRunner& unit, pid_t pid) { unit.hear_core_dump(pid); });
    // What a worker leaves behind comes to us, so that a main process that is not our child (MAINPID=) can
    // still be waited for.
    if (::prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return system_error(errno, "become the reaper of orphans");
    raw->orphans_ = loop.on_signal(SIGCHLD, [raw] { raw->reap(); });
    loop.on_broken([raw](std::uint64_t owner, std::string_view what) {
        auto const found = raw->shared_.units.find(static_cast<std::uint32_t>(owner));
        if (found != raw->shared_.units.end())
            found->second->mark_broken(what);
        else
            raw->shared_.events.say(Weight::Failure, "broken", "",
                                    "a fault in holdfast itself: " + std::string{what});
    });
    return supervisor;
}

void Supervisor::keep_for_the_next() {
    if (!options_.keeper)
        return;
    shared_.keeping =
        std::make_unique<Keeping>(shared_.loop, *std::move(options_.keeper), std::move(options_.found),
                                  [this](Weight weight, std::string text) {
                                      shared_.events.say(weight, "keeper", "", std::move(text));
                                  });
    options_.keeper.reset();
    shared_.keeping->on_loss([this] { put_again(); });
    shared_.sockets_changed = [this](std::uint32_t unit) {
        if (auto const found = shared_.units.find(unit); found != shared_.units.end())
            found->second->memory()->note_sockets();
    };
    shared_.save_sockets = [this](std::uint32_t unit) {
        if (auto const found = shared_.units.find(unit); found != shared_.units.end())
            found->second->memory()->save_sockets();
    };
}

Outcome Supervisor::open_notify() {
    auto const path = options_.runtime_folder + "/notify";
    auto const is_known = [this](NotifySender const& sender) {
        return shared_.leaders.unit_of(sender.pid) != nullptr;
    };
    auto const heard = [this](NotifySender const& sender, NotifyMessage& message) {
        if (auto* const unit = shared_.leaders.unit_of(sender.pid))
            unit->hear(sender, message);
    };
    UniqueFd kept;
    if (shared_.keeping)
        if (auto held = take(shared_.keeping->found()[""], "notify");
            held && ::access(path.c_str(), F_OK) == 0)
            kept = std::move(held->fd);
    auto notify = kept.is_open() ? NotifySocket::adopt(shared_.loop, path, std::move(kept), is_known, heard)
                                 : NotifySocket::open(shared_.loop, path, is_known, heard);
    if (!notify)
        return std::move(notify).error();
    shared_.notify = std::move(notify).value();
    shared_.around.notify_path = shared_.notify->path();
    if (shared_.keeping) {
        shared_.notify->take_after_hearing();
        shared_.keeping->put_lasting({{"notify", shared_.notify->fd()}});
    }
    return {};
}

void Supervisor::open_remains() {
    Remains::Rules rules;
    rules.is_known = [this](pid_t pid) { return is_of_ours(pid); };
    rules.is_there = [this](GenerationOf const& generation) {
        auto const* const unit = find(generation.unit);
        // What a fault kept us from taking over is not known to be nobody's.
        return unit != nullptr &&
               (unit->is_broken() || unit->has_workers_of(lifecycle::GenerationId{generation.number}));
    };
    rules.told = [this](std::string text) {
        shared_.events.say(Weight::Warning, "cgroups", "", std::move(text));
    };
    rules.notify_path = shared_.around.notify_path;
    std::optional<HeldFd> kept;
    if (shared_.keeping) {
        rules.keeper = shared_.keeping->keeper();
        kept = take(shared_.keeping->found()[""], "cgroup");
    }
    std::unique_ptr<CgroupTree> tree;
    if (options_.may_use_cgroups) {
        auto opened =
            CgroupTree::open(rules.keeper, kept ? std::move(kept->fd) : UniqueFd{}, options_.cgroup_is_given);
        if (opened)
            tree = std::move(opened).value();
        else
            why_no_cgroups_ = to_string(opened.error());
    }
    if (tree != nullptr && shared_.keeping)
        shared_.keeping->put_lasting({{"cgroup", tree->lock()}});
    else if (kept)
        shared_.keeping->drop({"cgroup"});
    bool const has_tree = tree != nullptr;
    shared_.remains = std::make_unique<Remains>(shared_.loop, std::move(tree), std::move(rules));
    if (has_tree)
        shared_.around.cgroup_for = [this](std::string const& unit, std::uint32_t generation) {
            return shared_.remains->cgroup_for(unit, generation);
        };
    // When boot() has found what there is.
    shared_.loop.post([this] { end_strangers(); });
}

void Supervisor::end_strangers() {
    Remains::There there;
    for (auto const& [name, unit] : units_) {
        if (unit->is_broken())
            there.untouched.push_back(name);
        for (auto const& worker : unit->workers())
            there.workers.emplace_back(worker->process.pid(),
                                       GenerationOf{name, static_cast<std::uint32_t>(worker->generation)});
        if (auto const* const instances = unit->instances())
            for (auto const& [id, running] : instances->running())
                there.workers.emplace_back(running.process.pid(),
                                           GenerationOf{name, static_cast<std::uint32_t>(id)});
    }
    shared_.remains->end_strangers(there);
}

void Supervisor::ring(std::uint32_t unit) {
    if (auto const found = shared_.units.find(unit); found != shared_.units.end())
        found->second->ring();
}

void Supervisor::reap() {
    if (!reap_orphans([this](pid_t pid) { return is_of_ours(pid); }))
        // One of ours has died this very moment, and its own pidfd tells it; or there are many orphans, and
        // others have their turn. Then the orphans behind it.
        shared_.loop.post([this] { again_ = shared_.loop.at(MonotonicTime::now(), [this] { reap(); }); });
}

UnitRunner& Supervisor::make(UnitSpecPtr spec) {
    auto const name = spec->name;
    auto& unit = units_[name];
    unit = std::make_unique<UnitRunner>(shared_, ++last_number_, std::move(spec));
    return *unit;
}

UnitRunner& Supervisor::add(UnitSpecPtr spec) {
    auto& unit = make(std::move(spec));
    unit.hold_sockets();
    return unit;
}

LoadedUnits Supervisor::load(std::map<std::string, UnitSpecPtr> const& now) const {
    auto files = load_units(options_.unit_folders, options_.unit_folders_must_exist, now);
    for (auto& [name, spec] : files.specs)
        spec = with_all_passed(std::move(spec), shared_.passed);
    return files;
}

std::vector<UnitSpecPtr> Supervisor::read_units() {
    auto const files = load({});
    are_folders_read_ = files.folder_errors.empty();
    auto const plan = plan_apply({}, files);
    tell_bad(plan);
    std::vector<UnitSpecPtr> specs;
    for (auto const& step : plan.steps)
        if (step.spec)
            specs.push_back(step.spec);
    return specs;
}

void Supervisor::boot() {
    // What reading took is given back before the units are made, so that they leave no holes in the heap.
    std::set<std::string> fresh;
    std::vector<UnitSpecPtr> unheld;
    for (auto const& spec : read_units()) {
        auto found = shared_.keeping ? shared_.keeping->take_of(spec->name) : FoundThings{};
        if (found.empty())
            unheld.push_back(spec);
        else if (!adopt(spec, std::move(found)))
            fresh.insert(spec->name);
        if (auto* const unit = find(spec->name); unit != nullptr && unit->is_leaving())
            leave_and_return(spec);
    }
    if (shared_.keeping)
        adopt_without_files();
    // Only now: what is no longer listed by those is out of the way.
    for (auto const& spec : unheld) {
        fresh.insert(spec->name);
        add(spec);
    }
    // Every socket is bound (or known to fail) before the first worker starts. What breaks one unit, breaks
    // it alone: the next holdfastd would meet it again.
    for (auto const& [name, unit] : units_)
        if (unit->spec().start_at_boot && fresh.contains(name))
            shared_.loop.call([&unit] { unit->start_when_held(); });
}

void Supervisor::tell_bad(ApplyPlan const& plan) {
    for (auto const& error : plan.folder_errors)
        shared_.events.say(Weight::Failure, "folder-unreadable", "", to_string(error));
    for (auto const& warning : plan.warnings)
        shared_.events.say(Weight::Warning, "unit-warning", "", to_string(warning));
    bad_.clear();
    for (auto const& step : plan.steps)
        if (step.action == UnitAction::Bad) {
            bad_[step.unit] = step.diagnostics;
            shared_.events.say(Weight::Failure, "unit-bad", step.unit,
                               "its file has errors; " +
                                   std::string{units_.contains(step.unit) ? "what runs goes on as it was"
                                                                          : "it is not loaded"} +
                                   "\n" + to_string(step.diagnostics));
        }
}

// ---- plan and apply ----

ApplyPlan Supervisor::plan(bool is_applied) const {
    std::map<std::string, UnitSpecPtr> now;
    for (auto const& [name, unit] : units_)
        now[name] = unit->spec_ptr();
    auto plan = plan_apply(now, load(now));
    // After a failed rollout the file and the wanted spec are the same, and what serves is another.
    for (auto& step : plan.steps)
        if ((step.action == UnitAction::Keep || step.action == UnitAction::Update) &&
            !units_.at(step.unit)->state().rollout && !units_.at(step.unit)->state().next) // that bring it
            if (auto const serving = units_.at(step.unit)->serving_spec(); serving && serving != step.spec)
                if (auto again = plan_change(serving, step.spec); again.action == UnitAction::Restart)
                    step = std::move(again);
    link_listeners(plan);
    for (auto& step : plan.steps)
        if (step.spec)
            note_deferred(step);
    if (options_.reread)
        for (auto& found : options_.reread(is_applied))
            (found.severity == Severity::Error ? plan.folder_errors : plan.warnings)
                .push_back(std::move(found));
    return plan;
}

/// What a listener was bound with is known to itself alone: the spec that it was bound for may be gone.
void Supervisor::note_deferred(UnitStep& step) const {
    auto const sockets = sockets_of(*step.spec);
    auto const deferred_of = [&](Listener const& held) {
        auto const wanted = sockets.find(identity_of(held));
        return wanted == sockets.end()
                   ? std::vector<std::string>{}
                   : deferred_settings(held.bound_with, *wanted->second, held.wanted.transport);
    };
    std::unordered_map<ListenerIdentity, std::vector<std::string>, IdentityHash> deferred;
    if (auto const unit = units_.find(step.unit); unit != units_.end())
        for (auto const& held : unit->second->sockets().held())
            if (auto settings = deferred_of(held); !settings.empty())
                deferred.emplace(identity_of(held), std::move(settings));
    for (auto& listener : step.listeners) {
        ListenerIdentity const identity{listener.name, listener.address};
        listener.deferred.clear();
        if (auto const found = deferred.find(identity); found != deferred.end())
            listener.deferred = found->second;
        else if (auto const other = units_.find(listener.other_unit);
                 other != units_.end() && listener.action == ListenerAction::Add)
            if (auto const* const held = other->second->sockets().find(identity))
                listener.deferred = deferred_of(*held);
    }
}

/// An apply that is under way: how much of it is still to end.
struct Supervisor::Applying {
    Applied result;
    unsigned open = 0;
    std::function<void(Applied const&)> done;

    void close_one() {
        if (--open == 0)
            done(result);
    }
    [[nodiscard]] static WishAnswer closing(std::shared_ptr<Applying> const& applying, std::string unit) {
        return
            [applying, unit = std::move(unit)](WishResult const& result) { applying->close(unit, result); };
    }
    /// One step has ended, as `came`.
    void close(std::string const& unit, WishResult const& came) {
        for (auto& step : result.plan.steps)
            if (step.unit == unit) {
                step.ok = came.ok;
                step.message = came.message;
            }
        if (!came.ok) {
            result.ok = false;
            result.message += (result.message.empty() ? "" : "; ") + unit + ": " + came.message;
        }
        close_one();
    }
};

void Supervisor::apply(std::optional<MonotonicTime> asked, std::function<void(Applied const&)> done) {
    auto const applying = std::make_shared<Applying>();
    applying->done = std::move(done);
    if (is_shutting_down()) {
        applying->result.message = "holdfastd is shutting down";
        applying->open = 1;
        return shared_.loop.post([applying] { applying->close_one(); });
    }
    applying->result.plan = plan(true);
    auto const& plan = applying->result.plan; // what comes of a step is written into it, and none is moved
    applying->result.ok = plan.is_complete();
    if (!applying->result.ok)
        applying->result.message = "some files have errors and were left out";
    tell_bad(plan);
    applying->open = 1; // ours, so that it cannot end before it is all begun
    for (auto const& step : plan.steps)
        if (step.action == UnitAction::Add)
            adopt_late(make(step.spec));
    drop_ownerless();
    Handover handover{plan, [this](std::string const& unit) { return find(unit); }};
    for (auto const& step : plan.steps)
        if (!asked || !answer_again(step, *asked, applying))
            perform(step, handover, applying);
    shared_.loop.post([applying] { applying->close_one(); });
}

/// Where the unit has that text already: what has begun since was begun for it.
bool Supervisor::answer_again(UnitStep const& step, MonotonicTime asked,
                              std::shared_ptr<Applying> const& applying) {
    auto* const unit = step.spec ? find(step.unit) : nullptr;
    if (unit == nullptr || unit->spec_ptr() != step.spec ||
        !unit->answer_again(WishKind::Restart, asked, Applying::closing(applying, step.unit)))
        return false;
    ++applying->open;
    return true;
}

void Supervisor::perform(UnitStep const& step, Handover& handover,
                         std::shared_ptr<Applying> const& applying) {
    auto const closing = Applying::closing(applying, step.unit);
    if (leaving_.contains(step.unit) && step.action != UnitAction::Remove) {
        ++applying->open;
        return closing({false, "it is being removed; apply again when it is gone", std::nullopt});
    }
    // What is added is added all the same, and tries again for what it lacks.
    if (auto const refusal = handover.refusal(step.unit);
        !refusal.empty() && step.action != UnitAction::Add) {
        ++applying->open;
        return closing({false, refusal, std::nullopt});
    }
    switch (step.action) {
    case UnitAction::Keep:
    case UnitAction::Bad:
        return;
    case UnitAction::Add: {
        ++applying->open;
        auto& unit = *units_.at(step.unit);
        unit.take_in(handover.take(step.unit));
        unit.hold_sockets();
        shared_.events.say(Weight::Normal, "unit-added", step.unit, "added");
        if (!unit.sockets().is_complete()) {
            if (step.spec->start_at_boot)
                unit.start_when_held();
            return closing({false, to_string(unit.sockets().failed().front().error), std::nullopt});
        }
        if (step.spec->start_at_boot)
            return unit.start(closing);
        return closing({true, {}, std::nullopt});
    }
    case UnitAction::Remove:
        if (!leaving_.insert(step.unit).second)
            return; // by an apply before this one
        ++applying->open;
        shared_.events.say(Weight::Normal, "unit-removed", step.unit,
                           "its file is gone: it is drained and removed");
        return units_.at(step.unit)->remove([this, closing, name = step.unit] {
            erase_later(name);
            closing({true, {}, std::nullopt});
        });
    case UnitAction::Restart:
    case UnitAction::Update:
        ++applying->open;
        shared_.events.say(Weight::Normal, "unit-changed", step.unit, "its file has changed");
        return units_.at(step.unit)->change(step.spec, step.action == UnitAction::Restart,
                                            handover.take(step.unit), closing);
    }
}

void Supervisor::erase_later(std::string const& name) {
    shared_.loop.post([this, name] {
        if (auto* const unit = find(name))
            unit->end(false);
        units_.erase(name);
        leaving_.erase(name);
    });
}

// ---- the end ----

void Supervisor::shut_down(std::function<void()> done) {
    if (shuts_down_) {
        for (auto const& [name, unit] : units_)
            unit->kill_all();
        return;
    }
    shuts_down_ = true;
    auto const open = std::make_shared<std::size_t>(units_.size() + 1);
    auto const close_one = [this, open, done = std::move(done)] {
        if (--*open > 0)
            return;
        bool const are_left = shared_.keeping && shared_.keeping->leaves_sockets();
        for (auto const& [name, unit] : units_)
            unit->end(are_left);
        shared_.remains->finish(done);
    };
    for (auto const& [name, unit] : units_)
        unit->stop([close_one](WishResult const&) { close_one(); });
    shared_.loop.post(close_one);
}

// ---- looking ----

UnitRunner* Supervisor::find(std::string const& name) {
    auto const found = units_.find(name);
    return found == units_.end() ? nullptr : found->second.get();
}

std::string Supervisor::nearest_unit(std::string const& name) const {
    std::vector<std::string_view> names;
    for (auto const& [known, unit] : units_)
        names.push_back(known);
    return std::string{nearest(name, names)};
}

} // namespace holdfast
