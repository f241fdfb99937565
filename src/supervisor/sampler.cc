// SPDX-License-Identifier: Apache-2.0
#include "supervisor/sampler.h"

#include "supervisor/pace.h"

#include <algorithm>

namespace holdfast {

using namespace std::chrono_literals;

namespace {

constexpr Duration between_samples = 25ms;

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
    return std::max({between_samples, pace::per_unit * shared_.sampled_units, taken * pace::per_look});
}

} // namespace holdfast
