// SPDX-License-Identifier: Apache-2.0
#include "supervisor/shard_load.h"

#include "supervisor/pace.h"

#include <algorithm>
#include <cerrno>

#include <sys/epoll.h>

namespace holdfast {

using namespace std::chrono_literals;

namespace {

constexpr Duration shortest_load_pause = 15ms;
constexpr Duration longest_load_pause = 250ms; // when all stays as it is: somebody is stuck, and nobody comes
constexpr Duration until_slower = 1s;
constexpr unsigned quiet_looks = 20;

} // namespace

ShardLoad::ShardLoad(Shared& shared, std::uint32_t number, std::vector<ShardGroup> const& groups)
    : shared_{shared}, number_{number}, groups_{groups} {
    ++shared_.sampled_units;
}

ShardLoad::~ShardLoad() {
    if (!is_asleep())
        --shared_.sampled_units;
}

void ShardLoad::watch(std::vector<HostedShard> shards, Judged judged) {
    shards_ = std::move(shards);
    judged_ = std::move(judged);
    std::erase_if(paces_, [&](auto const& known) {
        return std::ranges::find(shards_, known.first, &HostedShard::shard) == shards_.end();
    });
    look_soon();
}

void ShardLoad::follow(std::function<Shard(Shard)> const& host_of) {
    bool has_moved = false;
    for (auto& [shard, host] : shards_) {
        auto const now = host_of(shard);
        if (now == host)
            continue;
        host = now;
        paces_.erase(shard);
        has_moved = true;
    }
    if (has_moved)
        look_soon();
}

void ShardLoad::start_anew() {
    paces_.clear();
    look_soon();
}

/// Not at once: it may be called while the groups are changed, or an order is carried out.
void ShardLoad::look_soon() {
    if (is_asleep())
        ++shared_.sampled_units;
    traffic_ = {};
    epoll_ = {};
    quiet_looks_ = 0;
    pause_ = shortest_load_pause;
    changed_ = MonotonicTime::now();
    timer_ = shared_.loop.at(changed_ + pause_, [this] { look(); });
}

void ShardLoad::wake() {
    shared_.loop.set_owner(number_);
    look_soon();
    see(changed_); // so that the first client of a burst is not taken for one that has waited
}

/// A set of its own: a listener that is closed while somebody else holds it would stay in that of the loop.
void ShardLoad::sleep() {
    epoll_ = UniqueFd{::epoll_create1(EPOLL_CLOEXEC)};
    bool is_complete = epoll_.is_open();
    for (auto const& group : groups_)
        for (auto const& one : shards_) {
            epoll_event event{};
            event.events = EPOLLIN;
            auto const fd = group.listener(place_in(group, one.host)).fd.raw();
            if (is_complete && ::epoll_ctl(epoll_.raw(), EPOLL_CTL_ADD, fd, &event) < 0 && errno != EEXIST)
                is_complete = false;
        }
    if (is_complete)
        if (auto watched = shared_.loop.try_watch(
                epoll_, EPOLLIN, [this](std::uint32_t) { wake(); }, Priority::Clients);
            watched) {
            traffic_ = std::move(watched).value();
            timer_ = {};
            --shared_.sampled_units;
            return;
        }
    epoll_ = {}; // no descriptors are left, say: it goes on looking
    timer_.rearm(MonotonicTime::now() + longest_load_pause);
}

void ShardLoad::look() {
    shared_.loop.set_owner(number_);
    auto const begun = MonotonicTime::now();
    see(begun);
    tell();
    if (quiet_looks_ >= quiet_looks)
        return sleep();
    auto const now = MonotonicTime::now();
    timer_.rearm(now + next_pause(now, now - begun));
}

void ShardLoad::see(MonotonicTime now) {
    std::vector<std::uint32_t> waiting;
    for (std::size_t i = 0; i < groups_.size(); ++i) {
        for (auto const& [shard, host] : shards_) {
            auto& paces = paces_[shard];
            paces.resize(groups_.size());
            auto const queued = groups_[i].queued_in(place_in(groups_[i], host));
            waiting.push_back(queued ? *queued : 0);
            if (queued) // else it is tried again
                paces[i].see(*queued, now);
        }
        judge(i);
    }
    bool const is_quiet = std::ranges::all_of(waiting, [](auto count) { return count == 0; });
    quiet_looks_ = is_quiet ? quiet_looks_ + 1 : 0;
    if (waiting != waiting_)
        changed_ = now;
    waiting_ = std::move(waiting);
}

/// The queues of one address are held against each other: they have equal parts of its clients.
void ShardLoad::judge(std::size_t group) {
    std::uint32_t longest = 0;
    for (auto const& [shard, paces] : paces_)
        if (paces[group].moves())
            longest = std::max(longest, paces[group].waiting());
    for (auto& [shard, paces] : paces_)
        paces[group].judge(longest);
}

void ShardLoad::tell() {
    for (auto const& one : shards_) {
        auto const paces = paces_.find(one.shard);
        if (paces == paces_.end())
            continue;
        auto const is_stuck = [](QueuePace const& pace) { return pace.is_stuck() == true; };
        auto const is_known = [](QueuePace const& pace) { return pace.is_stuck().has_value(); };
        bool const stuck = std::ranges::any_of(paces->second, is_stuck);
        if (stuck || std::ranges::all_of(paces->second, is_known))
            judged_(one.shard, stuck);
    }
}

Duration ShardLoad::next_pause(MonotonicTime now, Duration taken) {
    pause_ = now - changed_ < until_slower ? shortest_load_pause : std::min(2 * pause_, longest_load_pause);
    return std::max({pause_, pace::per_unit * shared_.sampled_units, taken * pace::per_look});
}

} // namespace holdfast
