// SPDX-License-Identifier: Apache-2.0
// A unit whose file has changed or is gone. What runs is never worse off: new sockets are bound first, the
// old generation keeps all it was started with until the new one has taken over, and then serves who still
// waits in what is no longer listed.
#include "supervisor/instances.h"
#include "supervisor/on_demand.h"
#include "supervisor/policy.h"
#include "supervisor/unit_runner.h"
#include "supervisor/unit_words.h"

#include <algorithm>

namespace holdfast {

using namespace lifecycle;

namespace {

constexpr char const* paused_change = "changed; it is paused, and serves by it when it is resumed";

} // namespace

std::string refusal_text(Error const& why) {
    return to_string(why) + "; nothing is changed, what runs goes on";
}

Result<std::vector<Listener>> UnitRunner::prepare(UnitSpec const& spec, Arrivals const& arrivals) {
    shared_.loop.set_owner(number_);
    if (is_broken_ || is_leaving_)
        return plain_error(is_broken_ ? trouble_ : "it is being removed; apply again when it is gone");
    auto const is_coming = [](Fact const& fact) { return std::holds_alternative<TrafficArrived>(fact); };
    bool const is_at_rest =
        !has_instances() && state_.generations.empty() && state_.refills.empty() && !state_.next &&
        (!underway_ || std::none_of(underway_->facts.begin(), underway_->facts.end(), is_coming));
    if (spec.service.accept != wanted_->service.accept && !is_at_rest)
        return plain_error("`accept` cannot be changed while something runs or is to be started again", {},
                           "stop the unit first, then apply, and start it");
    bool const stays_scaled = scaled_to_ != 0 && spec.service.workers == wanted_->service.workers;
    if (auto const why = too_few_numbers(spec.steering, stays_scaled ? scaled_to_ : pool_size(spec.service));
        !why.empty())
        return plain_error(why, {}, "have more bits in `mask`, a smaller `shift`, or fewer workers");
    return sockets_.bind_new(spec, arrivals, is_served());
}

void UnitRunner::change(UnitSpecPtr spec, bool restart, WishAnswer answer) {
    auto prepared = prepare(*spec, {});
    if (!prepared)
        return answer({false, refusal_text(prepared.error()), std::nullopt});
    change(std::move(spec), restart, std::move(prepared).value(), std::move(answer));
}

void UnitRunner::change(UnitSpecPtr spec, bool restart, std::vector<Listener> arrived, WishAnswer answer) {
    shared_.loop.set_owner(number_);
    if (!is_running())
        return change_at_rest(std::move(spec), restart, std::move(arrived), std::move(answer));
    std::vector<int> known;
    for (auto const& held : sockets_.held())
        known.push_back(held.fd.raw());
    std::sort(known.begin(), known.end());
    sockets_.take_over(spec, std::move(arrived));
    auto const before = want(std::move(spec));
    note_shards();
    OnDemand{*this}.hear_arrival(); // listeners that came are not watched for whom they bring
    push_fresh(known);
    if (!restart) // what runs is what it would be: it goes on by the new text
        for (auto& older : older_specs_)
            if (older.spec == before)
                older.spec = wanted_;
    bool const is_paused = OnDemand{*this}.is_paused();
    if (!restart || !is_wanted_up() || is_paused) {
        retire_unlisted(true);
        for (auto const& worker : workers_)
            if (worker->spec == before)
                worker->spec = wanted_; // by its rules it is treated from now on
        happen(PolicyChanged{});
        return answer({true,
                       is_paused ? paused_change
                       : restart ? "changed; it is being stopped, so nothing is restarted"
                                 : "changed without a restart",
                       std::nullopt});
    }
    if (wanted_->rollout.strategy == Strategy::Replace)
        retire_unlisted(true); // while the old workers serve it; else when the new generation has taken over
    // If it fails, the old generation goes on with its own spec and all its listeners, and plan shows the
    // difference.
    this->restart(std::nullopt, std::move(answer));
}

/// No worker runs, so nothing served can be lost: the sockets follow the file, and what fails is tried again.
/// Where we accept ourselves, who waits in one that goes is served before.
void UnitRunner::change_at_rest(UnitSpecPtr spec, bool restart, std::vector<Listener> arrived,
                                WishAnswer answer) {
    sockets_.take_over(spec, std::move(arrived));
    bool const is_accepting = is_served();
    sockets_.retire_unlisted(*spec, is_accepting, is_accepting ? spec->drain_timeout() / 2 : Duration{0}, {});
    want(std::move(spec));
    follow_accept({});
    bool const is_held = hold_sockets();
    if (auto reason = reason_to_refuse(); !reason.empty())
        return answer({false, "changed, but " + reason, std::nullopt});
    if (is_held && std::exchange(starts_when_held_, false))
        return start(std::move(answer)); // the change has brought what it waited for
    if (OnDemand{*this}.is_paused())
        return answer({true, paused_change, std::nullopt});
    if (restart && is_wanted_up())
        return this->restart(std::nullopt, std::move(answer));
    answer({true, "changed", std::nullopt});
}

void UnitRunner::scale(std::uint16_t workers, WishAnswer answer) {
    shared_.loop.set_owner(number_);
    if (is_broken_ || is_leaving_)
        return answer({false, is_broken_ ? trouble_ : "it is being removed", std::nullopt});
    if (wanted_->service.accept)
        return answer({false,
                       "each connection has a process of its own (accept = true): max_connections says "
                       "how many there may be",
                       std::nullopt});
    if (auto why = too_few_numbers(wanted_->steering, workers); !why.empty())
        return answer({false, std::move(why), std::nullopt});
    scaled_to_ = workers;
    underway().waiting.push_back({WishKind::Scale, std::move(answer)});
    happen(PolicyChanged{});
}

void UnitRunner::answer_scale_at_rest() {
    for (auto& answer : take_waiting(WishKind::Scale))
        shared_.loop.post(
            [answer = std::move(answer),
             result = WishResult{true,
                                 is_running() ? "has " + UnitWords{*this}.count_text()
                                              : "will be started with " + UnitWords{*this}.count_text(),
                                 std::nullopt}] { answer(result); });
}

UnitSpecPtr UnitRunner::want(UnitSpecPtr spec) {
    if (spec->service.workers != wanted_->service.workers)
        scaled_to_ = 0;
    auto before = std::exchange(wanted_, std::move(spec));
    older_specs_.push_back({wanted_id_, before});
    wanted_id_ = SpecId{static_cast<std::uint32_t>(wanted_id_) + 1};
    drop_unused_specs();
    return before;
}

UnitSpecPtr UnitRunner::serving_spec() const {
    for (auto const& generation : state_.generations)
        if (generation.role == Role::Serving)
            return spec_of(generation.policy.spec);
    return nullptr;
}

void UnitRunner::push_fresh(std::vector<int> const& known) {
    std::vector<NamedFd> fresh;
    for (auto const& held : sockets_.held())
        if (!std::binary_search(known.begin(), known.end(), held.fd.raw()))
            fresh.push_back({held.name, held.fd});
    if (fresh.empty())
        return;
    for (auto const& worker : workers_)
        if (worker->handoff)
            worker->handoff->push(fresh);
}

void UnitRunner::tell_renewed(Listener const& listener) {
    std::string pids;
    for (auto const& worker : workers_) {
        if (worker->handoff)
            worker->handoff->push({{listener.name, listener.fd}});
        else
            pids += (pids.empty() ? "" : ", ") + std::to_string(worker->process.pid());
    }
    if (!pids.empty())
        shared_.events.say(Weight::Warning, "socket-renewed", wanted_->name,
                           to_string(listener.bound()) + " is another socket now, and what runs (pid " +
                               pids + ") still holds the old one: clients wait until it is restarted");
}

void UnitRunner::retire_unlisted(bool is_served) {
    // Half of the time that the old workers have is for the clients in the queue, the rest for what they
    // hold.
    sockets_.retire_unlisted(*wanted_, is_served, wanted_->drain_timeout() / 2,
                             later(&UnitRunner::send_postponed_drains));
}

/// What only the old generation lists was given up if it went first (replace), and is held again.
void UnitRunner::take_sockets_back() {
    auto const serving = serving_spec();
    if (serving == nullptr || sockets_.holds_all(*serving))
        return;
    sockets_.take_over(serving, {});
    (void)sockets_.hold(serving, [] {}); // what cannot be had is tried again, and said by those who need it
    sockets_.retire_unlisted(*serving, true, serving->drain_timeout() / 2,
                             later(&UnitRunner::send_postponed_drains));
}

void UnitRunner::drain(WorkerId id) {
    if (sockets_.is_retiring() && state_.goal == Goal::Up) // a stop waits for nobody in the queue
        return underway().postponed_drains.push_back(id);
    tell_to_go(id);
}

void UnitRunner::tell_to_go(WorkerId id) {
    auto* const worker = find(id);
    if (worker == nullptr)
        return;
    end_watches(*worker);
    if (memory_ && memory_->signal(*worker, worker->spec->service.drain_signal))
        return;
    // A failure means that it is dead already; its death is about to be told.
    (void)worker->process.send(worker->spec->service.drain_signal);
}

/// The core is to know that there are shards before anything is started.
void UnitRunner::note_shards() {
    if (auto const* const shards = sockets_.shards(); shards != nullptr && state_.shares.empty())
        happen(ShardsHeld{shards->slots()});
}

/// What is to be taken yet may give the shard a share again; then it would be old news. It is told again.
void UnitRunner::hear_rest(Shard shard) {
    if (!underway_ || underway_->facts.empty() ||
        std::all_of(underway_->facts.begin(), underway_->facts.end(),
                    [](Fact const& fact) { return std::holds_alternative<ShardAtRest>(fact); }))
        happen(ShardAtRest{shard});
}

void UnitRunner::send_postponed_drains() {
    if (!underway_)
        return;
    for (auto const id : std::exchange(underway_->postponed_drains, {}))
        tell_to_go(id);
    drop_underway();
}

void UnitRunner::remove(std::function<void()> removed) {
    starts_when_held_ = false;
    is_leaving_ = true;
    // As for a listener that is no longer listed: its clients are served first, then the workers go.
    sockets_.retire_all(is_served(), wanted_->drain_timeout(), [this, removed = std::move(removed)] {
        stop([removed](WishResult const&) { removed(); });
    });
}

bool UnitRunner::is_wanted_up() const {
    bool is_up = state_.goal == Goal::Up;
    if (underway_)
        for (auto const& fact : underway_->facts) {
            if (std::holds_alternative<StopWished>(fact))
                is_up = false;
            else if (std::holds_alternative<StartWished>(fact) || std::holds_alternative<RestartWished>(fact))
                is_up = true;
        }
    return is_up;
}

} // namespace holdfast
