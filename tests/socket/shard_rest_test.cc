// SPDX-License-Identifier: Apache-2.0
// When a shard is at rest: what waits, what is half-way, and what belongs to others.
#include "catch.h"
#include "raw_client.h"
#include "shard_support.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

constexpr MonotonicTime start{std::chrono::seconds{100}};
constexpr MonotonicTime later = start + RestWatch::settling;

GroupLook look_of(std::map<Shard, std::uint32_t> queued, std::vector<std::uint64_t> handshakes = {}) {
    return {std::move(queued), std::move(handshakes), {}, {}, 0};
}

/// With it the kernel keeps a connection in SYN_RECV until its first data arrive.
void defer_accept(ShardGroup const& group) {
    int const seconds = 10;
    for (ShardMember const& member : group.members())
        REQUIRE(::setsockopt(member.listener.fd.raw(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds,
                             sizeof seconds) == 0);
}

bool set_syncookies(char const* mode) {
    UniqueFd const setting{::open("/proc/sys/net/ipv4/tcp_syncookies", O_WRONLY | O_CLOEXEC)};
    return setting.is_open() && ::write(setting.raw(), mode, 1) == 1;
}

/// What the shard's next connection sends first; "nothing" if there is none.
std::string first_words(ShardGroup const& group, Shard shard) {
    UniqueFd served;
    if (!eventually([&] {
            served = take_from(group, shard);
            return served.is_open();
        }))
        return "nothing";
    std::string words(16, '\0');
    ssize_t const count = ::recv(served.raw(), words.data(), words.size(), 0);
    words.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    return words;
}

/// Two slots at 127.0.0.1, all to blue 0.
Result<ShardGroup> bind_in_child() {
    auto const address = tcp("127.0.0.1");
    auto group = ShardGroup::bind(shard_spec(address), address, 2, Bank::Blue);
    if (group)
        if (auto done = group->steer(all_to(blue(0))); !done)
            return std::move(done).error();
    return group;
}

} // namespace

TEST_CASE("an empty shard is not at rest before the steering has settled", "[socket]") {
    RestWatch watch{start};
    CHECK_FALSE(watch.rest_of(blue(0)).is_at_rest());
    watch.see(look_of({{blue(0), 0}}), start);
    CHECK_FALSE(watch.rest_of(blue(0)).is_at_rest());
    watch.see(look_of({{blue(0), 0}}), watch.settled_at());
    CHECK(watch.rest_of(blue(0)).is_at_rest());
}

TEST_CASE("a shard with somebody in its queue is not at rest, whoever else is", "[socket]") {
    RestWatch watch{start};
    watch.see(look_of({{blue(0), 2}, {blue(1), 0}}), later);
    CHECK(watch.rest_of(blue(0)).queued == 2);
    CHECK(watch.rest_of(blue(1)).is_at_rest());
    CHECK_FALSE(watch.are_at_rest(shards_of(Bank::Blue, 2)));
    watch.see(look_of({{blue(0), 0}, {blue(1), 0}}), later);
    CHECK(watch.are_at_rest(shards_of(Bank::Blue, 2)));
}

TEST_CASE("handshakes that began after the steering are not of the shards that were left", "[socket]") {
    RestWatch watch{start};
    watch.see(look_of({}, {1, 2}), start);
    CHECK(watch.rest_of(blue(0)).handshakes == 2);
    watch.see(look_of({}, {2, 3}), later); // 3 may have begun before
    CHECK(watch.rest_of(blue(0)).handshakes == 2);
    watch.see(look_of({}, {3, 4, 5}), later);
    CHECK(watch.rest_of(blue(0)).handshakes == 1);
    watch.see(look_of({}, {4, 5, 6}), later);
    CHECK(watch.rest_of(blue(0)).is_at_rest());
    watch.see(look_of({}, {3, 4, 5}), later);
    CHECK(watch.rest_of(blue(0)).is_at_rest());
}

TEST_CASE("a look counts what waits in each shard, TCP in connections, UDP in bytes", "[socket]") {
    for (auto const& address : {tcp("127.0.0.1"), tcp("::1"), tcp(""), udp("127.0.0.1")}) {
        auto group = bind_group(address, 2);
        REQUIRE(group.steer(all_to(blue(1))));
        auto const client = connect_to(target_of(group));
        if (address.transport == Transport::Udp)
            REQUIRE(::send(client.raw(), "x", 1, 0) == 1);
        REQUIRE(eventually([&] { return look_at(group).queued.at(blue(1)) > 0; }));
        REQUIRE(group.steer(all_to(green(0))));
        RestWatch watch{start};
        watch.see(look_at(group), later);
        CHECK(watch.rest_of(blue(0)).is_at_rest());
        CHECK_FALSE(watch.rest_of(blue(1)).is_at_rest());
        CHECK(take_from(group, blue(1)).is_open());
        watch.see(look_at(group), later);
        CHECK(watch.rest_of(blue(1)).is_at_rest());
        CHECK(look_at(group).queued.size() == 4);
    }
}

TEST_CASE("a handshake under way keeps a shard from rest until it has come and gone", "[socket]") {
    for (auto const& address : {tcp("127.0.0.1"), tcp("::1"), tcp("")}) {
        auto group = bind_group(address, 2);
        defer_accept(group);
        REQUIRE(group.steer(all_to(blue(0))));
        auto const early = connect_to(target_of(group));
        REQUIRE(eventually([&] { return look_at(group).handshakes.size() == 1; }));
        REQUIRE(group.steer(all_to(green(0))));
        RestWatch watch{start};
        watch.see(look_at(group), later);
        CHECK(watch.rest_of(blue(0)).queued == 0);
        CHECK(watch.rest_of(blue(0)).handshakes == 1);
        auto const other_one = connect_to(target_of(group));
        REQUIRE(eventually([&] { return look_at(group).handshakes.size() == 2; }));
        watch.see(look_at(group), later);
        CHECK(watch.rest_of(blue(0)).handshakes == 1);
        REQUIRE(::send(early.raw(), "x", 1, MSG_NOSIGNAL) == 1);
        REQUIRE(eventually([&] { return look_at(group).queued.at(blue(0)) == 1; }));
        watch.see(look_at(group), later);
        CHECK(watch.rest_of(blue(0)).queued == 1);
        CHECK(take_from(group, blue(0)).is_open());
        watch.see(look_at(group), later);
        CHECK(watch.rest_of(blue(0)).is_at_rest());
        CHECK(look_at(group).handshakes.size() == 1); // the other bank's
    }
}

TEST_CASE("a handshake is counted where it is, and nowhere else", "[socket]") {
    for (auto const& address : {tcp("127.0.0.1"), tcp("::1"), tcp("")}) {
        auto group = bind_group(address, 2);
        defer_accept(group);
        REQUIRE(group.steer(all_to(blue(0))));
        CHECK(count_at(group).requests ==
              std::map<Shard, std::uint32_t>{{blue(0), 0}, {blue(1), 0}, {green(0), 0}, {green(1), 0}});
        auto const early = connect_to(target_of(group));
        REQUIRE(eventually([&] { return count_at(group).requests->at(blue(0)) == 1; }));
        REQUIRE(group.steer(all_to(green(0))));
        RestWatch watch{start};
        watch.see(count_at(group), start);
        CHECK_FALSE(watch.rest_of(green(1)).is_at_rest()); // it has not settled
        watch.see(count_at(group), later);
        CHECK(watch.rest_of(blue(0)).handshakes == 1);
        CHECK(watch.rest_of(green(1)).is_at_rest());
        auto const other_one = connect_to(target_of(group));
        REQUIRE(eventually([&] { return count_at(group).requests->at(green(0)) == 1; }));
        REQUIRE(::send(early.raw(), "x", 1, MSG_NOSIGNAL) == 1);
        REQUIRE(eventually([&] { return count_at(group).queued.at(blue(0)) == 1; }));
        watch.see(count_at(group), later);
        CHECK(watch.rest_of(blue(0)).queued == 1);
        CHECK(watch.rest_of(blue(0)).handshakes == 0);
        CHECK(take_from(group, blue(0)).is_open());
        watch.see(count_at(group), later);
        CHECK(watch.rest_of(blue(0)).is_at_rest());
        CHECK(watch.rest_of(green(0)).handshakes == 1);
    }
}

TEST_CASE("where requests cannot be counted any more, handshakes are listed from the beginning", "[socket]") {
    RestWatch watch{start};
    auto look = look_of({{blue(0), 0}});
    look.requests = std::map<Shard, std::uint32_t>{{blue(0), 1}};
    watch.see(look, later);
    CHECK_FALSE(watch.rest_of(blue(0)).is_at_rest());
    watch.see(look_of({{blue(0), 0}}, {7}), later);
    CHECK_FALSE(watch.rest_of(blue(0)).is_at_rest());
    watch.see(look_of({{blue(0), 0}}), later);
    CHECK(watch.rest_of(blue(0)).is_at_rest());
}

TEST_CASE("handshakes at another address of the same port are not the group's", "[socket]") {
    auto group = bind_group(tcp("127.0.0.1"), 1);
    auto const neighbour = bind_group(tcp("127.0.0.2", group.bound().port), 1);
    defer_accept(neighbour);
    auto const client = connect_to(neighbour.bound());
    REQUIRE(eventually([&] { return look_at(neighbour).handshakes.size() == 1; }));
    CHECK(look_at(group).handshakes.empty());
}

TEST_CASE("a handshake that was half-way when its shard was left ends in that shard", "[socket]") {
    auto const answer = in_own_network([]() -> std::string {
        if (!set_syncookies("0"))
            return "skipped: tcp_syncookies cannot be set";
        auto group = bind_in_child();
        if (!group)
            return to_string(group.error());
        RawClient client{group->bound().port};
        if (!client.is_answered())
            return "skipped: no raw packets here";
        RestWatch watch{start};
        auto const left = group->steer(all_to(green(1)));
        watch.see(look_at(*group), later);
        bool const is_counted = watch.rest_of(blue(0)).handshakes == 1;
        client.finish("hello");
        auto const words = first_words(*group, blue(0));
        watch.see(look_at(*group), later);
        return told(left) + (is_counted ? ", counted, " : ", not counted, ") + words +
               (watch.rest_of(blue(0)).is_at_rest() ? ", at rest" : ", not at rest");
    });
    if (!is_skipped(answer))
        CHECK(answer == "ok, counted, hello, at rest");
}

TEST_CASE("a handshake answered with a SYN cookie is steered anew, also after its shard was closed",
          "[socket]") {
    auto const answer = in_own_network([]() -> std::string {
        if (!set_syncookies("2"))
            return "skipped: tcp_syncookies cannot be set";
        auto group = bind_in_child();
        if (!group)
            return to_string(group.error());
        if (auto const done = group->steer(all_to(blue(1))); !done)
            return told(done);
        RawClient client{group->bound().port};
        if (!client.is_answered())
            return "skipped: no raw packets here";
        auto const left = group->steer(all_to(green(0)));
        bool const is_unseen = look_at(*group).handshakes.empty();
        auto const closed = group->shrink(1);
        client.finish("hello");
        return told(left) + ", " + told(closed) + (is_unseen ? ", no trace, " : ", a trace, ") +
               first_words(*group, green(0));
    });
    if (!is_skipped(answer))
        CHECK(answer == "ok, ok, no trace, hello");
}

TEST_CASE("a handshake whose shard is closed before its end is lost, so it has to be waited for",
          "[socket]") {
    auto const answer = in_own_network([]() -> std::string {
        if (!set_syncookies("0"))
            return "skipped: tcp_syncookies cannot be set";
        auto group = bind_in_child();
        if (!group)
            return to_string(group.error());
        if (auto const done = group->steer(all_to(blue(1))); !done)
            return told(done);
        RawClient client{group->bound().port};
        if (!client.is_answered())
            return "skipped: no raw packets here";
        auto const left = group->steer(all_to(green(0)));
        auto const closed = group->shrink(1);
        client.finish("hello");
        return client.is_reset() ? "reset" : "not reset";
    });
    if (!is_skipped(answer))
        CHECK(answer == "reset");
}
