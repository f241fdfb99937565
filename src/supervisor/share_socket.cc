// SPDX-License-Identifier: Apache-2.0
#include "supervisor/share_socket.h"

#include "base/peer.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace holdfast {

/// One program that asks. It has a while to do so, and a place among not too many.
struct ShareSocket::Client {
    uid_t user = 0;
    std::unique_ptr<HandoffPort> port;
    EventSource deadline;
};

namespace {

constexpr Duration accept_pause = std::chrono::milliseconds{100};

Error not_permitted(std::string const& unit) {
    // The same words for a unit that is not there: a stranger learns nothing about it.
    return system_error(EACCES, "share the listeners of " + unit, {},
                        "name your user or group in its [share]");
}

template <class Id, class Find>
std::vector<Id> ids_of(std::vector<std::string> const& names, Find find) {
    std::vector<Id> ids;
    for (auto const& name : names)
        if (auto const id = find(name))
            ids.push_back(*id);
    return ids;
}

Result<std::vector<NamedFd>> shared_listeners(Supervisor& supervisor, Peer const& peer,
                                              std::string const& name) {
    auto const* const unit = supervisor.find(name);
    if (unit == nullptr)
        return not_permitted(name);
    bool const is_own = peer.uid == 0 || peer.uid == ::geteuid();
    auto const& share = unit->spec().share;
    if (!is_own && !share)
        return not_permitted(name);
    if (!is_own &&
        !is_allowed(peer, ids_of<uid_t>(share->users, find_uid), ids_of<gid_t>(share->groups, find_gid)))
        return not_permitted(name);
    std::vector<NamedFd> named;
    for (auto& held : unit->sockets().hand_out(unit->spec()))
        named.push_back(std::move(held.listener));
    return named;
}

} // namespace

ShareSocket::ShareSocket(Supervisor& supervisor, std::string path, UniqueFd fd)
    : supervisor_{supervisor}, path_{std::move(path)}, fd_{std::move(fd)} {}

namespace {

Result<UniqueFd> bind_share_socket(std::string const& path) {
    auto const doing = "listen on " + path;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return system_error(ENAMETOOLONG, doing, {}, "use a shorter runtime folder");
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    UniqueFd fd{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!fd.is_open())
        return system_error(errno, doing);
    ::unlink(path.c_str()); // ours: the caller holds the lock of the runtime folder
    if (::bind(fd.raw(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0 ||
        ::chmod(path.c_str(), 0666) < 0 ||
        ::listen(fd.raw(), static_cast<int>(ShareSocket::most_clients)) < 0)
        return system_error(errno, doing);
    return fd;
}

} // namespace

Result<std::unique_ptr<ShareSocket>> ShareSocket::open(Supervisor& supervisor, std::string path,
                                                       UniqueFd kept) {
    auto const doing = "listen on " + path;
    if (!kept.is_open() || ::access(path.c_str(), F_OK) < 0) {
        auto bound = bind_share_socket(path);
        if (!bound)
            return std::move(bound).error();
        kept = std::move(bound).value();
    }
    std::unique_ptr<ShareSocket> share{new ShareSocket{supervisor, std::move(path), std::move(kept)}};
    auto source = supervisor.shared().loop.try_watch(
        share->fd_, EPOLLIN, [raw = share.get()](std::uint32_t) { raw->accept(); }, Priority::Clients);
    if (!source)
        return system_error(source.error().code, doing);
    share->source_ = std::move(source).value();
    // Made now: a timer may need a descriptor, and when it rings there was none.
    share->resume_ = supervisor.shared().loop.at(MonotonicTime::never(),
                                                 [raw = share.get()] { raw->source_.set_events(EPOLLIN); });
    return share;
}

ShareSocket::~ShareSocket() {
    ::unlink(path_.c_str());
}

void ShareSocket::pause() {
    source_.set_events(0);
    resume_.rearm(MonotonicTime::now() + accept_pause);
}

void ShareSocket::accept() {
    UniqueFd socket{::accept4(fd_.raw(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    if (!socket.is_open()) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            pause(); // no descriptor or no memory is left: the client would wake us without end
        return;
    }
    auto peer = read_peer(socket);
    if (!peer)
        return;
    auto& loop = supervisor_.shared().loop;
    auto const user = peer->uid;
    make_room(user);
    auto const client = clients_.emplace(clients_.end());
    client->user = user;
    auto const leave = [this, client] { clients_.erase(client); };
    client->port = std::make_unique<HandoffPort>(
        loop, std::move(socket), RequestScope::AnyUnit,
        [this, peer = std::move(peer).value()](std::string const& unit) {
            return shared_listeners(supervisor_, peer, unit);
        },
        leave);
    client->deadline = loop.at(MonotonicTime::now() + longest_visit, leave);
}

/// The one that has been here longest has had its turn: of the user himself if he has many, else of all.
void ShareSocket::make_room(uid_t user) {
    auto const is_his = [user](Client const& client) { return client.user == user; };
    auto const his = std::count_if(clients_.begin(), clients_.end(), is_his);
    if (his >= static_cast<std::ptrdiff_t>(most_clients_of_one))
        clients_.erase(std::find_if(clients_.begin(), clients_.end(), is_his));
    else if (clients_.size() >= most_clients)
        clients_.pop_front();
}

} // namespace holdfast
