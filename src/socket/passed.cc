// SPDX-License-Identifier: Apache-2.0
#include "socket/passed.h"

#include "base/text.h"
#include "socket/adoption.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

namespace holdfast {

namespace {

constexpr int first_passed = 3; // SD_LISTEN_FDS_START

int number_in(char const* variable) {
    char const* const text = std::getenv(variable);
    int number = 0;
    if (text != nullptr)
        std::from_chars(text, text + std::strlen(text), number);
    return number;
}

UniqueFd const* find(Passed const& passed, ListenAddress const& address) {
    auto const of_name = passed.find(address.host);
    std::size_t const place = address.port == 0 ? 0 : address.port - 1U;
    return of_name == passed.end() || place >= of_name->second.size() ? nullptr : &of_name->second[place];
}

std::vector<ListenAddress> with_all_passed(std::vector<ListenAddress> const& listed, Passed const& passed) {
    std::vector<ListenAddress> all;
    for (auto const& address : listed) {
        all.push_back(address);
        auto const of_name = passed.find(address.host);
        if (address.transport != Transport::Inherited || address.port != 0 || of_name == passed.end())
            continue;
        for (std::size_t number = 2; number <= of_name->second.size(); ++number) {
            ListenAddress const next{Transport::Inherited, address.host, static_cast<std::uint16_t>(number)};
            if (std::ranges::find(listed, next) == listed.end())
                all.push_back(next);
        }
    }
    return all;
}

} // namespace

Passed passed_by_environment() {
    Passed passed;
    int const count = number_in("LISTEN_PID") == ::getpid() ? number_in("LISTEN_FDS") : 0;
    char const* const variable = std::getenv("LISTEN_FDNAMES");
    auto const names = split(variable != nullptr ? variable : "", ':');
    for (int i = 0; i < count && i < INT_MAX - first_passed; ++i) {
        if (::fcntl(first_passed + i, F_SETFD, FD_CLOEXEC) < 0)
            break;
        auto const place = static_cast<std::size_t>(i);
        auto const name = place < names.size() && !names[place].empty() ? names[place] : "unknown";
        passed[std::string{name}].emplace_back(first_passed + i);
    }
    for (char const* name : {"LISTEN_FDS", "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDNAMES"})
        ::unsetenv(name);
    return passed;
}

Result<Listener> take_up(Passed const& passed, SocketSpec const& socket, ListenAddress const& address) {
    auto const doing = "use " + to_string(address);
    auto const* const fd = find(passed, address);
    if (fd == nullptr)
        return plain_error("cannot " + doing + ": no socket of that name was passed to holdfast", socket.name,
                           "name it by FileDescriptorName= in a .socket unit with Service=holdfast.service, "
                           "and start that first");
    auto const found = look_at_socket(*fd);
    if (!found)
        return plain_error("cannot " + doing + ": it is no bound TCP, UDP or unix stream socket", socket.name,
                           "other kinds are not supported yet");
    if (found->bound.transport != Transport::Udp && !found->is_listening)
        return plain_error("cannot " + doing + ": nobody has called listen(2) on it", socket.name,
                           "in a .socket unit say Accept=no");
    Listener listener;
    listener.fd = UniqueFd{::fcntl(fd->raw(), F_DUPFD_CLOEXEC, first_passed)};
    if (!listener.fd.is_open())
        return system_error(errno, doing, socket.name);
    // systemd clears it, see NonBlocking= in systemd.service(5), and nobody but our workers has it to lose.
    int const flags = ::fcntl(listener.fd.raw(), F_GETFL);
    if (socket.non_blocking && ::fcntl(listener.fd.raw(), F_SETFL, flags | O_NONBLOCK) < 0)
        return system_error(errno, doing, socket.name);
    listener.name = socket.name;
    listener.wanted = found->bound;
    listener.port = found->bound.port;
    listener.bound_with = {socket.free_bind, socket.non_blocking};
    listener.inherited = address;
    return listener;
}

UnitSpecPtr with_all_passed(UnitSpecPtr spec, Passed const& passed) {
    if (passed.empty())
        return spec;
    auto whole = std::make_shared<UnitSpec>(*spec);
    bool is_other = false;
    for (auto& socket : whole->sockets) {
        auto all = with_all_passed(socket.listen, passed);
        is_other = is_other || all.size() != socket.listen.size();
        socket.listen = std::move(all);
    }
    return is_other ? UnitSpecPtr{std::move(whole)} : std::move(spec);
}

} // namespace holdfast
