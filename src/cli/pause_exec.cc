// SPDX-License-Identifier: Apache-2.0
// `holdfast pause UNIT --exec CMD`: whatever becomes of the pause, of the command or of us (SIGKILL apart),
// the units are resumed. So both are done by children, and this process only waits for them: a signal that
// would end it is passed on to whoever works just now, and ends nothing here.
#include "cli/act.h"
#include "cli/session.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::cli {

namespace {

constexpr int cannot_be_executed = 126;
constexpr int is_not_there = 127;
constexpr int ended_by_a_signal = 128; // and its number, as a shell has it

constexpr int ending_signals[]{SIGINT, SIGTERM, SIGHUP, SIGQUIT};

volatile sig_atomic_t working = 0; ///< the child
volatile sig_atomic_t heard = 0;   ///< the first signal

/// A terminal sends to the whole process group, so that the child has it already.
void pass_on(int number, siginfo_t* from, void*) {
    int const before = errno;
    if (heard == 0)
        heard = number;
    if (working > 0 && from->si_code != SI_KERNEL)
        ::kill(working, number);
    errno = before;
}

void catch_signals() {
    struct sigaction action {};
    action.sa_sigaction = pass_on;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    for (int const number : ending_signals)
        ::sigaction(number, &action, nullptr);
}

/// They end us from here on: what was to be done is begun.
void release_signals() {
    for (int const number : ending_signals)
        ::signal(number, SIG_DFL);
}

void hold_signals(int how) {
    sigset_t all;
    ::sigemptyset(&all);
    for (int const number : ending_signals)
        ::sigaddset(&all, number);
    ::sigprocmask(how, &all, nullptr);
}

/// The status of `work`, done by a child, as a shell has it.
template <class Work>
int do_in_child(Work work) {
    std::fflush(nullptr);
    hold_signals(
        SIG_BLOCK); // none is to be lost between the fork and the moment when we know whom to pass it
    auto const child = ::fork();
    if (child == 0) {
        release_signals();
        hold_signals(SIG_UNBLOCK);
        int const status = work();
        std::fflush(nullptr);
        ::_exit(status);
    }
    working = child;
    hold_signals(SIG_UNBLOCK);
    if (child < 0) {
        Session::complain(std::string{"cannot fork: "} + std::strerror(errno));
        return static_cast<int>(ExitStatus::Failed);
    }
    int status = 0;
    pid_t waited = 0;
    do
        waited = ::waitpid(child, &status, 0);
    while (waited < 0 && errno == EINTR);
    working = 0;
    return WIFSIGNALED(status) ? ended_by_a_signal + WTERMSIG(status) : WEXITSTATUS(status);
}

int execute(std::vector<std::string> command) {
    std::vector<char*> arguments;
    for (auto& argument : command)
        arguments.push_back(argument.data());
    arguments.push_back(nullptr);
    ::execvp(arguments.front(), arguments.data());
    int const why = errno;
    Session::complain("cannot execute " + command.front() + ": " + std::strerror(why));
    return why == ENOENT ? is_not_there : cannot_be_executed;
}

} // namespace

ExitStatus pause_around_command(CommandLine const& line) {
    catch_signals();
    auto const ask = [](CommandLine const& what) {
        Session session{what};
        return static_cast<int>(change_units(session));
    };
    int status = do_in_child([&] { return ask(line); });
    bool const is_refused = status != 0 && status < ended_by_a_signal;
    if (is_refused && heard == 0 && line.operands.size() == 1)
        return static_cast<ExitStatus>(status); // it is not paused, or has been resumed already
    bool const is_run = status == 0 && heard == 0;
    if (is_run)
        status = do_in_child([&] { return execute(line.command); });
    else if (status == 0)
        status = ended_by_a_signal + heard;
    auto resume = line;
    resume.verb = Verb::Resume;
    resume.pause_time.reset();
    resume.or_restart = is_run;  // it may be serving again, by what was half replaced
    resume.no_wait = heard != 0; // who is in a hurry waits only until it is begun
    int resumed = do_in_child([&] { return ask(resume); });
    if (resumed >= ended_by_a_signal) { // it may have been ended before it could ask
        resume.no_wait = true;
        resumed = ask(resume);
    }
    return static_cast<ExitStatus>(status != 0 ? status : resumed);
}

} // namespace holdfast::cli
