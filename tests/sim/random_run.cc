// SPDX-License-Identifier: Apache-2.0
#include "sim/random_run.h"

#include "sim/replay.h"

#include <algorithm>
#include <random>

namespace holdfast::sim {

using namespace std::chrono_literals;

namespace {

enum class Temper : std::uint8_t {
    Good,
    CrashesBeforeReady,
    CrashesWhenReady,
    NeverReady,
    ReadyTwice,
    IgnoresTerm,
    ExecFails,
    CannotFork,
    DiesDuringDrain,
    LeavesCleanly,
    SaysStopping,
    AsksForTime,
    HangsBeforeExec,
    Unkillable,
    Unhealthy,
    MissesWatchdog,
    CannotReload,
    DiesOfReload,
    NeverReloads,
};
constexpr unsigned tempers = 19;

class Life {
public:
    Life(std::uint64_t seed, Step step, std::string_view only)
        : random_{seed}, world_{.wanted = some_policy(), .step = step, .only = only} {
        // By the seed alone, so that the first lives are what they were before there were modes.
        world_.wanted.steering =
            std::array{SteeringMode::Hash, SteeringMode::LeastLoaded, SteeringMode::PayloadByte,
                       SteeringMode::LeastLoaded}[seed / 64 % 4];
        run_.policy = world_.wanted;
        for (auto& share : shares_)
            share = upto(4) == 0 ? 4 : upto(2);
        shares_[0] = 1 + upto(12); // mostly good ones, or hardly any
        operator_rate_ = std::array{40U, 10U, 3U}[upto(3)];
    }

    void let_die(Resume resume) {
        world_.dies = true;
        world_.resume = resume;
    }

    Run live(std::size_t length) {
        while (run_.trace.size() < length && run_.complaints.empty())
            deliver(next_line());
        if (run_.complaints.empty())
            run_.complaints = outlast_stubborn_workers(world_);
        if (run_.complaints.empty())
            run_.complaints = come_to_rest(world_);
        return run_;
    }

private:
    unsigned upto(unsigned limit) { return static_cast<unsigned>(random_() % limit); }
    bool one_in(unsigned n) { return upto(n) == 0; }
    template <class T>
    T one_of(std::initializer_list<T> choices) {
        return choices.begin()[upto(static_cast<unsigned>(choices.size()))];
    }

    Policy some_policy() {
        return {.spec = SpecId{1},
                .workers = static_cast<std::uint16_t>(1 + upto(4)),
                .type = one_of(
                    {ServiceType::Notify, ServiceType::Notify, ServiceType::Exec, ServiceType::Simple}),
                .activation = one_of({Activation::Eager, Activation::Eager, Activation::Lazy}),
                .restart = one_of({RestartWhen::OnFailure, RestartWhen::OnFailure, RestartWhen::Always,
                                   RestartWhen::No, RestartWhen::OnSuccess, RestartWhen::OnAbnormal,
                                   RestartWhen::OnWatchdog, RestartWhen::OnAbort}),
                .strategy = one_of({Strategy::Overlap, Strategy::Rolling, Strategy::Rolling, Strategy::Canary,
                                    Strategy::Canary, Strategy::Replace, Strategy::InPlace}),
                .is_probed = one_in(2),
                .timeout_start = one_of<Duration>({1s, 90s}),
                .settle_time = one_of<Duration>({0s, 250ms}),
                .timeout_stop = one_of<Duration>({2s, 30s}),
                .drain_timeout = one_of<Duration>({1s, 30s, 300s}),
                .restart_delay = one_of<Duration>({100ms, 1s}),
                .restart_max_delay = one_of<Duration>({100ms, 5s, 30s}),
                .restart_steps = static_cast<std::uint16_t>(upto(9)),
                .start_limit_burst = static_cast<std::uint16_t>(one_of({0, 1, 5, 20})),
                .start_limit_interval = one_of<Duration>({10s, 60s}),
                .probation = one_of<Duration>({0s, 0s, 2s, 20s}),
                .max_surge = static_cast<std::uint16_t>(upto(3)),
                .max_unavailable = static_cast<std::uint16_t>(one_of({0, 0, 1, 2})),
                .steps = one_of<CanarySteps>({{5, 25, 50}, {10}, {30, 60, 90}, {50}}),
                .hold = one_of<Duration>({0s, 1s, 20s}),
                .is_sharded = one_in(2),
                .trigger_limit_burst = static_cast<std::uint16_t>(one_of({0, 1, 1, 2})),
                .trigger_limit_interval = one_of<Duration>({10s, 60s}),
                .idle_stop = one_of<Duration>({0s, 1s, 20s}),
                .max_generations = static_cast<std::uint8_t>(1 + upto(4))};
    }

    /// A new text of the unit. The limits stay, so that the invariants know which ones hold.
    Policy next_policy() {
        auto policy = world_.wanted;
        policy.spec = SpecId{static_cast<std::uint32_t>(policy.spec) + 1};
        auto const other = some_policy();
        policy.workers = other.workers;
        policy.type = other.type;
        if (one_in(4))
            policy.activation = other.activation;
        if (one_in(4))
            policy.strategy = other.strategy;
        policy.restart = other.restart;
        policy.probation = other.probation;
        policy.is_probed = other.is_probed;
        return policy;
    }

    void deliver(TraceLine const& line) {
        run_.trace.push_back(line);
        run_.complaints = world_.deliver(line);
        if (world_.dies && run_.complaints.empty() && one_in(10))
            run_.complaints = world_.die();
    }

    Temper temper_of(WorkerId id) const {
        unsigned sum = 0;
        for (auto const share : shares_)
            sum += share;
        auto const number = static_cast<std::uint64_t>(id);
        auto place = static_cast<unsigned>((number * 0x9e3779b97f4a7c15ULL >> 33) % sum);
        unsigned temper = 0;
        for (; place >= shares_[temper]; ++temper)
            place -= shares_[temper];
        return Temper{static_cast<std::uint8_t>(temper)};
    }

    TraceLine next_line() {
        if (one_in(operator_rate_))
            return {soon(), wish()};
        if (one_in(60))
            return {soon(), next_policy()};
        if (one_in(50))
            return {soon(), late_fact()};
        std::vector<Fact> may;
        for (auto const& process : world_.kernel.processes)
            if (auto const fact = next_of(process))
                may.push_back(*fact);
        if (world_.kernel.watching && one_in(3))
            may.emplace_back(TrafficArrived{});
        if (world_.kernel.watching_idle && one_in(3))
            may.emplace_back(IdleBegan{});
        if (world_.state.idle_since != MonotonicTime::never() && one_in(3))
            may.emplace_back(IdleEnded{});
        if (world_.kernel.watching_queues && one_in(20))
            may.emplace_back(QueueNearlyFull{});
        for (auto const shard : world_.kernel.watched) // few come to rest where nobody is
            if (one_in(is_attended(shard) ? 2 : 20))
                may.emplace_back(ShardAtRest{shard});
        for (auto const shard : world_.kernel.judged)
            if (one_in(6))
                may.emplace_back(ShardStuck{shard});
        for (auto const shard : world_.kernel.stuck)
            if (one_in(4))
                may.emplace_back(ShardMoving{shard});
        if (world_.wanted.is_sharded && world_.state.last_generation == no_generation && one_in(2))
            may.emplace_back(ShardsHeld{static_cast<std::uint16_t>(1 + upto(4))});
        auto const* const timer = world_.kernel.earliest_timer();
        if (!may.empty() && (timer == nullptr || !one_in(6)))
            return {soon(), may[upto(static_cast<unsigned>(may.size()))]};
        if (timer != nullptr) // on time, or a little late
            return {std::max(world_.now, timer->at) + Duration{one_in(3) ? upto(2000000) : 0},
                    Fact{TimerExpired{timer->key}}};
        return {world_.now + Duration{upto(40000000)}, wish()};
    }

    bool is_attended(Shard shard) const {
        return std::ranges::any_of(world_.kernel.processes, [&](Process const& process) {
            return process.stage == Stage::Executed && process.attends(shard);
        });
    }

    /// A moment from now that no timer comes before; now and then one has to wait.
    MonotonicTime soon() {
        auto const then = world_.now + Duration{one_in(5) ? upto(20000000) : upto(20000)};
        auto const* const timer = world_.kernel.earliest_timer();
        return timer != nullptr && !one_in(20) ? std::max(world_.now, std::min(then, timer->at)) : then;
    }

    Fact wish() {
        switch (upto(21)) {
        case 18:
            return PauseWished{one_of<Duration>({1s, 20s, 300s})};
        case 19:
        case 20:
            return ResumeWished{};
        case 16:
            return ReloadWished{};
        case 17:
            return RestartWished{Strategy::InPlace};
        case 0:
            return StopWished{};
        case 1:
        case 2:
            return StartWished{};
        case 3:
            return RestartWished{Strategy::Replace};
        case 4:
            return RestartWished{Strategy::Overlap};
        case 5:
        case 6:
            return RestartWished{Strategy::Rolling};
        case 7:
            return PolicyChanged{};
        case 12:
            return RestartWished{Strategy::Canary};
        case 8:
            return UndoWished{};
        case 9:
            return PauseRolloutWished{};
        case 10:
        case 11:
            return ResumeRolloutWished{};
        default:
            return RestartWished{};
        }
    }

    /// About one who may be dead, or a timer that is not armed: the news was on its way.
    Fact late_fact() {
        auto const id = WorkerId{1 + upto(1 + static_cast<std::uint32_t>(world_.state.last_worker))};
        switch (upto(12)) {
        case 9:
            return Reloaded{id};
        case 10:
            return ReloadRefused{id};
        case 11:
            return TimerExpired{{TimerKind::ReloadDeadline, static_cast<std::uint32_t>(id)}};
        case 6:
            return ProbePassed{id};
        case 7:
            return ProbeFailed{id};
        case 8:
            return WatchdogMissed{id};
        case 0:
            return Exited{id, ExitKind::Clean};
        case 1:
            return ReadySaid{id};
        case 2:
            return SpawnFailed{id};
        case 3:
            return TimerExpired{{TimerKind::StopDeadline, static_cast<std::uint32_t>(id)}};
        case 4:
            return TimerExpired{{TimerKind::StartDeadline, static_cast<std::uint32_t>(id)}};
        default:
            return TimerExpired{{TimerKind::StartLimit, 0}};
        }
    }

    ExitKind bad_end() {
        return one_of({ExitKind::UncleanCode, ExitKind::UncleanSignal, ExitKind::CoreDump});
    }

    std::optional<Fact> next_of(Process const& process) {
        auto const id = process.id;
        auto const temper = temper_of(id);
        if (process.killed && temper == Temper::Unkillable && !one_in(10))
            return std::nullopt;
        switch (process.stage) {
        case Stage::Ordered:
            if (temper == Temper::CannotFork)
                return SpawnFailed{id};
            return Forked{id};
        case Stage::Forked:
            if (temper == Temper::ExecFails)
                return SpawnFailed{id};
            if (process.killed)
                return Exited{id, ExitKind::UncleanSignal};
            if (temper == Temper::HangsBeforeExec)
                return process.told && one_in(2) ? std::optional<Fact>{Exited{id, ExitKind::Clean}}
                                                 : std::nullopt;
            return Executed{id};
        case Stage::Executed:
            break;
        }
        if (process.killed)
            return Exited{id, ExitKind::UncleanSignal};
        if ((process.lent || process.excused) && !process.told)
            return one_in(temper == Temper::Good ? 50 : 6) ? std::optional<Fact>{Exited{id, bad_end()}}
                                                           : std::nullopt;
        if (process.is_leaving())
            return next_of_leaving(process, temper);
        return process.ready ? next_of_ready(process, temper) : next_of_starting(process, temper);
    }

    std::optional<Fact> next_of_starting(Process const& process, Temper temper) {
        if (temper == Temper::CrashesBeforeReady)
            return Exited{process.id, one_in(2) ? ExitKind::Clean : bad_end()};
        if (temper == Temper::AsksForTime && one_in(2))
            return TimeExtended{process.id, 5s};
        if (temper == Temper::NeverReady || one_in(4))
            return std::nullopt;
        if (process.signed_on)
            return temper == Temper::Unhealthy ? Fact{ProbeFailed{process.id}}
                                               : Fact{ProbePassed{process.id}};
        return ReadySaid{process.id};
    }

    std::optional<Fact> next_of_ready(Process const& process, Temper temper) {
        if (process.reloads && one_in(2)) {
            if (temper == Temper::NeverReloads)
                return std::nullopt;
            if (temper == Temper::DiesOfReload)
                return Exited{process.id, bad_end()};
            return temper == Temper::CannotReload || one_in(8) ? Fact{ReloadRefused{process.id}}
                                                               : Fact{Reloaded{process.id}};
        }
        switch (temper) {
        case Temper::CrashesWhenReady:
            return one_in(3) ? std::optional<Fact>{Exited{process.id, bad_end()}} : std::nullopt;
        case Temper::LeavesCleanly:
            return one_in(3) ? std::optional<Fact>{Exited{process.id, ExitKind::Clean}} : std::nullopt;
        case Temper::SaysStopping:
            return one_in(3) ? std::optional<Fact>{StoppingSaid{process.id}} : std::nullopt;
        case Temper::Unhealthy:
            return one_in(3) ? std::optional<Fact>{ProbeFailed{process.id}} : std::nullopt;
        case Temper::MissesWatchdog:
            return one_in(3) ? std::optional<Fact>{WatchdogMissed{process.id}} : std::nullopt;
        case Temper::ReadyTwice:
            return one_in(3) ? std::optional<Fact>{ReadySaid{process.id}} : std::nullopt;
        case Temper::Good:
        case Temper::CrashesBeforeReady:
        case Temper::NeverReady:
        case Temper::IgnoresTerm:
        case Temper::ExecFails:
        case Temper::CannotFork:
        case Temper::DiesDuringDrain:
        case Temper::AsksForTime:
        case Temper::HangsBeforeExec:
        case Temper::Unkillable:
        case Temper::CannotReload:
        case Temper::DiesOfReload:
        case Temper::NeverReloads:
            if (process.probed && one_in(20))
                return one_in(3) ? Fact{ProbeFailed{process.id}} : Fact{ProbePassed{process.id}};
            return one_in(50) ? std::optional<Fact>{Exited{process.id, bad_end()}} : std::nullopt;
        }
        return std::nullopt;
    }

    std::optional<Fact> next_of_leaving(Process const& process, Temper temper) {
        if (temper == Temper::IgnoresTerm || temper == Temper::Unkillable || one_in(4))
            return std::nullopt;
        if (temper == Temper::AsksForTime && one_in(2))
            return TimeExtended{process.id, 7s};
        if (temper == Temper::ReadyTwice && one_in(3))
            return ReadySaid{process.id};
        return Exited{process.id, temper == Temper::DiesDuringDrain ? bad_end() : ExitKind::Clean};
    }

    std::mt19937_64 random_;
    World world_;
    Run run_{};
    std::array<unsigned, tempers> shares_{};
    unsigned operator_rate_ = 10;
};

} // namespace

Complaints complaints_of(Policy const& policy, std::vector<TraceLine> const& trace, Step step,
                         std::string_view only) {
    World world{.wanted = policy, .step = step, .only = only};
    if (auto complaints = replay(world, trace); !complaints.empty())
        return complaints;
    if (auto complaints = outlast_stubborn_workers(world); !complaints.empty())
        return complaints;
    return come_to_rest(world);
}

Run random_run(std::uint64_t seed, std::size_t length, Step step, std::string_view only) {
    return Life{seed, step, only}.live(length);
}

Run random_run_with_deaths(std::uint64_t seed, std::size_t length, Resume resume) {
    Life life{seed, lifecycle::step, {}};
    life.let_die(resume);
    return life.live(length);
}

} // namespace holdfast::sim
