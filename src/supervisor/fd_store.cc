// SPDX-License-Identifier: Apache-2.0
#include "supervisor/fd_store.h"

#include "base/text.h"
#include "lifecycle/line.h"
#include "supervisor/saved_unit.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace holdfast {

namespace {

constexpr char default_name[] = "stored"; // as sd_notify(3) says
constexpr std::string_view stored_prefix = "stored ";
constexpr std::string_view names_prefix = "stored-names ";
constexpr Duration pause_of_complaints = std::chrono::seconds{10};

/// One line of what is kept beside the descriptors: their own names may be longer than those of the keeper.
struct SavedStored {
    static constexpr std::string_view word = "stored";
    std::uint32_t number = 0;
    std::string name = default_name;
    bool is_watched = true;
};
void describe(auto& field, OneOf<SavedStored> auto& it) {
    field("number", it.number);
    field("name", it.name);
    field("watched", it.is_watched);
}

/// What can be read of them; a line of another version has what it has.
std::map<std::uint32_t, SavedStored> read_names(FoundThings const& found) {
    std::map<std::uint32_t, SavedStored> names;
    for (auto const& [name, held] : found) {
        auto const text = name.starts_with(names_prefix) ? text_of(held.fd).value_or("") : std::string{};
        for (auto const line : split(text, '\n')) {
            SavedStored saved;
            if (line.starts_with(SavedStored::word) && read_line(line, saved) && is_store_name(saved.name))
                names[saved.number] = saved;
        }
    }
    return names;
}

std::string count_text(std::size_t count) {
    return count == 1 ? "1 descriptor is" : std::to_string(count) + " descriptors are";
}

} // namespace

// ---- which are the same ----

/// Without waiting for the server of a file system that is not ours to trust, as fstat(2) might.
FdStore::Node FdStore::node_of(FdRef fd) {
    struct statx status {};
    if (::statx(fd.raw(), "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &status) < 0)
        return {};
    return {makedev(status.stx_dev_major, status.stx_dev_minor), status.stx_ino,
            static_cast<unsigned>(status.stx_mode & S_IFMT)};
}

/// One open file description, as systemd understands it. Of one inode, as `node` says.
bool FdStore::is_same(FdRef one, FdRef other, Node const& node) {
    auto const compared = ::syscall(SYS_kcmp, ::getpid(), ::getpid(), KCMP_FILE, one.raw(), other.raw());
    if (compared >= 0)
        return compared == 0;
    // Without kcmp(2) only a socket is known by its inode.
    return node.type == S_IFSOCK;
}

bool FdStore::has(FdRef fd, Node const& node) const {
    return std::ranges::any_of(
        stored_, [&](Stored const& stored) { return stored.node == node && is_same(stored.fd, fd, node); });
}

// ---- what workers say ----

void FdStore::hear(StoreWish const& wish, std::vector<UniqueFd> fds, std::uint32_t most) {
    if (wish.is_name_bad)
        complain(Trouble::BadName,
                 "a worker says an FDNAME that is none (printable ASCII without ':', at most "
                 "255 bytes); it is passed over");
    if (wish.removes && wish.name.empty())
        complain(Trouble::NoName, "a worker says FDSTOREREMOVE=1 without an FDNAME; nothing is removed");
    else if (wish.removes)
        remove(wish.name);
    if (!wish.stores)
        return;
    if (wish.lacks_descriptors)
        complain(Trouble::Cut, "not all descriptors of an FDSTORE=1 could be received: too many files are "
                               "open in holdfastd or on this machine; the others are lost");
    else if (fds.empty())
        complain(Trouble::Nothing, "a worker says FDSTORE=1 without a descriptor");
    store(wish, std::move(fds), most);
}

void FdStore::store(StoreWish const& wish, std::vector<UniqueFd> fds, std::uint32_t most) {
    std::string const name = wish.name.empty() ? default_name : wish.name;
    auto const before = stored_.size();
    std::size_t refused = 0;
    for (auto& fd : fds) {
        auto const node = node_of(fd);
        if (has(fd, node))
            continue;
        if (stored_.size() >= most) {
            ++refused;
        } else if (!has_room_for(name)) {
            complain(Trouble::NamesTooLong, "the names of what its workers have stored are too long: more "
                                            "descriptors are closed");
            break;
        } else {
            add(++last_number_, name, wish.is_watched, std::move(fd), node);
        }
    }
    if (refused > 0)
        complain(Trouble::Full,
                 most == 0
                     ? "a worker says FDSTORE=1, and fd_store_max is 0: " + count_text(refused) + " closed"
                     : "its workers have stored as many descriptors as they may (" + std::to_string(most) +
                           ", fd_store_max): " + count_text(refused) + " closed");
    if (stored_.size() > before)
        put_from(before);
}

bool FdStore::has_room_for(std::string const& name) const {
    std::size_t size = name.size() + 1;
    for (auto const& stored : stored_)
        size += stored.name.size() + 1;
    return size <= most_bytes_of_stored_names;
}

void FdStore::remove(std::string const& name) {
    drop([&](Stored const& stored) { return stored.name == name; });
}

// ---- what is held ----

void FdStore::add(std::uint32_t number, std::string name, bool is_watched, UniqueFd fd, Node node) {
    EventSource hangup;
    // A file is always ready, and to ask it may wait for who serves its file system.
    bool const may_hang_up = node.type != S_IFREG && node.type != S_IFDIR && node.type != S_IFBLK;
    if (is_watched && may_hang_up)
        if (auto source =
                shared_.loop.try_watch(fd, 0, [this, number](std::uint32_t) { hear_hangup(number); }))
            hangup = std::move(source).value(); // else it is of a kind that does not hang up
    stored_.push_back({number, std::move(name), is_watched, node, std::move(fd), std::move(hangup)});
}

void FdStore::hear_hangup(std::uint32_t number) {
    drop([number](Stored const& stored) { return stored.number == number; });
}

void FdStore::drop_all() {
    drop([](Stored const&) { return true; });
    if (shared_.keeping)
        shared_.keeping->drop({kept_name("stored-names", unit_)});
}

void FdStore::drop(std::function<bool(Stored const&)> const& is_meant) {
    std::vector<std::string> gone;
    for (auto& stored : stored_)
        if (is_meant(stored)) {
            gone.push_back(kept(stored.number));
            stored.hangup.reset(); // before its descriptor is closed, also where others move up
        }
    if (gone.empty())
        return;
    std::erase_if(stored_, is_meant);
    if (!shared_.keeping)
        return;
    shared_.keeping->drop(gone);
    save_names();
}

std::vector<NamedFd> FdStore::look() const {
    std::vector<NamedFd> seen;
    for (auto const& stored : stored_)
        seen.push_back({stored.name, stored.fd});
    return seen;
}

// ---- what outlives us ----

void FdStore::put_from(std::size_t first) {
    if (!shared_.keeping || first == stored_.size())
        return;
    // The names first: one whose descriptor did not come any more is passed over, and would not have one.
    save_names();
    std::vector<Keep> entries;
    for (auto i = first; i < stored_.size(); ++i)
        entries.push_back({kept(stored_[i].number), stored_[i].fd});
    shared_.keeping->put(entries);
}

void FdStore::save_names() {
    std::string text;
    for (auto const& stored : stored_)
        text += to_line(SavedStored{stored.number, stored.name, stored.is_watched});
    // Where that fails, all of it is put again.
    (void)shared_.keeping->put_text(kept_name("stored-names", unit_), text);
}

bool FdStore::is_any_in(FoundThings const& found) {
    return std::ranges::any_of(found, [](auto const& thing) {
        return thing.first.starts_with(stored_prefix) || thing.first.starts_with(names_prefix);
    });
}

void FdStore::adopt(FoundThings& found) {
    auto const names = read_names(found);
    std::map<std::uint32_t, HeldFd> held; // by number, which is their order
    for (auto thing = found.begin(); thing != found.end();) {
        auto const& name = thing->first;
        std::uint32_t number = 0;
        if (name.starts_with(stored_prefix) &&
            lifecycle::text::Values::read(std::string_view{name}.substr(name.rfind(' ') + 1), number))
            held.emplace(number, std::move(thing->second));
        bool const is_ours = name.starts_with(stored_prefix) || name.starts_with(names_prefix);
        thing = is_ours ? found.erase(thing) : std::next(thing);
    }
    last_number_ = names.empty() ? 0 : names.rbegin()->first;
    for (auto& [number, one] : held) {
        last_number_ = std::max({last_number_, number, 1U});
        auto const known = names.find(number);
        auto const saved = known == names.end() ? SavedStored{} : known->second;
        auto const node = node_of(one.fd);
        add(number, saved.name, saved.is_watched, std::move(one.fd), node);
    }
}

void FdStore::complain(Trouble trouble, std::string text) {
    auto& quiet_until = quiet_until_[static_cast<std::size_t>(trouble)];
    auto const now = MonotonicTime::now();
    if (now < quiet_until)
        return;
    quiet_until = now + pause_of_complaints;
    shared_.events.say(Weight::Warning, "fd-store", unit_, std::move(text));
}

} // namespace holdfast
