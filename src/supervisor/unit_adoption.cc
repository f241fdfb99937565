// SPDX-License-Identifier: Apache-2.0
// A unit as another supervisor of ours has left it: what was found of it and what was saved become a
// UnitRunner that goes on where that one was.
#include "base/pidfd.h"
#include "base/text.h"
#include "lifecycle/resume.h"
#include "lifecycle/sharing.h"
#include "supervisor/addresses.h"
#include "supervisor/instances.h"
#include "supervisor/kept_specs.h"
#include "supervisor/saved_history.h"
#include "supervisor/saved_sockets.h"
#include "supervisor/saved_text.h"
#include "supervisor/unit_memory.h"
#include "supervisor/unit_runner.h"

#include <algorithm>

#include <unistd.h>

namespace holdfast {

using namespace lifecycle;

class UnitMemory::Adoption {
public:
    Adoption(UnitRunner& unit, UnitMemory& memory, FoundThings found)
        : unit_{unit}, memory_{memory}, found_{std::move(found)}, name_{unit.wanted_->name} {}

    /// Does it go on where it was?
    [[nodiscard]] bool run() {
        auto instances = Instances::take_from(found_, name_);
        for (auto const& [name, held] : found_)
            (is_of_sockets(name) ? memory_.socket_names_ : memory_.names_).insert(name);
        read();
        take_specs(!instances.is_empty() || std::ranges::any_of(found_, [](auto const& thing) {
            return thing.first.starts_with(worker_prefix);
        }));
        take_sockets();
        unit_.follow_accept(std::move(instances));
        take_workers();
        take_pins();
        bool const is_state_known = saved_.state.has_value();
        unit_.state_ = is_state_known ? *std::move(saved_.state) : rebuild();
        take_the_rest();
        tell();
        go_on();
        std::vector<std::string> unwanted;
        for (auto const& [name, held] : found_)
            if (!memory_.names_.contains(name) && !memory_.socket_names_.contains(name))
                unwanted.push_back(name);
        memory_.keeping_.drop(unwanted);
        return is_state_known || unit_.state_.goal == Goal::Up;
    }

private:
    void problem(std::string text) { problems_.push_back(std::move(text)); }

    void read() {
        auto const held = take(found_, kept_name("state", name_));
        auto const text = held ? text_of(held->fd) : std::nullopt;
        if (text)
            saved_ = read_saved(*text);
        is_known_ = held.has_value();
        if (saved_.state)
            return;
        if (is_known_)
            problem("what was saved of it is damaged, or of another version");
        // What hangs together with the state is nothing without it.
        auto all = std::exchange(saved_, {});
        saved_.unit = std::move(all.unit);
        saved_.workers = std::move(all.workers);
        for (auto& worker : saved_.workers)
            worker.reload_asked_at.reset();
        saved_.pins = std::move(all.pins);
        saved_.trace = std::move(all.trace);
    }

    /// The unit goes on with the text that it had: what its file says now is for `holdfast apply`. Of one
    /// whose state is lost and of which nothing runs, its file is as good.
    void take_specs(bool is_running) {
        if (!saved_.state && !is_running) {
            std::erase_if(memory_.names_, [](auto const& name) { return name.starts_with("spec "); });
            return;
        }
        KeptSpecs kept{name_, found_, memory_.names_};
        if (auto const id = saved_.unit.wanted != SpecId{} ? saved_.unit.wanted : kept.newest();
            id != SpecId{})
            unit_.wanted_id_ = id;
        unit_.scaled_to_ = saved_.unit.scaled_to;
        if (auto spec = kept.take(unit_.wanted_id_))
            unit_.wanted_ = std::move(spec);
        else
            problem("its text was not saved; its file is taken");
        auto const is_known = [&](SpecId id) {
            return id == unit_.wanted_id_ ||
                   std::ranges::any_of(unit_.older_specs_,
                                       [&](KnownSpec const& known) { return known.id == id; });
        };
        for (auto const id : specs_in_use())
            if (!is_known(id)) {
                auto spec = kept.take(id);
                if (!spec)
                    problem("the text of an older generation was not saved; that of the newest is taken");
                unit_.older_specs_.push_back({id, spec ? std::move(spec) : unit_.wanted_});
            }
    }

    [[nodiscard]] std::vector<SpecId> specs_in_use() const {
        std::vector<SpecId> ids;
        if (saved_.state)
            for (auto const& generation : saved_.state->generations)
                ids.push_back(generation.policy.spec);
        else
            for (auto const& worker : saved_.workers)
                ids.push_back(worker.spec);
        return ids;
    }

    /// The latest that was saved of the sockets.
    std::optional<HeldFd> take_text_of_sockets() {
        std::uint32_t latest = 0;
        for (auto const& [name, held] : found_)
            if (auto const numbers = numbers_in(name); name.starts_with("sockets ") && numbers.size() == 1)
                latest = std::max(latest, numbers.front());
        memory_.note_text(latest);
        return take(found_, kept_name("sockets", name_, {latest}));
    }

    void take_sockets() {
        for (auto const& [name, kept] : found_) // also of those that no text tells of
            if (auto const numbers = numbers_in(name); name.starts_with("listener ") && numbers.size() == 1)
                memory_.note_number(numbers.front());
        auto const held = take_text_of_sockets();
        auto const lines = held ? text_of(held->fd) : std::nullopt;
        Steering const steering{saved_.state ? saved_.state->shares : Shares{}, unit_.wanted_->steering,
                                saved_.state ? named_shards(*saved_.state) : std::vector<Shard>{}};
        auto adopted = lines ? adopt_sockets(*lines, name_, found_, steering) : AdoptedSockets{};
        auto others = adopt_by_address(unit_.wanted_, found_);
        if (!others.listeners.empty() && lines)
            problem("sockets were found that nothing was saved of");
        std::ranges::move(others.listeners, std::back_inserter(adopted.listeners));
        std::ranges::move(adopted.problems, std::back_inserter(problems_));
        sockets_ = adopted.listeners.size() + adopted.leaving.size();
        for (auto const& group : adopted.groups)
            sockets_ += group.members().size();
        take_inherited(*unit_.wanted_, adopted.listeners);
        for (auto const& older : unit_.older_specs_)
            take_inherited(*older.spec, adopted.listeners);
        unit_.sockets_.adopt(unit_.wanted_, std::move(adopted.listeners), std::move(adopted.groups),
                             std::move(adopted.leaving), unit_.later(&UnitRunner::send_postponed_drains));
    }

    /// They were not saved: they have been passed to us too, unless they are gone.
    void take_inherited(UnitSpec const& spec, std::vector<Listener>& listeners) {
        each_address(spec, [&](SocketSpec const& socket, ListenAddress const& address) {
            if (!address.is_inherited() ||
                identities_of(listeners).contains(ListenerIdentity{socket.name, address}))
                return;
            if (auto listener = take_up(unit_.shared_.passed, socket, address))
                listeners.push_back(std::move(listener).value());
        });
    }

    UnitSpecPtr spec_for(SpecId id) const {
        for (auto const& known : unit_.older_specs_)
            if (known.id == id)
                return known.spec;
        return unit_.wanted_;
    }

    void take_workers() {
        std::vector<std::string> names;
        for (auto const& [name, held] : found_)
            if (name.starts_with(worker_prefix))
                names.push_back(name);
        for (auto const& name : names) {
            auto const numbers = numbers_in(name);
            auto held = take(found_, name);
            if (numbers.size() < 3)
                continue;
            take_worker(numbers, *std::move(held));
        }
        std::ranges::sort(unit_.workers_, {}, [](auto const& worker) { return worker->process.id(); });
    }

    UniqueFd take_fd(char const* kind, std::uint32_t worker) {
        auto held = take(found_, kept_name(kind, name_, {worker}));
        return held ? std::move(held->fd) : UniqueFd{};
    }

    AdoptedProcess take_reload_command(std::uint32_t worker) {
        AdoptedProcess command;
        auto const take_one = [&](char const* kind, UniqueFd& fd) {
            auto const prefix = kept_name(kind, name_, {worker}) + ' ';
            auto const found = found_.lower_bound(prefix);
            std::uint32_t pid = 0;
            if (found == found_.end() || !found->first.starts_with(prefix) ||
                !text::Values::read(std::string_view{found->first}.substr(prefix.size()), pid))
                return;
            // Its name says which process it is of, since that may have been reaped.
            command.leader = command.main = static_cast<pid_t>(pid);
            fd = std::move(found->second.fd);
            found_.erase(found);
        };
        take_one("reload", command.pidfd);
        take_one("reload-launch", command.status);
        return command;
    }

    void take_worker(std::vector<std::uint32_t> const& numbers, HeldFd held) {
        auto const saved = saved_.worker_of(numbers, pid_of(held.fd), unit_.wanted_id_);
        auto const id = numbers[0];
        AdoptedProcess process{.leader = saved.leader, .main = saved.main};
        process.pidfd = std::move(held.fd);
        process.leader_pidfd = take_fd("leader", id);
        process.status = take_fd("launch", id);
        auto handoff = take_fd("handoff", id);
        auto health = take_fd("health", id);
        if (saved.main <= 0) // it ended before anything was known of it, and that is all there is to know
            return;
        bool const is_launching = process.status.is_open();
        if (!has_ended(process.pidfd))
            memory_.keeping_.forget_exit(saved.main);
        auto spec = spec_for(saved.spec);
        Spawn const order{saved.worker, saved.generation, saved.slot, saved.spec};
        auto& known = saved.dumps_since ? unit_.dumping_ : unit_.workers_;
        known.push_back(std::make_unique<RunningWorker>(unit_.shared_.loop,
                                                        static_cast<WorkerObserver&>(unit_), order,
                                                        saved.shard, spec, std::move(process)));
        auto& worker = *known.back();
        worker.status = saved.status;
        worker.reload_signals = saved.reload_signals;
        unit_.shared_.leaders.add(worker.process.leader(), unit_);
        if (worker.process.pid() != worker.process.leader())
            unit_.shared_.other_mains.insert(worker.process.pid());
        if (saved.dumps_since) {
            worker.dumps_since = *saved.dumps_since;
            return;
        }
        unit_.look_for_dump(worker);
        auto command = take_reload_command(id);
        bool const reloads = saved.reload_asked_at || command.pidfd.is_open();
        bool const is_told = saved_.find(saved.worker) != nullptr
                                 ? held.signals > saved.reload_signals
                                 : held.signals > 0 && held.last_signal != spec->service.signal_to_reload();
        workers_found_.push_back({saved.worker, is_told, reloads});
        if (reloads) {
            unit_.take_back_reload(worker, saved, std::move(command));
            reloads_.push_back({saved.worker, held.signals >= saved.reload_signals});
        }
        if (spec->health && health.is_open()) {
            unit_.add_prober(worker, take_private_listener(std::move(health)));
            if (!is_launching)
                worker.prober->start(worker.process.pid());
        }
        if (saved.watchdog) {
            worker.watchdog.change_period(*saved.watchdog, MonotonicTime::now());
            worker.watchdog.start(MonotonicTime::now());
        } else if (!saved_.state && !is_launching) {
            worker.watchdog.start(MonotonicTime::now()); // it counts as ready
        } else if (saved_.find(saved.worker) == nullptr) {
            unit_.start_watchdog(worker, ServiceType::Simple); // the others begin with a sign that is to come
        }
        if (handoff.is_open())
            worker.handoff = unit_.open_handoff(std::move(handoff), worker);
    }

    std::shared_ptr<PinnedProgram const> take_program(char const* kind, GenerationId generation,
                                                      std::string const& path) {
        auto held = take(found_, kept_name(kind, name_, {static_cast<std::uint64_t>(generation)}));
        return held ? std::make_shared<PinnedProgram const>(std::move(held->fd), path) : nullptr;
    }

    void take_pins() {
        for (auto const& pin : saved_.pins)
            if (auto program = take_program("pin", pin.generation, pin.path))
                unit_.pins_.push_back({pin.generation, std::move(program)});
    }

    /// One text is one spec: what is the same is known by its address.
    UnitSpecPtr spec_of_text(std::string const& text) const {
        if (to_text(*unit_.wanted_) == text)
            return unit_.wanted_;
        for (auto const& known : unit_.older_specs_)
            if (to_text(*known.spec) == text)
                return known.spec;
        return read_spec(name_, text);
    }

    void take_formers() {
        for (auto const& saved : saved_.formers) {
            auto const number = static_cast<std::uint64_t>(saved.generation);
            auto const held = take(found_, kept_name("former", name_, {number}));
            auto const text = held ? text_of(held->fd) : std::nullopt;
            auto spec = text ? spec_of_text(*text) : nullptr;
            if (!spec)
                continue;
            Release release{std::move(spec), take_program("former-program", saved.generation, saved.path),
                            saved.generation};
            if (auto* const record = unit_.underway().rollouts.find(saved.generation))
                record->previous = release;
            if (saved.is_current)
                unit_.former_ = std::make_unique<Release>(std::move(release));
        }
        for (auto const& saved : saved_.ways_back) {
            auto program = take_program("way-back", saved.generation, saved.path);
            if (auto* const record = unit_.underway().rollouts.find(saved.generation))
                record->program = std::move(program);
            else if (saved.generation == no_generation) // whoever waited for it is gone
                unit_.underway().waiting.push_back(
                    {WishKind::Restart, [](WishResult const&) {}, std::move(program)});
        }
    }

    [[nodiscard]] UnitState rebuild() const {
        std::vector<LeftWorker> left;
        for (auto const* const of : {&unit_.workers_, &unit_.dumping_})
            for (auto const& worker : *of) {
                WorkerId const id{worker->process.id()};
                auto const found = std::ranges::find(workers_found_, id, &FoundWorker::id);
                auto const* const saved = saved_.find(id);
                left.push_back({.id = id,
                                .generation = worker->generation,
                                .spec = saved != nullptr ? saved->spec : unit_.wanted_id_,
                                .slot = worker->slot,
                                .bank = worker->shard.bank,
                                .is_dead = of == &unit_.dumping_,
                                .has_ended = has_ended(worker->process.pidfd()),
                                .is_told = found != workers_found_.end() && found->is_told});
            }
        auto const* const shards = unit_.sockets_.shards();
        auto state = rebuilt(std::move(left),
                             shards != nullptr ? LeftShards{shards->shares(), shards->slots()} : LeftShards{},
                             unit_.policy(), MonotonicTime::now());
        if (unit_.wanted_->service.accept && unit_.instances_ && unit_.instances_->is_any_untold()) {
            state.goal = Goal::Up;
            state.listening = true;
        }
        return state;
    }

    void take_the_rest() {
        auto const& saved = saved_.unit;
        unit_.is_leaving_ = saved.is_leaving;
        unit_.starts_when_held_ = saved.starts_when_held;
        unit_.strategy_of_next_ = saved.strategy_of_next;
        unit_.trouble_ = saved.trouble;
        if (is_known_)
            unit_.since_ = saved.since;
        unit_.trace_.take_over(saved_.trace, saved.forgotten);
        for (auto const& worker : unit_.workers_)
            if (worker->prober)
                for (auto const& known : unit_.state_.workers)
                    if (known.id == WorkerId{worker->process.id()} && known.shown)
                        worker->prober->worker_is_up();
        if (auto const held = take(found_, kept_name("history", name_)))
            if (auto const text = text_of(held->fd))
                for (auto& report : read_reports(*text)) {
                    if (!unit_.history_)
                        unit_.history_ = std::make_unique<RolloutHistory>();
                    unit_.history_->add(std::move(report));
                }
        for (auto const& reload : saved_.reloads) {
            unit_.last_reload_ = std::make_unique<LastReload>(LastReload{reload.wished});
            if (reload.has_ended)
                unit_.last_reload_->result = WishResult{reload.ok, reload.message, {}};
        }
        memory_.saved_reports_ = unit_.history_ ? unit_.history_->added() : 0;
        for (auto const& rollout : saved_.rollouts) {
            auto& rollouts = unit_.underway().rollouts;
            rollouts.begin(rollout.generation, name_, rollout.strategy, rollout.previous, unit_.sockets_, {});
            auto& record = *rollouts.find(rollout.generation);
            restore(record, rollout);
        }
        take_formers();
        if (!saved_.rollouts.empty())
            unit_.watch_queues();
    }

    void tell() {
        if (!is_known_ && sockets_ == 0 && unit_.workers_.empty())
            return;
        auto const count = [](std::size_t n, char const* one) {
            return std::to_string(n) + " " + one + (n == 1 ? "" : "s");
        };
        unit_.shared_.events.say(Weight::Normal, "adopted", name_,
                                 "goes on with " +
                                     (unit_.instances_ ? count(unit_.instances_->running().size(), "instance")
                                                       : count(unit_.workers_.size(), "worker")) +
                                     " and " + count(sockets_, "socket"));
        for (auto const& text : problems_)
            unit_.shared_.events.say(Weight::Warning, "adopted-in-part", name_, text);
    }

    template <class T>
    bool is_queued(WorkerId worker) const {
        return std::ranges::find(saved_.queued, Fact{T{worker}}) != saved_.queued.end();
    }

    void go_on() {
        for (auto& worker : workers_found_)
            worker.is_reloading |= is_queued<Reloaded>(worker.id) || is_queued<ReloadRefused>(worker.id);
        auto resumed = resume(unit_.state_, workers_found_);
        memory_.note_sockets();
        // It is tried again, and what came of the try before is no news of this one.
        for (auto const& order : resumed.orders)
            if (auto const* const again = std::get_if<Spawn>(&order))
                std::erase(saved_.queued, Fact{SpawnFailed{again->worker}});
        for (auto const& fact : saved_.queued)
            unit_.happen(fact);
        Orders all{saved_.untold.begin(), saved_.untold.end()};
        all.insert(all.end(), resumed.orders.begin(), resumed.orders.end());
        memory_.save_before(all);
        // Who was to lose its share has lost it before anybody is told that he may go.
        auto const is_steering = [](Order const& order) {
            return std::holds_alternative<HoldShards>(order) || std::holds_alternative<Steer>(order);
        };
        auto const rest = std::stable_partition(resumed.orders.begin(), resumed.orders.end(), is_steering);
        for (auto order = resumed.orders.begin(); order != rest; ++order)
            unit_.enact(*order);
        for (auto const& report : saved_.untold)
            unit_.enact(report);
        if (!unit_.is_running()) // the file may be another since they were bound
            unit_.sockets_.retire_unlisted(*unit_.wanted_, false, Duration{0}, {});
        else if (!unit_.state_.rollout)
            unit_.retire_unlisted(true);
        for (auto order = rest; order != resumed.orders.end(); ++order)
            unit_.enact(*order);
        for (auto const& fact : resumed.facts)
            unit_.happen(fact);
        close_stray_instances();
        restore_listeners();
        for (auto const& [worker, is_told] : reloads_)
            unit_.go_on_reloading(worker, is_told);
        unit_.arm_timer();
        memory_.save();
    }

    /// Of a unit that is down, or has no `accept` any more; of a paused one they have their time anew.
    void close_stray_instances() {
        bool const are_wanted = unit_.state_.goal == Goal::Up && unit_.wanted_->service.accept;
        if (!unit_.has_instances())
            return;
        if (!are_wanted)
            unit_.instances_->close();
        else if (unit_.state_.pause)
            unit_.instances_->suspend();
    }

    /// The supervisor before us may have accepted from them, and died before it left that to others. What
    /// runs may have changed them itself.
    void restore_listeners() {
        if (!unit_.instances_ && !unit_.is_running())
            unit_.sockets_.restore_blocking();
    }

    UnitRunner& unit_;
    UnitMemory& memory_;
    FoundThings found_;
    std::string name_;
    SavedText saved_;
    std::vector<FoundWorker> workers_found_;
    std::vector<std::pair<WorkerId, bool>> reloads_; ///< under way, and whether the signal was sent
    std::vector<std::string> problems_;
    std::size_t sockets_ = 0;
    bool is_known_ = false;
};

bool UnitMemory::adopt(FoundThings found) {
    return Adoption{unit_, *this, std::move(found)}.run();
}

} // namespace holdfast
