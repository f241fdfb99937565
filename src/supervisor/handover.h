// SPDX-License-Identifier: Apache-2.0
// The first part of an apply, before any unit changes: binds what is new for all units, and moves listeners
// from the units that lose them to those that gain them. Units that hang together in this way change together
// or not at all. Made and used up within one Supervisor::apply().
#pragma once

#include "supervisor/apply_plan.h"
#include "supervisor/unit_runner.h"

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace holdfast {

class Handover {
public:
    /// `find` gives the unit of each step, those that are added too.
    using Find = std::function<UnitRunner*(std::string const& unit)>;
    Handover(ApplyPlan const& plan, Find find);
    Handover(Handover const&) = delete;
    Handover& operator=(Handover const&) = delete;
    ~Handover();

    /// Why the unit's step is refused; empty when it is not.
    [[nodiscard]] std::string refusal(std::string const& unit) const;
    /// The listeners that are ready for the unit.
    [[nodiscard]] std::vector<Listener> take(std::string const& unit);

private:
    struct Part {
        UnitStep const* step = nullptr;
        std::vector<Listener> ready;
        std::string refusal;
    };
    /// One unit's listener goes to, or makes way for one of, the other unit.
    struct Link {
        std::string from;
        std::string to;
        ListenAddress address;
        bool is_move = false;
    };
    void find_links();
    void refuse_shards();
    void refuse_waiting_workers();
    void prepare(Part& part);
    void refuse_linked();
    void refuse(Part& part, std::string why);
    void follow(Link const& link);
    [[nodiscard]] Listener const* listener_of(std::string const& unit, ListenAddress const& address) const;

    Find find_;
    std::map<std::string, Part> parts_;
    std::vector<Link> links_;
};

} // namespace holdfast
