// SPDX-License-Identifier: Apache-2.0
#include "socket/shard_bind.h"

#include "socket/bind_error.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace holdfast {

namespace {

Error failed(ShardRecipe const& recipe, std::string_view step, int code = errno) {
    return explain_bind_failure(code, step, recipe.socket, recipe.address);
}

Outcome switch_on(ShardRecipe const& recipe, FdRef fd, int level, int option, int value,
                  std::string_view step) {
    if (::setsockopt(fd.raw(), level, option, &value, sizeof value) < 0)
        return failed(recipe, step);
    return {};
}

Outcome allow_reuse(ShardRecipe const& recipe, FdRef fd) {
    if (recipe.address.transport == Transport::Udp)
        return {};
    return switch_on(recipe, fd, SOL_SOCKET, SO_REUSEADDR, 1, "set SO_REUSEADDR on");
}

Outcome set_address_options(ShardRecipe const& recipe, FdRef fd) {
    bool const is_v6 = recipe.where.family() == AF_INET6;
    bool const is_both = recipe.address.host.empty();
    // As bind_listener() does; every member of a group has to have the same.
    if (is_v6 && (is_both || (!is_any(recipe.where) && !is_mapped_ipv4(recipe.where))))
        if (auto done =
                switch_on(recipe, fd, IPPROTO_IPV6, IPV6_V6ONLY, is_both ? 0 : 1, "set IPV6_V6ONLY on");
            !done)
            return done;
    if (!recipe.socket.free_bind)
        return {};
    return is_v6 ? switch_on(recipe, fd, IPPROTO_IPV6, IPV6_FREEBIND, 1, "set IPV6_FREEBIND on")
                 : switch_on(recipe, fd, IPPROTO_IP, IP_FREEBIND, 1, "set IP_FREEBIND on");
}

Result<Listener> make_shard(ShardRecipe const& recipe) {
    int const type = recipe.address.transport == Transport::Udp ? SOCK_DGRAM : SOCK_STREAM;
    Listener listener;
    listener.name = recipe.socket.name;
    listener.wanted = recipe.address;
    listener.fd = UniqueFd{::socket(recipe.where.family(), type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!listener.fd.is_open())
        return failed(recipe, "create a socket for");
    if (auto done = switch_on(recipe, listener.fd, SOL_SOCKET, SO_REUSEPORT, 1, "set SO_REUSEPORT on"); !done)
        return std::move(done).error();
    if (auto done = set_address_options(recipe, listener.fd); !done)
        return std::move(done).error();
    return listener;
}

std::string steering_advice(int code) {
    switch (code) {
    case EOPNOTSUPP:
        return "a socket of this protocol (MPTCP) cannot be steered: leave reuse_port out";
    case ENOPROTOOPT:
        return "this kernel has no SO_ATTACH_REUSEPORT_CBPF (Linux 4.5): leave reuse_port out";
    case ENOMEM:
        return "the program is larger than net.core.optmem_max allows: raise that, or have fewer workers";
    default:
        return {};
    }
}

} // namespace

Result<Listener> bind_first_shard(ShardRecipe& recipe) {
    auto listener = make_shard(recipe);
    if (!listener)
        return listener;
    if (recipe.address.port != 0)
        if (auto done = allow_reuse(recipe, listener->fd); !done)
            return std::move(done).error();
    SteeringProgram const all_to_first{BPF_STMT(BPF_RET | BPF_K, 0)};
    if (auto done = attach_program(listener->fd, all_to_first, recipe.socket.name, recipe.address); !done)
        return std::move(done).error();
    if (::bind(listener->fd.raw(), recipe.where.get(), recipe.where.length) < 0)
        return failed(recipe, "bind");
    recipe.where.length = sizeof recipe.where.storage;
    if (::getsockname(listener->fd.raw(), reinterpret_cast<sockaddr*>(&recipe.where.storage),
                      &recipe.where.length) < 0)
        return failed(recipe, "read the port of");
    listener->port = port_of(recipe.where);
    // Port 0 with it would search half of the ports first, as bind_listener() tells; the next ones need it.
    if (recipe.address.port == 0)
        if (auto done = allow_reuse(recipe, listener->fd); !done)
            return std::move(done).error();
    return listener;
}

Result<Listener> bind_next_shard(ShardRecipe const& recipe) {
    auto listener = make_shard(recipe);
    if (!listener)
        return listener;
    if (auto done = allow_reuse(recipe, listener->fd); !done)
        return std::move(done).error();
    if (::bind(listener->fd.raw(), recipe.where.get(), recipe.where.length) < 0)
        return failed(recipe, "bind one more shard of");
    listener->port = port_of(recipe.where);
    return listener;
}

Outcome open_shard(ShardRecipe const& recipe, Listener const& listener) {
    bool const is_stream = recipe.address.transport != Transport::Udp;
    if (is_stream && ::listen(listener.fd.raw(), recipe.socket.backlog) < 0)
        return failed(recipe, "listen on a shard of");
    // F_SETFL without F_GETFL: O_NONBLOCK is the only status flag a socket of ours has.
    if (!recipe.socket.non_blocking && ::fcntl(listener.fd.raw(), F_SETFL, 0) < 0)
        return failed(recipe, "clear O_NONBLOCK of a shard of");
    return {};
}

Outcome attach_program(FdRef member, SteeringProgram const& program, std::string const& name,
                       ListenAddress const& address) {
    if (program.size() > longest_program)
        return system_error(E2BIG, "steer the shards of " + to_string(address), name,
                            "so many shards cannot be told apart: have fewer workers");
    sock_fprog const code{.len = static_cast<unsigned short>(program.size()),
                          .filter = const_cast<sock_filter*>(program.data())};
    if (::setsockopt(member.raw(), SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &code, sizeof code) < 0)
        return system_error(errno, "steer the shards of " + to_string(address), name, steering_advice(errno));
    return {};
}

Result<KernelAddress> kernel_address_of(Listener const& listener) {
    KernelAddress address;
    address.length = sizeof address.storage;
    if (::getsockname(listener.fd.raw(), reinterpret_cast<sockaddr*>(&address.storage), &address.length) < 0)
        return system_error(errno, "read the address of a shard of " + to_string(listener.bound()),
                            listener.name);
    return address;
}

bool is_listening(FdRef socket) {
    int value = 0;
    socklen_t length = sizeof value;
    return ::getsockopt(socket.raw(), SOL_SOCKET, SO_ACCEPTCONN, &value, &length) == 0 && value != 0;
}

} // namespace holdfast
