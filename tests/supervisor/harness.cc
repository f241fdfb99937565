// SPDX-License-Identifier: Apache-2.0
#include "harness.h"

#include <algorithm>
#include <filesystem>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::test {

UnitSpecPtr unit_of(std::string const& name, std::string const& toml) {
    auto parsed = parse_unit(name, {name + ".toml", toml});
    if (!parsed.spec)
        FAIL(to_string(parsed.diagnostics));
    return parsed.spec;
}

std::string service(std::string const& script, std::string const& lines, std::string const& rollout) {
    return "[rollout]\n" + rollout + "[service]\n" + lines + "\nexec_start = [\"/bin/sh\", \"-c\", '''" +
           script + "''']\n";
}

UniqueFd listen_on_loopback(std::uint16_t port) {
    UniqueFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int const on = 1;
    REQUIRE(::setsockopt(fd.raw(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
    if (::bind(fd.raw(), reinterpret_cast<sockaddr*>(&in), sizeof in) < 0 || ::listen(fd.raw(), 16) < 0)
        return {};
    return fd;
}

UniqueFd join_group(std::uint16_t port) {
    UniqueFd joined{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    int const on = 1;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::setsockopt(joined.raw(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0);
    REQUIRE(::setsockopt(joined.raw(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
    REQUIRE(::bind(joined.raw(), reinterpret_cast<sockaddr const*>(&address), sizeof address) == 0);
    REQUIRE(::listen(joined.raw(), 1) == 0);
    return joined;
}

std::uint16_t port_of(FdRef socket) {
    sockaddr_in in{};
    socklen_t length = sizeof in;
    REQUIRE(::getsockname(socket.raw(), reinterpret_cast<sockaddr*>(&in), &length) == 0);
    return ntohs(in.sin_port);
}

UniqueFd connect_to(std::uint16_t port) {
    UniqueFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd.raw(), reinterpret_cast<sockaddr*>(&in), sizeof in) < 0)
        return {};
    return fd;
}

std::string tcp_socket(std::string const& name, std::uint16_t port) {
    return "[[socket]]\nname = \"" + name + "\"\nlisten = \"127.0.0.1:" + std::to_string(port) +
           "\"\nbacklog = 64\n";
}

OneUnit::OneUnit() {
    auto made = HangupWatch::create(*loop, [this](std::uint32_t unit, int fd) {
        CHECK(unit == 1);
        if (hung_up)
            hung_up(fd);
    });
    REQUIRE(made);
    shared.hangups = std::move(made).value();
    auto arrivals = ArrivalWatch::create(*loop, [](std::uint32_t) {});
    REQUIRE(arrivals);
    shared.arrivals = std::move(arrivals).value();
}

Home::Home() {
    std::filesystem::create_directory(folder / "units");
    std::filesystem::create_directory(folder / "log");
    SupervisorOptions options;
    options.unit_folders = {folder / "units"};
    options.unit_folders_must_exist = true;
    options.runtime_folder = folder.path();
    options.around.mode = RunMode::User;
    options.around.environment = {"FOLDER=" + folder.path()};
    options.around.output = Output::Kind::File;
    options.around.log_folder = folder / "log";
    auto made = Supervisor::create(*loop, std::move(options));
    if (!made)
        FAIL(to_string(made.error()));
    supervisor = std::move(made).value();
}

Home::~Home() {
    auto const is_over = [&] {
        auto const& units = supervisor->units();
        return supervisor->shared().instances == 0 &&
               std::all_of(units.begin(), units.end(),
                           [](auto const& unit) { return unit.second->workers().empty(); });
    };
    supervisor->shut_down([] {});
    if (!until(is_over, 5s))
        supervisor->shut_down([] {});
    CHECK(until(is_over));
}

WishResult Home::start(UnitRunner& unit) {
    Answer answer;
    unit.start(answer.taker());
    REQUIRE(until([&] { return answer.count > 0; }));
    settle();
    CHECK(answer.count == 1);
    return answer.result;
}

WishResult Home::stop(UnitRunner& unit) {
    Answer answer;
    unit.stop(answer.taker());
    REQUIRE(until([&] { return answer.count > 0; }));
    settle();
    CHECK(answer.count == 1);
    return answer.result;
}

WishResult Home::restart(UnitRunner& unit) {
    Answer answer;
    unit.restart(std::nullopt, answer.taker());
    REQUIRE(until([&] { return answer.count > 0; }));
    settle();
    CHECK(answer.count == 1);
    return answer.result;
}

Supervisor::Applied Home::apply() {
    std::vector<Supervisor::Applied> done;
    supervisor->apply({}, [&](Supervisor::Applied const& applied) { done.push_back(applied); });
    REQUIRE(until([&] { return !done.empty(); }));
    settle();
    CHECK(done.size() == 1);
    return done.front();
}

std::vector<std::string> Home::events(std::string const& kind) const {
    std::vector<std::string> texts;
    for (auto const& event : supervisor->shared().events.recent())
        if (event.kind == kind)
            texts.push_back(event.unit + ": " + event.text);
    return texts;
}

} // namespace holdfast::test
