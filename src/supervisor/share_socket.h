// SPDX-License-Identifier: Apache-2.0
// handoff.sock: programs that are not our children (a container, a script) fetch listeners by SCM_RIGHTS
// here, where the unit's [share] names their user or group. Who they are is what the kernel says
// (SO_PEERCRED), never what they say.
#pragma once

#include "supervisor/supervisor.h"

#include <list>
#include <memory>

#include <sys/types.h>

namespace holdfast {

class ShareSocket {
public:
    /// Binds `path`, mode 0666: who may have what is decided for each request. Errors: of socket(2), bind(2),
    /// listen(2).
    /// `kept`: the one that the holdfastd before us has bound there.
    [[nodiscard]] static Result<std::unique_ptr<ShareSocket>> open(Supervisor& supervisor, std::string path,
                                                                   UniqueFd kept = {});
    [[nodiscard]] FdRef socket() const { return fd_; }
    ShareSocket(ShareSocket const&) = delete;
    ShareSocket& operator=(ShareSocket const&) = delete;
    ~ShareSocket();

    static constexpr std::size_t most_clients = 64;
    /// Of these, for one user: nobody can take all the places. Beyond, his own first one goes.
    static constexpr std::size_t most_clients_of_one = 16;
    static constexpr Duration longest_visit = std::chrono::seconds{30};

private:
    struct Client;
    ShareSocket(Supervisor& supervisor, std::string path, UniqueFd fd);
    void accept();
    void make_room(uid_t user);
    void pause();

    Supervisor& supervisor_;
    std::string path_;
    UniqueFd fd_;
    EventSource source_;
    EventSource resume_;
    std::list<Client> clients_;
};

} // namespace holdfast
