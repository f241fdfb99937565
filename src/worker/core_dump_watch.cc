// SPDX-License-Identifier: Apache-2.0
#include "worker/core_dump_watch.h"

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <optional>

#include <arpa/inet.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace holdfast {

namespace {

constexpr char const* to_hear = "hear of core dumps";
constexpr std::uint32_t core_dump = 0x40000000; // PROC_EVENT_COREDUMP
constexpr std::size_t at_event = NLMSG_LENGTH(sizeof(cn_msg));
constexpr int most_dumps_at_once = 64; // then others have their turn

/// The connector speaks of the first pid namespace. Its number in /proc is fixed (PROC_PID_INIT_INO).
bool is_first_pid_namespace() {
    struct stat status {};
    return ::stat("/proc/self/ns/pid", &status) == 0 && status.st_ino == 0xeffffffc;
}

/// Every fork and exec of the machine is told on this socket; all but the dumps end in the kernel.
Outcome let_only_dumps_through(FdRef socket) {
    std::array<sock_filter, 4> const program{{
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at_event + offsetof(proc_event, what)),
        // A filter loads in the order of the network, and the event is in ours.
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(core_dump), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
        BPF_STMT(BPF_RET | BPF_K, 0),
    }};
    sock_fprog const filter{program.size(), const_cast<sock_filter*>(program.data())};
    if (::setsockopt(socket.raw(), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) < 0)
        return system_error(errno, to_hear);
    return {};
}

Outcome subscribe(FdRef socket) {
    constexpr std::uint32_t operation = PROC_CN_MCAST_LISTEN;
    cn_msg message{};
    message.id = {CN_IDX_PROC, CN_VAL_PROC};
    message.len = sizeof operation;
    nlmsghdr header{};
    header.nlmsg_len = at_event + sizeof operation;
    header.nlmsg_type = NLMSG_DONE;
    std::array<char, at_event + sizeof operation> request{};
    std::memcpy(request.data(), &header, sizeof header);
    std::memcpy(request.data() + NLMSG_HDRLEN, &message, sizeof message);
    std::memcpy(request.data() + at_event, &operation, sizeof operation);
    if (::send(socket.raw(), request.data(), request.size(), 0) < 0)
        return system_error(errno, to_hear);
    return {};
}

/// Who dumps; 0: the message is of something else, or some were lost; nothing: there is none.
std::optional<pid_t> next_dump(FdRef socket) {
    // Aligned as the kernel writes it: the headers, then the event.
    alignas(nlmsghdr) std::array<char, 256> buffer;
    sockaddr_nl sender{};
    socklen_t length = sizeof sender;
    auto const size = ::recvfrom(socket.raw(), buffer.data(), buffer.size(), MSG_DONTWAIT,
                                 reinterpret_cast<sockaddr*>(&sender), &length);
    if (size < 0 && errno != ENOBUFS && errno != EINTR)
        return {};
    if (size < static_cast<ssize_t>(at_event + sizeof(proc_event)) || sender.nl_pid != 0)
        return 0; // only the kernel is believed
    proc_event event;
    std::memcpy(&event, buffer.data() + at_event, sizeof event);
    return static_cast<std::uint32_t>(event.what) == core_dump ? event.event_data.coredump.process_tgid : 0;
}

} // namespace

Result<std::unique_ptr<CoreDumpWatch>> CoreDumpWatch::open(EventLoop& loop,
                                                           std::function<void(pid_t)> began) {
    if (!is_first_pid_namespace())
        return system_error(ENOTSUP, to_hear);
    UniqueFd socket{::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR)};
    if (!socket.is_open())
        return system_error(errno, to_hear);
    if (auto done = let_only_dumps_through(socket); !done)
        return std::move(done).error();
    sockaddr_nl group{};
    group.nl_family = AF_NETLINK;
    group.nl_groups = CN_IDX_PROC;
    if (::bind(socket.raw(), reinterpret_cast<sockaddr*>(&group), sizeof group) < 0)
        return system_error(errno, to_hear);
    if (auto done = subscribe(socket); !done)
        return std::move(done).error();
    return std::unique_ptr<CoreDumpWatch>{new CoreDumpWatch{loop, std::move(socket), std::move(began)}};
}

CoreDumpWatch::~CoreDumpWatch() = default;

void CoreDumpWatch::listen() {
    while (next_dump(socket_)) // of the time when nobody listened
        ;
    auto source = loop_.try_watch(
        socket_, EPOLLIN, [this](std::uint32_t) { receive(); }, Priority::Deaths);
    if (source)
        source_ = std::move(source).value();
}

void CoreDumpWatch::rest() {
    source_.reset();
}

void CoreDumpWatch::receive() {
    for (int turn = 0; turn < most_dumps_at_once; ++turn) {
        auto const pid = next_dump(socket_);
        if (!pid)
            return;
        if (*pid != 0)
            began_(*pid);
    }
}

} // namespace holdfast
