// SPDX-License-Identifier: Apache-2.0
// Tells when somebody who shares a listener has ended it for all by shutdown(2): the one epoll(7) of all
// listeners, itself one source of the event loop. Clients do not wake it. Owns no listener and mends none;
// the units' custody adds and removes, and is told. Costs nothing per listener but the kernel's own entry.
#pragma once

#include "event/loop.h"

#include <cstdint>
#include <functional>
#include <memory>

namespace holdfast {

class HangupWatch {
public:
    /// `hung_up` gets what add() was given; a unit's number is never used again, so that nothing can dangle.
    using HungUp = std::function<void(std::uint32_t unit, int fd)>;
    /// Errors: of epoll_create1(2).
    [[nodiscard]] static Result<std::unique_ptr<HangupWatch>> create(EventLoop& loop, HungUp hung_up);
    HangupWatch(HangupWatch const&) = delete;
    HangupWatch& operator=(HangupWatch const&) = delete;

    /// Tells once, then no more until it is added again: the hang-up stays until the listener is mended.
    /// Errors: of epoll_ctl(2): ENOSPC, ENOMEM.
    [[nodiscard]] Outcome add(FdRef listener, std::uint32_t unit);
    /// Must come before the descriptor is closed: others share the open file, so that closing ours would
    /// leave the entry, which nobody could remove any more. Of one that is not there: nothing.
    void remove(FdRef listener);

private:
    HangupWatch(UniqueFd epoll, HungUp hung_up) : epoll_{std::move(epoll)}, hung_up_{std::move(hung_up)} {}
    void look();

    UniqueFd epoll_;
    HungUp hung_up_;
    EventSource source_;
};

} // namespace holdfast
