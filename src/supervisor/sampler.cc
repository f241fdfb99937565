// SPDX-License-Identifier: Apache-2.0
#include "supervisor/sampler.h"

#include <algorithm>

namespace holdfast {

using namespace std::chrono_literals;

namespace {

constexpr Duration shortest_pause = 25ms;
constexpr Duration pause_per_unit = 5ms; // so 200 looks a second at most, however many units there are
constexpr int pauses_per_look = 20;      // a look takes a twentieth of the time at most

} // namespace

Sampler::Sampler(Shared& shared, std::function<void()> look) : shared_{shared}, look_{std::move(look)} {
    ++shared_.sampled_units;
    timer_ = shared_.loop.at(MonotonicTime::now() + pause_after(Duration{0}), [this] { ring(); });
}

void Sampler::ring() {
    auto const begun = MonotonicTime::now();
    look_();
    auto const now = MonotonicTime::now();
    timer_.rearm(now + pause_after(now - begun));
}

Duration Sampler::pause_after(Duration taken) const {
    return std::max({shortest_pause, pause_per_unit * shared_.sampled_units, taken * pauses_per_look});
}

} // namespace holdfast
