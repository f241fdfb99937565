// SPDX-License-Identifier: Apache-2.0
// A supervisor on a loop in a folder of its own, with real workers that are small shell scripts, and no
// holdfastd. Everything runs on the test's thread: until() turns the loop until a condition holds or a
// deadline passes.
#pragma once

#include "catch.h"
#include "supervisor/supervisor.h"
#include "support/temp_folder.h"
#include "support/turning.h"

#include <csignal>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::test {

/// The unit that a file with this text makes; a wrong one fails the test.
[[nodiscard]] UnitSpecPtr unit_of(std::string const& name, std::string const& toml);
/// "[service] type, exec_start = sh -c SCRIPT", with further lines for [service] before it, and for
/// [rollout]. There is no probation unless they say so: most tests are not about it, and would wait for it.
[[nodiscard]] std::string service(std::string const& script, std::string const& lines = "",
                                  std::string const& rollout = "probation = \"0s\"\n");
/// A worker that runs until it is told to go.
inline constexpr char const* runs = "exec sleep 1000";

/// A TCP socket that listens on a free port of 127.0.0.1, or on that port.
[[nodiscard]] UniqueFd listen_on_loopback(std::uint16_t port = 0);
[[nodiscard]] std::uint16_t port_of(FdRef socket);
/// Another process of our user that listens at a group's address, with SO_REUSEPORT: it gets nothing, but as
/// long as it does the group cannot grow.
[[nodiscard]] UniqueFd join_group(std::uint16_t port);
/// Connected to 127.0.0.1:port; closed when refused.
[[nodiscard]] UniqueFd connect_to(std::uint16_t port);
/// "[[socket]] name, listen = 127.0.0.1:PORT".
[[nodiscard]] std::string tcp_socket(std::string const& name, std::uint16_t port);

/// An answer that is waited for.
struct Answer {
    int count = 0;
    WishResult result;
    [[nodiscard]] WishAnswer taker() {
        return [this](WishResult const& given) {
            ++count;
            result = given;
        };
    }
};

/// What the parts of one unit, number 1, share, without a supervisor; listeners that hang up are told to
/// `hung_up`.
struct OneUnit : Turning {
    OneUnit();
    std::function<void(int fd)> hung_up;
    Shared shared{*loop, {}, {}, {*loop, [](std::uint32_t) {}}, nullptr, nullptr, {}, {}};
};

/// A supervisor whose unit files are in folder/"units".
struct Home : Turning {
    Home();
    ~Home();
    void file(std::string const& unit, std::string const& toml) {
        write_file(folder / ("units/" + unit + ".toml"), toml);
    }
    UnitRunner& add(std::string const& name, std::string const& toml) {
        return supervisor->add(unit_of(name, toml));
    }
    UnitRunner& unit(std::string const& name) {
        auto* const found = supervisor->find(name);
        REQUIRE(found != nullptr);
        return *found;
    }
    /// Turns the loop until it is answered once.
    WishResult start(UnitRunner& unit);
    WishResult stop(UnitRunner& unit);
    WishResult restart(UnitRunner& unit);
    Supervisor::Applied apply();
    [[nodiscard]] std::vector<std::string> events(std::string const& kind) const;
    [[nodiscard]] lifecycle::UnitPhase phase(UnitRunner const& unit) const { return phase_of(unit.state()); }

    SignalMask mask{SIGCHLD};
    TempFolder folder;
    std::unique_ptr<Supervisor> supervisor;
};

} // namespace holdfast::test
