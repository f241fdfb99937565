// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "cli/render.h"

#include <algorithm>

#include <nlohmann/json.hpp>

using namespace holdfast;
using namespace holdfast::cli;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

/// A pipe, at 1000 s after boot.
Screen const pipe_screen{0, false, MonotonicTime{1000s}};
Screen const narrow{80, false, MonotonicTime{1000s}};

json socket(std::string const& name, std::string const& address) {
    return {{"unit", "web"},     {"name", name}, {"address", address}, {"transport", "tcp"}, {"port", 80},
            {"state", "held"},   {"fd", 9},      {"queue", 3},         {"limit", 4096},      {"drops", 0},
            {"problem", nullptr}};
}

json web() {
    return {{"name", "web"},
            {"description", "Storefront"},
            {"state", "active"},
            {"wanted", "up"},
            {"since_usec", 800000000},
            {"generation", 7},
            {"workers", json::array({{{"worker", 12},
                                      {"generation", 7},
                                      {"role", "serving"},
                                      {"slot", 0},
                                      {"pid", 4711},
                                      {"state", "ready"},
                                      {"since_usec", 998750000},
                                      {"status", "serving \033[31mall"},
                                      {"memory_bytes", 5242880},
                                      {"cpu_usec", 1250000}}})},
            {"sockets", json::array({socket("http", "0.0.0.0:80")})},
            {"file", "/etc/holdfast/units/web.toml"},
            {"log", nullptr},
            {"problem", nullptr},
            {"last_event", "worker 12 of generation 7 is ready"}};
}

json bad() {
    return {{"name", "db"},
            {"description", ""},
            {"state", "bad"},
            {"wanted", "down"},
            {"since_usec", 0},
            {"generation", nullptr},
            {"workers", json::array()},
            {"sockets", json::array()},
            {"file", "/etc/db.toml"},
            {"log", nullptr},
            {"problem", "/etc/db.toml:1:1: error: no\n    x\n    ^\n"},
            {"last_event", nullptr}};
}

json report() {
    return {{"unit", "web"},
            {"verdict", "done"},
            {"strategy", "overlap"},
            {"generation", 8},
            {"previous_generation", 7},
            {"reason", nullptr},
            {"began", "2026-11-21T05:31:00.123Z"},
            {"lasted_usec", 4600000},
            {"ready_usec", 1200000},
            {"drained_usec", 3400000},
            {"killed_at_deadline", 0},
            {"listeners", json::array({{{"name", "http"},
                                        {"address", "0.0.0.0:80"},
                                        {"queue_before", 0},
                                        {"queue_highest", 12},
                                        {"queue_after", 1},
                                        {"limit", 4096},
                                        {"drops", 0},
                                        {"longest_wait_usec", 480000}}})},
            {"listen_overflows", 0},
            {"listen_drops", 2},
            {"aborted_on_close", 0}};
}

} // namespace

TEST_CASE("the status of a unit says what it does, with its workers and sockets", "[cli]") {
    CHECK(render_status(web(), LogTail{}, pipe_screen) ==
          "web: Storefront\n"
          "  state       active since 3min 20s, generation 7\n"
          "  file        /etc/holdfast/units/web.toml\n"
          "  last event  worker 12 of generation 7 is ready\n"
          "\n"
          "  WORKER  GEN  ROLE     STATE   PID  SINCE  MEMORY    CPU  STATUS\n"
          "      12    7  serving  ready  4711  1.25s    5.0M  1.25s  serving \\x1b[31mall\n"
          "\n"
          "  SOCKET  ADDRESS     STATE  FD  QUEUE  LIMIT  DROPS\n"
          "  http    0.0.0.0:80  held    9      3   4096      0\n"
          "\n"
          "  next        holdfast restart web, holdfast events --follow web\n");
}

TEST_CASE("the status ends with the last lines of the log, and what to type next", "[cli]") {
    LogTail log;
    log.where = "journalctl -t web";
    for (int line = 0; line < 20; ++line)
        log.lines.push_back("line \033" + std::to_string(line));
    auto const text = render_status(web(), log, pipe_screen);
    CHECK_THAT(text, ContainsSubstring("  log         journalctl -t web\n"));
    CHECK_THAT(text, ContainsSubstring("\n\n  LAST LINES OF ITS LOG\n  line \\x1b10\n"));
    CHECK_THAT(text, ContainsSubstring("  line \\x1b19\n\n  next  "));
    CHECK_THAT(render_status(web(), {{}, "/var/log/web.log", "Permission denied"}, pipe_screen),
               ContainsSubstring("/var/log/web.log (Permission denied)\n"));
}

TEST_CASE("on a terminal the status is cut to it: the log first, then the longest table", "[cli]") {
    auto unit = web();
    for (int i = 0; i < 30; ++i) {
        unit["workers"].push_back(unit["workers"][0]);
        unit["sockets"].push_back(unit["sockets"][0]);
    }
    LogTail log;
    log.lines.assign(
        20, "a line that is much longer than the eighty columns of the terminal that it is shown on, yes");
    for (std::size_t const height : {24, 30, 60}) {
        auto const text = render_status(unit, log, Screen{80, true, MonotonicTime{1000s}, height});
        CHECK(static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) < height);
        CHECK_THAT(text, ContainsSubstring("more: holdfast sockets web\n"));
        CHECK_THAT(text, ContainsSubstring("more: holdfast --json status web\n"));
        CHECK_THAT(text, ContainsSubstring("LAST LINES"));
        CHECK_THAT(text, ContainsSubstring("next"));
    }
}

TEST_CASE("what to type next depends on how the unit is", "[cli]") {
    auto unit = web();
    for (auto const& [state, next] : {std::pair{"inactive", "holdfast start web"},
                                      {"paused", "holdfast resume web"},
                                      {"rolling-out", "holdfast rollout status web"},
                                      {"backing-off", "holdfast events --follow web"}}) {
        unit["state"] = state;
        CHECK_THAT(render_status(unit, {}, pipe_screen),
                   ContainsSubstring("  next        " + std::string{next}));
    }
    CHECK_THAT(render_status(bad(), {}, pipe_screen), ContainsSubstring("holdfast verify /etc/db.toml"));
}

TEST_CASE("the status of a unit with a broken file shows the diagnostics", "[cli]") {
    CHECK(render_status(bad(), LogTail{}, pipe_screen) ==
          "db\n"
          "  state       bad\n"
          "  file        /etc/db.toml\n"
          "  problem     its file has errors:\n"
          "  /etc/db.toml:1:1: error: no\n"
          "      x\n"
          "      ^\n"
          "\n"
          "  next        holdfast verify /etc/db.toml, holdfast apply\n");
}

TEST_CASE("a list has a line for each unit, and problems below where they are wanted", "[cli]") {
    auto const units = json::array({web(), bad()});
    auto const list = render_list(units, pipe_screen, false);
    CHECK_THAT(list, ContainsSubstring("web   active      1/1    7  3min 20s"));
    CHECK_THAT(list, ContainsSubstring("db    bad           0\n"));
    CHECK_THAT(list, !ContainsSubstring("error: no"));
    CHECK(render_list(units, pipe_screen, true) == list + "\ndb: /etc/db.toml:1:1: error: no\n");
    CHECK(render_list(json::array(), pipe_screen, true) == "There are no units.\n");
}

TEST_CASE("sockets are a table that names the unit and the problem", "[cli]") {
    auto failed = socket("admin", "0.0.0.0:81");
    failed["state"] = "failed";
    for (auto const* name : {"fd", "queue", "limit", "drops"})
        failed[name] = nullptr;
    failed["problem"] = "cannot bind 0.0.0.0:81: Address already in use; pid 12 (nginx) holds it";
    CHECK(render_sockets(json::array({socket("http", "0.0.0.0:80"), failed}), pipe_screen) ==
          "UNIT  SOCKET  ADDRESS     STATE   FD  QUEUE  LIMIT  DROPS  PROBLEM\n"
          "web   http    0.0.0.0:80  held     9      3   4096      0\n"
          "web   admin   0.0.0.0:81  failed                           "
          "cannot bind 0.0.0.0:81: Address already in use; pid 12 (nginx) holds it\n");
    std::string const cut = render_sockets(json::array({failed}), narrow);
    for (std::size_t begin = 0; begin < cut.size(); begin = cut.find('\n', begin) + 1)
        CHECK(width_of(std::string_view{cut}.substr(begin, cut.find('\n', begin) - begin)) <= 80);
}

TEST_CASE("show prints the files as comments above the TOML, so that it can be piped into a file", "[cli]") {
    CHECK(render_show({{"unit", "web"},
                       {"files", {"/a/web.toml", "/a/web.toml.d/x.toml"}},
                       {"toml", "[unit]\ndescription = \"x\"\n"}}) ==
          "# /a/web.toml\n# /a/web.toml.d/x.toml\n[unit]\ndescription = \"x\"\n");
}

TEST_CASE("progress is stamped with the time since the command", "[cli]") {
    json const event{{"monotonic_usec", 1000520000}, {"unit", "web"}, {"text", "starting"}};
    CHECK(render_progress(event, MonotonicTime{1000s}, pipe_screen) == "  +0.520s  web: starting\n");
    json const early{{"monotonic_usec", 1}, {"text", "x"}};
    CHECK(render_progress(early, MonotonicTime{1000s}, pipe_screen) == "  +0.000s  x\n");
}

TEST_CASE("a restart ends with what the kernel says it did", "[cli]") {
    json const result{{"event", nullptr}, {"ok", true}, {"message", "restarted"}, {"report", report()}};
    CHECK(
        render_result("web", result, pipe_screen) ==
        "web: restarted\n"
        "  generation 8 after 7, overlap: done, ready after 1.2s, drained after 3.4s, 0 killed at the "
        "deadline\n"
        "  SOCKET  ADDRESS     QUEUE BEFORE  HIGHEST  AFTER  LIMIT  DROPS  LONGEST WAIT\n"
        "  http    0.0.0.0:80             0       12      1   4096      0       ≤ 480ms\n"
        "  whole network namespace: 0 listen overflows, 2 listen drops, 0 aborted on close (upper bounds)\n");
}

TEST_CASE("a report says what the deadline cut, where somebody was killed at it", "[cli]") {
    auto const said = [](json const& cut, bool is_complete) {
        auto given = report();
        given["killed_at_deadline"] = 2;
        given["cut_at_deadline"] = cut;
        given["cut_is_complete"] = is_complete;
        auto const text = render_report(given, pipe_screen);
        auto const begin = text.find("2 killed at the deadline, ");
        REQUIRE(begin != std::string::npos);
        return text.substr(begin + 26, text.find('\n', begin) - begin - 26);
    };
    CHECK(said(0, true) == "which cut no connections");
    CHECK(said(1, true) == "which cut 1 connection");
    CHECK(said(7, true) == "which cut 7 connections");
    CHECK(said(1, false) == "which cut at least 1 connection");
    CHECK(said(nullptr, false) == "what that cut is not known");
}

TEST_CASE("a report is led by its unit and its time, and ends with its reason", "[cli]") {
    auto given = report();
    given["reason"] = "why";
    given["listeners_left_out"] = 3;
    given["migrated"] = 2;
    auto const text = render_report(given, pipe_screen);
    CHECK(text.find("web: rollout of 2026-11-21T05:31:00.123Z, 4.6s long\n  generation 8 after 7") == 0);
    CHECK_THAT(text, ContainsSubstring("aborted on close, 2 migrated, 0 not migrated (upper bounds)\n"));
    CHECK(text.ends_with("  3 more listeners had shorter queues\n  why\n"));
}

TEST_CASE("a history has a line for each rollout, the newest last", "[cli]") {
    auto under_way = report();
    under_way["generation"] = 9;
    under_way["verdict"] = "under-way";
    json const history{{"rollouts", json::array({report()})}, {"under_way", json::array({under_way})}};
    CHECK(render_history(history, pipe_screen) == "GENERATION  BEGAN                     STRATEGY  VERDICT   "
                                                  " LASTED  HIGHEST QUEUE  LONGEST WAIT  DROPS\n"
                                                  "         8  2026-11-21T05:31:00.123Z  overlap   done      "
                                                  "   4.6s             12       ≤ 480ms      0\n"
                                                  "         9  2026-11-21T05:31:00.123Z  overlap   under-way "
                                                  "   4.6s             12       ≤ 480ms      0\n");
    CHECK(render_history(json::object(), pipe_screen) == "There was no rollout yet.\n");
}

TEST_CASE("a restart that failed gives the reason", "[cli]") {
    auto failed = report();
    failed["verdict"] = "failed";
    failed["reason"] = "worker 13 ended before it was ready: exit status 3";
    for (auto const* name : {"ready_usec", "drained_usec"})
        failed[name] = nullptr;
    failed["listeners"] = json::array();
    auto const text =
        render_result("web", {{"ok", false}, {"message", nullptr}, {"report", failed}}, pipe_screen);
    CHECK_THAT(text,
               ContainsSubstring("web: failed\n"
                                 "  worker 13 ended before it was ready: exit status 3\n"
                                 "  generation 8 after 7, overlap: failed, 0 killed at the deadline\n"));
    // Said once, when the daemon's message has it too.
    auto const once = render_result(
        "web",
        {{"ok", false}, {"message", "failed: " + failed["reason"].get<std::string>()}, {"report", failed}},
        pipe_screen);
    CHECK(once.find("exit status 3") == once.rfind("exit status 3"));
}

TEST_CASE("a start without a rollout is one line", "[cli]") {
    CHECK(render_result("web", {{"ok", true}, {"message", "started"}, {"report", nullptr}}, pipe_screen) ==
          "web: started\n");
}

TEST_CASE("a plan lists what changes, and counts what does not", "[cli]") {
    json const keep{{"unit", "db"},
                    {"action", "keep"},
                    {"why", json::array()},
                    {"listeners", json::array({{{"action", "keep"},
                                                {"name", "db"},
                                                {"address", "[::1]:5432"},
                                                {"why", json::array()},
                                                {"deferred", json::array()}}})},
                    {"diagnostics", json::array()}};
    json const change{{"unit", "web"},
                      {"action", "restart"},
                      {"why", {"exec_start differs"}},
                      {"listeners", json::array({{{"action", "change"},
                                                  {"name", "http"},
                                                  {"address", "0.0.0.0:80"},
                                                  {"why", {"backlog 128 -> 4096"}},
                                                  {"deferred", {"free_bind false -> true"}}},
                                                 {{"action", "add"},
                                                  {"name", "admin"},
                                                  {"address", "0.0.0.0:81"},
                                                  {"why", json::array()},
                                                  {"deferred", json::array()}}})},
                      {"diagnostics", json::array()}};
    json const broken{{"unit", "mail"},
                      {"action", "bad"},
                      {"why", json::array()},
                      {"listeners", json::array()},
                      {"diagnostics", json::array({{{"severity", "error"},
                                                    {"file", "/u/mail.toml"},
                                                    {"line", 3},
                                                    {"column", 1},
                                                    {"message", "unknown key `lisen`"},
                                                    {"suggestion", "did you mean `listen`?"},
                                                    {"text", "/u/mail.toml:3:1: error: unknown key `lisen`\n"
                                                             "    lisen = 1\n    ^~~~~\n"}}})}};
    json const plan{{"units", json::array({keep, change, broken, keep})},
                    {"folder_errors", json::array()},
                    {"complete", false}};
    CHECK(render_plan(plan, false, pipe_screen) ==
          "web changes: its service would be restarted\n"
          "  exec_start differs\n"
          "  change  http 0.0.0.0:80: backlog 128 -> 4096; when it is bound next: free_bind false -> true\n"
          "  add     admin 0.0.0.0:81\n"
          "mail has errors in its file: what runs goes on\n"
          "/u/mail.toml:3:1: error: unknown key `lisen`\n"
          "    lisen = 1\n"
          "    ^~~~~\n"
          "2 units without a change.\n");
    CHECK_THAT(render_plan(plan, true, pipe_screen),
               ContainsSubstring("web was changed and its service restarted"));
    CHECK(render_plan({{"units", json::array({keep})}}, false, pipe_screen) == "Nothing would change.\n");
    // A warning is shown, and changes nothing.
    json const warning{{"severity", "warning"}, {"text", "/u/db.toml:1:1: warning: this is odd\n"}};
    CHECK(render_plan({{"units", json::array({keep})}, {"warnings", json::array({warning})}}, false,
                      pipe_screen) == "/u/db.toml:1:1: warning: this is odd\nNothing would change.\n");
    // What was planned and did not work out is not said to have been done.
    json failed = change;
    failed["ok"] = false;
    failed["message"] = "the new worker ended with status 1";
    CHECK_THAT(render_plan({{"units", json::array({failed})}}, true, pipe_screen),
               ContainsSubstring("web has changed, and the restart of its service failed: the new worker "
                                 "ended with status 1\n"));
    CHECK(render_plan({{"units", json::array()}}, true, pipe_screen) == "Nothing was changed.\n");
}

TEST_CASE("a diagnostic without its text is put together from its parts", "[cli]") {
    CHECK(render_diagnostic({{"severity", "error"},
                             {"file", "a.toml"},
                             {"line", 0},
                             {"message", "cannot be read"},
                             {"suggestion", "look at its mode"}},
                            pipe_screen) == "a.toml: error: cannot be read\n    hint: look at its mode\n");
}

TEST_CASE("events, facts and versions are lines", "[cli]") {
    CHECK(render_event({{"time", "2026-11-21T05:31:00.123Z"}, {"unit", "web"}, {"text", "starting"}},
                       pipe_screen) == "2026-11-21T05:31:00.123Z  web  starting\n");
    CHECK(render_event({{"time", "t"}, {"unit", nullptr}, {"text", "up"}}, pipe_screen) ==
          "t  holdfastd  up\n");
    CHECK(render_trace({{"facts", {"17 start-wished", "18 forked worker=1"}}, {"dropped", 0}}) ==
          "17 start-wished\n18 forked worker=1\n");
    CHECK_THAT(render_trace({{"facts", json::array()}, {"dropped", 5}}),
               ContainsSubstring("# 5 older facts"));
    CHECK(render_version("1.2",
                         {{"version", "1.1"}, {"pid", 7}, {"mode", "user"}, {"uptime_usec", 90000000}}) ==
          "holdfast 1.2\nholdfastd 1.1 (pid 7, user, up 1min 30s)\n");
    CHECK(render_version("1.2", nullptr) == "holdfast 1.2\nholdfastd: no daemon answers\n");
}

TEST_CASE("an answer of another version, with members missing or of other types, is rendered all the same",
          "[cli]") {
    for (json const& odd :
         {json::object(), json{{"workers", 7}, {"name", json::array()}, {"since_usec", "x"}},
          json{{"report", "x"}, {"units", {1, "a", nullptr, {{"listeners", {1}}}}}}}) {
        INFO(odd.dump());
        CHECK_NOTHROW(render_status(odd, LogTail{}, narrow));
        CHECK_NOTHROW(render_list(json::array({odd}), narrow, true));
        CHECK_NOTHROW(render_sockets(json::array({odd}), narrow));
        CHECK_NOTHROW(render_show(odd));
        CHECK_NOTHROW(render_progress(odd, MonotonicTime{}, narrow));
        CHECK_NOTHROW(render_result("web", odd, narrow));
        CHECK_NOTHROW(render_rollout(odd, narrow));
        CHECK_NOTHROW(render_report(odd, narrow));
        CHECK_NOTHROW(render_history(odd, narrow));
        CHECK_NOTHROW(render_plan(odd, true, narrow));
        CHECK_NOTHROW(render_event(odd, narrow));
        CHECK_NOTHROW(render_trace(odd));
        CHECK_NOTHROW(render_version("1", odd));
    }
}
