// SPDX-License-Identifier: Apache-2.0
// A failing run made short: parts of its trace are left out as long as it fails in the same way.
#include "sim/random_run.h"

#include <algorithm>

namespace holdfast::sim {

namespace {

using Trace = std::vector<TraceLine>;

class Shrinker {
public:
    Shrinker(Run const& run, Step step, std::string_view only)
        : best_{run}, invariant_{run.complaints.front().invariant}, step_{step}, only_{only} {}

    Run least() {
        do
            leave_out_parts();
        while (leave_out_workers());
        return best_;
    }

private:
    /// Takes the shorter trace if it fails as the first one did.
    bool take(Trace trace) {
        auto complaints = complaints_of(best_.policy, trace, step_, only_);
        if (complaints.empty() || complaints.front().invariant != invariant_)
            return false;
        best_.trace = std::move(trace);
        best_.complaints = std::move(complaints);
        return true;
    }

    void leave_out_parts() {
        for (auto part = best_.trace.size(); part > 0;) {
            bool shorter = false;
            for (std::size_t from = 0; from + part <= best_.trace.size();) {
                auto trace = best_.trace;
                auto const begin = trace.begin() + static_cast<std::ptrdiff_t>(from);
                trace.erase(begin, begin + static_cast<std::ptrdiff_t>(part));
                if (take(std::move(trace)))
                    shorter = true;
                else
                    from += part;
            }
            if (!shorter)
                part /= 2;
            part = std::min(part, best_.trace.size());
        }
    }

    /// A fact that made workers cannot go alone: those after them would be meant by other numbers. So it goes
    /// together with some workers, and the numbers close up.
    bool leave_out_workers() {
        for (std::size_t i = 0; i < best_.trace.size(); ++i)
            for (std::uint32_t first = 1, last = last_worker(best_.trace); first <= last; ++first)
                for (std::uint32_t count = 1; count <= most_slots; ++count)
                    if (take(without(best_.trace, i, first, count)))
                        return true;
        return false;
    }

    /// The highest number that the trace names; those after it need no closing up.
    static std::uint32_t last_worker(Trace const& trace) {
        std::uint32_t last = 1;
        for (auto const& line : trace)
            if (auto const* const fact = std::get_if<Fact>(&line.what))
                if (auto const id = worker_of(*fact))
                    last = std::max(last, static_cast<std::uint32_t>(*id));
        return last;
    }

    static Trace without(Trace const& trace, std::size_t line, std::uint32_t first, std::uint32_t count) {
        Trace result;
        for (std::size_t i = 0; i < trace.size(); ++i) {
            auto copy = trace[i];
            auto* const fact = std::get_if<Fact>(&copy.what);
            bool const stays = i != line && (fact == nullptr || close_up(*fact, first, count));
            if (stays)
                result.push_back(copy);
        }
        return result;
    }

    /// Whether the fact is about another worker than those that go; its number is the new one then.
    static bool close_up(Fact& fact, std::uint32_t first, std::uint32_t count) {
        auto const move = [&](std::uint32_t& number) {
            if (number >= first && number < first + count)
                return false;
            if (number >= first + count)
                number -= count;
            return true;
        };
        return std::visit(
            [&]<class T>(T& it) {
                if constexpr (requires { it.worker; }) {
                    auto number = static_cast<std::uint32_t>(it.worker);
                    bool const stays = move(number);
                    it.worker = WorkerId{number};
                    return stays;
                } else if constexpr (requires { it.timer; }) {
                    bool const of_worker =
                        it.timer.kind == TimerKind::StartDeadline || it.timer.kind == TimerKind::StopDeadline;
                    return !of_worker || move(it.timer.of);
                } else
                    return true;
            },
            fact);
    }

    static constexpr std::uint32_t most_slots = 4;
    Run best_;
    std::string_view invariant_;
    Step step_;
    std::string_view only_;
};

} // namespace

Run shrink(Run const& run, Step step, std::string_view only) {
    if (run.complaints.empty())
        return run;
    return Shrinker{run, step, only}.least();
}

} // namespace holdfast::sim
