// SPDX-License-Identifier: Apache-2.0
// The keeper: parent of holdfastd, holder of its descriptors, reaper of whatever has no other parent. It
// allocates nothing, so no lack of memory can end it, and has one loop, which sleeps until
// a signal, a message or a deadline.
//
//   keeper.cc     the loop, signals, deadlines; start and end of holdfastd
//   messages.cc   what holdfastd asks for, and what it is told
//   ending.cc     when nobody is left to end the workers
//   outside.cc    what our own supervisor holds too, and what it passed to us
//   re_exec.cc    becoming the file now at our own path
#pragma once

#include "keeper/life.h"
#include "keeper/options.h"
#include "keeper/outer_store.h"
#include "keeper/program.h"
#include "store/exit_ring.h"
#include "store/held.h"
#include "store/wire.h"

namespace holdfast::keeper {

/// What is large, all zero at first: so it takes memory only as far as it is used.
struct Tables {
    Held held;
    ExitRing exits;
    Message message;
    MessageText text;
};

class Keeper {
public:
    explicit Keeper(Tables& tables)
        : held_{tables.held}, exits_{tables.exits}, message_{tables.message}, text_{tables.text} {}
    /// Once, before anything else. `argv` is our own, for re-execution.
    [[nodiscard]] bool open(Options const& options, char** argv);
    /// Takes over what the keeper that we were before had in hand. False: it cannot be read.
    [[nodiscard]] bool take_over(UniqueFd carried);
    /// The first start; a status to end with where there is nothing to start.
    [[nodiscard]] int start_first();
    [[noreturn]] void run();

private:
    enum class DumpStage { None, Start, Held, State, Exits };

    // keeper.cc
    void wait();
    [[nodiscard]] MonotonicTime next_deadline() const;
    void take_signals();
    void forward(int number);
    void forward_waiting();
    [[nodiscard]] MonotonicTime forward_at() const;
    [[nodiscard]] MonotonicTime hears_by() const;
    void signal_holdfastd(int number) const;
    void reap();
    void act_on_time();
    void start();
    void on_end(ChildExit const& end);
    void start_successor_now();
    void fall_back();

    // messages.cc
    void take_messages();
    /// Everything that a holdfastd which is dead has said.
    void take_last_messages();
    void take_message();
    [[nodiscard]] std::string_view carry_out(StoreRequest const& request);
    [[nodiscard]] std::string_view put(StoreRequest const& request);
    [[nodiscard]] std::string_view signal_process(StoreRequest const& request);
    void take_ready();
    void refuse(std::string_view reason);
    void send_owed_refusal();
    [[nodiscard]] bool owes_answer() const {
        return !is_deaf_ && (dump_stage_ != DumpStage::None || owes_upgrade_ok_);
    }
    /// Sends all that there is to say, as far as the socket takes it.
    void send_what_is_due();
    [[nodiscard]] bool send_dump();
    [[nodiscard]] bool send_held();
    [[nodiscard]] bool send_exits();
    [[nodiscard]] bool send(std::string_view text, int const* fds = nullptr, std::size_t count = 0);
    void forget_connection();

    // outside.cc
    void take_passed();
    void note_put(Held::Entry& entry);
    void take_notes(Held::Entry& entry, int notes);
    void drop(std::string_view name);
    [[nodiscard]] Held::Entry* find(std::string_view name);
    void send_outside();
    [[nodiscard]] bool send_outside_all(bool is_here);
    [[nodiscard]] int send_outside(Held::Entry& entry);
    void look_for_others(std::uint64_t inode);

    // ending.cc
    [[nodiscard]] bool has_workers();
    void kill_kept_workers();
    void kill_all_children();
    [[noreturn]] void leave(int status);

    // re_exec.cc
    void re_execute();
    [[nodiscard]] UniqueFd write_carried();
    [[nodiscard]] bool take_line(std::string_view key, std::string_view value);
    [[nodiscard]] bool take_held(std::string_view value);
    void take_rest();
    void keep_across_exec(bool keep);

    Options options_;
    Program program_;
    char** argv_ = nullptr;
    char own_path_[PATH_MAX]{};
    bool wants_re_execution_ = false;

    Life life_;
    UniqueFd executable_;          ///< what is started
    UniqueFd previous_executable_; ///< what ran before an upgrade, until the successor is ready
    UniqueFd signals_;

    UniqueFd socket_;      ///< not open: nobody is at the other end
    bool is_deaf_ = false; ///< it does not hear us any more, but what it said may still be there
    bool is_full_ = false;
    MonotonicTime send_again_at_ = MonotonicTime::never();
    DumpStage dump_stage_ = DumpStage::None;
    std::size_t dumped_ = 0;
    bool owes_upgrade_ok_ = false;
    bool owes_refusal_ = false;    ///< of something that was refused while there was no room to say so
    std::uint64_t told_exits_ = 0; ///< a number of the ring: what comes from there on is to be told

    OuterStore outer_;
    bool is_outside_known_ = false; ///< something has come out of it
    bool is_outside_due_ = false;   ///< something of held_ is still to be said to it
    bool is_outside_full_ = false;
    bool is_reaping_due_ = false;     ///< there may be more of those who have ended
    bool is_outside_cut_ = false;     ///< not all is in it, and that was said
    bool is_outside_failing_ = false; ///< the same of what could not be said to it
    MonotonicTime outside_again_at_ = MonotonicTime::never();

    UniqueFd state_;
    Held& held_;
    ExitRing& exits_;
    Message& message_;
    MessageText& text_;
};

} // namespace holdfast::keeper
