// SPDX-License-Identifier: Apache-2.0
// Units with `accept = true`, within one process.
#include "supervisor/harness.h"
#include "supervisor/instances.h"

#include <poll.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

std::string accepting(std::string const& program, std::string const& lines = "",
                      std::string const& socket_lines = "") {
    return "[[socket]]\nname = \"in\"\nlisten = \"127.0.0.1:0\"\n" + socket_lines +
           "[service]\naccept = true\nhandoff = \"inetd\"\nexec_start = " + program + "\n" + lines;
}

std::uint16_t port_of(UnitRunner const& unit) {
    return unit.sockets().held().front().port;
}

/// It has been answered, or its connection has ended.
bool has_word(FdRef client) {
    pollfd seen{client.raw(), POLLIN, 0};
    return ::poll(&seen, 1, 0) == 1;
}

std::size_t live(UnitRunner const& unit) {
    return unit.instances()->state().live.size();
}

struct Accepting : Home {
    UnitRunner& up(std::string const& name, std::string const& toml) {
        auto& unit = add(name, toml);
        REQUIRE(start(unit).ok);
        return unit;
    }
};

} // namespace

// Nothing bounded the sum of all max_connections by what the keeper has room for.
TEST_CASE("all units together serve so many connections, and others wait until there is room",
          "[supervisor]") {
    Accepting home;
    home.supervisor->shared().most_instances = 1;
    auto& one = home.up("one", accepting(R"(["/bin/cat"])"));
    auto& other = home.up("other", accepting(R"(["/bin/echo", "hello"])"));
    auto first = connect_to(port_of(one));
    REQUIRE(home.until([&] { return live(one) == 1; }));
    auto const second = connect_to(port_of(other));
    REQUIRE(home.until([&] { return !home.events("accept-failed").empty(); }));
    CHECK(live(other) == 0);
    CHECK_FALSE(has_word(second));
    first.reset();
    CHECK(home.until([&] { return has_word(second); }));
    CHECK(home.until([&] { return home.supervisor->shared().instances == 0; }));
}
