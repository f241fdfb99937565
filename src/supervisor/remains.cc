// SPDX-License-Identifier: Apache-2.0
#include "supervisor/remains.h"

#include <algorithm>
#include <utility>

#include <unistd.h>

namespace holdfast {

namespace {

constexpr Duration first_pause = std::chrono::milliseconds{2};
constexpr Duration longest_pause = std::chrono::seconds{60}; // of one that sleeps where nothing wakes it
constexpr Duration longest_finish = std::chrono::seconds{5};
constexpr std::size_t most_leaders = 4096;
constexpr int cannot_be_killed = -1;
/// Others wait so long at most while orphans are looked for.
constexpr Duration longest_sweep = std::chrono::milliseconds{20};
/// So often nothing must be found: a child of one that is on its way out is nobody's orphan yet, and one that
/// is just executing a program has no environment for a moment.
constexpr unsigned enough_looks = 4;

} // namespace

Remains::Remains(EventLoop& loop, std::unique_ptr<CgroupTree> tree, Rules rules)
    : loop_{loop}, tree_{std::move(tree)}, rules_{std::move(rules)}, is_sure_{tree_ != nullptr} {}

std::shared_ptr<UniqueFd const> Remains::cgroup_for(std::string const& unit, std::uint32_t generation) {
    if (tree_ == nullptr)
        return nullptr;
    auto const name = generation_cgroup(unit, generation);
    dying_.erase(name); // it was killed, and is used again
    auto folder = tree_->make(name);
    if (folder)
        return std::make_shared<UniqueFd const>(std::move(folder).value());
    is_sure_ = false;
    say_once(folder.error().code,
             to_string(folder.error()) + "; its workers are ended by their process groups");
    return nullptr;
}

std::string Remains::path_of(std::string const& unit, std::uint32_t generation) const {
    return tree_ ? tree_->path_of(generation_cgroup(unit, generation)) : std::string{};
}

void Remains::check(pid_t worker, GenerationOf const& generation, bool moves_itself) {
    if (tree_ == nullptr || !moves_itself)
        return;
    auto const name = generation_cgroup(generation.unit, generation.number);
    if (is_in_cgroup(worker, name))
        return;
    is_sure_ = false;
    say_once(0, "a worker could not go into the cgroup " + name + "; it is ended by its process group");
}

void Remains::say_once(int why, std::string text) {
    if (told_.insert(why).second)
        rules_.told(std::move(text));
}

void Remains::worker_ended(GenerationOf const& generation, pid_t leader, bool is_last) {
    if (!is_sure_ && leader > 0) {
        if (dead_leaders_.size() >= most_leaders)
            dead_leaders_.clear();
        dead_leaders_[leader] = generation;
    }
    if (!is_last)
        return;
    bool is_left = false;
    if (tree_ != nullptr)
        if (auto const name = generation_cgroup(generation.unit, generation.number); !tree_->end(name)) {
            dying_.insert(name);
            is_left = true;
        }
    if (!is_sure_)
        sweep_within_reason();
    if (is_left || is_sweep_due_)
        try_again_in(first_pause);
}

void Remains::end_strangers(There const& there) {
    std::set<std::string> names;
    for (auto const& [pid, generation] : there.workers) {
        auto const& name = *names.insert(generation_cgroup(generation.unit, generation.number)).first;
        // It may have been started without one, or been unable to go there.
        is_sure_ = is_sure_ && is_in_cgroup(pid, name);
    }
    auto const is_untouched = [&](std::string_view name) {
        return std::ranges::any_of(there.untouched,
                                   [name](std::string const& unit) { return is_cgroup_of(name, unit); });
    };
    // Where a unit's name was lost with its state, its workers are known all the same.
    end_cgroups([&](std::string const& name) {
        return !names.contains(name) && !is_untouched(name) && !tree_->has(name, rules_.is_known);
    });
    // Without a keeper nobody was here before us. With one, the last of a generation that had no cgroup may
    // have ended when nobody saw it.
    looks_left_ = rules_.keeper != 0 ? enough_looks : 0;
    is_sweep_due_ = rules_.keeper != 0 && sweep();
    if (!dying_.empty() || is_sweep_due_)
        try_again_in(first_pause);
}

void Remains::end_cgroups(std::function<bool(std::string const&)> const& is_one) {
    if (tree_ == nullptr)
        return;
    for (auto const& name : tree_->all())
        if (is_one(name) && !tree_->end(name))
            dying_.insert(name);
}

/// When a thousand workers end at once, looking for orphans after each would take too long.
void Remains::sweep_within_reason() {
    auto const began = MonotonicTime::now();
    is_sweep_due_ = true;
    looks_left_ = enough_looks;
    if (sweeping_.left(began) == Duration::zero())
        return;
    is_sweep_due_ = sweep();
    sweeping_.spend(MonotonicTime::now() - began);
}

bool Remains::is_orphan_of_the_dead(pid_t pid) const {
    if (pid == ::getpid() || rules_.is_known(pid))
        return false;
    if (auto const generation = generation_of(pid, rules_.notify_path))
        return !rules_.is_there(*generation);
    auto const session = ::getsid(pid);
    if (rules_.is_known(session)) // its number was given to another worker since
        return false;
    auto const dead = dead_leaders_.find(session);
    return dead != dead_leaders_.end() && !rules_.is_there(dead->second);
}

bool Remains::sweep() {
    std::vector<pid_t> parents{::getpid()};
    if (rules_.keeper != 0)
        parents.push_back(rules_.keeper);
    auto const killed = kill_children(
        parents, [this](pid_t pid) { return is_orphan_of_the_dead(pid); },
        MonotonicTime::now() + longest_sweep, looked_at_);
    bool const is_round = killed.last <= looked_at_; // nobody is behind, or it began again
    looked_at_ = killed.last;
    if (killed.refused != 0)
        say_once(cannot_be_killed,
                 "process " + std::to_string(killed.refused) +
                     ", left behind by a worker, is another user's and cannot be killed by us");
    if (killed.may_be_more && killed.count > 0) // those who are quicker than us are not waited for
        pause_ = Duration::zero();
    if (killed.count > 0)
        looks_left_ = enough_looks;
    else if (is_round && (looks_left_ == 0 || --looks_left_ == 0))
        std::erase_if(dead_leaders_, [this](auto const& dead) { return !rules_.is_there(dead.second); });
    return looks_left_ > 0;
}

void Remains::try_again_in(Duration pause) {
    pause_ = pause;
    auto const when = MonotonicTime::now() + pause;
    if (again_)
        again_.rearm(when);
    else
        again_ = loop_.at(when, [this] { try_again(); });
}

void Remains::try_again() {
    loop_.set_owner(0);
    std::erase_if(dying_, [this](std::string const& name) { return tree_->end(name); });
    if (is_sweep_due_)
        is_sweep_due_ = sweep();
    bool const is_clean = dying_.empty() && !is_sweep_due_;
    if (done_ && (is_clean || MonotonicTime::now() >= done_by_)) {
        if (tree_)
            tree_->leave();
        return std::exchange(done_, nullptr)();
    }
    if (!is_clean)
        try_again_in(std::clamp<Duration>(pause_ * 2, first_pause,
                                          done_ ? std::chrono::milliseconds{50} : longest_pause));
}

void Remains::finish(std::function<void()> done) {
    done_ = std::move(done);
    done_by_ = MonotonicTime::now() + longest_finish;
    end_cgroups([](std::string const&) { return true; }); // also of a worker that dumps core yet
    is_sweep_due_ = is_sweep_due_ || !is_sure_;
    looks_left_ = enough_looks;
    try_again();
}

} // namespace holdfast
