// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "cli/complete.h"

#include <algorithm>

using namespace holdfast::cli;

namespace {

using Words = std::vector<std::string>;

/// With a daemon that has three units, and folders that have one more.
Words offered(Words const& words, CommandLine* asked = nullptr) {
    NameSources const sources{
        [&](CommandLine const& line) {
            if (asked != nullptr)
                *asked = line;
            return std::vector<Candidate>{{"db", "active"}, {"web", "active: Storefront"}, {"web@2:a", ""}};
        },
        [&](CommandLine const& line) {
            if (asked != nullptr)
                *asked = line;
            return std::vector<Candidate>{{"new", "/units/new.toml"}};
        },
        [&](CommandLine const& line) {
            return line.operands == Words{"web"} ? std::vector<Candidate>{{"http", "web: 127.0.0.1:80"}}
                                                 : std::vector<Candidate>{{"http", ""}, {"rpc", ""}};
        }};
    Words found;
    for (auto const& candidate : complete(words, sources))
        found.push_back(candidate.word);
    return found;
}

bool has(Words const& words, std::string const& word) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

} // namespace

TEST_CASE("the verbs are offered, but for those that are not supported yet", "[cli]") {
    CHECK(offered({"res"}) == Words{"restart", "resume"});
    CHECK(has(offered({""}), "status"));
    CHECK_FALSE(has(offered({""}), "top"));
    CHECK(offered({"--json", "--runtime-dir", "/x", "vers"}) == Words{"version"});
    CHECK(offered({"nonsense", ""}).empty());
    CHECK(offered({}) == offered({""}));
}

TEST_CASE("units come from the daemon that the line means, and each once", "[cli]") {
    CommandLine asked;
    CHECK(offered({"--runtime-dir", "/x", "restart", ""}, &asked) == Words{"db", "web", "web@2:a"});
    CHECK(asked.runtime_folder == "/x");
    CHECK(offered({"status", "--runtime-dir=/y", "--user", "w"}, &asked) == Words{"web", "web@2:a"});
    CHECK(asked.runtime_folder == "/y");
    CHECK(asked.user);
    CHECK(offered({"stop", "web", ""}) == Words{"db", "web@2:a"});
    CHECK(offered({"show", "web", ""}).empty());
    CHECK(offered({"list", ""}).empty());
}

TEST_CASE("verify is offered the units of the folders, and files", "[cli]") {
    CommandLine asked;
    CHECK(offered({"verify", "--unit-dir", "/units", ""}, &asked) == Words{"new", ":files"});
    CHECK(asked.unit_folders == Words{"/units"});
    CHECK(offered({"verify", "./w"}) == Words{":files"});
}

TEST_CASE("options are those of the verb and of all, with the values that they take", "[cli]") {
    CHECK(offered({"restart", "--str"}) == Words{"--strategy"});
    CHECK(offered({"restart", "--j"}) == Words{"--json"});
    CHECK(offered({"stop", "--str"}).empty());
    CHECK(offered({"restart", "--strategy", "r"}) == Words{"rolling", "replace"});
    CHECK(offered({"restart", "--strategy=ca"}) == Words{"--strategy=canary"});
    CHECK(offered({"run", "--ready", ""}) == Words{"notify", "exec", "tcp"});
    CHECK(offered({"run", "--handoff", "s"}) == Words{"scm_rights"});
    CHECK(offered({"run", "--watch", ""}) == Words{":files"});
    CHECK(offered({"verify", "--unit-dir", ""}) == Words{":folders"});
    CHECK(offered({"--runtime-dir", ""}) == Words{":folders"});
    CHECK(offered({"restart", "--strategy", "rolling", "d"}) == Words{"db"});
}

TEST_CASE("sockets and keys are values of options", "[cli]") {
    CHECK(offered({"sockets", "--name", ""}) == Words{"http", "rpc"});
    CHECK(offered({"sockets", "web", "--name", ""}) == Words{"http"});
    CHECK(offered({"sockets", "--name=r"}) == Words{"--name=rpc"});
    CHECK(offered({"show", "web", "--key", "service.work"}) ==
          Words{"service.workers", "service.working_directory"});
    CHECK_FALSE(has(offered({"show", "web", "--key", ""}), "service.nice")); // not supported yet
    CHECK_FALSE(has(offered({"show", "web", "--key", ""}), "control.mode")); // of no unit
}

TEST_CASE("rollout takes an action and then a unit, scale a unit and then a number", "[cli]") {
    CHECK(offered({"rollout", ""}) == Words{"status", "history", "pause", "resume", "undo"});
    CHECK(offered({"rollout", "undo", "d"}) == Words{"db"});
    CHECK(offered({"rollout", "undo", "db", ""}).empty());
    CHECK(offered({"scale", "d"}) == Words{"db"});
    CHECK(offered({"scale", "db", ""}).empty());
}

TEST_CASE("behind the dashes of run and the --exec of pause stands a program", "[cli]") {
    CHECK(offered({"run", "--listen", "80", "--", ""}) == Words{":programs"});
    CHECK(offered({"run", "--listen", "80", "--", "./app", "--json"}) == Words{":files"});
    CHECK(offered({"pause", "web", "--exec", "a"}) == Words{":programs"});
    CHECK(has(offered({"run", ""}), "--listen"));
    CHECK(offered({"stop", "--", "d"}) == Words{"db"});
}
