// SPDX-License-Identifier: Apache-2.0
// What of one unit outlives this supervisor: it is saved before anything is done that could not be done
// twice, and taken back by the next one. Made by its UnitRunner where there is a keeper; decides nothing
// (what is still to be done is lifecycle::resume()'s to say).
#pragma once

#include "lifecycle/order.h"
#include "supervisor/keeping.h"
#include "supervisor/rollout_record.h"
#include "worker/launch.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

struct RunningWorker;
class UnitRunner;

class UnitMemory {
public:
    UnitMemory(UnitRunner& unit, Keeping& keeping) : unit_{unit}, keeping_{keeping} {}
    UnitMemory(UnitMemory const&) = delete;
    UnitMemory& operator=(UnitMemory const&) = delete;

    /// Before the orders of a step are enacted.
    void save_before(lifecycle::Orders const& orders);
    /// The next of its reports is told.
    void note_told();
    /// When a turn is over, or something is known that nobody will say again.
    void save();
    void note_sockets();
    void save_sockets();

    /// The keeper has its descriptors before it may become a program.
    void keep(RunningWorker const& worker, UniqueFd gate);
    /// Its descriptors are others now.
    void keep(RunningWorker const& worker);
    /// The same of the command that it reloads by.
    void keep_reload_command(RunningWorker const& worker);
    /// The keeper sends it: once, also if we die now. False where it may not know the worker.
    [[nodiscard]] bool signal(RunningWorker const& worker, int number);
    [[nodiscard]] bool is_whole() const { return keeping_.is_whole(); }
    /// The unit is no more, or this supervisor ends: all of it is dropped, and nothing is saved any more. Not
    /// when this is destroyed: that may be by a fault, and then the next one goes on.
    void end();
    /// The keeper may lack anything of it.
    void put_again();

    /// Takes back what was found of the unit: sockets, workers, state; what is damaged is rebuilt and told.
    /// The unit is new and nothing of it is held yet; its spec is what its file says now, and stays so where
    /// nothing else was saved.
    /// False where nothing says whether it was to run: then it is as at boot.
    [[nodiscard]] bool adopt(FoundThings found);

private:
    class Adoption; // unit_adoption.cc
    [[nodiscard]] std::string state_text() const;
    void save_text(std::string text);
    [[nodiscard]] bool save_specs(std::set<std::string>& names);
    void save_programs(std::set<std::string>& names);
    void save_program(std::string name, PinnedProgram const& program, std::set<std::string>& names);
    [[nodiscard]] bool save_formers(std::set<std::string>& names);
    [[nodiscard]] bool save_history(std::set<std::string>& names);
    [[nodiscard]] bool is_kept(std::string const& name) const { return !puts_all_ && names_.contains(name); }
    /// What there was before a generation that is there.
    void each_former(std::function<void(Release const&)> const& visit) const;
    /// Programs that are to be started again.
    void each_way_back(std::function<void(lifecycle::GenerationId, PinnedProgram const&)> const& visit) const;
    void save_later();
    void note_number(std::uint32_t kept) { last_listener_ = std::max(last_listener_, kept); }
    void note_text(std::uint32_t number) { last_text_ = std::max(last_text_, number); }
    [[nodiscard]] std::set<std::string> worker_names() const;
    void put_gated(std::vector<Keep> const& entries, UniqueFd gate);
    [[nodiscard]] std::vector<Keep> command_entries(RunningWorker const& worker) const;

    UnitRunner& unit_;
    Keeping& keeping_;
    std::size_t saved_ = 0;         ///< hash of the text that was saved last
    std::size_t saved_sockets_ = 0; ///< of that of the sockets
    unsigned saved_reports_ = 0;    ///< RolloutHistory::added() of those that were saved
    std::uint32_t last_listener_ = 0;
    std::uint32_t last_text_ = 0;    ///< of the sockets
    bool are_sockets_noted_ = false; ///< they are to be saved
    bool is_posted_ = false;
    bool has_ended_ = false;
    std::deque<lifecycle::Report> untold_; ///< of the step that is being enacted
    bool puts_all_ = false;                ///< whatever was put before
    std::set<std::string> socket_names_;   ///< that the keeper has
    std::set<std::string> names_;          ///< the others
};

/// "worker web 12 3 0": with generation and slot, which are enough to find a place for it where all else is
/// lost.
[[nodiscard]] std::string worker_name(std::string_view unit, RunningWorker const& worker);

} // namespace holdfast
