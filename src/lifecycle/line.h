// SPDX-License-Identifier: Apache-2.0
// How one value of a "word field=value field=value" line is written and read back. Which fields there are is
// said in fields.h.
#pragma once

#include "lifecycle/word.h"

#include <utility>
#include <vector>

namespace holdfast::lifecycle::text {

/// Appends " name=value". An absent optional is left out. Times and durations are exact: microseconds.
class Writer {
public:
    explicit Writer(std::string& out) : out_{out} {}
    template <class T>
    void operator()(std::string_view name, T const& value) {
        if constexpr (requires { value.has_value(); }) {
            if (value)
                (*this)(name, *value);
        } else {
            out_.append(1, ' ').append(name).append(1, '=');
            write(value);
        }
    }

private:
    void write(Named auto value) { out_ += to_name(value); }
    template <Number T>
    void write(T value) {
        out_ += std::to_string(static_cast<std::uint64_t>(value));
    }
    void write(Duration value) {
        out_ += value == forever ? "infinity" : std::to_string(value.count()) + "us";
    }
    void write(CanarySteps const& steps) { // "5,25,50"
        for (std::size_t i = 0; i < steps.size() && (i == 0 || steps[i] != 0); ++i)
            out_ += (i == 0 ? "" : ",") + std::to_string(steps[i]);
    }
    /// "0blue:65536,1green:…", or nothing.
    void write(Shares const& shares) {
        std::string_view between;
        for (auto const& [shard, weight] : shares) {
            out_ += std::exchange(between, ",");
            write(shard);
            out_ += ":" + std::to_string(weight);
        }
    }
    void write(Shard shard) {
        out_ += std::to_string(shard.slot);
        out_ += to_name(shard.bank);
    }
    void write(std::vector<Shard> const& shards) {
        std::string_view between;
        for (auto const shard : shards) {
            out_ += std::exchange(between, ",");
            write(shard);
        }
    }
    void write(MonotonicTime value) { write(value.since_boot()); }
    void write(std::signed_integral auto value) { out_ += std::to_string(value); }
    /// What would end a word, or a line, is written as %XX.
    void write(std::string const& text) {
        for (char const c : text)
            if (c == '%' || static_cast<unsigned char>(c) <= ' ' || c == '\x7f') {
                constexpr std::string_view digits = "0123456789abcdef";
                auto const code = static_cast<unsigned char>(c);
                ((out_ += '%') += digits[code >> 4]) += digits[code & 15];
            } else {
                out_ += c;
            }
    }
    std::string& out_;
};

/// Takes " name=value" off the front of a line; once something is missing or malformed, is_good() is false.
class Reader {
public:
    explicit Reader(std::string_view line) : rest_{line} {}
    template <class T>
    void operator()(std::string_view name, T& value) {
        constexpr bool is_optional = requires {
            value.has_value();
        };
        if (!good_ || !take_name(name)) {
            good_ = good_ && is_optional;
            return;
        }
        auto const word = rest_.substr(0, rest_.find(' '));
        rest_.remove_prefix(word.size());
        if constexpr (is_optional)
            good_ = Values::read(word, value.emplace());
        else
            good_ = Values::read(word, value);
    }
    /// Everything was there, and nothing else.
    [[nodiscard]] bool is_done() const { return good_ && rest_.empty(); }

private:
    bool take_name(std::string_view name) {
        auto rest = rest_;
        if (!rest.starts_with(' '))
            return false;
        rest.remove_prefix(1);
        if (!rest.starts_with(name) || !rest.substr(name.size()).starts_with('='))
            return false;
        rest_ = rest.substr(name.size() + 1);
        return true;
    }
    std::string_view rest_;
    bool good_ = true;
};

/// Reads the fields of a line wherever they are. What is missing keeps the value that it has, what is unknown
/// is passed over: the line may be of an older or a newer version. Only a value that cannot be read is wrong.
class LooseReader {
public:
    explicit LooseReader(std::string_view line) : line_{line} {}
    template <class T>
    void operator()(std::string_view name, T& value) {
        auto const word = find(name);
        if (!word || !good_)
            return;
        if constexpr (requires { value.has_value(); })
            good_ = Values::read(*word, value.emplace());
        else
            good_ = Values::read(*word, value);
    }
    [[nodiscard]] bool is_good() const { return good_; }

private:
    [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const {
        for (auto rest = line_; !rest.empty();) {
            auto const word = rest.substr(0, rest.find(' '));
            if (word.size() > name.size() && word.starts_with(name) && word[name.size()] == '=')
                return word.substr(name.size() + 1);
            rest.remove_prefix(std::min(rest.size(), word.size() + 1));
        }
        return std::nullopt;
    }
    std::string_view line_;
    bool good_ = true;
};

} // namespace holdfast::lifecycle::text
