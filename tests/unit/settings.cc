// SPDX-License-Identifier: Apache-2.0
#include "unit/settings.h"

#include "base/signal_names.h"
#include "catch.h"
#include "unit/codecs.h"
#include "unit/daemon_spec.h"

#include <csignal>
#include <set>

using namespace holdfast;

TEST_CASE("each key stands once in its section and has a sentence for the manual", "[unit]") {
    for (auto const& section : enum_table(Section{})) {
        std::set<std::string_view> keys;
        for (auto const& row : settings_of(section.value)) {
            INFO(section.name << " " << row.key);
            CHECK(row.section == section.value);
            CHECK(keys.insert(row.key).second);
            CHECK(!row.kind.empty());
            REQUIRE(row.doc.size() > 10);
            CHECK((row.doc.back() == '.' || row.doc.substr(row.doc.size() - 3) == "…"));
            CHECK(row.is_supported() == !row.fallback.empty());
            CHECK(row.is_supported() == (row.write != nullptr));
        }
        CHECK(!keys.empty());
    }
}

TEST_CASE("the default that a row tells is the one in force", "[unit]") {
    UnitSpec spec;
    SocketSpec const socket;
    DaemonSpec const daemon;
    spec.service.exec_start = {"web"};
    std::pair<Section, void const*> const sources[] = {{Section::Unit, &spec},
                                                       {Section::Socket, &socket},
                                                       {Section::Service, &spec.service},
                                                       {Section::Rollout, &spec.rollout},
                                                       {Section::Daemon, &daemon},
                                                       {Section::Control, &daemon},
                                                       {Section::Limits, &daemon}};
    int compared = 0;
    for (auto const& [section, source] : sources) {
        for (auto const& row : settings_of(section)) {
            auto const value = row.is_supported() ? row.write(source) : std::string{};
            bool const is_told = row.fallback != "required" && row.fallback != "empty";
            if (value.empty() || !is_told)
                continue;
            INFO(row.key << " = " << value);
            if (row.key == "limits") {
                CHECK(value == "{}");
                continue;
            }
            auto const quotes = "\"" + std::string{row.fallback} + "\"";
            CHECK((value == row.fallback || value == quotes || value == "[" + quotes + "]"));
            ++compared;
        }
    }
    CHECK(compared >= 18);
}

TEST_CASE("a misspelt key finds its way home", "[unit]") {
    CHECK(suggest_key(Section::Service, "exec_strat") == "did you mean `exec_start`?");
    CHECK(suggest_key(Section::Service, "TimeoutStopSec") == "did you mean `timeout_stop`?");
    CHECK(suggest_key(Section::Service, "working-directory") == "did you mean `working_directory`?");
    CHECK(suggest_key(Section::Socket, "ListenStream") == "did you mean `listen`?");
    CHECK(suggest_key(Section::Socket, "FileDescriptorName") == "did you mean `name`?");
    CHECK(suggest_key(Section::Unit, "listen") == "`listen` belongs in [[socket]]");
    CHECK(suggest_key(Section::Unit, "zzzzzzzz").empty());
    CHECK(suggest_section_of(SettingsFile::Unit, "ExecStart") == "`exec_start` belongs in [service]");
}

TEST_CASE("sizes are powers of 1024", "[unit]") {
    CHECK(parse_size("0") == 0u);
    CHECK(parse_size("64K") == 65536u);
    CHECK(parse_size("2G") == 2147483648u);
    CHECK(parse_size("15E") == 15ull << 60);
    for (auto const* text :
         {"", "K", "16E", "-1", "+1", "1.5K", "1KB", "1 K", "99999999999999999999", "0x10"})
        CHECK(!parse_size(text));
}

TEST_CASE("signals have names both ways", "[base]") {
    CHECK(parse_signal("TERM") == SIGTERM);
    CHECK(parse_signal("SIGTERM") == SIGTERM);
    CHECK(parse_signal("15") == SIGTERM);
    CHECK(parse_signal("SIGRTMIN+3") == SIGRTMIN + 3);
    CHECK(parse_signal("RTMAX-1") == SIGRTMAX - 1);
    CHECK(signal_name(SIGIO) == "SIGIO");
    CHECK(signal_name(SIGABRT) == "SIGABRT");
    CHECK(signal_name(0) == "signal 0");
    for (auto const* text :
         {"", "0", "-15", "32", "65", "SIG", "sigterm", "RTMIN-1", "RTMIN+", "RTMIN+99", "RTMAX+1"})
        CHECK(!parse_signal(text));
    for (int signal = 1; signal <= SIGRTMAX; ++signal)
        if (is_signal(signal))
            CHECK(parse_signal(signal_name(signal)) == signal);
}
