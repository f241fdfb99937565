// SPDX-License-Identifier: Apache-2.0
// Rings while it exists, to look at the queues of one unit: during a rollout, and at no other time. Every 25
// ms; less often when many units are sampled, or when a look takes long, so that all looks together never
// take more than a small part of the loop's time.
#pragma once

#include "supervisor/shared.h"

#include <functional>

namespace holdfast {

class Sampler {
public:
    Sampler(Shared& shared, std::function<void()> look);
    Sampler(Sampler const&) = delete;
    Sampler& operator=(Sampler const&) = delete;
    ~Sampler() { --shared_.sampled_units; }

private:
    void ring();
    [[nodiscard]] Duration pause_after(Duration taken) const;
    Shared& shared_;
    std::function<void()> look_;
    EventSource timer_;
};

} // namespace holdfast
