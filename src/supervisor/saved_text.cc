// SPDX-License-Identifier: Apache-2.0
#include "supervisor/saved_text.h"

#include "base/text.h"
#include "lifecycle/saved.h"

#include <algorithm>

#include <unistd.h>

namespace holdfast {

using namespace lifecycle;

namespace {

template <class Saved>
void read_into(std::vector<Saved>& all, std::string_view line) {
    if (Saved saved; read_line(line, saved))
        all.push_back(std::move(saved));
}

} // namespace

SavedText read_saved(std::string_view text) {
    SavedText saved;
    StateReader reader;
    bool is_known_version = false;
    for (auto const line : split(text, '\n')) {
        auto const word = line.substr(0, line.find(' '));
        auto const rest = line.substr(std::min(line.size(), word.size() + 1));
        if (word == SavedUnit::word)
            is_known_version = read_line(line, saved.unit) && saved.unit.version == saved_version;
        else if (word == SavedWorker::word)
            read_into(saved.workers, line);
        else if (word == SavedPin::word)
            read_into(saved.pins, line);
        else if (word == SavedFormer::word)
            read_into(saved.formers, line);
        else if (word == SavedWayBack::word)
            read_into(saved.ways_back, line);
        else if (word == SavedReload::word)
            read_into(saved.reloads, line);
        else if (word == SavedRollout::word)
            read_into(saved.rollouts, line);
        else if (word == "queued") {
            if (auto const fact = parse_fact(rest))
                saved.queued.push_back(*fact);
        } else if (word == "untold") {
            if (auto const report = parse_report(rest))
                saved.untold.push_back(*report);
        } else if (word == "fact") {
            if (auto const fact = parse_trace_line(rest))
                saved.trace.push_back(*fact);
        } else {
            reader.take(line);
        }
    }
    saved.state = std::move(reader).finish();
    if (!is_known_version) {
        saved.state.reset();
        saved.unit = {};
    }
    return saved;
}

SavedWorker const* SavedText::find(WorkerId worker) const {
    auto const found = std::ranges::find(workers, worker, &SavedWorker::worker);
    return found == workers.end() ? nullptr : &*found;
}

SavedWorker SavedText::worker_of(std::vector<std::uint32_t> const& numbers, pid_t main, SpecId spec) const {
    if (auto const* const known = find(WorkerId{numbers[0]})) {
        auto saved = *known;
        if (main > 0) // it may have named another main process since
            saved.main = main;
        return saved;
    }
    SavedWorker saved;
    saved.worker = WorkerId{numbers[0]};
    saved.generation = GenerationId{numbers[1]};
    saved.slot = Slot{static_cast<std::uint16_t>(numbers[2])};
    saved.spec = spec;
    saved.shard = {static_cast<std::uint16_t>(numbers[2]), bank_of(numbers[1])};
    saved.main = main;
    auto const session = main > 0 ? ::getsid(main) : -1;
    // Before it has made a session of its own it is in that of the keeper.
    saved.leader = session > 0 && session != ::getsid(0) ? session : main;
    // Forked, and saved as such nowhere: the step that ordered it was.
    if (state)
        for (auto const& worker : state->workers)
            if (worker.id == saved.worker) {
                saved.shard.bank = worker.bank; // of one that was lent it is not that of its generation
                for (auto const& generation : state->generations)
                    if (generation.id == worker.generation)
                        saved.spec = generation.policy.spec;
            }
    return saved;
}

} // namespace holdfast
