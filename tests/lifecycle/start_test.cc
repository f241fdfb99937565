// SPDX-License-Identifier: Apache-2.0
// How a unit comes up.
#include "catch.h"
#include "lifecycle/story.h"

using namespace holdfast;
using namespace holdfast::lifecycle;
using namespace std::chrono_literals;

TEST_CASE("an eager unit spawns all its slots at once and is started when the last of them is ready",
          "[lifecycle]") {
    Story story{{.spec = SpecId{7}, .workers = 2, .type = ServiceType::Notify}};
    story.tell(StartWished{});
    REQUIRE(story.all<Spawn>() == std::vector<Spawn>{{WorkerId{1}, GenerationId{1}, Slot{0}, SpecId{7}},
                                                     {WorkerId{2}, GenerationId{1}, Slot{1}, SpecId{7}}});
    CHECK(story.said(Happening::Starting));
    CHECK(story.phase() == UnitPhase::Starting);

    story.comes_up(WorkerId{1});
    CHECK_FALSE(story.said(Happening::Started));
    story.comes_up(WorkerId{2});
    CHECK(story.reports(Happening::Started).size() == 1);
    CHECK(story.phase() == UnitPhase::Active);
    CHECK(story.timers.empty());
}

TEST_CASE("the type of the service says which sign makes a worker ready", "[lifecycle]") {
    struct Row {
        ServiceType type;
        Fact sign;
    };
    auto const row =
        GENERATE(Row{ServiceType::Simple, Forked{WorkerId{1}}}, Row{ServiceType::Exec, Executed{WorkerId{1}}},
                 Row{ServiceType::Notify, ReadySaid{WorkerId{1}}});
    Story story{{.type = row.type}};
    story.tell(StartWished{});
    for (Fact const& fact :
         {Fact{Forked{WorkerId{1}}}, Fact{Executed{WorkerId{1}}}, Fact{ReadySaid{WorkerId{1}}}}) {
        bool const was_ready = story.said(Happening::Started);
        story.tell(fact);
        CHECK(story.said(Happening::Started) == (was_ready || fact == row.sign));
    }
    CHECK(story.reports(Happening::Started).size() == 1);
}
