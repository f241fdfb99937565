// SPDX-License-Identifier: Apache-2.0
// Text in a buffer of a fixed size, for a program that allocates nothing; and "key=value" lines whose one
// list of fields drives both writing and reading.
#pragma once

#include "base/enum_names.h"
#include "base/time.h"

#include <charconv>
#include <cstddef>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>
#include <type_traits>

namespace holdfast {

/// At most `Size` bytes; what does not fit any more is left out as a whole, and is_whole() says so.
template <std::size_t Size>
class FixedText {
public:
    [[nodiscard]] std::string_view view() const { return {bytes_, size_}; }
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] bool is_empty() const { return size_ == 0; }
    [[nodiscard]] bool is_whole() const { return !cut_; }

    void clear() { truncate(0); }
    void truncate(std::size_t size) {
        size_ = size;
        cut_ = false;
    }

    FixedText& operator<<(std::string_view text) {
        if (text.size() > Size - size_) {
            cut_ = true;
            return *this;
        }
        // A view of nothing may have no address, and memcpy wants one.
        if (!text.empty())
            std::memcpy(bytes_ + size_, text.data(), text.size());
        size_ += text.size();
        return *this;
    }
    template <class Number>
    requires(std::is_integral_v<Number> && !std::is_same_v<Number, char>) FixedText&
    operator<<(Number number) {
        char digits[24];
        auto const [end, problem] = std::to_chars(digits, digits + sizeof digits, number);
        return *this << std::string_view{digits, static_cast<std::size_t>(end - digits)};
    }

private:
    char bytes_[Size]{};
    std::size_t size_ = 0;
    bool cut_ = false;
};

/// The lines of a text, one after the other; a newline at the very end ends the last line and begins none.
class Lines {
public:
    constexpr explicit Lines(std::string_view text) : rest_{text}, more_{!text.empty()} {}
    [[nodiscard]] constexpr std::optional<std::string_view> next() {
        if (!more_)
            return std::nullopt;
        auto const at = rest_.find('\n');
        auto const line = rest_.substr(0, at);
        more_ = at != std::string_view::npos && at + 1 < rest_.size();
        rest_ = more_ ? rest_.substr(at + 1) : std::string_view{};
        return line;
    }
    /// What comes after the lines that were taken.
    [[nodiscard]] constexpr std::string_view rest() const { return rest_; }

private:
    std::string_view rest_;
    bool more_;
};

/// A decimal number from 0 to `most`, and nothing else.
template <class Number>
[[nodiscard]] std::optional<Number> parse_number(std::string_view digits, Number most) {
    std::make_unsigned_t<Number> value = 0;
    auto const [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (problem != std::errc{} || end != digits.data() + digits.size() ||
        value > static_cast<std::make_unsigned_t<Number>>(most))
        return std::nullopt;
    return static_cast<Number>(value);
}

/// The text up to the next space, taken off the front of `text` together with that space.
[[nodiscard]] constexpr std::string_view take_word(std::string_view& text) {
    auto const at = text.find(' ');
    auto const word = text.substr(0, at);
    text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
    return word;
}

/// Visits fields and writes "key=value\n" of each.
template <std::size_t Size>
struct FieldWriter {
    FixedText<Size>& text;

    template <class Value>
    void operator()(std::string_view key, Value const& value) const {
        text << key << "=";
        if constexpr (std::is_enum_v<Value>)
            text << to_name(value);
        else if constexpr (std::is_same_v<Value, bool>)
            text << (value ? "1" : "0");
        else if constexpr (std::is_same_v<Value, MonotonicTime>)
            text << value.since_boot().count();
        else if constexpr (requires { value.view(); })
            text << value.view();
        else
            text << value;
        text << "\n";
    }
};

/// Visits fields and gives the one of that key the value; all others stay as they are, and so does that one
/// where the value cannot be read.
struct FieldReader {
    std::string_view key;
    std::string_view value;
    bool is_known = false;
    bool is_good = true;

    /// Nothing where `line` has no '='.
    [[nodiscard]] static std::optional<FieldReader> of_line(std::string_view line) {
        auto const at = line.find('=');
        if (at == std::string_view::npos)
            return std::nullopt;
        return FieldReader{line.substr(0, at), line.substr(at + 1)};
    }

    template <class Value>
    void operator()(std::string_view name, Value& to) {
        if (name != key)
            return;
        is_known = true;
        if constexpr (std::is_enum_v<Value>) {
            auto const found = from_name<Value>(value);
            is_good = found.has_value();
            to = found.value_or(to);
        } else if constexpr (std::is_same_v<Value, bool>) {
            is_good = value == "0" || value == "1";
            to = is_good ? value == "1" : to;
        } else if constexpr (std::is_same_v<Value, MonotonicTime>) {
            auto const count = parse_number(value, forever.count());
            is_good = count.has_value();
            to = count ? MonotonicTime{Duration{*count}} : to;
        } else if constexpr (std::is_same_v<Value, std::string_view>) {
            to = value;
        } else if constexpr (requires { to.view(); }) {
            to.clear();
            to << value;
            is_good = to.is_whole();
        } else {
            // -1 is what a descriptor or a process that is none is written as.
            auto const number = parse_number(value, std::numeric_limits<Value>::max());
            bool const is_none = std::is_signed_v<Value> && value == "-1";
            is_good = number.has_value() || is_none;
            to = is_none ? static_cast<Value>(-1) : number.value_or(to);
        }
    }
};

} // namespace holdfast
