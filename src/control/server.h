// SPDX-License-Identifier: Apache-2.0
// The daemon's end of the control socket. Binds it, lets clients in, refuses what is no request or not
// permitted, and gives the rest to one handler. Never blocks, whatever the clients do; knows requests, not
// units.
#pragma once

#include "control/limits.h"
#include "control/request.h"
#include "event/loop.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace holdfast {

struct ControlServerOptions {
    std::string path; ///< RUNTIME_DIR/control.sock; its folder exists and is ours alone to write
    std::string group = "holdfast"; ///< owns the socket and may change things, if it exists; empty: nobody
    std::optional<mode_t> mode{};   ///< of the socket; none: as below
    ControlLimits limits;
    /// Told once when descriptors run out, and again after it went well in between.
    std::function<void(Error const&)> on_problem;
};

/// True if `peer` may call methods that change something.
[[nodiscard]] bool may_change(Peer const& peer, uid_t daemon_user, std::optional<gid_t> control_group);

class ControlServer {
public:
    /// Takes the request; must answer it, now or later, through its `reply`. Must not block.
    using Handler = std::function<void(ControlRequest)>;

    /// Binds `options.path` under a temporary name, gives it its mode (0660 and the group; 0600 when an
    /// ordinary user has no group) and renames it into place, so that a stale socket is replaced in one step.
    /// That no other daemon lives is for the caller to know (its lock file). Errors: of the system calls; a
    /// path that does not fit into sockaddr_un (107 bytes) or that is something else than a socket.
    /// `kept`: the socket that the daemon before us has left at that path: clients wait in it.
    [[nodiscard]] static Result<std::unique_ptr<ControlServer>>
    open(EventLoop& loop, ControlServerOptions options, Handler handler, UniqueFd kept = {});

    ControlServer(ControlServer const&) = delete;
    ControlServer& operator=(ControlServer const&) = delete;
    /// Closes every client and removes the socket, if it is still the one that was made. Replies that are
    /// still kept become harmless.
    ~ControlServer();

    [[nodiscard]] std::size_t client_count() const;
    /// To be kept for who comes after us.
    [[nodiscard]] FdRef socket() const;

private:
    struct State;
    explicit ControlServer(std::shared_ptr<State> state);
    std::shared_ptr<State> state_;
};

} // namespace holdfast
