// SPDX-License-Identifier: Apache-2.0
// What of the instances outlives this supervisor: each process under a name that says whose connection it
// serves, and now and then a line with the counters.
#include "base/pidfd.h"
#include "base/proc_file.h"
#include "base/text.h"
#include "supervisor/instances.h"
#include "supervisor/saved_unit.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>

#include <unistd.h>

namespace holdfast {

using namespace lifecycle;

namespace {

/// So often the counters are saved. A number that was given in the last moment before a death may be given
/// again.
constexpr Duration pause_of_saving = std::chrono::seconds{1};

struct Kept {
    InstanceId id{};
    RemotePeer peer;
};

/// "worker web 7 c0a0000011403": a worker of a pool has numbers alone.
std::optional<Kept> kept_in(std::string_view name) {
    auto const words = split(name, ' ');
    std::uint32_t number = 0;
    if (words.size() != 4 || words[0] != "worker" || !text::Values::read(words[2], number))
        return std::nullopt;
    auto const peer = peer_of_word(words[3]);
    if (!peer)
        return std::nullopt;
    return Kept{InstanceId{number}, *peer};
}

/// Field 22 of /proc/PID/stat, proc(5): in ticks since boot, times of suspension among them.
MonotonicTime started_at(pid_t pid) {
    auto const now = MonotonicTime::now();
    auto const text = read_proc_file(("/proc/" + std::to_string(pid) + "/stat").c_str());
    char const* const rest = text ? std::strrchr(text->c_str(), ')') : nullptr; // a name may hold anything
    unsigned long long ticks = 0;
    timespec boot{};
    if (rest == nullptr || ::clock_gettime(CLOCK_BOOTTIME, &boot) < 0 ||
        std::sscanf(rest,
                    ") %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
                    &ticks) != 1)
        return now;
    auto const per_second = static_cast<unsigned long long>(::sysconf(_SC_CLK_TCK));
    Duration const since_boot = std::chrono::seconds{boot.tv_sec} +
                                std::chrono::duration_cast<Duration>(std::chrono::nanoseconds{boot.tv_nsec});
    auto const age = since_boot - std::chrono::duration_cast<Duration>(
                                      std::chrono::microseconds{ticks * 1000000 / per_second});
    return MonotonicTime{now.since_boot() - std::max(age, Duration{0})};
}

} // namespace

FoundInstances Instances::take_from(FoundThings& found, std::string_view unit) {
    FoundInstances instances;
    for (auto thing = found.begin(); thing != found.end();)
        if (kept_in(thing->first)) {
            auto const next = std::next(thing);
            instances.processes.insert(found.extract(thing));
            thing = next;
        } else
            ++thing;
    instances.text = take(found, kept_name("instances", unit));
    return instances;
}

void Instances::adopt(FoundInstances found) {
    SavedInstances saved;
    if (auto const text = found.text ? text_of(found.text->fd) : std::nullopt)
        if (SavedInstances read; read_line(std::string_view{*text}.substr(0, text->find('\n')), read)) {
            saved = read;
            state_.last = saved.last;
            state_.counts = {saved.accepted, saved.failed, saved.refused_full, saved.refused_source};
        }
    for (auto& [name, held] : found.processes) {
        auto const kept = *kept_in(name);
        state_.last = std::max(state_.last, kept.id);
        auto const pid = pid_of(held.fd);
        if (pid <= 0) { // reaped, and that is all there is to know
            drop_soon(name);
            continue;
        }
        if (!has_ended(held.fd))
            shared_.keeping->forget_exit(pid);
        Instance instance{kept.id, source_of(kept.peer)};
        if (held.signals > 0) { // as if it had been told now
            instance.phase = InstancePhase::Draining;
            instance.deadline = saved.deadline.value_or(MonotonicTime::never());
            if (rules_.patience != forever)
                instance.deadline = std::min(instance.deadline, MonotonicTime::now() + rules_.patience);
        }
        state_.deadline = std::min(state_.deadline, instance.deadline);
        state_.live.push_back(instance);
        auto const since = started_at(pid);
        since_ = since_ == MonotonicTime{} ? since : std::min(since_, since);
        running_.try_emplace(kept.id, kept.peer, since, name, shared_.loop,
                             static_cast<WorkerObserver&>(*this), static_cast<std::uint32_t>(kept.id),
                             AdoptedProcess{.leader = pid, .main = pid, .pidfd = std::move(held.fd)});
        ++shared_.instances;
        shared_.leaders.add(pid, unit_);
    }
    std::ranges::sort(state_.live, {}, &Instance::id);
    if (state_.deadline != MonotonicTime::never())
        enact(AwaitPatience{state_.deadline});
}

bool Instances::is_any_untold() const {
    return std::ranges::any_of(
        state_.live, [](Instance const& instance) { return instance.phase == InstancePhase::Running; });
}

void Instances::keep(Running const& running, UniqueFd gate) {
    if (!shared_.keeping)
        return;
    auto const shared_gate = std::make_shared<UniqueFd>(std::move(gate));
    shared_.keeping->put({{running.kept, running.process.pidfd()}},
                         [shared_gate] { open_gate(std::move(*shared_gate)); });
}

/// Those that end in one turn are told of in one message.
void Instances::drop_soon(std::string name) {
    to_drop_->push_back(std::move(name));
    if (to_drop_->size() == 1)
        shared_.loop.post([shared = &shared_, names = to_drop_] {
            if (shared->keeping)
                shared->keeping->drop_for_good(std::exchange(*names, {}));
        });
}

void Instances::save_soon() {
    if (shared_.keeping && !saving_ && !is_frozen_)
        saving_ = shared_.loop.at(MonotonicTime::now() + pause_of_saving, [this] {
            shared_.loop.set_owner(number_);
            saving_.reset();
            save();
        });
}

void Instances::save() {
    SavedInstances saved{.last = state_.last,
                         .accepted = state_.counts.accepted,
                         .failed = state_.counts.failed,
                         .refused_full = state_.counts.refused_full,
                         .refused_source = state_.counts.refused_source};
    if (state_.deadline != MonotonicTime::never())
        saved.deadline = state_.deadline;
    (void)shared_.keeping->put_text(kept_name("instances", plan_.spec()->name), to_line(saved));
}

void Instances::save_now() {
    if (!saving_)
        return;
    saving_.reset();
    save();
}

void Instances::put_again() {
    for (auto const& [id, running] : running_)
        keep(running, {});
    save();
}

void Instances::drop_all() {
    if (!shared_.keeping)
        return;
    saving_.reset();
    auto names = std::exchange(*to_drop_, {});
    for (auto const& [id, running] : running_)
        names.push_back(running.kept);
    shared_.keeping->drop_for_good(names);
    shared_.keeping->drop({kept_name("instances", plan_.spec()->name)});
}

} // namespace holdfast
