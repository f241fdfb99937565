// SPDX-License-Identifier: Apache-2.0
// Tells that somebody has come to a listener from which others accept. A poll of it tells only who still
// waits when it looks; so here the kernel signals each arrival (O_ASYNC: fcntl(2), F_SETSIG, with the
// descriptor in si_fd), also of those whom a worker has taken at once. Costs nothing while nobody comes.
#pragma once

#include "event/loop.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace holdfast {

class ArrivalWatch {
public:
    /// `arrived` gets what add() was given; a unit's number is never used again, so that nothing can dangle.
    using Arrived = std::function<void(std::uint32_t unit)>;
    /// For the thread that runs the loop, which has the signals blocked from here on. Errors: of signalfd(2).
    [[nodiscard]] static Result<std::unique_ptr<ArrivalWatch>> create(EventLoop& loop, Arrived arrived);
    ArrivalWatch(ArrivalWatch const&) = delete;
    ArrivalWatch& operator=(ArrivalWatch const&) = delete;
    ~ArrivalWatch();

    /// Tells once, then no more until it is added again. The flag is of the open file, which the workers
    /// share: one that clears it (fcntl(F_SETFL) with flags that it has not read) makes arrivals unheard.
    void add(FdRef listener, std::uint32_t unit);
    /// All of this unit.
    void remove(std::uint32_t unit);
    /// Before the descriptor is closed; its unit is told, for it has other listeners now.
    void forget(FdRef listener) { hear(listener.raw()); }
    /// Who has come by now is told of before it returns.
    void catch_up();

private:
    struct Watched {
        int fd;
        std::uint32_t unit;
    };
    ArrivalWatch(UniqueFd signals, Arrived arrived);
    void hear(int fd);
    void hear_all();

    SignalMask mask_;
    UniqueFd signals_;
    Arrived arrived_;
    std::vector<Watched> watched_;
    EventSource source_;
};

} // namespace holdfast
