// SPDX-License-Identifier: Apache-2.0
// holdfast-bench-bind ROUNDS LISTENERS: how long it takes to bind that many TCP listeners, by holdfast's
// bind_listener() and by a bare socket + bind + listen loop with the same options, taking turns.
#include "base/ensure.h"
#include "programs/samples.h"
#include "socket/listener.h"

#include <cstdlib>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using namespace holdfast;

constexpr int ports_per_address =
    100; // in 127.0.0.0/8, a block for this process; ports below the ephemeral range
constexpr int first_port = 20000;
constexpr int backlog = 4096;

std::string host_of(int i) {
    static std::string const block = "127." + std::to_string(100 + ::getpid() % 150) + ".";
    return block + std::to_string(i / ports_per_address / 250) + "." +
           std::to_string(1 + i / ports_per_address % 250);
}

int port_of(int i) {
    return first_port + i % ports_per_address;
}

SocketSpec make_spec(int count) {
    SocketSpec spec;
    spec.name = "many";
    spec.backlog = backlog;
    spec.non_blocking = true;
    for (int i = 0; i < count; ++i)
        spec.listen.push_back({Transport::Tcp, host_of(i), static_cast<std::uint16_t>(port_of(i))});
    return spec;
}

double bind_ours(SocketSpec const& spec) {
    std::vector<Listener> listeners;
    listeners.reserve(spec.listen.size());
    double const time = bench::time_of([&] {
        for (auto const& address : spec.listen) {
            auto listener = bind_listener(spec, address);
            ensure(listener.has_value(), "bind_listener");
            listeners.push_back(std::move(*listener));
        }
    });
    for (auto& listener : listeners)
        give_up(std::move(listener));
    return time;
}

double bind_bare(int count) {
    std::vector<sockaddr_in> addresses(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) {
        auto& address = addresses[static_cast<std::size_t>(i)];
        address.sin_family = AF_INET;
        address.sin_port = htons(static_cast<std::uint16_t>(port_of(i)));
        ensure(::inet_pton(AF_INET, host_of(i).c_str(), &address.sin_addr) == 1, "inet_pton");
    }
    std::vector<UniqueFd> listeners(addresses.size());
    return bench::time_of([&] {
        for (std::size_t i = 0; i < addresses.size(); ++i) {
            auto& fd = listeners[i];
            fd = UniqueFd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
            int const on = 1;
            ensure(::setsockopt(fd.raw(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0, "SO_REUSEADDR");
            ensure(::bind(fd.raw(), reinterpret_cast<sockaddr*>(&addresses[i]), sizeof addresses[i]) == 0,
                   "bind");
            ensure(::listen(fd.raw(), backlog) == 0, "listen");
        }
    });
}

} // namespace

int main(int argc, char** argv) {
    int const rounds = argc > 1 ? std::atoi(argv[1]) : 5;
    int const count = argc > 2 ? std::atoi(argv[2]) : 10000;
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    auto const spec = make_spec(count);
    std::vector<double> ours;
    std::vector<double> bare;
    for (int round = 0; round < rounds; ++round) {
        ours.push_back(bind_ours(spec));
        bare.push_back(bind_bare(count));
    }
    bench::print_rounds(ours, bare);
    return 0;
}
