// SPDX-License-Identifier: Apache-2.0
#include "supervisor/arrival_watch.h"

#include <algorithm>
#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace holdfast {

namespace {

// Queued one by one, with the descriptor; where there is no room for more of them the kernel sends a plain
// SIGIO, with none.
int arrival_signal() {
    return SIGRTMIN + 1;
}

/// Anew also where it is set: that was by a supervisor before us, and the signals would bear its descriptor.
void signal_arrivals(int fd) {
    int const flags = ::fcntl(fd, F_GETFL);
    (void)::fcntl(fd, F_SETFL, flags & ~O_ASYNC); // fcntl(2) has no reason to fail
    f_owner_ex const us{F_OWNER_TID,
                        ::gettid()}; // other threads may have the signal unblocked, and it would end us
    (void)::fcntl(fd, F_SETOWN_EX, &us);
    (void)::fcntl(fd, F_SETSIG, arrival_signal());
    (void)::fcntl(fd, F_SETFL, flags | O_ASYNC);
}

void signal_no_more(int fd) {
    int const flags = ::fcntl(fd, F_GETFL);
    if (flags >= 0)
        (void)::fcntl(fd, F_SETFL, flags & ~O_ASYNC);
}

} // namespace

ArrivalWatch::ArrivalWatch(UniqueFd signals, Arrived arrived)
    : mask_{arrival_signal(), SIGIO}, signals_{std::move(signals)}, arrived_{std::move(arrived)} {}

Result<std::unique_ptr<ArrivalWatch>> ArrivalWatch::create(EventLoop& loop, Arrived arrived) {
    sigset_t heard;
    sigemptyset(&heard);
    sigaddset(&heard, arrival_signal());
    sigaddset(&heard, SIGIO);
    UniqueFd signals{::signalfd(-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK)};
    if (!signals.is_open())
        return system_error(errno, "hear of clients");
    std::unique_ptr<ArrivalWatch> watch{new ArrivalWatch{std::move(signals), std::move(arrived)}};
    watch->source_ =
        loop.watch(watch->signals_, EPOLLIN, [raw = watch.get()](std::uint32_t) { raw->catch_up(); });
    return watch;
}

/// A signal that is still queued would end us when it is not blocked any more.
ArrivalWatch::~ArrivalWatch() {
    for (auto const& one : watched_)
        signal_no_more(one.fd);
    watched_.clear();
    catch_up();
}

void ArrivalWatch::add(FdRef listener, std::uint32_t unit) {
    watched_.push_back({listener.raw(), unit});
    signal_arrivals(listener.raw());
}

void ArrivalWatch::remove(std::uint32_t unit) {
    std::erase_if(watched_, [unit](Watched const& one) {
        if (one.unit != unit)
            return false;
        signal_no_more(one.fd);
        return true;
    });
}

void ArrivalWatch::catch_up() {
    signalfd_siginfo info{};
    while (::read(signals_.raw(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
        if (info.ssi_signo == static_cast<std::uint32_t>(SIGIO))
            hear_all();
        else
            hear(info.ssi_fd);
    }
}

/// A late one may bear a number that is another descriptor by now: it tells of an arrival that was none, no
/// more.
void ArrivalWatch::hear(int fd) {
    auto const found =
        std::find_if(watched_.begin(), watched_.end(), [fd](Watched const& one) { return one.fd == fd; });
    if (found == watched_.end())
        return;
    auto const unit = found->unit;
    remove(unit);
    arrived_(unit);
}

void ArrivalWatch::hear_all() {
    while (!watched_.empty())
        hear(watched_.back().fd);
}

} // namespace holdfast
