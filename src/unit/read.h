// SPDX-License-Identifier: Apache-2.0
// Codecs: how the value of a setting is read from a Node, with a good message when it is wrong, and written
// as TOML again. Each is a struct of static functions with the C++ type it fills; the rows of settings.h name
// one. Those of a single setting (addresses, limits, …) are in codecs.h.
#pragma once

#include "base/enum_names.h"
#include "base/text.h"
#include "base/time.h"
#include "unit/accepts.h"
#include "unit/report.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace holdfast {

/// Which setting is being read, and where to complain.
struct Reader {
    Report& report;
    std::string_view key;

    void error(Node const& at, std::string message, std::string suggestion = {}) const {
        report.error(at.place, std::move(message), std::move(suggestion));
    }
    /// "`KEY` must be WHAT, not a number".
    void wrong_kind(Node const& at, std::string_view what, std::string suggestion = {}) const;
    /// Is it text that can be given to the kernel (no NUL)? Complains otherwise.
    [[nodiscard]] bool is_text(Node const& at, std::string_view what = "a string",
                               std::string suggestion = {}) const;
};

/// "a string", "a list".
[[nodiscard]] std::string_view kind_name(NodeKind kind);

[[nodiscard]] std::string toml_string(std::string_view text);
[[nodiscard]] std::string toml_list(std::vector<std::string> const& texts);

struct Text {
    static constexpr std::string_view kind = "text";
    static AcceptsAny accepts();
    static void read(Reader in, Node const& node, std::string& into);
    static std::string write(std::string const& text) {
        return text.empty() ? std::string{} : toml_string(text);
    }
};

/// A list of strings; one string is a list of one.
struct TextList {
    static constexpr std::string_view kind = "list of texts";
    static AcceptsAny accepts();
    static void read(Reader in, Node const& node, std::vector<std::string>& into);
    static std::string write(std::vector<std::string> const& texts) { return toml_list(texts); }
};

struct Flag {
    static constexpr std::string_view kind = "true or false";
    static AcceptsAny accepts();
    static void read(Reader in, Node const& node, bool& into);
    static std::string write(bool flag) { return flag ? "true" : "false"; }
};

/// A whole number in a range; nothing when it was reported.
[[nodiscard]] std::optional<std::int64_t> read_whole(Reader in, Node const& node, std::int64_t low,
                                                     std::int64_t high);

template <std::int64_t Low, std::int64_t High>
struct Whole {
    static constexpr std::string_view kind = "number";
    static AcceptsAny accepts() { return {accepts_whole(Low, High)}; }
    template <class T>
    static void read(Reader in, Node const& node, T& into) {
        if (auto const number = read_whole(in, node, Low, High))
            into = static_cast<T>(*number);
    }
    template <class T>
    static std::string write(T number) {
        return std::to_string(number);
    }
};

/// File mode bits as an octal string, "0660".
struct Mode {
    static constexpr std::string_view kind = "octal text";
    static AcceptsAny accepts();
    static void read(Reader in, Node const& node, mode_t& into);
    static std::string write(mode_t mode);
};

enum class Allow { Positive = 0, Zero = 1, Infinity = 2, ZeroAndInfinity = 3 };

/// Nothing when it was reported.
[[nodiscard]] std::optional<Duration> read_duration(Reader in, Node const& node, Allow allow);

[[nodiscard]] AcceptsAny accepts_duration(Allow allow);

template <Allow allow>
struct Time {
    static constexpr std::string_view kind = allow == Allow::Positive   ? "duration above 0"
                                             : allow == Allow::Zero     ? "duration"
                                             : allow == Allow::Infinity ? "duration above 0, or infinity"
                                                                        : "duration, or infinity";
    static AcceptsAny accepts() { return accepts_duration(allow); }
    static void read(Reader in, Node const& node, Duration& into) {
        if (auto const duration = read_duration(in, node, allow))
            into = *duration;
    }
    static std::string write(Duration duration) { return toml_string(to_string(duration)); }
};

template <class Codec>
struct Maybe {
    static constexpr std::string_view kind = Codec::kind;
    static AcceptsAny accepts() { return Codec::accepts(); }
    template <class T>
    static void read(Reader in, Node const& node, std::optional<T>& into) {
        T value{};
        Codec::read(in, node, value);
        into = value;
    }
    template <class T>
    static std::string write(std::optional<T> const& value) {
        return value ? Codec::write(*value) : std::string{};
    }
};

using Names = std::vector<std::string_view>;

/// The index of `node`'s text in `names`, or nothing, with a complaint: a name of `later` is "not supported
/// yet".
[[nodiscard]] std::optional<std::size_t> read_word(Reader in, Node const& node, Names const& names,
                                                   Names const& later);

/// A value of an enum with a table of names; `Later` lists values that are known and not built.
template <class E, auto const& Later>
struct Word {
    static constexpr std::string_view kind = "word";
    static AcceptsAny accepts() { return {accepts_words(names())}; }
    static Names names() {
        Names names;
        for (auto const& row : enum_table(E{})) // the core may know a word before the rest does
            if (std::find(Later.begin(), Later.end(), row.name) == Later.end())
                names.push_back(row.name);
        return names;
    }
    static std::optional<E> read_one(Reader in, Node const& node) {
        auto const names = Word::names();
        auto const index = read_word(in, node, names, Names(Later.begin(), Later.end()));
        return index ? from_name<E>(names[*index]) : std::nullopt;
    }
    static void read(Reader in, Node const& node, E& into) {
        if (auto const value = read_one(in, node))
            into = *value;
    }
    static std::string write(E value) { return toml_string(to_name(value)); }
};

[[nodiscard]] AcceptsAny accepts_word_list(Names words);

/// A list of them without repetition; one is a list of one.
template <class E, auto const& Later>
struct WordList {
    static constexpr std::string_view kind = "list of words";
    static AcceptsAny accepts() { return accepts_word_list(Word<E, Later>::names()); }
    static void read(Reader in, Node const& node, std::vector<E>& into) {
        into.clear();
        auto const add = [&](Node const& item) {
            auto const value = Word<E, Later>::read_one(in, item);
            if (!value)
                return;
            for (E const known : into)
                if (known == *value)
                    return in.error(item, holdfast::quoted(item.text) + " is listed twice");
            into.push_back(*value);
        };
        if (!node.is(NodeKind::List))
            return add(node);
        for (auto const& item : node.items)
            add(item);
    }
    static std::string write(std::vector<E> const& values) {
        std::vector<std::string> names;
        for (E const value : values)
            names.emplace_back(to_name(value));
        return toml_list(names);
    }
};

} // namespace holdfast
