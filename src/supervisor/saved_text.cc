// SPDX-License-Identifier: Apache-2.0
#include "supervisor/saved_text.h"

#include "base/text.h"
#include "lifecycle/saved.h"

#include <algorithm>

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
    if (!is_known_version)
        saved.state.reset();
    return saved;
}

} // namespace holdfast
