// SPDX-License-Identifier: Apache-2.0
// Facts and orders as lines of text, and back.
#include "lifecycle/fields.h"
#include "lifecycle/trace.h"

#include <utility>

namespace holdfast::lifecycle {

std::string to_string(Fact const& fact) {
    return std::visit([](auto const& it) { return text::write(it); }, fact);
}

std::string to_string(Order const& order) {
    return std::visit([](auto const& it) { return text::write(it); }, order);
}

std::string to_string(Policy const& policy) {
    return text::write(policy);
}

std::optional<Fact> parse_fact(std::string_view line) {
    std::optional<Fact> fact;
    auto const try_kind = [&]<class T>(T it) {
        bool const is_it = text::read(line, it);
        if (is_it)
            fact = it;
        return is_it;
    };
    [&]<std::size_t... I>(std::index_sequence<I...>) {
        (void)(try_kind(std::variant_alternative_t<I, Fact>{}) || ...);
    }
    (std::make_index_sequence<std::variant_size_v<Fact>>{});
    return fact;
}

std::optional<Report> parse_report(std::string_view line) {
    Report report;
    if (!text::read(line, report))
        return std::nullopt;
    return report;
}

std::optional<Policy> parse_policy(std::string_view line) {
    Policy policy;
    if (!text::read(line, policy))
        return std::nullopt;
    return policy;
}

std::string to_string(TraceLine const& line) {
    return std::to_string(line.at.since_boot().count()) + "us " +
           std::visit([](auto const& it) { return to_string(it); }, line.what);
}

std::optional<TraceLine> parse_trace_line(std::string_view line) {
    TraceLine result;
    Duration::rep count = 0;
    auto const [end, problem] = std::from_chars(line.data(), line.data() + line.size(), count);
    auto const rest = line.substr(static_cast<std::size_t>(end - line.data()));
    if (problem != std::errc{} || !rest.starts_with("us "))
        return std::nullopt;
    result.at = MonotonicTime{Duration{count}};
    if (auto const fact = parse_fact(rest.substr(3)))
        result.what = *fact;
    else if (auto const policy = parse_policy(rest.substr(3)))
        result.what = *policy;
    else
        return std::nullopt;
    return result;
}

} // namespace holdfast::lifecycle
