// SPDX-License-Identifier: Apache-2.0
// holdfast-load: an open-loop HTTP load generator. Exit status: 0 no request failed, 1 some did, 2 usage.
#include "load/report.h"

#include <cstdio>
#include <optional>

#include <CLI/CLI.hpp>

namespace {

using namespace holdfast;
using namespace holdfast::load;

struct Arguments {
    std::string target;
    std::string duration = "10s";
    std::string timeout = "10s";
    std::string step = "2s";
    std::string clean_p99 = "5ms";
    std::string json_file;
    bool json = false;
    bool find_rate = false;
    double highest = 200000;
    Plan plan;
};

void add_options(CLI::App& app, Arguments& a) {
    app.add_option("--target", a.target, "127.0.0.1:8080, [::1]:8080, unix:/path or unix:@name")->required();
    app.add_option("--path", a.plan.path, "What to ask for")->capture_default_str();
    app.add_option("--rate", a.plan.rate, "Requests per second; with --find-rate the first that is tried")
        ->check(CLI::Range(0.1, 10e6))
        ->capture_default_str();
    app.add_option("--duration", a.duration, "How long requests are sent")->capture_default_str();
    app.add_option("--timeout", a.timeout, "Of one request, from its scheduled time")->capture_default_str();
    app.add_flag("--keep-alive", a.plan.keep_alive,
                 "Re-use a pool of connections (default: one per request)");
    app.add_option("--connections", a.plan.connections, "Size of that pool")
        ->check(CLI::Range(1, 100000))
        ->capture_default_str();
    app.add_option("--threads", a.plan.threads, "Threads that share the rate")
        ->check(CLI::Range(1, 64))
        ->capture_default_str();
    app.add_option("--source-addresses", a.plan.source_addresses,
                   "Loopback addresses to connect from; 0: the default one")
        ->check(CLI::Range(0, 250))
        ->capture_default_str();
    app.add_flag("--answers", a.plan.keep_answers, "Count the different bodies (who answered?)");
    app.add_flag("--json", a.json, "Print JSON");
    app.add_option("--json-file", a.json_file, "Write JSON to this file beside the table");
    app.add_flag("--find-rate", a.find_rate,
                 "Find the highest rate that runs clean, then run at it for --duration");
    app.add_option("--step", a.step, "Length of each trial of --find-rate")->capture_default_str();
    app.add_option("--clean-p99", a.clean_p99, "p99 above which a trial is not clean")->capture_default_str();
    app.add_option("--highest-rate", a.highest, "Where --find-rate stops")->capture_default_str();
}

bool read_duration(std::string const& text, Duration& duration) {
    auto const parsed = parse_duration(text);
    if (!parsed || *parsed <= Duration{0} || *parsed > std::chrono::hours{24}) {
        std::fprintf(stderr, "holdfast-load: '%s' is no duration such as 10s or 250ms\n", text.c_str());
        return false;
    }
    duration = *parsed;
    return true;
}

bool trial(Plan plan, double rate, Duration step, CleanLimits const& limits) {
    plan.rate = rate;
    plan.duration = step;
    auto const tally = run(plan);
    bool const clean = is_clean(tally, limits);
    std::fprintf(stderr, "%8.0f/s  p99 %-8s max %-8s lag p99 %-8s failed %llu  %s\n", rate,
                 to_short_string(Duration{static_cast<Duration::rep>(tally.latency.percentile(99))}).c_str(),
                 to_short_string(Duration{static_cast<Duration::rep>(tally.latency.max())}).c_str(),
                 to_short_string(Duration{static_cast<Duration::rep>(tally.lag.percentile(99))}).c_str(),
                 static_cast<unsigned long long>(tally.failed()), clean ? "clean" : "not clean");
    return clean;
}

/// Doubles until a trial is not clean, then halves the gap until it is within 5 %. A trial may have been
/// disturbed, so it is repeated once before it counts as not clean. Nothing if not even the first rate is
/// clean.
std::optional<double> find_rate(Plan const& plan, Duration step, CleanLimits const& limits, double highest) {
    auto const clean = [&](double rate) {
        return trial(plan, rate, step, limits) || trial(plan, rate, step, limits);
    };
    double good = 0;
    double bad = highest;
    for (double rate = plan.rate; rate < highest; rate *= 2) {
        if (!clean(rate)) {
            bad = rate;
            break;
        }
        good = rate;
    }
    while (good > 0 && bad - good > good * 0.05) {
        double const middle = (good + bad) / 2;
        (clean(middle) ? good : bad) = middle;
    }
    return good > 0 ? std::optional{good} : std::nullopt;
}

} // namespace

int main(int argc, char** argv) {
    Arguments a;
    CLI::App app{"An open-loop HTTP load generator: latency counts from the time a request was due.",
                 "holdfast-load"};
    add_options(app, a);
    try {
        app.parse(argc, argv);
    } catch (CLI::ParseError const& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    Duration step{};
    CleanLimits limits;
    if (!read_duration(a.duration, a.plan.duration) || !read_duration(a.timeout, a.plan.timeout) ||
        !read_duration(a.step, step) || !read_duration(a.clean_p99, limits.p99))
        return 2;
    auto target = parse_target(a.target);
    if (!target) {
        std::fprintf(stderr, "holdfast-load: %s\n", to_string(target.error()).c_str());
        return 2;
    }
    a.plan.target = *target;
    if (a.find_rate) {
        auto const found = find_rate(a.plan, step, limits, a.highest);
        if (!found) {
            std::fprintf(stderr, "holdfast-load: not even %.0f requests/s run clean\n", a.plan.rate);
            return 1;
        }
        a.plan.rate = *found;
    }
    auto const tally = run(a.plan);
    std::fputs(a.json ? to_json(a.plan, tally).c_str() : to_table(a.plan, tally).c_str(), stdout);
    if (!a.json_file.empty()) {
        std::FILE* const file = std::fopen(a.json_file.c_str(), "we");
        if (file == nullptr || std::fputs(to_json(a.plan, tally).c_str(), file) < 0 ||
            std::fclose(file) != 0) {
            std::perror(a.json_file.c_str());
            return 1;
        }
    }
    return tally.failed() == 0 ? 0 : 1;
}
