// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "cli/command_line.h"

using namespace holdfast::cli;

namespace {

using Words = std::vector<std::string>;

CommandLine read(Words const& words) {
    auto const result = read_command_line(words);
    if (auto const* print = std::get_if<PrintAndExit>(&result))
        FAIL(print->text);
    return std::get<CommandLine>(result);
}

PrintAndExit refused(Words const& words) {
    auto const result = read_command_line(words);
    REQUIRE(std::holds_alternative<PrintAndExit>(result));
    return std::get<PrintAndExit>(result);
}

} // namespace

TEST_CASE("the common options are read before and after the verb", "[cli]") {
    for (auto const& words : {Words{"--json", "--runtime-dir", "/x", "--user", "status", "web"},
                              Words{"status", "web", "--json", "--runtime-dir", "/x", "--user"},
                              Words{"--user", "status", "--json", "web", "--runtime-dir=/x"}}) {
        auto const line = read(words);
        CHECK(line.verb == Verb::Status);
        CHECK(line.operands == Words{"web"});
        CHECK(line.json);
        CHECK(line.user);
        CHECK_FALSE(line.system);
        CHECK(line.runtime_folder == "/x");
    }
}

TEST_CASE("start, stop and restart take several units", "[cli]") {
    auto const line = read({"restart", "--strategy", "replace", "web", "db@1", "-q", "--no-wait"});
    CHECK(line.verb == Verb::Restart);
    CHECK(line.operands == Words{"web", "db@1"});
    CHECK(line.strategy == "replace");
    CHECK(line.quiet);
    CHECK(line.no_wait);
    CHECK(read({"stop", "--", "web"}).operands == Words{"web"});
    CHECK_FALSE(read({"start", "web"}).strategy);
}

TEST_CASE("run takes its program untouched from behind the dashes", "[cli]") {
    auto const line =
        read({"run",       "--listen", "8080",         "--listen",  "unix:/a",       "--name",  "http",
              "--workers", "4",        "--reuse-port", "--handoff", "scm_rights",    "--ready", "notify",
              "--watch",   "/app",     "--watch",      "/etc/app",  "--runtime-dir", "/x",      "--",
              "./app",     "--json",   "--",           "-q"});
    CHECK(line.verb == Verb::Run);
    CHECK(line.run.listen == Words{"8080", "unix:/a"});
    CHECK(line.run.names == Words{"http"});
    CHECK(line.run.workers == 4);
    CHECK(line.run.reuse_port);
    CHECK(line.run.handoff == "scm_rights");
    CHECK(line.run.ready == "notify");
    CHECK(line.run.watch == Words{"/app", "/etc/app"});
    CHECK(line.run.runtime_folder == "/x");
    CHECK(line.run.command == Words{"./app", "--json", "--", "-q"});
    CHECK_FALSE(line.json);
    CHECK_FALSE(line.quiet);
}

TEST_CASE("what run leaves out has its default", "[cli]") {
    auto const line = read({"run", "--listen", "8080", "--", "./app"});
    CHECK(line.run.workers == 1);
    CHECK(line.run.ready == "exec");
    CHECK(line.run.handoff.empty());
    CHECK_FALSE(line.run.reuse_port);
    CHECK_FALSE(line.run.quiet);
}

TEST_CASE("scale takes one unit and how many workers", "[cli]") {
    auto const line = read({"scale", "web", "4", "--no-wait"});
    CHECK(line.verb == Verb::Scale);
    CHECK(line.operands == Words{"web"});
    CHECK(line.workers == 4U);
    CHECK(line.no_wait);
}

TEST_CASE("events and verify have options of their own", "[cli]") {
    CHECK(read({"events", "-f", "web"}).follow);
    CHECK_FALSE(read({"events"}).follow);
    auto const line = read({"verify", "--unit-dir", "/a", "--unit-dir", "/b", "web", "./x.toml"});
    CHECK(line.unit_folders == Words{"/a", "/b"});
    CHECK(line.operands == Words{"web", "./x.toml"});
}

TEST_CASE("a misspelt verb gets a suggestion and is a usage error", "[cli]") {
    auto const print = refused({"--json", "restrat", "web"});
    CHECK(print.status == ExitStatus::Usage);
    CHECK(print.text == "holdfast: there is no verb `restrat`; did you mean `restart`?\n");
    CHECK(refused({"xyzzy"}).text == "holdfast: there is no verb `xyzzy`; `holdfast --help` lists them\n");
}

TEST_CASE("a verb that is not built yet says so and fails", "[cli]") {
    for (auto const& row : verbs()) {
        if (row.is_supported())
            continue;
        auto const print = refused({std::string{row.name}, "web", "--some-option"});
        CHECK(print.status == ExitStatus::Failed);
        CHECK(print.text == "holdfast: holdfast " + std::string{row.name} + " is not supported yet\n");
    }
}

TEST_CASE("rollout has an action and a unit", "[cli]") {
    auto const line = read({"rollout", "history", "web", "--json"});
    CHECK(line.action == RolloutAction::History);
    CHECK(line.operands == Words{"web"});
    CHECK(line.json);
    CHECK(read({"rollout", "undo", "web", "-q"}).action == RolloutAction::Undo);
    CHECK(read({"rollout", "pause", "web"}).action == RolloutAction::Pause);
    CHECK(read({"rollout", "resume", "web"}).action == RolloutAction::Resume);
    CHECK(refused({"rollout", "stop", "web"}).status == ExitStatus::Usage);
    CHECK(read({"report", "web", "--generation", "7"}).generation == 7U);
}

TEST_CASE("every verb of the table is there and every verb has one row", "[cli]") {
    // DESIGN, section 11.
    std::string const all =
        "run start stop restart reload status list sockets show cat plan apply rollout pause "
        "resume scale kill signal logs events trace report timeline top verify import enable "
        "disable mask unmask metrics upgrade shutdown version ";
    std::size_t known = 0;
    for (auto const& row : verbs()) {
        CHECK(name_of(row.verb) == row.name);
        CHECK(all.find(std::string{row.name} + " ") != std::string::npos);
        known += row.name.size() + 1;
    }
    CHECK(known == all.size());
}

TEST_CASE("a wrong command line is a usage error that says what to do", "[cli]") {
    struct Row {
        Words words;
        std::string says;
    };
    for (auto const& row : std::vector<Row>{
             {{"restart"}, "holdfast restart --help"},
             {{"restart", "web.toml"}, "give the name of the unit, not its file"},
             {{"restart", "/etc/web"}, "`/etc/web` is no unit name"},
             {{"restart", ""}, "`` is no unit name"},
             {{"restart", "web", "--strategy", "fast"}, "fast not in {overlap,rolling,"},
             {{"scale", "web"}, "unit"},
             {{"scale", "web", "0"}, "`0` is not a number of workers, 1 to 1024"},
             {{"scale", "web", "1025"}, "`1025` is not"},
             {{"scale", "web", "all"}, "`all` is not"},
             {{"scale", "web", "-1"}, "-1"},
             {{"scale", "web", "2", "3"}, "3"},
             {{"rollout", "web"}, "unit"},
             {{"rollout", "stauts", "web"}, "`stauts` is not one of status, history"},
             {{"rollout", "status", "/web"}, "`/web` is no unit name"},
             {{"report", "web", "--generation", "x"}, "--generation"},
             {{"show"}, "unit is required"},
             {{"show", "a", "b"}, "b"},
             {{"list", "web"}, "not expected"},
             {{"list", "--wat"}, "--wat"},
             {{"--user", "--system", "list"}, "excludes"},
             {{"--runtime-dir"}, "--runtime-dir"},
             {{"run", "--", "./app"}, "--listen is required"},
             {{"run", "--listen", "80"}, "holdfast run --listen 8080 -- ./app"},
             {{"run", "--listen", "80", "./app"}, "./app"},
             {{"run", "--listen", "80", "--workers", "0", "--", "./app"}, "--workers"},
             {{"run", "--listen", "80", "--workers", "many", "--", "./app"}, "--workers"},
             {{"run", "--listen", "80", "--ready", "soon", "--", "./app"}, "soon not in"},
             {{"run", "--listen", "80", "--name", "a", "--name", "b", "--", "./app"},
              "more --name than --listen"},
             {{"-x"}, "-x"},
         }) {
        auto const print = refused(row.words);
        INFO(print.text);
        CHECK(print.status == ExitStatus::Usage);
        CHECK_THAT(print.text, ContainsSubstring(row.says));
        CHECK(print.text.starts_with("holdfast: "));
        CHECK(print.text.ends_with("\n"));
    }
}

TEST_CASE("help is not an error, and no verb at all is", "[cli]") {
    auto const help = refused({"--help"});
    CHECK(help.status == ExitStatus::Done);
    for (auto const& row : verbs())
        CHECK_THAT(help.text, ContainsSubstring(std::string{row.name}));
    CHECK_THAT(help.text, ContainsSubstring("Exit status: 0 done, 1 failed, 2 usage, 3 not active, 4 no such "
                                            "unit,\n  5 not permitted, 6 no daemon"));
    auto const verb_help = refused({"restart", "--help"});
    CHECK(verb_help.status == ExitStatus::Done);
    CHECK_THAT(verb_help.text, ContainsSubstring("--strategy"));
    CHECK_THAT(verb_help.text, !ContainsSubstring("Not supported yet"));
    CHECK(refused({}).status == ExitStatus::Usage);
    CHECK(refused({"--version"}).text == "holdfast " HOLDFAST_VERSION "\n");
}

TEST_CASE("a pause has a time, and what follows --exec is its command, untouched", "[cli]") {
    auto const line = read({"pause", "web", "db", "--for", "2min", "--exec", "apt-get", "--yes", "--", "x"});
    CHECK(line.operands == std::vector<std::string>{"web", "db"});
    CHECK(line.pause_time == std::chrono::minutes{2});
    CHECK(line.command == std::vector<std::string>{"apt-get", "--yes", "--", "x"});
    CHECK(read({"pause", "web"}).command.empty());
    CHECK_FALSE(read({"pause", "web"}).pause_time);
    CHECK(read({"resume", "web", "--no-wait"}).no_wait);
}

TEST_CASE("a pause without a unit, an end or a command is refused", "[cli]") {
    for (auto const& arguments :
         std::vector<std::vector<std::string>>{{"pause"},
                                               {"pause", "--exec", "true"},
                                               {"pause", "web", "--exec"},
                                               {"pause", "web", "--for", "soon"},
                                               {"pause", "web", "--for", "infinity"},
                                               {"pause", "web", "--for", "0"},
                                               {"pause", "web", "--for", "25h"},
                                               {"pause", "web", "--no-wait", "--exec", "x"},
                                               {"resume", "web", "--exec", "true"}}) {
        INFO(arguments.back());
        CHECK(refused(arguments).status == ExitStatus::Usage);
    }
}
