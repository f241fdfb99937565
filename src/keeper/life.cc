// SPDX-License-Identifier: Apache-2.0
#include "keeper/life.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <sys/wait.h>

namespace holdfast::keeper {

using namespace std::chrono_literals;

namespace {

constexpr unsigned most_successor_ends = 2;
constexpr Duration first_delay = 100ms;
constexpr Duration longest_delay = 10s;

// What a shell ends with, see POSIX 2.8.2.
constexpr int not_found = 127;
constexpr int not_executable = 126;

Fate fate_of_stopping(Life const& life, ChildExit const& end, bool has_workers) {
    bool const exited = end.code == CLD_EXITED;
    if (life.was_forced)
        return {Next::EndWorkers, 1};
    if (exited && end.status == 0)
        return {Next::Leave, 0};
    // Whoever comes next is told to stop: on its way out for an upgrade it could not hear that, and a
    // successor may not even come up.
    if (!life.is_stopping && life.is_upgrading)
        return {Next::FallBack};
    if (!life.is_stopping && exited && end.status == start_successor)
        return {Next::StartSuccessor};
    // What its workers are about is finished in order, if only somebody comes up who can see to it.
    if (has_workers && life.stop_ends + 1 < most_stop_ends)
        return {Next::StartAgain};
    // The signal came before it could hear it: asked to go, it went, but not so its workers.
    if (!exited && end.status == life.stop_signal)
        return {Next::EndWorkers, 0};
    return {Next::EndWorkers, exited ? end.status : 1};
}

} // namespace

Fate fate_of(Life const& life, ChildExit const& end, bool has_workers) {
    if (life.must_stop())
        return fate_of_stopping(life, end, has_workers);
    if (life.is_upgrading) {
        bool const is_hopeless = life.unstarted != 0 || life.was_late;
        if (is_hopeless || life.successor_ends + 1 >= most_successor_ends)
            return {Next::FallBack};
        return {Next::StartSameSuccessor};
    }
    if (life.unstarted != 0 && !life.was_ever_ready)
        return {Next::Leave, life.unstarted == ENOENT ? not_found : not_executable};
    bool const exited = end.code == CLD_EXITED && life.unstarted == 0;
    if (exited && end.status == 0)
        return {Next::Leave, 0};
    if (exited && end.status == start_successor)
        return {Next::StartSuccessor};
    if (exited && !life.was_ever_ready)
        return {Next::Leave, end.status};
    return {Next::StartAgain};
}

Duration back_off(unsigned short_lives) {
    if (short_lives < 2)
        return Duration{0};
    auto const doublings = std::min(short_lives - 2, 10U);
    return std::min(first_delay * (1 << doublings), longest_delay);
}

EndText words_for(ChildExit const& end) {
    EndText text;
    if (end.code == CLD_EXITED)
        text << "ended with status " << end.status;
    else if (char const* const name = ::sigabbrev_np(end.status); name != nullptr)
        text << "was killed by SIG" << std::string_view{name};
    else
        text << "was killed by signal " << end.status;
    return text;
}

} // namespace holdfast::keeper
