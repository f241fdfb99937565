// SPDX-License-Identifier: Apache-2.0
#include "base/signal_names.h"
#include "catch.h"

#include <csignal>

using namespace holdfast;

TEST_CASE("a signal is read by its name, with or without SIG, or by its number", "[base]") {
    CHECK(parse_signal("SIGTERM") == SIGTERM);
    CHECK(parse_signal("TERM") == SIGTERM);
    CHECK(parse_signal("15") == SIGTERM);
    CHECK(parse_signal("SIGRTMIN") == SIGRTMIN);
    CHECK(parse_signal("SIGRTMIN+3") == SIGRTMIN + 3);
    CHECK(parse_signal("RTMAX-1") == SIGRTMAX - 1);
}

TEST_CASE("what is no signal is refused", "[base]") {
    for (auto const* text :
         {"", "0", "-1", "32", "33", "65", "9999999999", "sigterm", "SIG", "SIGSIGTERM", "SIGNO", "SIGTERM ",
          "RTMIN+", "RTMIN-1", "RTMAX+1", "RTMIN+31", "RTMIN+x", "1x"})
        CHECK_FALSE(parse_signal(text).has_value());
}

TEST_CASE("every signal has a name that is read back", "[base]") {
    for (int signal = -1; signal <= 70; ++signal) {
        auto const back = parse_signal(signal_name(signal));
        CHECK(back == (is_signal(signal) ? std::optional{signal} : std::nullopt));
    }
    for (auto const name : signal_names())
        CHECK(parse_signal(name).has_value());
    CHECK(signal_name(99) == "signal 99");
}
