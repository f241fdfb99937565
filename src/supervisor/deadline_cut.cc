// SPDX-License-Identifier: Apache-2.0
// What a drain's deadline cuts: the connections that a worker has open when it is killed.
#include "supervisor/addresses.h"
#include "supervisor/unit_runner.h"

namespace holdfast {

namespace {

std::string open_text(ConnectionCount const& count) {
    if (!count.is_known())
        return "; how many connections it has open is not known";
    auto const number = count.found == 0 ? std::string{"no"} : std::to_string(count.found);
    return std::string{", with "} + (count.is_all ? "" : "at least ") + number +
           (count.found == 1 ? " connection open" : " connections open");
}

} // namespace

/// Where its listeners are, and by what the generations that are there were started with, where they were: a
/// worker may still hold what came in by one that is given up since.
std::vector<ListenAddress> UnitRunner::served_addresses() const {
    std::vector<ListenAddress> addresses;
    for (auto const& listener : sockets_.held())
        addresses.push_back(listener.bound());
    if (auto const* const shards = sockets_.shards())
        for (auto const& group : shards->groups())
            addresses.push_back(group.bound());
    auto const held = identities_of(sockets_.held()); // there may be ten thousand of them
    auto const is_held = [&](ListenerIdentity const& identity) {
        return held.contains(identity) ||
               (sockets_.shards() != nullptr && sockets_.shards()->find(identity) != nullptr);
    };
    for (auto const& known : older_specs_)
        for (auto const& socket : known.spec->sockets)
            for (auto const& address : socket.listen)
                if (!is_held({socket.name, address}))
                    addresses.push_back(address);
    return addresses;
}

std::string UnitRunner::note_cut(lifecycle::WorkerId id) {
    auto const* const worker = find(id);
    auto& open = underway().open;
    // However many are to be killed now, and however much they have open, none of them waits long for it.
    auto const began = MonotonicTime::now();
    auto const deadline = began + shared_.counting.left(began);
    if (!open)
        open = std::make_unique<OpenConnections>(served_addresses());
    auto const count = worker == nullptr
                           ? ConnectionCount{}
                           : open->held_by(worker->process.pid(), worker->process.leader(), deadline);
    shared_.counting.spend(MonotonicTime::now() - began);
    underway().rollouts.killed_at_deadline(count);
    return open->is_idle() ? std::string{} : open_text(count);
}

} // namespace holdfast
