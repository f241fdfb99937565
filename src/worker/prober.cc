// SPDX-License-Identifier: Apache-2.0
// When a worker is probed, and what its answers add up to.
#include "worker/probe.h"

#include <algorithm>

namespace holdfast {

Prober::Prober(EventLoop& loop, Subject subject, PrivateListener listener, Surroundings const& around,
               std::unordered_set<pid_t>& children, Told told)
    : loop_{loop}, subject_{std::move(subject)}, listener_{std::move(listener)}, around_{around},
      children_{children}, told_{std::move(told)} {
    ensure(subject_.spec->health.has_value(), "who is probed has a [health]");
}

void Prober::start(pid_t pid) {
    pid_ = pid;
    timer_ = loop_.at(MonotonicTime::now(), [this] { ring(); });
}

void Prober::worker_is_up() {
    is_up_ = true;
    is_passing_ = false;
    if (timer_ && !probe_)
        timer_.rearm(MonotonicTime::now());
}

void Prober::stop() {
    timer_.reset();
    probe_.reset();
}

void Prober::ring() {
    loop_.set_owner(subject_.owner);
    if (probe_)
        finish({deadline_text(), false});
    else
        begin();
}

void Prober::begin() {
    began_ = MonotonicTime::now();
    auto probe = make_probe([this](ProbeEnd end) {
        loop_.set_owner(subject_.owner);
        finish(std::move(end));
    });
    if (!probe)
        return finish({to_string(probe.error()), false});
    probe_ = std::move(probe).value();
    timer_.rearm(began_ + subject_.spec->health->timeout);
}

Result<std::unique_ptr<Probe>> Prober::make_probe(Probe::Ended ended) const {
    auto const& health = *subject_.spec->health;
    if (!health.http.empty())
        return probe_http(loop_, listener_.port, health.http, std::move(ended));
    if (health.tcp)
        return probe_tcp(loop_, listener_.port, listener_.fd, std::move(ended));
    auto const plan = make_probe_plan(*subject_.spec, subject_.place, {listener_.port, pid_}, around_);
    if (!plan)
        return plan.error();
    return probe_by_command(loop_, *plan, children_, std::move(ended));
}

void Prober::finish(ProbeEnd end) {
    auto const& health = *subject_.spec->health;
    probe_.reset();
    timer_.rearm(std::max(MonotonicTime::now(), began_ + health.interval));
    if (end.why.empty()) {
        is_up_ = true;
        failures_ = 0;
        if (!std::exchange(is_passing_, true))
            told_(true);
        return;
    }
    why_ = std::move(end.why);
    is_passing_ = false;
    if (!is_up_ && !end.is_own)
        return;
    if (++failures_ < health.failures)
        return;
    failures_ = 0;
    told_(false);
}

std::string Prober::deadline_text() const {
    auto const& health = *subject_.spec->health;
    auto const within = " within " + to_string(health.timeout);
    if (!health.http.empty())
        return "GET " + health.http + ": no answer" + within;
    if (health.tcp)
        return "its connection was not accepted" + within;
    return health.exec.front() + " did not end" + within;
}

} // namespace holdfast
