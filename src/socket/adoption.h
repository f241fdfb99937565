// SPDX-License-Identifier: Apache-2.0
// Sockets that somebody bound before us (a holdfastd that died, systemd) and the specs that want some: which
// one is which, by what it is (type, address, options), never by its position or name. The plan is pure, and
// made before anything is done.
#pragma once

#include "base/fd.h"
#include "unit/spec.h"

#include <cstddef>
#include <optional>
#include <vector>

namespace holdfast {

/// What the kernel says of a bound socket.
struct FoundSocket {
    ListenAddress bound; ///< host "0.0.0.0" or "::" for every address
    bool is_listening = false;
    bool is_reuse_port = false;
};
/// Nothing of what is no socket of a transport that we know, or is not bound.
[[nodiscard]] std::optional<FoundSocket> look_at_socket(FdRef fd);

/// Is it what `socket` wants at `address`? A wanted port 0 is met by any.
[[nodiscard]] bool is_wanted_as(FoundSocket const& found, SocketSpec const& socket,
                                ListenAddress const& address);

struct AdoptionPlan {
    struct Adopt {
        std::size_t found = 0; ///< its place among those found
        std::size_t unit = 0;  ///< and of the spec
        ListenerIdentity listener;
        std::string name; ///< of its [[socket]]
    };
    struct Bind {
        std::size_t unit = 0;
        ListenerIdentity listener;
    };
    std::vector<Adopt> adopt;
    std::vector<Bind> bind;       ///< wanted, and not found
    std::vector<std::size_t> end; ///< found, and wanted by nobody
};
/// Each one found is given to one spec at most, the first that wants it; what lists its very port goes before
/// what takes any. Sockets of `reuse_port` are many for one address, whose order has to be known: they are
/// not adopted here, but ended.
[[nodiscard]] AdoptionPlan plan_adoption(std::vector<FoundSocket> const& found,
                                         std::vector<UnitSpecPtr> const& specs);

} // namespace holdfast
