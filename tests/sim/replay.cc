// SPDX-License-Identifier: Apache-2.0
#include "sim/replay.h"

#include <stdexcept>

namespace holdfast::sim {

Complaints replay(World& world, std::vector<TraceLine> const& trace) {
    for (auto const& line : trace)
        if (auto complaints = world.deliver(line); !complaints.empty())
            return complaints;
    return {};
}

std::vector<TraceLine> parse_trace(std::string_view text) {
    std::vector<TraceLine> trace;
    while (!text.empty()) {
        auto const line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        if (line.empty() || line.starts_with('#'))
            continue;
        auto const parsed = parse_trace_line(line);
        if (!parsed)
            throw std::runtime_error{"not a line of a trace: " + std::string{line}};
        trace.push_back(*parsed);
    }
    return trace;
}

std::string describe(std::vector<TraceLine> const& trace, Complaints const& complaints,
                     Policy const& policy) {
    std::string text;
    for (auto const& complaint : complaints)
        text += "# broken: " + std::string{complaint.invariant} + ": " + complaint.text + "\n";
    if (complaints.empty())
        return text;
    text += to_string(TraceLine{World{}.now, policy}) + "\n";
    for (auto const& line : trace)
        text += to_string(line) + "\n";
    return text;
}

} // namespace holdfast::sim
