// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "store/protocol.h"

#include <string>
#include <vector>

using namespace holdfast;

namespace {

std::string lines(std::string text, std::size_t count, std::string const& line) {
    for (std::size_t i = 0; i < count; ++i)
        text += '\n' + line;
    return text;
}

bool is_refused(std::string_view text, std::size_t descriptors = 0) {
    return !parse_request(text, descriptors).problem.empty();
}

bool is_malformed(std::string_view text, std::size_t descriptors = 0) {
    return !parse_notice(text, descriptors).problem.empty();
}

} // namespace

TEST_CASE("who says that it is alive says until when", "[store]") {
    CHECK(parse_request("alive\n30000000", 0).request.usec == 30'000'000);
    for (std::string_view const bad : {"alive", "alive\n", "alive\n0", "alive\n-1", "alive\n1 2",
                                       "alive\n1\n2", "alive\n99999999999999999"})
        CHECK(parse_request(bad, 0).problem == "alive has one number of microseconds");
}

TEST_CASE("the limits are those that are documented", "[store]") {
    STATIC_REQUIRE(most_descriptors_per_message == 253);
    STATIC_REQUIRE(most_message_bytes == 32768);
    STATIC_REQUIRE(most_entries == 16384);
    STATIC_REQUIRE(longest_name == 120);
    STATIC_REQUIRE(most_exits == 1024);
    STATIC_REQUIRE(start_successor == 79);
    // The largest request is within the limit of bytes.
    STATIC_REQUIRE(sizeof "drop" + most_descriptors_per_message * (longest_name + 1) <= most_message_bytes);
}

TEST_CASE("a request names what it is about, one name a line", "[store]") {
    auto const put = parse_request("put\nlistener web http\nworker web 1", 2);
    REQUIRE(put.problem.empty());
    CHECK(put.request.verb == StoreVerb::Put);
    CHECK(put.request.count == 2);
    CHECK(put.request.names == "listener web http\nworker web 1");
    auto const drop = parse_request("drop\na\n", 0);
    REQUIRE(drop.problem.empty());
    CHECK(drop.request.count == 1);
}

TEST_CASE("a signal has a number and a name that may have spaces", "[store]") {
    auto const parsed = parse_request("signal\n15 worker web 1", 0);
    REQUIRE(parsed.problem.empty());
    CHECK(parsed.request.number == 15);
    CHECK(parsed.request.names == "worker web 1");
    CHECK(parse_request("signal\n64 x", 0).problem.empty());
}

TEST_CASE("the requests of one word are that word", "[store]") {
    auto const verb = GENERATE(StoreVerb::Dump, StoreVerb::Ready, StoreVerb::Stopping, StoreVerb::Upgrade);
    auto const parsed = parse_request(to_name(verb), 0);
    CHECK(parsed.problem.empty());
    CHECK(parsed.request.verb == verb);
    CHECK(is_refused(std::string{to_name(verb)} + "\nmore"));
    CHECK(is_refused(to_name(verb), 1));
}

TEST_CASE("state comes with exactly one descriptor", "[store]") {
    CHECK(parse_request("state", 1).problem.empty());
    CHECK(is_refused("state", 0));
    CHECK(is_refused("state", 2));
    CHECK(is_refused("state\nname", 1));
}

TEST_CASE("a child that could not become holdfastd says why", "[store]") {
    CHECK(parse_request("unstarted\n13", 0).request.number == 13);
    CHECK(is_refused("unstarted"));
    CHECK(is_refused("unstarted\n4096"));
    CHECK(is_refused("unstarted\n13\n13"));
}

TEST_CASE("a malformed request is refused", "[store]") {
    auto const text = GENERATE(
        as<std::string>{}, "", "\n", "PUT\na", "pu", "putt\na", "put ", "put a", " put\na", "drop", "drop\n",
        "drop\n\n", "drop\na\n\n", "drop\n\na", "drop\na/b", "drop\nh\xc3\xa4", "drop\na\tb", "drop\na\r",
        "drop\na\x7f", "signal", "signal\n", "signal\n15", "signal\n15 ", "signal\n0 a", "signal\n65 a",
        "signal\n-1 a", "signal\n+9 a", "signal\n a", "signal\nTERM a", "signal\n9 a/b", "signal\n9 a\n9 b",
        "signal\n99999999999 a", "dump\n\n", "gone");
    INFO(text);
    CHECK(is_refused(text));
}

TEST_CASE("a request with a NUL in it is refused", "[store]") {
    CHECK(is_refused(std::string_view{"drop\na\0", 7}));
    CHECK(is_refused(std::string_view{"dump\0", 5}));
}

TEST_CASE("a put has as many names as descriptors, and one at least", "[store]") {
    CHECK(parse_request("put\na", 1).problem.empty());
    CHECK(is_refused("put\na", 0));
    CHECK(is_refused("put\na", 2));
    CHECK(is_refused("put\na\nb", 1));
    CHECK(is_refused("put", 0));
    CHECK(is_refused("put", 1));
    CHECK(is_refused("drop\na", 1));
}

TEST_CASE("a message has at most 253 names of at most 120 bytes", "[store]") {
    std::string const longest(longest_name, 'n');
    CHECK(parse_request(lines("put", 253, longest), 253).problem.empty());
    CHECK(is_refused(lines("put", 254, "n"), 254));
    CHECK(is_refused(lines("drop", 254, "n")));
    CHECK(is_refused("drop\n" + longest + "n"));
    CHECK(is_refused(std::string(most_message_bytes + 1, 'n')));
}

TEST_CASE("a name is printable ASCII without a slash", "[store]") {
    CHECK(is_held_name("listener web http #2: ~!\"{}"));
    CHECK(is_held_name(" "));
    CHECK_FALSE(is_held_name(""));
    CHECK_FALSE(is_held_name("a/b"));
    CHECK_FALSE(is_held_name("a\nb"));
}

TEST_CASE("lines are read back as they were written", "[store]") {
    FixedText<400> text;
    HeldLine const held{3, 15, "worker web 1"};
    ChildExit const exit{4194304, 2, 9};
    write_line(text, held);
    write_line(text, exit);
    CHECK(text.view() == "\n3 15 worker web 1\n4194304 2 9");
    CHECK(parse_held_line("3 15 worker web 1") == held);
    CHECK(parse_exit_line("4194304 2 9") == exit);
}

TEST_CASE("start is read back as it was written, and unknown keys are passed over", "[store]") {
    MessageText text;
    write_start(text, {.starts = 3,
                       .reason = StartReason::Fallback,
                       .upgrade = UpgradeOutcome::Failed,
                       .problem = "it ended with 1=2",
                       .previous = 77,
                       .previous_exit = "1 1",
                       .refused = 5});
    text << "later=x\n";
    auto const [notice, problem] = parse_notice(text.view(), 0);
    REQUIRE(problem.empty());
    CHECK(notice.verb == KeeperVerb::Start);
    auto const fields = parse_start(notice.body).value();
    CHECK(fields.starts == 3);
    CHECK(fields.reason == StartReason::Fallback);
    CHECK(fields.upgrade == UpgradeOutcome::Failed);
    CHECK(fields.problem == "it ended with 1=2");
    CHECK(fields.previous == 77);
    CHECK(fields.previous_exit == "1 1");
    CHECK(fields.refused == 5);
}

TEST_CASE("what the keeper says is known by its first line", "[store]") {
    CHECK(parse_notice("end", 0).notice.verb == KeeperVerb::End);
    CHECK(parse_notice("upgrade ok", 0).notice.verb == KeeperVerb::UpgradeOk);
    CHECK(parse_notice("state", 1).notice.verb == KeeperVerb::State);
    auto const refused = parse_notice("refused no such name", 0);
    CHECK(refused.notice.verb == KeeperVerb::Refused);
    CHECK(refused.notice.body == "no such name");
    CHECK(parse_notice("held\n0 0 a\n1 9 b", 2).notice.body == "0 0 a\n1 9 b");
    CHECK(parse_notice("exits\n7 1 0", 0).notice.body == "7 1 0");
}

TEST_CASE("a malformed answer of the keeper is an error", "[store]") {
    auto const text =
        GENERATE(as<std::string>{}, "", "end\n\n", "END", "upgrade", "upgrade ok\nx", "start\nstarts",
                 "start\nstarts=x", "start\nstarts=-2", "start\nreason=why", "start\n\n", "exits", "exits\n",
                 "exits\n1 2", "exits\n1 2 3 4", "exits\n0 1 0", "exits\n-1 1 0", "exits\n1 1 256",
                 "exits\n99999999 1 0", "exits\n1 1 0\n\n", "held", "refusedx", "refused a\nb");
    INFO(text);
    CHECK(is_malformed(text));
}

TEST_CASE("a malformed line of held is an error", "[store]") {
    auto const line = GENERATE(as<std::string>{}, "0 0", "0 0 ", "x 0 a", "0 x a", "0 65 a", "-1 0 a",
                               "0 0 a/b", "4294967296 0 a");
    INFO(line);
    CHECK(is_malformed("held\n" + line, 1));
}

TEST_CASE("the keeper's descriptors are as many as it names", "[store]") {
    CHECK(is_malformed("held\n0 0 a", 0));
    CHECK(is_malformed("held\n0 0 a", 2));
    CHECK(is_malformed("state", 0));
    CHECK(is_malformed("end", 1));
    CHECK(is_malformed("exits\n1 1 0", 1));
}

TEST_CASE("a text of fixed size leaves out what does not fit", "[store]") {
    FixedText<4> text;
    text << "abc"
         << "de";
    CHECK(text.view() == "abc");
    CHECK_FALSE(text.is_whole());
    text.truncate(1);
    text << 23;
    CHECK(text.view() == "a23");
    CHECK(text.is_whole());
}
