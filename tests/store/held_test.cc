// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "handoff/sockets.h"
#include "store/exit_ring.h"
#include "store/held.h"
#include "support/descriptors.h"

#include <map>
#include <memory>
#include <random>
#include <string>

using namespace holdfast;
using namespace holdfast::test;

namespace {

struct Clearing {
    Held* held;
    ~Clearing() { held->clear(); }
};

UniqueFd copy_of(FdRef fd) {
    return UniqueFd{::fcntl(fd.raw(), F_DUPFD_CLOEXEC, 3)};
}

} // namespace

TEST_CASE("what is put is found under its name", "[store]") {
    auto const held = std::make_unique<Held>();
    Clearing const clearing{held.get()};
    auto fd = some_fd();
    auto const node = identity(fd);
    held->put("listener web", std::move(fd));
    REQUIRE(held->find("listener web") != nullptr);
    CHECK(identity(FdRef{held->find("listener web")->fd}) == node);
    CHECK(held->find("listener") == nullptr);
    CHECK(held->size() == 1);
}

// A worker that was told to drain and then said MAINPID= was told once more by the next holdfastd: the put of
// its new pidfd forgot that the old one had been signalled.
TEST_CASE("a replaced descriptor is closed, and its signals are counted until it is dropped", "[store]") {
    auto const before = open_descriptors();
    auto const held = std::make_unique<Held>();
    held->put("a", some_fd());
    held->find("a")->signals = 2;
    held->find("a")->last_signal = 15;
    held->put("a", some_fd());
    CHECK(held->find("a")->signals == 2);
    CHECK(held->find("a")->last_signal == 15);
    CHECK(held->size() == 1);
    CHECK(held->drop("a"));
    held->put("a", some_fd());
    CHECK(held->find("a")->signals == 0);
    CHECK(held->find("a")->last_signal == 0);
    CHECK(held->drop("a"));
    CHECK_FALSE(held->drop("a"));
    CHECK(held->size() == 0);
    CHECK(open_descriptors() == before);
}

TEST_CASE("after any puts and drops the table has what a map has", "[store]") {
    auto const fd = some_fd();
    auto const before = open_descriptors();
    auto const held = std::make_unique<Held>();
    std::map<std::string, unsigned> model;
    std::mt19937 random{1};
    for (unsigned step = 0; step < 20000; ++step) {
        auto const name = "worker " + std::to_string(random() % 300);
        if (random() % 2 == 0) {
            held->put(name, copy_of(fd));
            held->find(name)->signals = step;
            model[name] = step;
        } else {
            REQUIRE(held->drop(name) == (model.erase(name) == 1));
        }
        REQUIRE(held->size() == model.size());
    }
    for (auto const& [name, step] : model) {
        REQUIRE(held->find(name) != nullptr);
        CHECK(held->find(name)->signals == step);
    }
    held->clear();
    CHECK(open_descriptors() == before);
}

TEST_CASE("a full table finds every name, and has no room for more", "[store]") {
    auto const held = std::make_unique<Held>();
    // Numbers that are no descriptors: as many open ones are not to be had everywhere.
    for (std::size_t i = 0; i < most_entries; ++i) {
        REQUIRE(held->has_room_for(1));
        held->put("worker " + std::to_string(i), UniqueFd{});
    }
    CHECK_FALSE(held->has_room_for(1));
    for (std::size_t i = 0; i < most_entries; ++i)
        REQUIRE(held->find("worker " + std::to_string(i)) != nullptr);
    CHECK(held->find("worker x") == nullptr);
    for (std::size_t i = 0; i < most_entries; i += 2)
        REQUIRE(held->drop("worker " + std::to_string(i)));
    for (std::size_t i = 0; i < most_entries; ++i)
        REQUIRE((held->find("worker " + std::to_string(i)) != nullptr) == (i % 2 == 1));
    held->clear();
    CHECK(held->find("worker 1") == nullptr);
}

TEST_CASE("the ring remembers the latest exits", "[store]") {
    ExitRing ring;
    CHECK(ring.begin() == ring.end());
    for (int i = 1; i <= static_cast<int>(most_exits) + 3; ++i)
        ring.add({i, 1, 0});
    CHECK(ring.end() - ring.begin() == most_exits);
    CHECK(ring.at(ring.begin()).pid == 4);
    CHECK(ring.at(ring.end() - 1).pid == static_cast<int>(most_exits) + 3);
}
