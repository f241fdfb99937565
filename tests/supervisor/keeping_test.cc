// SPDX-License-Identifier: Apache-2.0
// What is told to a keeper that the test plays.
#include "handoff/sockets.h"
#include "store/wire.h"
#include "supervisor/harness.h"
#include "supervisor/keeping.h"

using namespace holdfast;
using namespace holdfast::test;

namespace {

std::string heard(FdRef keeper) {
    Message message;
    if (receive_message(keeper, message) != Received::Message)
        return {};
    return std::string{message.text()};
}

} // namespace

// While anything was lost each name of an instance was held back: a flood filled the keeper with the dead,
// which was the next loss, of all units, and so on for as long as somebody connected.
TEST_CASE("what nothing takes the place of is dropped at once, also while something is lost",
          "[supervisor]") {
    Turning turning;
    auto [keeper, theirs] = seqpacket_pair();
    std::vector<std::string> said;
    Keeping keeping{*turning.loop, KeeperLink{std::move(theirs)}, {}, [&](Weight, std::string text) {
                        said.push_back(std::move(text));
                    }};
    keeping.on_loss([] {});
    REQUIRE(send_message(keeper, "refused more than 16384 names", nullptr, 0) == 0);
    REQUIRE(turning.until([&] { return !said.empty(); }));
    REQUIRE_FALSE(keeping.is_whole());
    keeping.drop({"listener web 1"});
    keeping.drop_for_good({"worker web 7 c0a0000011403"});
    CHECK(heard(keeper) == "drop\nworker web 7 c0a0000011403");
}
