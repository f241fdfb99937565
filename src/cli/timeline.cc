// SPDX-License-Identifier: Apache-2.0
#include "cli/timeline.h"

#include "cli/answer.h"
#include "cli/screen.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <vector>

namespace holdfast::cli {

using nlohmann::json;

namespace {

// Custom properties would be shorter, but not every viewer of SVG knows them.
constexpr char const* style = R"(<style>
text { font: 12px system-ui, sans-serif; fill: #1f2328; }
.title { font-size: 17px; font-weight: 600; }
.faint { fill: #59636e; }
.in { fill: #ffffff; font-size: 11px; }
.end { text-anchor: end; }
.middle { text-anchor: middle; }
.paper { fill: #ffffff; }
.grid { stroke: #d1d9e0; }
.mark { stroke: #59636e; stroke-dasharray: 4 3; }
.booting { fill: #9a6700; }
.ready { fill: #1a7f37; }
.parked { fill: #8250df; }
.draining { fill: #0969da; }
.killed { fill: #cf222e; }
.gone { fill: #d1d9e0; }
.line { fill: none; stroke: #bc4c00; stroke-width: 1.5; }
.area { fill: #bc4c00; opacity: 0.18; }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc; }
.faint { fill: #9198a1; }
.in { fill: #0d1117; }
.paper { fill: #0d1117; }
.grid { stroke: #3d444d; }
.mark { stroke: #9198a1; }
.booting { fill: #d29922; }
.ready { fill: #3fb950; }
.parked { fill: #a371f7; }
.draining { fill: #58a6ff; }
.killed { fill: #f85149; }
.gone { fill: #3d444d; }
.line { stroke: #f0883e; }
.area { fill: #f0883e; }
}
</style>
)";

constexpr std::array phases{"booting", "ready", "parked", "draining", "killed", "gone"};

// Pixels.
constexpr double left = 210, width = 720, right = left + width;
constexpr double whole_width = right + 30;
constexpr double head = 92, lane_height = 20, lane_step = 26;
constexpr double queue_height = 70, queue_step = 96;

std::string escape(std::string const& text) {
    std::string escaped;
    for (char const c : harmless(text)) {
        switch (c) {
        case '&':
            escaped += "&amp;";
            break;
        case '<':
            escaped += "&lt;";
            break;
        case '>':
            escaped += "&gt;";
            break;
        case '"':
            escaped += "&quot;";
            break;
        default:
            escaped += c;
        }
    }
    return escaped;
}

std::string pixels(double value) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.1f", value);
    return text.data();
}

std::string text_at(double x, double y, std::string const& css, std::string const& text) {
    return "<text x=\"" + pixels(x) + "\" y=\"" + pixels(y) + "\"" +
           (css.empty() ? "" : " class=\"" + css + "\"") + ">" + escape(text) + "</text>\n";
}

std::string line_from(double x1, double y1, double x2, double y2, std::string const& css) {
    return "<line class=\"" + css + "\" x1=\"" + pixels(x1) + "\" y1=\"" + pixels(y1) + "\" x2=\"" +
           pixels(x2) + "\" y2=\"" + pixels(y2) + "\"/>\n";
}

std::string time(std::int64_t usec) {
    return usec == 0 ? "0s" : to_short_string(Duration{usec});
}

/// The time axis.
struct Axis {
    std::int64_t length = 1; ///< microseconds
    [[nodiscard]] std::int64_t clamp(std::int64_t at) const {
        return std::clamp<std::int64_t>(at, 0, length);
    }
    [[nodiscard]] double x(std::int64_t at) const {
        return left + width * static_cast<double>(clamp(at)) / static_cast<double>(length);
    }
    /// 1, 2 or 5 times a power of ten, so that there are at most ten steps.
    [[nodiscard]] std::int64_t step() const {
        for (std::int64_t ten = 1;; ten *= 10)
            for (std::int64_t const factor : {1, 2, 5})
                if (length / (ten * factor) < 10)
                    return ten * factor;
    }
};

std::vector<json> lanes_of(json const& timeline) {
    std::vector<json> lanes;
    for (auto const& lane : list_of(timeline, "lanes"))
        lanes.push_back(lane);
    auto const place = [](json const& lane) {
        return std::array{number_of(lane, "generation").value_or(0), number_of(lane, "slot").value_or(0),
                          number_of(lane, "worker").value_or(0)};
    };
    std::stable_sort(lanes.begin(), lanes.end(),
                     [&](json const& a, json const& b) { return place(a) < place(b); });
    return lanes;
}

std::string phase_bar(Axis const& axis, double y, std::string const& label, std::string const& phase,
                      std::int64_t from, std::int64_t to) {
    bool const is_known = std::find(phases.begin(), phases.end(), phase) != phases.end();
    bool const is_gone = phase == "gone";
    double const x = axis.x(from), wide = std::max(axis.x(to) - x, is_gone ? 0.0 : 1.5);
    double const top = is_gone ? y + lane_height / 2 - 1 : y, high = is_gone ? 2 : lane_height;
    std::string bar =
        "<rect class=\"" + std::string{is_known ? phase : "gone"} + "\" x=\"" + pixels(x) + "\" y=\"" +
        pixels(top) + "\" width=\"" + pixels(wide) + "\" height=\"" + pixels(high) + "\"><title>" +
        escape(label + ": " + phase + " from " + time(from) + " to " + time(to)) + "</title></rect>\n";
    constexpr double letter = 7;
    if (!is_gone && wide > letter * static_cast<double>(phase.size()) + 8)
        bar += text_at(x + 5, y + 14, "in", phase);
    return bar;
}

std::string lane(Axis const& axis, double y, json const& given) {
    std::string const label = "worker " + digits_of(given, "worker") + ", generation " +
                              digits_of(given, "generation") + ", slot " + digits_of(given, "slot");
    std::string drawn = "<g class=\"lane\">\n" + text_at(left - 10, y + 14, "end", label);
    auto const& changes = list_of(given, "phases");
    for (std::size_t i = 0; i < changes.size(); ++i) {
        auto const from = number_of(changes[i], "at_usec").value_or(0);
        auto const to =
            i + 1 < changes.size() ? number_of(changes[i + 1], "at_usec").value_or(0) : axis.length;
        drawn += phase_bar(axis, y, label, text_of(changes[i], "phase"), axis.clamp(from), axis.clamp(to));
    }
    return drawn + "</g>\n";
}

/// The depth of one queue as a step line, and its scale.
std::string queue(Axis const& axis, double y, json const& given) {
    double const bottom = y + queue_height;
    std::int64_t highest = 1;
    for (auto const& point : list_of(given, "points"))
        highest = std::max(highest, number_of(point, "waiting").value_or(0));
    auto const height = [&](std::int64_t waiting) {
        return bottom - queue_height * static_cast<double>(std::max<std::int64_t>(0, waiting)) /
                            static_cast<double>(highest);
    };
    std::string steps;
    for (auto const& point : list_of(given, "points")) {
        auto const x = pixels(axis.x(number_of(point, "at_usec").value_or(0)));
        auto const level = pixels(height(number_of(point, "waiting").value_or(0)));
        steps += steps.empty() ? "M" + x + " " + level : " H" + x + " V" + level;
    }
    std::string drawn = "<g class=\"queue\">\n" +
                        text_at(left - 40, y + 32, "end", "queue of " + text_of(given, "name")) +
                        text_at(left - 40, y + 48, "end faint", cut_to(text_of(given, "address"), 26)) +
                        text_at(left - 8, y + 5, "end faint", std::to_string(highest)) +
                        text_at(left - 8, bottom + 4, "end faint", "0") +
                        line_from(left, y, right, y, "grid") + line_from(left, bottom, right, bottom, "grid");
    if (!steps.empty()) {
        steps += " H" + pixels(right);
        auto const first = pixels(axis.x(number_of(list_of(given, "points").front(), "at_usec").value_or(0)));
        drawn += "<path class=\"area\" d=\"" + steps + " V" + pixels(bottom) + " H" + first + " Z\"/>\n";
        drawn += "<path class=\"line\" d=\"" + steps + "\"/>\n";
    }
    return drawn + "</g>\n";
}

std::string ticks(Axis const& axis, double top, double bottom) {
    std::string drawn;
    auto const step = axis.step();
    for (std::int64_t at = 0; at <= axis.length; at += step) {
        drawn += line_from(axis.x(at), top, axis.x(at), bottom, "grid");
        drawn += text_at(axis.x(at), bottom + 18, "middle faint", time(at));
    }
    return drawn;
}

std::string legend() {
    std::string drawn;
    double x = left;
    for (auto const* phase : phases) {
        bool const is_gone = std::string_view{phase} == "gone";
        drawn += "<rect class=\"" + std::string{phase} + "\" x=\"" + pixels(x) + "\" y=\"" +
                 pixels(is_gone ? 67 : 62) + "\" width=\"12\" height=\"" + (is_gone ? "2" : "12") + "\"/>\n" +
                 text_at(x + 17, 72.5, "faint", phase);
        x += 84;
    }
    return drawn;
}

/// Where the new generation took over.
std::string take_over(Axis const& axis, json const& report, double top, double bottom) {
    auto const ready = number_of(report, "ready_usec");
    if (!ready || *ready > axis.length)
        return {};
    double const x = axis.x(*ready);
    bool const is_late = x > right - 110;
    return line_from(x, top - 8, x, bottom, "mark") + text_at(is_late ? x - 5 : x + 5, bottom + 36,
                                                              is_late ? "end faint" : "faint",
                                                              "ready after " + time(*ready));
}

std::string subtitle(json const& report) {
    std::string text = text_of(report, "strategy") + ", began " + text_of(report, "began") + ", took " +
                       time(number_of(report, "lasted_usec").value_or(0));
    if (auto const drained = number_of(report, "drained_usec"))
        text += ", old generation drained in " + time(*drained);
    if (std::string const reason = text_of(report, "reason"); !reason.empty())
        text += "; " + reason;
    return cut_to(text, 130);
}

} // namespace

std::string timeline_svg(json const& answer) {
    auto const& report = object_of(answer, "report");
    auto const& timeline = object_of(answer, "timeline");
    auto const lanes = lanes_of(timeline);
    auto const& queues = list_of(timeline, "queues");
    Axis const axis{std::max<std::int64_t>(1000, number_of(timeline, "length_usec").value_or(0))};
    double const queues_top = head + lane_step * static_cast<double>(lanes.size()) + 22;
    double const bottom = queues_top + queue_step * static_cast<double>(queues.size()) - 20;
    double const whole_height = bottom + 56;

    std::string const previous = digits_of(report, "previous_generation");
    std::string const title = text_of(report, "unit") + ": generation " + digits_of(report, "generation") +
                              (previous.empty() ? "" : " after " + previous) + ", " +
                              text_of(report, "verdict");
    std::string drawn = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " +
                        pixels(whole_width) + " " + pixels(whole_height) + "\" width=\"" +
                        pixels(whole_width) + "\" height=\"" + pixels(whole_height) + "\" role=\"img\">\n" +
                        "<title>" + escape(title) + "</title>\n" + style +
                        "<rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n" +
                        text_at(20, 28, "title", title) + text_at(20, 48, "faint", subtitle(report)) +
                        legend() + ticks(axis, head - 6, bottom) + take_over(axis, report, head, bottom);
    for (std::size_t i = 0; i < lanes.size(); ++i)
        drawn += lane(axis, head + lane_step * static_cast<double>(i), lanes[i]);
    for (std::size_t i = 0; i < queues.size(); ++i)
        drawn += queue(axis, queues_top + queue_step * static_cast<double>(i), queues[i]);
    auto const more = [&](char const* member, std::string const& what) {
        auto const count = number_of(timeline, member).value_or(0);
        return count > 0 ? std::to_string(count) + " more " + what + ", not shown. " : std::string{};
    };
    drawn += text_at(20, bottom + 36, "faint",
                     more("lanes_left_out", "workers") + more("queues_left_out", "listeners"));
    return drawn + "</svg>\n";
}

} // namespace holdfast::cli
