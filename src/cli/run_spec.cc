// SPDX-License-Identifier: Apache-2.0
#include "cli/run_spec.h"

#include "base/text.h"

#include <algorithm>

namespace holdfast::cli {

namespace {

Error not_supported_yet(std::string const& what) {
    return plain_error(what + " is not supported yet");
}

/// "/usr/bin/my app" -> "my-app"; a program whose name leaves nothing is "run".
std::string unit_name_of(std::string const& program) {
    auto name = program.substr(program.rfind('/') + 1);
    for (auto& c : name)
        if (!is_unit_name(std::string(1, 'x') + c))
            c = '-';
    auto const start = name.find_first_not_of(".-");
    name = start == std::string::npos ? "run" : name.substr(start);
    return name.substr(0, 200);
}

Result<std::vector<SocketSpec>> make_sockets(RunOptions const& options) {
    std::vector<SocketSpec> sockets;
    for (std::size_t i = 0; i < options.listen.size(); ++i) {
        auto address = parse_address(options.listen[i]);
        if (!address) {
            auto error = std::move(address).error();
            error.where = "--listen " + options.listen[i];
            return error;
        }
        SocketSpec socket;
        socket.name = i < options.names.size() ? options.names[i]
                      : i == 0                 ? "socket"
                                               : "socket" + std::to_string(i + 1);
        if (!is_socket_name(socket.name))
            return plain_error("a socket name is printable ASCII without space and any of :{},/",
                               "--name " + socket.name);
        auto const is_taken = [&](SocketSpec const& other) {
            return other.name == socket.name || other.listen.front() == *address;
        };
        if (std::any_of(sockets.begin(), sockets.end(), is_taken))
            return plain_error("the same name or address is given twice", "--listen " + options.listen[i]);
        if (options.reuse_port && address->is_unix())
            return plain_error("--reuse-port is for TCP and UDP", "--listen " + options.listen[i]);
        socket.reuse_port = options.reuse_port;
        socket.listen.push_back(std::move(address).value());
        sockets.push_back(std::move(socket));
    }
    return sockets;
}

} // namespace

Result<UnitSpecPtr> make_run_spec(RunOptions const& options) {
    auto spec = std::make_shared<UnitSpec>();
    spec->name = unit_name_of(options.command.front());
    spec->description = join(options.command, " ");
    auto sockets = make_sockets(options);
    if (!sockets)
        return std::move(sockets).error();
    spec->sockets = std::move(sockets).value();
    auto& service = spec->service;
    service.exec_start = options.command;
    service.workers = static_cast<std::uint16_t>(options.workers);
    auto const type = from_name<ServiceType>(options.ready);
    if (!type || type == ServiceType::Simple)
        return not_supported_yet("--ready " + options.ready);
    service.type = *type;
    // Who changes a file and looks at the result wants the new program's answers alone, at once.
    spec->rollout.probation = {};
    if (!options.handoff.empty()) {
        auto const kind = from_name<HandoffKind>(options.handoff);
        if (!kind || *kind == HandoffKind::Inetd)
            return not_supported_yet("--handoff " + options.handoff);
        service.handoff = {*kind};
    }
    return UnitSpecPtr{std::move(spec)};
}

} // namespace holdfast::cli
