// SPDX-License-Identifier: Apache-2.0
#include "unit/parse.h"

#include "catch.h"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

std::string const service = "[service]\nexec_start = [\"/usr/bin/web\"]\n";

ParsedUnit parse(std::string const& text, std::vector<UnitText> const& drop_ins = {}) {
    return parse_unit("web", UnitText{"web.toml", text}, drop_ins);
}

std::string errors_of(std::string const& text) {
    return to_string(parse(text).diagnostics);
}

} // namespace

TEST_CASE("a unit of one line of a program has the defaults of the design", "[unit]") {
    auto const unit = parse(service);
    REQUIRE(unit.spec);
    auto const& spec = *unit.spec;
    CHECK(spec.name == "web");
    CHECK(spec.path == "web.toml");
    CHECK(spec.start_at_boot);
    CHECK(spec.sockets.empty());
    CHECK(spec.service.type == ServiceType::Exec);
    CHECK(spec.service.activation == Activation::Eager);
    CHECK(spec.service.restart == RestartWhen::OnFailure);
    CHECK(spec.service.timeout_start == 90s);
    CHECK(spec.service.timeout_stop == 30s);
    CHECK(spec.drain_timeout() == 30s);
    CHECK(spec.service.restart_delay == 100ms);
    CHECK(spec.service.restart_max_delay == 30s);
    CHECK(spec.service.drain_signal == 15);
    CHECK(spec.rollout.strategy == Strategy::Overlap);
    CHECK(spec.service.handoff == std::vector{HandoffKind::ListenFds});
    CHECK_FALSE(spec.share);
}

TEST_CASE("a socket without a name has the unit's", "[unit]") {
    auto const unit = parse("[[socket]]\nlisten = \"80\"\n" + service);
    REQUIRE(unit.spec);
    CHECK(unit.spec->sockets.at(0).name == "web");
    CHECK(unit.spec->sockets.at(0).backlog == 4096);
}

TEST_CASE("a first delay that is longer than the default longest one raises it", "[unit]") {
    auto const unit = parse(service + "restart_delay = \"2min\"\n");
    REQUIRE(unit.spec);
    CHECK(unit.spec->service.restart_max_delay == 2min);
}

TEST_CASE("with accept ten times as many may be started by traffic, unless the file says how many",
          "[unit]") {
    auto const burst_of = [](std::string const& line, std::string const& accept) {
        auto const unit =
            parse_unit("web", {"web.toml", "[[socket]]\nlisten = \"80\"\n" + line +
                                               "[service]\nexec_start = [\"/bin/cat\"]\n" + accept});
        REQUIRE(unit.spec);
        return unit.spec->sockets.front().trigger_limit_burst;
    };
    CHECK(burst_of("", "accept = true\n") == 200);
    CHECK(burst_of("", "") == 20);
    CHECK(burst_of("trigger_limit_burst = 20\n", "accept = true\n") == 20);
    CHECK(burst_of("trigger_limit_burst = 0\n", "accept = true\n") == 0);
}

TEST_CASE("a unit's name is checked, and a template is not built yet", "[unit]") {
    for (auto const* name : {"", "-x", ".x", "a/b", "a b"})
        CHECK(!parse_unit(name, UnitText{"x.toml", service}).spec);
    auto const unit = parse_unit("web@", UnitText{"web@.toml", service});
    CHECK(!unit.spec);
    CHECK_THAT(to_string(unit.diagnostics), ContainsSubstring("templates are not supported yet"));
}

TEST_CASE("a drop-in replaces keys and adds to tables", "[unit]") {
    auto const unit =
        parse(service + "user = \"a\"\ngroup = \"a\"\nenvironment = { A = \"1\", B = \"2\" }\n",
              {{"10.toml", "[service]\nuser = \"b\"\nenvironment.B = \"3\"\nenvironment.C = \"4\"\n"},
               {"20.toml", "service.user = \"c\"\n[unit]\ndescription = \"new\"\n"}});
    REQUIRE(unit.spec);
    CHECK(unit.spec->service.user == "c");
    CHECK(unit.spec->service.group == "a");
    CHECK(unit.spec->description == "new");
    using Pairs = std::vector<std::pair<std::string, std::string>>;
    CHECK(unit.spec->service.environment == Pairs{{"A", "1"}, {"B", "3"}, {"C", "4"}});
}

TEST_CASE("a socket of a drop-in merges into the one of its name, any other is added", "[unit]") {
    auto const unit =
        parse("[[socket]]\nlisten = \"80\"\n[[socket]]\nname = \"tls\"\nlisten = \"443\"\n" + service,
              {{"10.toml",
                "[[socket]]\nname = \"tls\"\nbacklog = 7\n[[socket]]\nname = \"ctl\"\nlisten = \"/run/c\"\n"},
               {"20.toml", "[[socket]]\nbacklog = 9\n[[socket]]\nname = \"ctl\"\nsocket_mode = \"0600\"\n"}});
    CHECK(to_string(unit.diagnostics).empty());
    REQUIRE(unit.spec);
    auto const& sockets = unit.spec->sockets;
    REQUIRE(sockets.size() == 3);
    CHECK(sockets[0].name == "web"); // it has no name of its own, nor has the drop-in's
    CHECK(sockets[0].backlog == 9);
    CHECK(sockets[1].backlog == 7);
    CHECK(to_string(sockets[1].listen.at(0)) == "443");
    CHECK(sockets[2].socket_mode == 0600);
}

TEST_CASE("two sockets of one name in the same drop-in stay a mistake", "[unit]") {
    auto const unit = parse(
        "[[socket]]\nname = \"a\"\nlisten = \"80\"\n" + service,
        {{"10.toml", "[[socket]]\nname = \"a\"\nbacklog = 1\n[[socket]]\nname = \"a\"\nlisten = \"81\"\n"}});
    CHECK(!unit.spec);
    CHECK_THAT(to_string(unit.diagnostics),
               ContainsSubstring("10.toml:5:8: error: a second [[socket]] named `a`"));
}

TEST_CASE("diagnostics name the file they are in, in the order of the files", "[unit]") {
    auto const unit = parse(service + "usr = \"x\"\n", {{"d/10.toml", "[service]\nworkers = 0\n"},
                                                        {"d/20.toml", "[unit]\ndescription = 1\n"}});
    CHECK(!unit.spec);
    REQUIRE(unit.diagnostics.size() == 3);
    CHECK(unit.diagnostics[0].file == "web.toml");
    CHECK(unit.diagnostics[0].suggestion == "did you mean `user`?");
    CHECK(unit.diagnostics[1].file == "d/10.toml");
    CHECK(unit.diagnostics[1].source == "workers = 0");
    CHECK(unit.diagnostics[2].file == "d/20.toml");
    CHECK(unit.diagnostics[2].line == 2);
}

TEST_CASE("a syntax error in a drop-in refuses the unit", "[unit]") {
    auto const unit = parse(service, {{"10.toml", "[service\n"}});
    CHECK(!unit.spec);
    REQUIRE(unit.diagnostics.size() == 1);
    CHECK(unit.diagnostics[0].file == "10.toml");
}

TEST_CASE("at most a hundred diagnostics come back", "[unit]") {
    std::string text = service;
    for (int i = 0; i < 1000; ++i)
        text += "k" + std::to_string(i) + " = 1\n";
    CHECK(parse(text).diagnostics.size() == 100);
}

TEST_CASE("a warning leaves the unit good", "[unit]") {
    auto const unit = parse("[service]\nexec_start = [\"/usr/bin/web --port\"]\n");
    CHECK(unit.spec);
    REQUIRE(unit.diagnostics.size() == 1);
    CHECK(unit.diagnostics[0].severity == Severity::Warning);
}

TEST_CASE("text that would hurt the TOML library is refused before it gets there", "[unit]") {
    CHECK_THAT(errors_of(std::string(1024UL * 1024 + 1, '#')), ContainsSubstring("larger than 1 MiB"));
    // A dotted key of 300,000 parts ended the stack in the library.
    std::string key;
    for (int i = 0; i < 300000; ++i)
        key += "a.";
    CHECK_THAT(errors_of(key + "b = 1"), ContainsSubstring("more than 16 parts"));
    CHECK_THAT(errors_of("[" + key + "b]"), ContainsSubstring("more than 16 parts"));
    CHECK_THAT(errors_of("\"x\"." + key + "b = 1"), ContainsSubstring("more than 16 parts"));
    CHECK_THAT(errors_of("a = " + std::string(100000, '[')), ContainsSubstring("nested"));
    CHECK_THAT(errors_of("a = '''\n'''\nb = \"\\\"\"\nc = " + std::string(100, '{')),
               ContainsSubstring("nested"));
}

TEST_CASE("dots and brackets in strings and comments are only text", "[unit]") {
    auto const many = std::string(100, '.') + std::string(100, '[');
    CHECK(errors_of("[unit]\ndescription = \"" + many + "\\\"" + many + "\" # " + many + "\n" + service)
              .empty());
    CHECK(errors_of("[unit]\ndescription = '''" + many + "\n''" + many + "'''\n" + service).empty());
    CHECK(errors_of("[unit]\ndescription = \"\"\"" + many + "\n\"\"" + many + "\"\"\"\"\"\n" + service)
              .empty());
}

TEST_CASE("a place is counted in characters, and the caret stands below it", "[unit]") {
    auto const unit = parse("[unit]\ndescription = \"\u00e9\u00e9\"\n[service]\n\tenvironment = { A = "
                            "\"\u00e9\", B = 5 }\nexec_start = [\"web\"]\n");
    REQUIRE(unit.diagnostics.size() == 1);
    CHECK(unit.diagnostics[0].line == 4);
    CHECK(unit.diagnostics[0].column == 31);
    CHECK_THAT(to_string(unit.diagnostics[0]),
               ContainsSubstring(
                   "    \tenvironment = { A = \"\u00e9\", B = 5 }\n    \t                             ^\n"));
}

TEST_CASE("a line too long to show is cut, or left out when the place is behind the cut", "[unit]") {
    auto const unit = parse(service + "usr = \"" + std::string(5000, 'x') + "\"\nlimits = { " +
                            std::string(450, ' ') + "nofil = 1 }\n");
    REQUIRE(unit.diagnostics.size() == 2);
    CHECK(unit.diagnostics[0].source.size() < 500);
    CHECK(unit.diagnostics[1].source.empty());
}

TEST_CASE("bytes that TOML cannot hold are written as a replacement", "[unit]") {
    UnitSpec spec;
    spec.name = "run";
    spec.service.exec_start = {"/bin/echo", "\xff\x01\"\\"};
    CHECK_THAT(to_toml(spec), ContainsSubstring("exec_start = [\"/bin/echo\", \"\\uFFFD\\u0001\\\"\\\\\"]"));
}
