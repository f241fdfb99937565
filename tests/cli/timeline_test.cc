// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "cli/timeline.h"

#include <nlohmann/json.hpp>

using namespace holdfast::cli;
using nlohmann::json;

namespace {

json phase(std::int64_t at, char const* name) {
    return {{"at_usec", at}, {"phase", name}};
}

json answer() {
    return {
        {"report",
         {{"unit", "web"},
          {"generation", 8},
          {"previous_generation", 7},
          {"verdict", "done"},
          {"strategy", "overlap"},
          {"began", "2026-11-21T05:31:00.123Z"},
          {"lasted_usec", 4000000},
          {"ready_usec", 1000000},
          {"drained_usec", 3000000},
          {"reason", nullptr}}},
        {"timeline",
         {{"length_usec", 4000000},
          {"lanes", json::array({{{"worker", 13},
                                  {"generation", 8},
                                  {"slot", 0},
                                  {"phases", json::array({phase(0, "booting"), phase(1000000, "ready")})}},
                                 {{"worker", 12},
                                  {"generation", 7},
                                  {"slot", 0},
                                  {"phases", json::array({phase(0, "ready"), phase(1000000, "draining"),
                                                          phase(3900000, "gone")})}}})},
          {"lanes_left_out", 5},
          {"queues", json::array({{{"name", "http"},
                                   {"address", "0.0.0.0:80"},
                                   {"points", json::array({{{"at_usec", 0}, {"waiting", 0}},
                                                           {{"at_usec", 2000000}, {"waiting", 8}},
                                                           {{"at_usec", 3000000}, {"waiting", 2}}})}}})},
          {"queues_left_out", 0}}}};
}

std::size_t count(std::string const& text, std::string const& what) {
    std::size_t found = 0;
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1))
        ++found;
    return found;
}

} // namespace

TEST_CASE("a timeline has a title, a lane for each worker and a line for each queue", "[cli]") {
    auto const svg = timeline_svg(answer());
    CHECK_THAT(svg, ContainsSubstring("<title>web: generation 8 after 7, done</title>"));
    CHECK(count(svg, "<g class=\"lane\">") == 2);
    CHECK(count(svg, "<g class=\"queue\">") == 1);
    // The old generation first, and each phase where the time axis, 720 pixels from 210 on, has it.
    CHECK(svg.find("worker 12, generation 7, slot 0") < svg.find("worker 13, generation 8, slot 0"));
    CHECK_THAT(svg, ContainsSubstring("<rect class=\"booting\" x=\"210.0\""));
    CHECK_THAT(svg, ContainsSubstring("<rect class=\"ready\" x=\"390.0\""));
    CHECK_THAT(svg, ContainsSubstring("worker 12, generation 7, slot 0: draining from 1s to 3.9s"));
    CHECK_THAT(svg, ContainsSubstring("ready after 1s"));
    CHECK_THAT(svg, ContainsSubstring("5 more workers"));
    CHECK_THAT(svg, ContainsSubstring("prefers-color-scheme: dark"));
}

TEST_CASE("a queue is a step line as high as its highest", "[cli]") {
    auto const svg = timeline_svg(answer());
    // From 166 (8 waiting) to 236 (nobody).
    CHECK_THAT(svg, ContainsSubstring("d=\"M210.0 236.0 H570.0 V166.0 H750.0 V218.5 H930.0\""));
    CHECK_THAT(svg, ContainsSubstring(">8</text>"));
}

TEST_CASE("what a daemon says cannot become a part of the picture", "[cli]") {
    auto odd = answer();
    odd["report"]["reason"] = "<script>&\"\033\xff";
    odd["timeline"]["lanes"][0]["phases"][0]["phase"] = "\"/><x";
    auto const svg = timeline_svg(odd);
    CHECK_THAT(svg, ContainsSubstring("&lt;script&gt;&amp;&quot;\\x1b?"));
    CHECK_THAT(svg, !ContainsSubstring("<script"));
    CHECK_THAT(svg, !ContainsSubstring("<x"));
}

TEST_CASE("a timeline of another version, or of nothing, is a picture all the same", "[cli]") {
    for (json const& odd :
         {json::object(), json{{"report", 7}, {"timeline", json::array()}},
          json{{"timeline",
                {{"length_usec", -5},
                 {"lanes", json::array({{{"phases", json::array({phase(-1, "ready"), phase(99, "odd")})}}})},
                 {"queues",
                  json::array({{{"points", json::array({{{"at_usec", -7}, {"waiting", -1}}})}}})}}}}}) {
        INFO(odd.dump());
        auto const svg = timeline_svg(odd);
        CHECK(svg.ends_with("</svg>\n"));
        CHECK(count(svg, "nan") == 0);
    }
}
