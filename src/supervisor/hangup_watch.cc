// SPDX-License-Identifier: Apache-2.0
#include "supervisor/hangup_watch.h"

#include <array>
#include <cerrno>

#include <sys/epoll.h>

namespace holdfast {

namespace {

std::uint64_t key_of(std::uint32_t unit, int fd) {
    return static_cast<std::uint64_t>(unit) << 32 | static_cast<std::uint32_t>(fd);
}

} // namespace

Result<std::unique_ptr<HangupWatch>> HangupWatch::create(EventLoop& loop, HungUp hung_up) {
    UniqueFd epoll{::epoll_create1(EPOLL_CLOEXEC)};
    if (!epoll.is_open())
        return system_error(errno, "watch the listeners");
    std::unique_ptr<HangupWatch> watch{new HangupWatch{std::move(epoll), std::move(hung_up)}};
    watch->source_ = loop.watch(watch->epoll_, EPOLLIN, [raw = watch.get()](std::uint32_t) { raw->look(); });
    return watch;
}

Outcome HangupWatch::add(FdRef listener, std::uint32_t unit) {
    epoll_event event{};
    // TCP: shutdown(2) of the reading half shows as EPOLLHUP, which needs no asking; unix: as EPOLLRDHUP,
    // with both halves as EPOLLHUP too. Once: whatever goes wrong with the mending, it cannot make us spin.
    event.events = EPOLLRDHUP | EPOLLONESHOT;
    event.data.u64 = key_of(unit, listener.raw());
    if (::epoll_ctl(epoll_.raw(), EPOLL_CTL_ADD, listener.raw(), &event) == 0)
        return {};
    if (errno == EEXIST && ::epoll_ctl(epoll_.raw(), EPOLL_CTL_MOD, listener.raw(), &event) == 0)
        return {};
    return system_error(errno, "watch a listener");
}

void HangupWatch::remove(FdRef listener) {
    epoll_event unused{};
    ::epoll_ctl(epoll_.raw(), EPOLL_CTL_DEL, listener.raw(), &unused);
}

void HangupWatch::look() {
    std::array<epoll_event, 64> events{};
    int const count = ::epoll_wait(epoll_.raw(), events.data(), static_cast<int>(events.size()), 0);
    for (int i = 0; i < count; ++i) {
        auto const key = events[static_cast<std::size_t>(i)].data.u64;
        hung_up_(static_cast<std::uint32_t>(key >> 32), static_cast<int>(key & 0xffffffffU));
    }
}

} // namespace holdfast
