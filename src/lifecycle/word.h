// SPDX-License-Identifier: Apache-2.0
// How one word of a "word field=value field=value" line is read as a value.
#pragma once

#include "base/enum_names.h"
#include "base/shares.h"
#include "base/time.h"
#include "base/words.h"

#include <algorithm>
#include <charconv>
#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace holdfast::lifecycle::text {

template <class E>
concept Named = std::is_enum_v<E> && requires(E value) {
    enum_table(value);
};
template <class E>
concept Number = std::unsigned_integral<E> ||(std::is_enum_v<E> && !Named<E>);

/// How one word is read as a value.
struct Values {
    template <Named T>
    static bool read(std::string_view word, T& value) {
        auto const named = from_name<T>(word);
        value = named.value_or(T{});
        return named.has_value();
    }
    template <std::integral T>
    static bool read(std::string_view word, T& value) {
        auto const [end, problem] = std::from_chars(word.data(), word.data() + word.size(), value);
        return problem == std::errc{} && end == word.data() + word.size();
    }
    template <Number T>
    requires std::is_enum_v<T>
    static bool read(std::string_view word, T& value) {
        std::underlying_type_t<T> number{};
        bool const good = read(word, number);
        value = T{number};
        return good;
    }
    static bool read(std::string_view word, bool& value) {
        value = word == "1";
        return value || word == "0";
    }
    static bool read(std::string_view word, CanarySteps& value) {
        value = {};
        for (auto& step : value) {
            auto const end = std::min(word.find(','), word.size());
            if (!read(word.substr(0, end), step))
                return false;
            if (end == word.size())
                return true;
            word.remove_prefix(end + 1);
        }
        return false;
    }
    static bool read(std::string_view word, std::string& value) {
        value.clear();
        for (std::size_t i = 0; i < word.size(); ++i) {
            if (word[i] != '%') {
                value += word[i];
                continue;
            }
            unsigned code = 0;
            auto const [end, problem] =
                std::from_chars(word.data() + i + 1, word.data() + std::min(i + 3, word.size()), code, 16);
            if (problem != std::errc{} || end != word.data() + i + 3)
                return false;
            value += static_cast<char>(code);
            i += 2;
        }
        return true;
    }
    static bool read(std::string_view word, MonotonicTime& value) {
        Duration since_boot{};
        bool const good = read(word, since_boot);
        value = MonotonicTime{since_boot};
        return good;
    }
    static bool read(std::string_view word, Shard& value) {
        auto const [end, problem] = std::from_chars(word.data(), word.data() + word.size(), value.slot);
        auto const bank = from_name<Bank>(word.substr(static_cast<std::size_t>(end - word.data())));
        value.bank = bank.value_or(Bank::Blue);
        return problem == std::errc{} && bank;
    }
    static bool read(std::string_view word, Shares& value) {
        value.clear();
        while (!word.empty()) {
            auto const one = word.substr(0, word.find(','));
            auto const colon = one.find(':');
            Shard shard;
            std::uint32_t weight = 0;
            if (colon == one.npos || !read(one.substr(0, colon), shard) ||
                !read(one.substr(colon + 1), weight))
                return false;
            value[shard] = weight;
            word.remove_prefix(std::min(word.size(), one.size() + 1));
        }
        return true;
    }
    static bool read(std::string_view word, Duration& value) {
        if (word == "infinity") {
            value = forever;
            return true;
        }
        Duration::rep count = 0;
        bool const good = word.ends_with("us") && read(word.substr(0, word.size() - 2), count);
        value = Duration{count};
        return good;
    }
};

} // namespace holdfast::lifecycle::text
