// SPDX-License-Identifier: Apache-2.0
// The supervisor: all units of one holdfastd (or of one `holdfast run`), and what they share. Reads unit
// files, plans and applies them, passes wishes to the units, and notify messages to their workers. Knows no
// control protocol: requests.h does.
#pragma once

#include "supervisor/apply_plan.h"
#include "supervisor/handover.h"
#include "supervisor/keeping.h"
#include "supervisor/unit_runner.h"

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace holdfast {

struct SupervisorOptions {
    std::vector<std::string> unit_folders;
    bool unit_folders_must_exist = false; ///< they were named on the command line
    std::string runtime_folder;
    Surroundings around;                ///< notify_path is filled in
    std::optional<KeeperLink> keeper{}; ///< what outlives us is kept there
    Dump found{};                       ///< and this was
    Passed passed{};                    ///< sockets that whoever started us has bound
    bool may_use_cgroups = false;       ///< if one is given to us: we move into a leaf of it
    bool cgroup_is_given = false;       ///< the one we are in is, whatever it says itself
    /// Settings of our own that are read with the unit files, what is wrong with them, and, as warnings, what
    /// cannot be taken over; `take`: what can be is.
    std::function<std::vector<Diagnostic>(bool take)> reread{};
};

class Supervisor {
public:
    /// Opens the notify socket and becomes the reaper of orphans. The runtime folder exists and is ours.
    [[nodiscard]] static Result<std::unique_ptr<Supervisor>> create(EventLoop& loop,
                                                                    SupervisorOptions options);
    Supervisor(Supervisor const&) = delete;
    Supervisor& operator=(Supervisor const&) = delete;
    ~Supervisor();

    /// Reads all unit files, binds all sockets, and then starts the units that start at boot. What the
    /// holdfastd before us has left goes on as it was, by the text that it had; a unit whose file is gone is
    /// removed.
    void boot();
    /// A unit without a file (`holdfast run`), bound and not started.
    UnitRunner& add(UnitSpecPtr spec);

    [[nodiscard]] ApplyPlan plan() const { return plan(false); }
    struct Applied {
        ApplyPlan plan;
        bool ok = false;
        std::string message;
    };
    /// Does what plan() says; `done` is called when all that it started has ended (rollouts, drains), with
    /// what came of each step. Refused while shutting down: what it started nobody would stop. `asked`: when
    /// who asks again did so first, of a supervisor that died: for rollouts since then that is waited too.
    void apply(std::optional<MonotonicTime> asked, std::function<void(Applied const&)> done);

    /// Saves all that is to outlive us, and waits until the keeper has it (5 s at most): then the loop may be
    /// stopped with start_successor. An error: there is no keeper, or it does not answer.
    [[nodiscard]] Outcome prepare_upgrade();

    /// Stops every unit, then calls `done`. Called twice, it kills what is left at once. The sockets are
    /// given up, or left to the next supervisor where somebody keeps them for it (Keeping::leave_sockets).
    void shut_down(std::function<void()> done);
    /// It is about to be begun: what would be stopped half-way is refused already.
    void announce_shut_down() { will_shut_down_ = true; }
    [[nodiscard]] bool is_shutting_down() const { return shuts_down_ || will_shut_down_; }

    [[nodiscard]] UnitRunner* find(std::string const& name);
    [[nodiscard]] std::map<std::string, std::unique_ptr<UnitRunner>> const& units() const { return units_; }
    [[nodiscard]] std::map<std::string, std::vector<Diagnostic>> const& bad_units() const { return bad_; }
    /// The name most like `name`, or empty.
    [[nodiscard]] std::string nearest_unit(std::string const& name) const;
    [[nodiscard]] Shared& shared() { return shared_; }
    [[nodiscard]] Shared const& shared() const { return shared_; }
    [[nodiscard]] SupervisorOptions const& options() const { return options_; }
    [[nodiscard]] MonotonicTime started_at() const { return started_at_; }
    /// Why workers have no cgroups; empty where they have some, or were not to.
    [[nodiscard]] std::string const& why_no_cgroups() const { return why_no_cgroups_; }

private:
    Supervisor(EventLoop& loop, SupervisorOptions options);
    struct Applying;
    [[nodiscard]] ApplyPlan plan(bool is_applied) const;
    void ring(std::uint32_t unit);
    void reap();
    [[nodiscard]] LoadedUnits load(std::map<std::string, UnitSpecPtr> const& now) const;
    [[nodiscard]] std::vector<UnitSpecPtr> read_units();
    void keep_for_the_next();
    [[nodiscard]] Outcome open_notify();
    void open_remains();
    [[nodiscard]] bool is_of_ours(pid_t pid) const {
        return shared_.leaders.contains(pid) || shared_.other_mains.contains(pid);
    }
    void end_strangers();
    [[nodiscard]] bool adopt(UnitSpecPtr spec, FoundThings found);
    void adopt_without_files();
    void adopt_late(UnitRunner& unit);
    void leave_and_return(UnitSpecPtr spec);
    void put_again();
    void drop_ownerless();
    void tell_bad(ApplyPlan const& plan);
    UnitRunner& make(UnitSpecPtr spec);
    void note_deferred(UnitStep& step) const;
    void perform(UnitStep const& step, Handover& handover, std::shared_ptr<Applying> const& applying);
    [[nodiscard]] bool answer_again(UnitStep const& step, MonotonicTime asked,
                                    std::shared_ptr<Applying> const& applying);
    void erase_later(std::string const& name);

    SupervisorOptions options_;
    Shared shared_;
    MonotonicTime started_at_ = MonotonicTime::now();
    EventSource orphans_;
    EventSource again_; ///< reap() once more, behind the deaths that come first
    std::map<std::string, std::unique_ptr<UnitRunner>> units_;
    std::map<std::string, std::vector<Diagnostic>> bad_;
    bool are_folders_read_ = true;  ///< all of them, when we started
    std::set<std::string> leaving_; ///< units that are being removed
    std::uint32_t last_number_ = 0;
    bool shuts_down_ = false;
    bool will_shut_down_ = false;
    std::string why_no_cgroups_;
};

} // namespace holdfast
