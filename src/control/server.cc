// SPDX-License-Identifier: Apache-2.0
#include "control/server.h"

#include "control/bind.h"
#include "control/connection.h"
#include "control/dispatch.h"
#include "control/message.h"
#include "control/methods.h"

#include <array>
#include <cerrno>
#include <set>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace holdfast {

using nlohmann::json;

namespace {

constexpr int accepts_at_once = 16;
// How long nobody is let in when the kernel has no descriptor, not even the one kept in reserve, or no
// memory.
constexpr Duration accept_pause = std::chrono::milliseconds{100};

UniqueFd open_reserve() {
    return UniqueFd{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
}

} // namespace

struct ControlServer::State : std::enable_shared_from_this<ControlServer::State> {
    State(EventLoop& its_loop, ControlServerOptions its_options, Handler its_handler)
        : loop{its_loop}, options{std::move(its_options)}, handler{std::move(its_handler)} {}

    void begin();
    void accept_some();
    bool accept_one();
    bool survive(int code);
    void pause_accepting();
    void let_in(UniqueFd socket);
    void refuse(UniqueFd socket) const;

    EventLoop& loop;
    ControlServerOptions options;
    Handler handler;
    BoundControlSocket bound;
    UniqueFd reserve; ///< given up for a moment to close a client that no descriptor is left for
    EventSource watch;
    EventSource resume;
    bool is_exhausted = false;
    std::set<std::shared_ptr<ControlConnection>> clients;
};

bool may_change(Peer const& peer, uid_t daemon_user, std::optional<gid_t> control_group) {
    std::array<uid_t, 2> const users{0, daemon_user};
    std::array<gid_t, 1> const groups{control_group.value_or(0)};
    return is_allowed(peer, users, std::span{groups}.first(control_group ? 1 : 0));
}

Result<std::unique_ptr<ControlServer>> ControlServer::open(EventLoop& loop, ControlServerOptions options,
                                                           Handler handler, UniqueFd kept) {
    std::optional<BoundControlSocket> bound;
    if (kept.is_open())
        bound = adopt_control_socket(options.path, options.group, options.mode, std::move(kept));
    if (!bound) {
        auto made = bind_control_socket(options.path, options.group, options.mode);
        if (!made)
            return std::move(made).error();
        bound = std::move(made).value();
    }
    auto state = std::make_shared<State>(loop, std::move(options), std::move(handler));
    state->bound = *std::move(bound);
    state->reserve = open_reserve();
    state->begin();
    return std::unique_ptr<ControlServer>{new ControlServer{std::move(state)}};
}

ControlServer::ControlServer(std::shared_ptr<State> state) : state_{std::move(state)} {}

ControlServer::~ControlServer() {
    auto const clients = std::exchange(state_->clients, {});
    for (auto const& client : clients)
        client->drop();
    state_->watch.reset();
    state_->resume.reset();
    give_up_control_socket(state_->bound);
}

FdRef ControlServer::socket() const {
    return state_->bound.fd;
}

std::size_t ControlServer::client_count() const {
    return state_->clients.size();
}

void ControlServer::State::begin() {
    watch = loop.watch(
        bound.fd, EPOLLIN, [this](std::uint32_t) { accept_some(); }, Priority::Clients);
    resume = loop.at(MonotonicTime::never(), [this] { watch.set_events(EPOLLIN); });
}

void ControlServer::State::accept_some() {
    for (int accepted = 0; accepted < accepts_at_once; ++accepted)
        if (!accept_one())
            return;
}

// False when there is nobody left to accept, or nothing to accept with.
bool ControlServer::State::accept_one() {
    UniqueFd socket{::accept4(bound.fd.raw(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    if (!socket.is_open())
        return survive(errno);
    is_exhausted = false;
    let_in(std::move(socket));
    return true;
}

bool ControlServer::State::survive(int code) {
    switch (code) {
    case EAGAIN:
        return false;
    case EINTR:
    case ECONNABORTED:
        return true;
    case EMFILE:
    case ENFILE: {
        if (!std::exchange(is_exhausted, true) && options.on_problem)
            options.on_problem(system_error(code, "accept a client of the control socket", options.path,
                                            "raise the limit of open files of holdfastd"));
        // The client is told by the end of its connection; left in the queue it would wake us without end.
        reserve.reset();
        UniqueFd{::accept4(bound.fd.raw(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)}.reset();
        reserve = open_reserve();
        if (!reserve.is_open())
            pause_accepting();
        return reserve.is_open();
    }
    default: // memory, or something new: try again later rather than at once for ever
        pause_accepting();
        return false;
    }
}

void ControlServer::State::pause_accepting() {
    watch.set_events(0);
    resume.rearm(MonotonicTime::now() + accept_pause);
}

void ControlServer::State::let_in(UniqueFd socket) {
    auto peer = read_peer(socket);
    if (!peer)
        return; // it is gone already
    bool const is_privileged = may_change(*peer, ::geteuid(), std::nullopt);
    std::size_t const places = options.limits.clients + (is_privileged ? options.limits.reserved_clients : 0);
    if (clients.size() >= places)
        return refuse(std::move(socket));
    auto const weak = weak_from_this();
    ControlConnection::Callbacks callbacks;
    callbacks.on_message = [weak](std::shared_ptr<ControlConnection> const& from, std::string_view text) {
        if (auto self = weak.lock())
            dispatch_message(from, text, self->bound.group, self->handler);
    };
    callbacks.on_too_long = [limit = options.limits.message_bytes](auto const& from) {
        refuse_message(from, "longer than " + std::to_string(limit) + " bytes");
    };
    callbacks.on_gone = [weak](std::shared_ptr<ControlConnection> const& client) {
        if (auto self = weak.lock())
            self->clients.erase(client);
    };
    auto client = std::make_shared<ControlConnection>(loop, std::move(socket), std::move(peer).value(),
                                                      options.limits, std::move(callbacks));
    client->begin(); // throws where the kernel has no memory for a watch: then it is not let in
    clients.insert(std::move(client));
}

void ControlServer::State::refuse(UniqueFd socket) const {
    std::string const message = encode_error(std::string{control_interface} + ".TooManyClients",
                                             json{{"limit", options.limits.clients}});
    // Best effort: the socket is new, so its buffer takes this; if not, the end says enough.
    if (::send(socket.raw(), message.data(), message.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return;
}

} // namespace holdfast
