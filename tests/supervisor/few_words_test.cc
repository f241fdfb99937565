// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "supervisor/few_words.h"

#include <vector>

using namespace holdfast;

TEST_CASE("of ten thousand words of one kind the first three are said, and those of another kind too",
          "[supervisor]") {
    auto loop = EventLoop::create();
    REQUIRE(loop);
    std::vector<std::string> said;
    FewWords words{**loop, [&](Weight, std::string_view kind, std::string text) {
                       said.push_back(std::string{kind} + ": " + text);
                   }};
    for (int i = 1; i <= 10000; ++i)
        words.say(Weight::Warning, "failed", std::to_string(i));
    words.say(Weight::Normal, "full", "now");
    CHECK(said == std::vector<std::string>{"failed: 1", "failed: 2", "failed: 3", "full: now"});
}
