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
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::keeper {

namespace {

constexpr std::uint8_t is_stored = 1; ///< one of this name is in the store
constexpr std::uint8_t is_due = 2; ///< what is there is not what is here: nothing, another, or one too many
constexpr std::uint8_t is_to_be_repeated = 4; ///< it is due because it may have gone with another name
constexpr int first_passed = 3;               // SD_LISTEN_FDS_START
constexpr Duration pause = 10ms;              // where the kernel tells by no event that it takes more
constexpr Duration pause_of_failure = 1s;

/// Of an open file; 0: unknown.
std::uint64_t inode_of(FdRef fd) {
    struct stat status {};
    return ::fstat(fd.raw(), &status) == 0 ? status.st_ino : 0;
}

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
            entry.inode = inode_of(FdRef{entry.fd});
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
    entry.notes = static_cast<std::uint8_t>((entry.notes | is_due) & ~is_to_be_repeated);
    is_outside_due_ = true;
}

/// Those of the keeper that we were before.
void Keeper::take_notes(Held::Entry& entry, int notes) {
    entry.notes = static_cast<std::uint8_t>(notes);
    if ((entry.notes & is_stored) != 0)
        outer_.count(entry.name());
    if (notes == is_stored)
        entry.inode = inode_of(FdRef{entry.fd});
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
    if (is_outside_full_ || outside_again_at_ != MonotonicTime::never())
        return;
    // What is new first: so there is always enough in it to find all sockets by.
    while (is_outside_due_) {
        is_outside_due_ = false;
        if (!send_outside_all(true) || !send_outside_all(false))
            is_outside_due_ = true;
        if (is_outside_full_ || outside_again_at_ != MonotonicTime::never())
            return;
    }
}

/// Of those that are here, or not any more. False: the rest has to wait.
bool Keeper::send_outside_all(bool is_here) {
    for (auto i = held_.size(); i-- > 0;) { // from the end: who is dropped is replaced by the last
        auto& entry = held_.at(i);
        if ((entry.notes & is_due) == 0 || (entry.fd >= 0) != is_here)
            continue;
        int const error = send_outside(entry);
        if (error == EAGAIN)
            return is_outside_full_ = true, false;
        if (error != 0 && error != E2BIG) {
            if (!must_wait(error) && !std::exchange(is_outside_failing_, true))
                say("cannot tell the service manager of ", entry.name(), ": ", errno_text(error),
                    "; this is tried again");
            outside_again_at_ = MonotonicTime::now() + (must_wait(error) ? pause : pause_of_failure);
            return false;
        }
        is_outside_failing_ = false;
        entry.notes &= static_cast<std::uint8_t>(~(is_due | is_to_be_repeated));
        if (error == E2BIG && !std::exchange(is_outside_cut_, true))
            say("not all sockets outlive a restart: the names of the others are as many as can be passed");
        if (!is_here)
            held_.drop(entry.name());
    }
    return true;
}

int Keeper::send_outside(Held::Entry& entry) {
    if ((entry.notes & is_to_be_repeated) != 0)
        return outer_.repeat(entry.name(), FdRef{entry.fd});
    if ((entry.notes & is_stored) != 0) {
        if (int const error = outer_.remove(entry.name()); error != 0)
            return error;
        entry.notes &= static_cast<std::uint8_t>(~is_stored);
        look_for_others(entry.inode);
    }
    if (entry.fd < 0)
        return 0;
    int const error = outer_.store(entry.name(), FdRef{entry.fd});
    if (error == 0) {
        entry.notes |= is_stored;
        entry.inode = inode_of(FdRef{entry.fd});
    }
    return error;
}

/// systemd stores an open file once, under the name that it came with first (service.c,
/// service_add_fd_store): what was removed may have been there for another name too. 0: it is not known what
/// it was. And there is room now for one that had none.
void Keeper::look_for_others(std::uint64_t inode) {
    for (std::size_t i = 0; i < held_.size(); ++i) {
        auto& entry = held_.at(i);
        bool const may_be_gone = entry.notes == is_stored && (inode == 0 || entry.inode == inode);
        bool const had_no_room = entry.notes == 0 && entry.fd >= 0 && may_be_stored(entry.name());
        if (!may_be_gone && !had_no_room)
            continue;
        entry.notes |= may_be_gone ? is_due | is_to_be_repeated : is_due;
        is_outside_due_ = true;
    }
}

} // namespace holdfast::keeper
