// SPDX-License-Identifier: Apache-2.0
// What is measured while a rollout runs.
#include "harness.h"
#include "supervisor/rollout_record.h"
#include "supervisor/socket_custody.h"

#include <sys/socket.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;
using lifecycle::GenerationId;

namespace {

struct Rollouts : OneUnit {
    Rollouts() { REQUIRE(sockets.hold(spec, {})); }
    void begin(std::uint32_t id, std::optional<std::uint32_t> previous) {
        std::optional<GenerationId> before;
        if (previous)
            before = GenerationId{*previous};
        records.begin(GenerationId{id}, "web", Strategy::Overlap, before, sockets, {});
    }
    UniqueFd client() {
        auto connected = connect_to(sockets.held().front().port);
        REQUIRE(connected.is_open());
        return connected;
    }
    void accept_one() {
        UniqueFd const accepted{
            ::accept4(sockets.held().front().fd.raw(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
        REQUIRE(accepted.is_open());
    }

    UnitSpecPtr spec = unit_of("web", tcp_socket("http", 0) + service(runs));
    SocketCustody sockets{shared, 1, spec};
    RolloutRecords records;
};

} // namespace

TEST_CASE("a report says how deep the queue was before, at most and after", "[supervisor]") {
    Rollouts test;
    auto const one = test.client();
    test.begin(2, 1);
    CHECK(test.records.has(GenerationId{2}));
    auto const two = test.client();
    auto const three = test.client();
    test.records.sample(test.sockets);
    auto const so_far = test.records.so_far();
    REQUIRE(so_far.size() == 1);
    CHECK(so_far.front().verdict == Verdict::UnderWay);
    CHECK(so_far.front().listeners.front().queue_highest == 3);
    test.records.took_over(GenerationId{2});
    for (int i = 0; i < 3; ++i)
        test.accept_one();
    test.records.killed_at_deadline({2, true});
    auto const record = test.records.finish(GenerationId{2}, Verdict::Done, "", test.sockets);
    REQUIRE(record);
    auto const& report = record->report;
    CHECK(report.unit == "web");
    CHECK(report.generation == 2);
    CHECK(report.previous_generation == 1U);
    CHECK(report.verdict == Verdict::Done);
    CHECK(report.killed_at_deadline == 1);
    CHECK(report.cut_at_deadline == ConnectionCount{2, true});
    CHECK(report.ready_after);
    CHECK(report.drained_after);
    REQUIRE(report.listeners.size() == 1);
    auto const& listener = report.listeners.front();
    CHECK(listener.name == "http");
    CHECK(listener.address.port == test.sockets.held().front().port);
    CHECK(listener.queue_before == 1);
    CHECK(listener.queue_highest == 3);
    CHECK(listener.queue_after == 0);
    CHECK(listener.limit == 64);
    CHECK(listener.drops == 0U);
    REQUIRE(listener.longest_wait);
    CHECK(*listener.longest_wait <= report.lasted);
    REQUIRE(record->timeline.queues.size() == 1);
    CHECK(record->timeline.queues.front().front().waiting == 1);
    CHECK(record->timeline.queues.front().back().waiting == 0);
    CHECK(!test.records.has(GenerationId{2}));
}

TEST_CASE("the shards of an address are one listener of the report", "[supervisor]") {
    OneUnit unit;
    auto const spec = unit_of("web", tcp_socket("http", 0) + "reuse_port = true\nnon_blocking = true\n" +
                                         service(runs, "workers = 3\n"));
    SocketCustody sockets{unit.shared, 1, spec};
    REQUIRE(sockets.hold(spec, {}));
    auto const& group = sockets.shards()->groups().front();
    RolloutRecords records;
    std::vector<UniqueFd> clients;
    clients.push_back(connect_to(group.bound().port));
    records.begin(GenerationId{2}, "web", Strategy::Overlap, GenerationId{1}, sockets, {});
    for (int i = 0; i < 29; ++i)
        clients.push_back(connect_to(group.bound().port));
    records.sample(sockets);
    for (auto const& member : group.members())
        while (UniqueFd{::accept4(member.listener.fd.raw(), nullptr, nullptr, SOCK_CLOEXEC)}.is_open()) {
        }
    auto const record = records.finish(GenerationId{2}, Verdict::Done, "", sockets);
    REQUIRE(record);
    REQUIRE(record->report.listeners.size() == 1);
    auto const& listener = record->report.listeners.front();
    CHECK(listener.name == "http");
    CHECK(listener.address == group.bound());
    CHECK(listener.queue_before == 1);
    CHECK(listener.queue_highest == 30);
    CHECK(listener.queue_after == 0);
    CHECK(listener.limit == 3 * 64); // one bank serves
    CHECK(listener.drops == 0U);
    REQUIRE(listener.longest_wait);
    CHECK(*listener.longest_wait <= record->report.lasted);
    REQUIRE(record->timeline.queues.size() == 1);
    CHECK(record->timeline.queues.front().back().waiting == 0);
}

TEST_CASE("a wait is one of one shard, and drops are those of all", "[supervisor]") {
    // Of two shards that were seen in use in turn nobody waited all the while, though the sum was never 0.
    OneUnit unit;
    auto const spec = unit_of("web", tcp_socket("http", 0) + "reuse_port = true\nnon_blocking = true\n" +
                                         service(runs, "workers = 2\n"));
    SocketCustody sockets{unit.shared, 1, spec};
    REQUIRE(sockets.hold(spec, {}));
    auto* const shards = sockets.shards();
    auto const port = shards->groups().front().bound().port;
    auto const begun = MonotonicTime::now();
    RolloutRecords records;
    records.begin(GenerationId{2}, "web", Strategy::Overlap, GenerationId{1}, sockets, {});
    std::vector<UniqueFd> clients;
    MonotonicTime last = begun;
    for (std::uint16_t turn = 0; turn < 6; ++turn) {
        Shard const now{static_cast<std::uint16_t>(turn % 2), Bank::Green};
        shards->steer(Shares{{now, whole}});
        clients.push_back(connect_to(port));
        for (auto const& member : shards->groups().front().members())
            if (member.shard && *member.shard != now)
                while (
                    UniqueFd{::accept4(member.listener.fd.raw(), nullptr, nullptr, SOCK_CLOEXEC)}.is_open()) {
                }
        REQUIRE(unit.until([&] { return MonotonicTime::now() - last > std::chrono::milliseconds{5}; }));
        records.sample(sockets);
        last = MonotonicTime::now();
    }
    auto const listener = records.so_far().front().listeners.front();
    REQUIRE(listener.longest_wait);
    // From the look before to the look after: two turns of six.
    CHECK(*listener.longest_wait < last - begun);
}

TEST_CASE("rollouts that overlap have a record each", "[supervisor]") {
    Rollouts test;
    test.begin(2, 1);
    test.begin(3, 2);
    test.records.took_over(GenerationId{3});
    auto const failed =
        test.records.finish(GenerationId{2}, Verdict::Superseded, "a newer one", test.sockets);
    REQUIRE(failed);
    CHECK(failed->report.reason == "a newer one");
    CHECK(!failed->report.ready_after);
    CHECK(!failed->report.drained_after);
    CHECK(!test.records.finish(GenerationId{2}, Verdict::Done, "", test.sockets));
    CHECK(test.records.has(GenerationId{3}));
    CHECK(test.records.finish(GenerationId{3}, Verdict::Done, "", test.sockets)->report.ready_after);
}

TEST_CASE("what is told of a rollout that is not under way is passed over", "[supervisor]") {
    Rollouts test;
    test.records.took_over(GenerationId{9});
    test.records.killed_at_deadline({2, true});
    test.records.sample(test.sockets);
    CHECK(!test.records.finish(GenerationId{9}, Verdict::Done, "", test.sockets));
}
