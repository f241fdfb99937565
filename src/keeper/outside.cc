// SPDX-License-Identifier: Apache-2.0
// Sockets outlive us where our own supervisor has a store, and come back as what it passes to us; so does
// what it passes of its own. In the notes of an entry stands what is to be said of it.
#include "base/error.h"
#include "keeper/keeper.h"
#include "keeper/say.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace holdfast::keeper {

namespace {

constexpr std::uint8_t is_stored = 1; ///< one of this name is in the store
constexpr std::uint8_t is_due = 2; ///< what is there is not what is here: nothing, another, or one too many
constexpr int first_passed = 3;    // SD_LISTEN_FDS_START
constexpr Duration pause = 10ms;   // where the kernel tells by no event that it takes more

bool may_be_stored(std::string_view name) {
    return is_of_sockets(name) && name.find(':') == std::string_view::npos;
}

/// The number in a variable that is ours; 0 without.
int passed_count() {
    auto const number_in = [](char const* name) {
        char const* const text = std::getenv(name);
        return parse_number(std::string_view{text != nullptr ? text : ""}, INT_MAX - first_passed);
    };
    auto const whose = number_in("LISTEN_PID");
    return whose == ::getpid() ? number_in("LISTEN_FDS").value_or(0) : 0;
}

} // namespace

void Keeper::take_passed() {
    int const count = passed_count();
    char const* const variable = std::getenv("LISTEN_FDNAMES");
    std::string_view names{count > 0 && variable != nullptr ? variable : ""};
    for (int i = 0; i < count; ++i) {
        auto const name = names.substr(0, names.find(':'));
        names.remove_prefix(std::min(names.size(), name.size() + 1));
        if (::fcntl(first_passed + i, F_SETFD, FD_CLOEXEC) < 0)
            continue;
        UniqueFd fd{first_passed + i};
        FixedText<longest_name> known;
        if (may_be_stored(name))
            known << name;
        else
            known << passed_prefix << i << " " << (name.empty() ? "unknown" : name);
        if (!known.is_whole() || !is_held_name(known.view()) || !held_.has_room_for(1)) {
            say("a descriptor that was passed to it is closed: its name cannot be kept");
            continue;
        }
        auto& entry = held_.put(known.view(), std::move(fd));
        if (may_be_stored(name)) {
            entry.notes = is_stored;
            outer_.count(name);
            is_outside_known_ = true;
        }
    }
    // They are not meant for holdfastd: it gets what it wants from us.
    for (char const* name : {"LISTEN_FDS", "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDNAMES"})
        ::unsetenv(name);
}

void Keeper::note_put(Held::Entry& entry) {
    if (!outer_.is_open() || !may_be_stored(entry.name()))
        return;
    entry.notes |= is_due;
    is_outside_due_ = true;
}

/// Those of the keeper that we were before.
void Keeper::take_notes(Held::Entry& entry, int notes) {
    entry.notes = static_cast<std::uint8_t>(notes);
    if ((entry.notes & is_stored) != 0)
        outer_.count(entry.name());
    is_outside_due_ = true;
}

/// One that is in the store stays in the table, without a descriptor, until it is no longer there.
void Keeper::drop(std::string_view name) {
    auto* const entry = find(name);
    if (entry == nullptr)
        return;
    if (!outer_.is_open() || (entry->notes & is_stored) == 0)
        return (void)held_.drop(name);
    UniqueFd{std::exchange(entry->fd, -1)}.reset();
    note_put(*entry);
}

Held::Entry* Keeper::find(std::string_view name) {
    auto* const entry = held_.find(name);
    return entry == nullptr || entry->fd < 0 ? nullptr : entry;
}

void Keeper::send_outside() {
    if (!is_outside_due_ || is_outside_full_ || outside_again_at_ != MonotonicTime::never())
        return;
    // What is new first: so there is always enough in it to find all sockets by.
    for (bool const is_here : {true, false})
        for (auto i = held_.size(); i-- > 0;) { // from the end: who is dropped is replaced by the last
            auto& entry = held_.at(i);
            if ((entry.notes & is_due) == 0 || (entry.fd >= 0) != is_here)
                continue;
            int const error = send_outside(entry);
            if (must_wait(error)) {
                is_outside_full_ = error == EAGAIN;
                if (!is_outside_full_)
                    outside_again_at_ = MonotonicTime::now() + pause;
                return;
            }
            entry.notes &= static_cast<std::uint8_t>(~is_due);
            if (error == E2BIG && !std::exchange(is_outside_cut_, true))
                say("not all sockets outlive a restart: the names of the others are as many as can be "
                    "passed");
            else if (error != 0 && error != E2BIG)
                say("cannot tell the service manager of ", entry.name(), ": ", errno_text(error));
            if (!is_here)
                held_.drop(entry.name());
        }
    is_outside_due_ = false;
}

int Keeper::send_outside(Held::Entry& entry) {
    if ((entry.notes & is_stored) != 0) {
        if (int const error = outer_.remove(entry.name()); error != 0)
            return error;
        entry.notes &= static_cast<std::uint8_t>(~is_stored);
    }
    if (entry.fd < 0)
        return 0;
    int const error = outer_.store(entry.name(), FdRef{entry.fd});
    if (error == 0)
        entry.notes |= is_stored;
    return error;
}

} // namespace holdfast::keeper
