// SPDX-License-Identifier: Apache-2.0
#include "keeper/keeper.h"

#include "base/error.h"
#include "keeper/say.h"

#include <algorithm>
#include <cerrno>
#include <csignal>

#include <poll.h>
#include <sys/auxv.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::keeper {

namespace {

constexpr Duration short_life = 1s;
constexpr std::size_t most_reaped_at_once = 64;
constexpr Duration patience_with_supervisor = 5s;
constexpr Duration longest_silence = 2s; // of one that was started: whatever it is, it hears signals then

/// Of the signals that we hear. They stay blocked for good: so they wait for us across a re-execution too.
UniqueFd hear_signals() {
    sigset_t heard;
    ::sigemptyset(&heard);
    for (int const number : {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR2})
        ::sigaddset(&heard, number);
    sigset_t blocked = heard;
    ::sigaddset(&blocked, SIGPIPE); // of standard error; blocked, not ignored, which a child would inherit
    ::sigprocmask(SIG_SETMASK, &blocked, nullptr);
    // Where our parent ignored it, children would vanish unseen. It forgets one that waits, see run().
    ::signal(SIGCHLD, SIG_DFL);
    return UniqueFd{::signalfd(-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK)};
}

} // namespace

bool Keeper::open(Options const& options, char** argv) {
    options_ = options;
    argv_ = argv;
    auto const length = ::readlink("/proc/self/exe", own_path_, sizeof own_path_ - 1);
    if (length < 0)
        own_path_[0] = '\0'; // no /proc: no re-execution
    take_passed();           // before anything is opened that is not closed again
    signals_ = hear_signals();
    if (!signals_.is_open())
        return say("cannot hear signals: ", errno_text(errno)), false;
    if (int const problem = program_.find(options.program); problem != 0 && problem != ENOENT)
        return say("cannot look for ", options.program[0], ": ", errno_text(problem)), false;
    return true;
}

int Keeper::start_first() {
    program_.raise_descriptor_limit();
    executable_ = program_.open();
    if (!executable_.is_open()) {
        say("cannot open ", options_.program[0], ": ", errno_text(errno));
        return errno == ENOENT ? 127 : 126;
    }
    outer_.open(is_outside_known_, patience_with_supervisor);
    start();
    return 0;
}

void Keeper::run() {
    // Whoever ended while we re-executed ourselves: sigaction(2) discards the signal that told so.
    reap();
    for (;;) {
        send_what_is_due();
        send_outside();
        if (wants_re_execution_ && !owes_answer() && !owes_refusal_)
            re_execute();
        wait();
        take_messages();
        take_signals();
        if (is_reaping_due_)
            reap();
        act_on_time();
    }
}

// ---- waiting ----

MonotonicTime Keeper::next_deadline() const {
    return std::min({life_.ready_by, life_.stop_by, life_.start_at, life_.alive_by, forward_at(),
                     send_again_at_, outside_again_at_});
}

void Keeper::wait() {
    short wanted = is_full_ ? POLLOUT : 0;
    // One answer after the other: who does not read them is not heard meanwhile.
    if (!owes_answer())
        wanted = static_cast<short>(wanted | POLLIN);
    FdRef const outside = is_outside_full_ ? outer_.socket() : FdRef{};
    pollfd watched[] = {{signals_.raw(), POLLIN, 0}, {socket_.raw(), wanted, 0}, {outside.raw(), POLLOUT, 0}};
    timespec left{};
    auto const deadline = is_reaping_due_ ? MonotonicTime::now() : next_deadline();
    if (deadline != MonotonicTime::never()) {
        auto const time = std::max(deadline - MonotonicTime::now(), Duration{0});
        left.tv_sec = time.count() / 1'000'000;
        left.tv_nsec = time.count() % 1'000'000 * 1000;
    }
    (void)::ppoll(watched, std::size(watched), deadline == MonotonicTime::never() ? nullptr : &left, nullptr);
    if ((watched[1].revents & POLLOUT) != 0)
        is_full_ = false;
    if (watched[2].revents != 0)
        is_outside_full_ = false;
}

void Keeper::act_on_time() {
    auto const now = MonotonicTime::now();
    if (now >= forward_at())
        forward_waiting();
    if (now >= send_again_at_)
        send_again_at_ = MonotonicTime::never();
    if (now >= outside_again_at_)
        outside_again_at_ = MonotonicTime::never();
    if (now >= life_.ready_by) {
        life_.ready_by = MonotonicTime::never();
        life_.was_late = true;
        signal_holdfastd(SIGKILL);
    }
    if (now >= life_.stop_by) {
        life_.stop_by = MonotonicTime::never();
        life_.was_forced = true;
        say(program_.path(), " does not stop; it is killed, and so is all that it left");
        signal_holdfastd(SIGKILL);
    }
    if (now >= life_.alive_by) {
        life_.alive_by = MonotonicTime::never();
        say(program_.path(), " stands still; it is killed");
        signal_holdfastd(SIGKILL);
    }
    if (now >= life_.start_at)
        start();
}

// ---- signals ----

void Keeper::take_signals() {
    signalfd_siginfo info{};
    while (::read(signals_.raw(), &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGCHLD)
            reap();
        else if (info.ssi_signo == SIGUSR2)
            wants_re_execution_ = true;
        else
            forward(static_cast<int>(info.ssi_signo));
    }
}

MonotonicTime Keeper::hears_by() const {
    return life_.has_spoken ? life_.started : life_.started + longest_silence;
}

/// One that was just executed would end by a signal that it is about to watch, and never stop in order.
MonotonicTime Keeper::forward_at() const {
    return life_.waiting != 0 ? hears_by() : MonotonicTime::never();
}

void Keeper::forward_waiting() {
    for (int const number : {SIGHUP, SIGINT, SIGTERM})
        if ((life_.waiting & 1U << number) != 0)
            signal_holdfastd(number);
    life_.waiting = 0;
}

void Keeper::forward(int number) {
    if (!life_.is_running()) {
        if (number == SIGHUP)
            return;
        if (!life_.must_stop() && has_workers()) { // whoever is started next has them drained
            life_.stop_signal = number;
            life_.start_at = MonotonicTime::now();
            return;
        }
        kill_kept_workers();
        leave(0);
    }
    life_.waiting |= 1U << number;
    if (number == SIGHUP)
        return;
    if (!life_.must_stop())
        life_.stop_by = std::max(MonotonicTime::now(), hears_by()) + options_.stop_timeout;
    life_.stop_signal = number;
    // It may as well stop as become ready.
    life_.ready_by = MonotonicTime::never();
}

void Keeper::signal_holdfastd(int number) const {
    // It is our child and not reaped, so the number is its own; -1 would be everybody.
    if (life_.is_running())
        ::kill(life_.pid, number);
}

void Keeper::reap() {
    ChildExit end;
    bool has_ended = false;
    is_reaping_due_ = false;
    std::size_t count = 0;
    for (siginfo_t info{}; ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0 && info.si_pid != 0; info = {}) {
        if (++count == most_reaped_at_once)
            is_reaping_due_ = true;
        ChildExit const exit{info.si_pid, info.si_code, info.si_status};
        if (exit.pid == life_.pid) {
            end = exit;
            has_ended = true;
        } else {
            exits_.add(exit);
        }
        if (is_reaping_due_) // others have their turn
            break;
    }
    if (has_ended)
        on_end(end);
}

// ---- start and end of holdfastd ----

void Keeper::start() {
    life_.start_at = MonotonicTime::never();
    int ends[2] = {-1, -1};
    int problem = ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0 ? errno : 0;
    UniqueFd ours{ends[0]};
    UniqueFd const theirs{ends[1]};
    pid_t const pid = problem == 0 ? program_.start_by_fork(executable_, theirs) : -1;
    problem = problem == 0 && pid < 0 ? errno : problem;
    if (problem != 0) {
        say("cannot start ", program_.path(), ": ", errno_text(problem));
        if (life_.must_stop() && ++life_.stop_ends >= most_stop_ends) {
            kill_kept_workers();
            kill_all_children();
            leave(1);
        }
        life_.short_lives = std::max(life_.short_lives + 1, 2U);
        life_.start_at = MonotonicTime::now() + back_off(life_.short_lives);
        return;
    }
    socket_ = std::move(ours);
    told_exits_ = exits_.end();
    auto const now = MonotonicTime::now();
    life_.pid = pid;
    life_.started = now;
    ++life_.starts;
    life_.is_ready = life_.is_stopping = life_.was_late = life_.was_forced = false;
    life_.has_spoken = false;
    life_.unstarted = 0;
    life_.alive_by = MonotonicTime::never();
    life_.ready_by = life_.is_upgrading ? now + options_.ready_timeout : MonotonicTime::never();
    if (life_.stop_signal != 0) { // whoever ran before could not hear it any more
        life_.waiting = 1U << life_.stop_signal;
        life_.stop_by = hears_by() + options_.stop_timeout;
        life_.ready_by = MonotonicTime::never();
    }
}

void Keeper::on_end(ChildExit const& end) {
    take_last_messages();
    forget_connection();
    life_.pid = -1;
    life_.previous = end.pid;
    life_.previous_exit.clear();
    life_.previous_exit << end.code << " " << end.status;
    life_.ready_by = life_.stop_by = life_.alive_by = MonotonicTime::never();
    life_.waiting = 0;
    // One that was ready and is killed (SIGKILL is nobody's own), or makes way for its successor, is no sign
    // that the next will not live.
    bool const is_own_end = !(end.code == CLD_KILLED && end.status == SIGKILL) &&
                            !(end.code == CLD_EXITED && end.status == start_successor);
    bool const was_short =
        !life_.is_ready || (is_own_end && MonotonicTime::now() - life_.started < short_life);
    life_.short_lives = was_short ? life_.short_lives + 1 : 0;
    if (life_.is_ready) { // it knew how the upgrade went
        life_.upgrade = UpgradeOutcome::None;
        life_.problem.clear();
    }
    auto const fate = fate_of(life_, end, has_workers());
    switch (fate.next) {
    case Next::Leave:
        if (life_.unstarted != 0)
            say("cannot execute ", program_.path(), ": ", errno_text(life_.unstarted));
        leave(fate.exit_status);
    case Next::EndWorkers:
        if (fate.exit_status != 0 && !life_.was_forced)
            say(program_.path(), " ", words_for(end).view(), " while it stopped; its workers are killed");
        kill_kept_workers();
        if (fate.exit_status != 0)
            kill_all_children();
        leave(fate.exit_status);
    case Next::StartAgain:
        if (life_.must_stop()) {
            ++life_.stop_ends;
            if (life_.stop_signal == 0)
                life_.stop_signal = SIGTERM;
        }
        say(program_.path(), " ", words_for(end).view(), life_.must_stop() ? " while it stopped" : "",
            "; it is started again");
        life_.reason = StartReason::Crash;
        break;
    case Next::StartSuccessor:
        return start_successor_now();
    case Next::StartSameSuccessor:
        say("the new ", program_.path(), " ", words_for(end).view(), " before it was ready; once more");
        ++life_.successor_ends;
        return start();
    case Next::FallBack:
        life_.problem.clear();
        if (life_.unstarted != 0)
            life_.problem << "it cannot be executed: " << errno_text(life_.unstarted);
        else if (life_.was_late)
            life_.problem << "it was not ready within " << options_.ready_timeout.count() / 1000 << " ms";
        else
            life_.problem << "it " << words_for(end).view() << " before it was ready"
                          << (life_.successor_ends > 0 ? ", twice" : "");
        return fall_back();
    }
    life_.start_at = MonotonicTime::now() + back_off(life_.short_lives);
    act_on_time();
}

void Keeper::start_successor_now() {
    life_.problem.clear();
    life_.is_upgrading = true;
    life_.successor_ends = 0;
    previous_executable_ = std::move(executable_);
    executable_ = program_.open();
    if (!executable_.is_open()) {
        life_.problem << "it cannot be opened: " << errno_text(errno);
        return fall_back();
    }
    life_.reason = StartReason::Upgrade;
    life_.upgrade = UpgradeOutcome::Ok;
    life_.start_at = MonotonicTime::now() + back_off(life_.short_lives);
    act_on_time();
}

void Keeper::fall_back() {
    say("the upgrade failed: ", life_.problem.view(), "; the previous ", program_.path(), " is started");
    executable_ = std::move(previous_executable_);
    life_.is_upgrading = false;
    life_.reason = StartReason::Fallback;
    life_.upgrade = UpgradeOutcome::Failed;
    life_.short_lives = 0;
    start();
}

} // namespace holdfast::keeper
