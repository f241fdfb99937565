// SPDX-License-Identifier: Apache-2.0
// How the instances of a unit with `accept = true` are launched: the plan is made once, and for each
// connection only what tells it from others is written into it.
#pragma once

#include "lifecycle/instances.h"
#include "socket/connection.h"
#include "worker/exec_context.h"

#include <optional>

namespace holdfast {

class InstancePlan {
public:
    InstancePlan(UnitSpecPtr spec, Surroundings const& around) : spec_{std::move(spec)}, around_{around} {}

    [[nodiscard]] UnitSpecPtr const& spec() const { return spec_; }
    /// From now on `spec`, and what its names mean now (user, group).
    void renew(UnitSpecPtr spec) {
        spec_ = std::move(spec);
        plan_.reset();
    }

    /// The plan for this one; valid until the next call. With accept each instance is a generation of its
    /// own, of this number: so what it leaves behind is found and ended as that of any other.
    [[nodiscard]] Result<LaunchPlan const*> plan_for(lifecycle::InstanceId id, Connection const& connection,
                                                     bool is_gated);
    /// What it was, for words.
    [[nodiscard]] LaunchPlan const* last() const { return plan_ ? &*plan_ : nullptr; }

private:
    [[nodiscard]] Outcome make(lifecycle::InstanceId id);

    UnitSpecPtr spec_;
    Surroundings const& around_;
    std::optional<LaunchPlan> plan_;
    std::size_t generation_at_ = 0; ///< in the environment
    std::size_t variables_at_ = 0;  ///< from here on they are the connection's
    bool is_by_number_ = false;     ///< arguments or variables name the generation: made for each
};

/// "web@7-10.0.0.1:5123".
[[nodiscard]] std::string instance_name(std::string const& unit, lifecycle::InstanceId id,
                                        RemotePeer const& peer);

} // namespace holdfast
