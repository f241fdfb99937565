// SPDX-License-Identifier: Apache-2.0
// Codecs of single settings: those whose value is more than one text or number. As in read.h.
#pragma once

#include "unit/read.h"
#include "unit/spec.h"

namespace holdfast {

struct Addresses {
    static constexpr std::string_view kind = "address or list of addresses";
    static AcceptsAny accepts();
    static void read(Reader in, Node const& node, std::vector<ListenAddress>& into);
    static std::string write(std::vector<ListenAddress> const& addresses);
};

struct SocketName {
    static constexpr std::string_view kind = "name";
    static AcceptsAny accepts();
    static void read(Reader in, Node const& node, std::string& into);
    static std::string write(std::string const& name) { return Text::write(name); }
};

/// A program and its arguments. Whether the program is there is for others to say.
struct CommandWords {
    static constexpr std::string_view kind = "list of texts";
    static AcceptsAny accepts();
    static void read(Reader in, Node const& node, std::vector<std::string>& into);
    static std::string write(std::vector<std::string> const& words) { return toml_list(words); }
};

/// The path of a request, "/healthz?deep=1".
struct ProbePath {
    static constexpr std::string_view kind = "path";
    static AcceptsAny accepts();
    static void read(Reader in, Node const& node, std::string& into);
    static std::string write(std::string const& path) { return path.empty() ? "" : Text::write(path); }
};

struct OptionalCommand : CommandWords {
    static std::string write(std::vector<std::string> const& words) {
        return words.empty() ? "" : CommandWords::write(words);
    }
};

using Variables = std::vector<std::pair<std::string, std::string>>;

/// A table of texts, or a list of "NAME=VALUE"; of a name that comes twice the last one holds.
struct Environment {
    static constexpr std::string_view kind = "table of texts, or list of NAME=VALUE";
    static AcceptsAny accepts();
    static void read(Reader in, Node const& node, Variables& into);
    static std::string write(Variables const& variables);
};

/// A table of setrlimit(2)'s names in lower case without RLIMIT_; "SOFT:HARD", or one value for both.
struct Limits {
    static constexpr std::string_view kind = "table of limits";
    static AcceptsAny accepts();
    static void read(Reader in, Node const& node, std::vector<LimitSpec>& into);
    static std::string write(std::vector<LimitSpec> const& limits);
};

/// A signal that a program can catch.
struct Signal {
    static constexpr std::string_view kind = "signal";
    static AcceptsAny accepts();
    static void read(Reader in, Node const& node, int& into);
    static std::string write(int signal);
};

/// A user or a group: a name or a number.
struct Account {
    static constexpr std::string_view kind = "name or number";
    static AcceptsAny accepts();
    static void read(Reader in, Node const& node, std::string& into);
    static std::string write(std::string const& name) { return Text::write(name); }
};

struct AccountList {
    static constexpr std::string_view kind = "list of names or numbers";
    static AcceptsAny accepts();
    static void read(Reader in, Node const& node, std::vector<std::string>& into);
    static std::string write(std::vector<std::string> const& names) { return toml_list(names); }
};

struct AbsolutePath {
    static constexpr std::string_view kind = "path";
    static AcceptsAny accepts();
    static void read(Reader in, Node const& node, std::string& into);
    static std::string write(std::string const& path) { return Text::write(path); }
};

/// Absolute paths, at least one; one is a list of one.
struct PathList {
    static constexpr std::string_view kind = "path or list of paths";
    static AcceptsAny accepts();
    static void read(Reader in, Node const& node, std::vector<std::string>& into);
    static std::string write(std::vector<std::string> const& paths) {
        return paths.empty() ? "" : toml_list(paths);
    }
};

/// One to most_canary_steps whole numbers from 1 to 99, each higher than the one before.
struct Percentages {
    static constexpr std::string_view kind = "list of percentages";
    static AcceptsAny accepts();
    static void read(Reader in, Node const& node, CanarySteps& into);
    static std::string write(CanarySteps const& steps);
};

struct Workers {
    static constexpr std::string_view kind = "number or \"auto\"";
    static AcceptsAny accepts();
    static void read(Reader in, Node const& node, std::uint16_t& into);
    static std::string write(std::uint16_t workers) {
        return workers == workers_auto ? toml_string("auto") : std::to_string(workers);
    }
};

/// Those of `limits`: "nofile", …
[[nodiscard]] Names limit_names();

/// "64K", "2G", "100": bytes, or a plain count. Nothing for what is no size.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);

/// The name of an environment variable that every shell and program can use.
[[nodiscard]] bool is_variable_name(std::string_view name);

} // namespace holdfast
