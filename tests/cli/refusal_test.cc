// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "cli/refusal.h"

#include <cerrno>

using namespace holdfast;
using namespace holdfast::cli;
using nlohmann::json;

namespace {

Refusal answered(std::string error, json parameters = json::object()) {
    ControlAnswer answer;
    answer.error = std::move(error);
    answer.parameters = std::move(parameters);
    return explain_answer(answer);
}

} // namespace

TEST_CASE("each error of the daemon has its exit status and says what to do", "[cli]") {
    auto const unknown = answered("NoSuchUnit", {{"unit", "wbe"}, {"suggestion", "web"}});
    CHECK(unknown.status == ExitStatus::NoSuchUnit);
    CHECK(unknown.text == "there is no unit `wbe`; did you mean `web`?\n");
    CHECK_THAT(answered("NoSuchUnit", {{"unit", "x"}}).text, ContainsSubstring("holdfast list"));

    CHECK(answered("NoSuchRollout", {{"unit", "web"}, {"generation", nullptr}}).status == ExitStatus::Failed);
    CHECK_THAT(answered("NoSuchRollout", {{"unit", "web"}, {"generation", 7}}).text,
               ContainsSubstring("a rollout to generation 7; `holdfast rollout history`"));

    auto const inactive = answered("NotActive", {{"unit", "web"}, {"state", "inactive"}});
    CHECK(inactive.status == ExitStatus::NotActive);
    CHECK_THAT(inactive.text, ContainsSubstring("holdfast start web"));

    for (auto const* name : {"NotPermitted", "org.varlink.service.PermissionDenied"})
        CHECK(answered(name).status == ExitStatus::NotPermitted);
    for (auto const* name : {"BadUnit", "NotSupportedYet", "ShuttingDown", "TooManyClients", "BadMessage",
                             "InternalError", "org.varlink.service.MethodNotFound", "com.example.Odd"})
        CHECK(answered(name).status == ExitStatus::Failed);
    CHECK_THAT(answered("com.example.Odd", {{"a", 1}}).text, ContainsSubstring(R"({"a":1})"));

    auto const bad =
        answered("BadUnit", {{"unit", "web"},
                             {"diagnostics", json::array({{{"text", "web.toml:1:1: error: x\n\ty\n\t^\n"}},
                                                          {{"text", "web.toml:2:1: error: z\n"}}})}});
    CHECK(bad.text ==
          "the file of `web` has errors:\nweb.toml:1:1: error: x\n\ty\n\t^\nweb.toml:2:1: error: z\n");
}

TEST_CASE("what a daemon says cannot command the terminal", "[cli]") {
    CHECK_THAT(answered("NoSuchUnit", {{"unit", "\033[2J"}}).text, ContainsSubstring("\\x1b[2J"));
    CHECK_THAT(answered("com.example.\033[2J").text, ContainsSubstring("\\x1b[2J"));
}

TEST_CASE("a daemon that does not answer is told apart from one that may not be asked", "[cli]") {
    auto const explain = [](int code) {
        return explain_silence(system_error(code, "x"), "/r/control.sock", true);
    };
    for (int const code : {ENOENT, ECONNREFUSED, ENOTDIR}) {
        CHECK(explain(code).status == ExitStatus::NoDaemon);
        CHECK(explain(code).text ==
              "no daemon answers at /r/control.sock; start holdfastd, or give --runtime-dir "
              "(or --system, --user)\n");
    }
    CHECK(explain(EACCES).status == ExitStatus::NotPermitted);
    CHECK(explain(ETIMEDOUT).status == ExitStatus::NoDaemon);
    CHECK(explain(ECONNRESET).status == ExitStatus::NoDaemon);
    CHECK(explain(ENAMETOOLONG).status == ExitStatus::Failed);
}
