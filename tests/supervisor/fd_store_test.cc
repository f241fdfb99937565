// SPDX-License-Identifier: Apache-2.0
// What workers leave for the next ones, without a keeper: which descriptors are taken, and which go.
#include "harness.h"
#include "supervisor/fd_store.h"
#include "support/descriptors.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

UniqueFd copy_of(FdRef fd) {
    return UniqueFd{::fcntl(fd.raw(), F_DUPFD_CLOEXEC, 3)};
}

UniqueFd some_file() {
    return UniqueFd{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
}

UniqueFd some_event() {
    return UniqueFd{::eventfd(0, EFD_CLOEXEC)};
}

std::pair<UniqueFd, UniqueFd> pair() {
    int ends[2] = {-1, -1};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    return {UniqueFd{ends[0]}, UniqueFd{ends[1]}};
}

struct Storing : OneUnit {
    void say(StoreWish wish, std::vector<UniqueFd> fds = {}) { store->hear(wish, std::move(fds), most); }
    void put(std::string name, UniqueFd fd) {
        std::vector<UniqueFd> fds;
        fds.push_back(std::move(fd));
        say({.stores = true, .name = std::move(name)}, std::move(fds));
    }
    [[nodiscard]] std::string names() const {
        std::string text;
        for (auto const& stored : store->look())
            text += (text.empty() ? "" : " ") + stored.name;
        return text;
    }
    [[nodiscard]] std::vector<std::string> told() const {
        std::vector<std::string> texts;
        for (auto const& event : shared.events.recent())
            texts.push_back(event.text);
        return texts;
    }
    std::uint32_t most = 100;
    std::unique_ptr<FdStore> store = std::make_unique<FdStore>(shared, "web");
};

} // namespace

TEST_CASE("what is stored is there in its order, under its name", "[supervisor]") {
    Storing unit;
    auto const before = open_descriptors().size();
    unit.put("b", some_event());
    unit.put("", some_event());
    unit.put("a", some_event());
    CHECK(unit.names() == "b stored a");
    unit.say({.removes = true, .name = "stored"});
    CHECK(unit.names() == "b a");
    CHECK(open_descriptors().size() == before + 2);
    unit.store.reset();
    CHECK(open_descriptors().size() == before);
    CHECK(unit.told().empty());
}

TEST_CASE("one open file is stored once, whatever its kind", "[supervisor]") {
    Storing unit;
    auto const one = GENERATE(0, 1, 2);
    auto const make = [&] { return one == 0 ? some_event() : one == 1 ? some_file() : pair().first; };
    unit.say({.is_watched = false}); // nothing
    auto const put = [&](UniqueFd fd) {
        std::vector<UniqueFd> fds;
        fds.push_back(std::move(fd));
        unit.say({.stores = true, .is_watched = false}, std::move(fds));
    };
    auto const fd = make();
    put(copy_of(fd));
    put(copy_of(fd));
    CHECK(unit.store->size() == 1);
    put(make()); // of the same kind, and for a file of the same inode
    CHECK(unit.store->size() == 2);
    unit.most = 2;
    put(copy_of(fd)); // is there, so it is not one too many
    CHECK(unit.told().empty());
    put(make());
    CHECK(unit.store->size() == 2);
    CHECK(unit.told().size() == 1);
}

TEST_CASE("one that hangs up is removed, and the others are still watched", "[supervisor]") {
    Storing unit;
    auto const before = open_descriptors().size();
    std::vector<UniqueFd> ours;
    std::vector<UniqueFd> shared;
    for (int i = 0; i < 4; ++i) {
        auto [mine, theirs] = pair();
        shared.push_back(copy_of(theirs)); // somebody else holds the same open file
        unit.put(std::to_string(i), std::move(theirs));
        ours.push_back(std::move(mine));
    }
    ours[1].reset();
    REQUIRE(unit.until([&] { return unit.store->size() == 3; }));
    CHECK(unit.names() == "0 2 3");
    ours[3].reset();
    REQUIRE(unit.until([&] { return unit.store->size() == 2; }));
    CHECK(unit.names() == "0 2");
    unit.say({.removes = true, .name = "0"});
    ours[0].reset();
    unit.settle();
    ours[2].reset();
    REQUIRE(unit.until([&] { return unit.store->size() == 0; }));
    shared.clear();
    CHECK(open_descriptors().size() == before);
}

TEST_CASE("the names of all that is stored fit in one variable", "[supervisor]") {
    Storing unit;
    unit.most = most_stored_fds;
    for (int i = 0; i < 300; ++i)
        unit.put(std::string(255, 'n'), some_event());
    CHECK(unit.store->size() == most_bytes_of_stored_names / 256);
    CHECK(unit.told().size() == 1);
}

TEST_CASE("what goes wrong is said once in a while", "[supervisor]") {
    Storing unit;
    unit.most = 0;
    for (int i = 0; i < 3; ++i) {
        unit.say({.stores = true});
        unit.put("a", some_event());
        unit.say({.removes = true});
        unit.say({.stores = true, .is_name_bad = true, .lacks_descriptors = true});
    }
    CHECK(unit.told().size() == 5);
    CHECK(unit.store->size() == 0);
}
