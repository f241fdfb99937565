// SPDX-License-Identifier: Apache-2.0
// A pool of workers, each accepting from its shard, that grows, shrinks and changes banks under load; no
// client may notice.
#include "base/scope_exit.h"
#include "base/time.h"
#include "catch.h"
#include "shard_support.h"

#include <atomic>
#include <cerrno>
#include <map>
#include <thread>

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

/// A thread that serves one shard until it is told to go; then it takes nothing more.
class Worker {
public:
    explicit Worker(Listener const& shard)
        : shard_{::fcntl(shard.fd.raw(), F_DUPFD_CLOEXEC, 0)}, go_{::eventfd(0, EFD_CLOEXEC)},
          thread_{[this] { serve(); }} {}
    Worker(Worker const&) = delete;
    Worker& operator=(Worker const&) = delete;
    ~Worker() {
        std::uint64_t const one = 1;
        (void)!::write(go_.raw(), &one, sizeof one);
        thread_.join();
    }
    [[nodiscard]] int served() const { return served_; }

private:
    void serve() {
        pollfd seen[] = {{shard_.raw(), POLLIN, 0}, {go_.raw(), POLLIN, 0}};
        while (::poll(seen, 2, -1) > 0 && seen[1].revents == 0) {
            UniqueFd const client{::accept4(shard_.raw(), nullptr, nullptr, SOCK_CLOEXEC)};
            char request = 0;
            if (client.is_open() && ::recv(client.raw(), &request, 1, 0) == 1 &&
                ::send(client.raw(), &request, 1, MSG_NOSIGNAL) == 1)
                ++served_;
        }
    }

    UniqueFd shard_;
    UniqueFd go_;
    std::atomic<int> served_ = 0;
    std::thread thread_;
};

/// Clients, one connection per request, until the end.
class Load {
public:
    explicit Load(ListenAddress target) : target_{std::move(target)} {
        for (int i = 0; i < 3; ++i)
            clients_.emplace_back([this] { run(); });
    }
    ~Load() { end(); }
    void end() {
        is_over_ = true;
        for (auto& client : clients_)
            client.join();
        clients_.clear();
    }
    [[nodiscard]] int answered() const { return answered_; }
    [[nodiscard]] int failed() const { return failed_; }
    [[nodiscard]] int first_error() const { return first_error_; }

private:
    void run() {
        while (!is_over_) {
            if (request())
                ++answered_;
            else if (++failed_ == 1)
                first_error_ = errno;
        }
    }
    bool request() {
        // No REQUIRE in here: Catch2 is for one thread.
        UniqueFd const client{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        timeval const patience{5, 0};
        linger const none{1, 0};
        ::setsockopt(client.raw(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        ::setsockopt(client.raw(), SOL_SOCKET, SO_LINGER, &none, sizeof none);
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(target_.port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        char answer = 0;
        return ::connect(client.raw(), reinterpret_cast<sockaddr const*>(&to), sizeof to) == 0 &&
               ::send(client.raw(), "x", 1, MSG_NOSIGNAL) == 1 && ::recv(client.raw(), &answer, 1, 0) == 1;
    }

    ListenAddress target_;
    std::atomic<bool> is_over_ = false;
    std::atomic<int> answered_ = 0;
    std::atomic<int> failed_ = 0;
    std::atomic<int> first_error_ = 0;
    std::vector<std::thread> clients_;
};

using Pool = std::map<Shard, Worker>;

void start_workers(Pool& pool, ShardGroup const& group, std::vector<Shard> const& shards) {
    for (Shard const& shard : shards)
        pool.try_emplace(shard, group.listener(shard));
}

/// Waits until `leaving` are at rest, who have no share any more.
bool come_to_rest(ShardGroup const& group, std::vector<Shard> const& leaving) {
    RestWatch watch{MonotonicTime::now()};
    return eventually([&] {
        auto const now = MonotonicTime::now();
        watch.see(look_at(group), now);
        return watch.are_at_rest(leaving);
    });
}

std::vector<Shard> leaving_slots(Bank bank, std::uint16_t from, std::uint16_t to) {
    auto shards = shards_of(bank, to);
    shards.erase(shards.begin(), shards.begin() + from);
    return shards;
}

} // namespace

TEST_CASE("a pool that goes from 8 to 2 to 8 under load, with hundreds of swaps, costs no client",
          "[socket]") {
    auto const address = tcp("127.0.0.1");
    auto group = bind_group(address, 8);
    Pool pool;
    start_workers(pool, group, shards_of(Bank::Blue, 8));
    Load load{group.bound()};
    int swaps = 0;
    for (int round = 0; round < 5; ++round) {
        for (int i = 0; i < 100; ++i, ++swaps)
            REQUIRE(group.steer(share_equally(shards_of(Bank::Blue, i % 2 == 0 ? 2 : 8))));
        REQUIRE(group.steer(share_equally(shards_of(Bank::Blue, 2))));
        auto const leaving = leaving_slots(Bank::Blue, 2, 8);
        REQUIRE(come_to_rest(group, leaving));
        for (Shard const& shard : leaving)
            pool.erase(shard);
        REQUIRE(told(group.shrink(2)) == "ok");
        int const before = load.answered();
        REQUIRE(eventually([&] { return load.answered() > before + 20 || load.failed() > 0; }));
        REQUIRE(told(group.grow(shard_spec(address), 8)) == "ok");
        start_workers(pool, group, shards_of(Bank::Blue, 8));
        REQUIRE(group.steer(share_equally(shards_of(Bank::Blue, 8))));
        auto const is_used = [&](Shard shard) { return pool.at(shard).served() > 0; };
        REQUIRE(eventually([&] { return is_used(blue(7)) || load.failed() > 0; }));
    }
    load.end();
    INFO("first error " << errno_text(load.first_error()) << ", answered " << load.answered());
    CHECK(load.failed() == 0);
    CHECK(look_at(group).astray == 0);
    CHECK(swaps == 500);
}

TEST_CASE("generations that take over from each other under load cost no client", "[socket]") {
    auto group = bind_group(tcp("127.0.0.1"), 4);
    Pool pool;
    start_workers(pool, group, shards_of(Bank::Blue, 4));
    Load load{group.bound()};
    for (std::uint64_t generation = 1; generation <= 10; ++generation) {
        Bank const fresh = bank_of(generation);
        auto const stable = shards_of(other(fresh), 4);
        auto const canary = shards_of(fresh, 4);
        start_workers(pool, group, canary);
        for (double const percent : {5.0, 25.0, 50.0, 100.0})
            REQUIRE(group.steer(share_with_canary(stable, canary, percent)));
        REQUIRE(come_to_rest(group, stable));
        for (Shard const& shard : stable)
            pool.erase(shard);
        // The old generation is gone; its shards are still there, and stay empty.
        int const before = load.answered();
        REQUIRE(eventually([&] { return load.answered() > before + 20 || load.failed() > 0; }));
        auto const look = look_at(group);
        for (Shard const& shard : stable)
            CHECK(look.queued.at(shard) == 0);
    }
    load.end();
    INFO("first error " << errno_text(load.first_error()) << ", answered " << load.answered());
    CHECK(load.failed() == 0);
}

TEST_CASE("the queue of a worker that died waits for the next one in the same shard", "[socket]") {
    auto group = bind_group(tcp("127.0.0.1"), 2);
    REQUIRE(group.steer(all_to(blue(1))));
    std::vector<UniqueFd> clients;
    for (int i = 0; i < 5; ++i) {
        clients.push_back(connect_to(group.bound()));
        REQUIRE(::send(clients.back().raw(), "x", 1, MSG_NOSIGNAL) == 1);
    }
    REQUIRE(group.steer(all_to(blue(0))));
    Worker const next{group.listener(blue(1))};
    for (UniqueFd const& client : clients) {
        char answer = 0;
        pollfd seen{client.raw(), POLLIN, 0};
        CHECK(::poll(&seen, 1, 5000) == 1);
        CHECK(::recv(client.raw(), &answer, 1, 0) == 1);
    }
    CHECK(come_to_rest(group, {blue(1)}));
}
