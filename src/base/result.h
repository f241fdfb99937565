// SPDX-License-Identifier: Apache-2.0
// Result<T>: a value or an Error. Its interface is a subset of std::expected, which g++ 12 has only in C++23
// mode.
#pragma once

#include "base/ensure.h"
#include "base/error.h"

#include <optional>
#include <utility>
#include <variant>

namespace holdfast {

template <class T>
class [[nodiscard]] Result {
public:
    using value_type = T;
    Result(T value) : state_{std::in_place_index<0>, std::move(value)} {}     // NOLINT: as in std::expected
    Result(Error error) : state_{std::in_place_index<1>, std::move(error)} {} // NOLINT

    [[nodiscard]] bool has_value() const { return state_.index() == 0; }
    explicit operator bool() const { return has_value(); }

    [[nodiscard]] T& value() & { return *access(); }
    [[nodiscard]] T const& value() const& { return *const_cast<Result*>(this)->access(); }
    [[nodiscard]] T&& value() && { return std::move(*access()); }
    T& operator*() & { return *access(); }
    T const& operator*() const& { return value(); }
    T&& operator*() && { return std::move(*access()); }
    T* operator->() { return access(); }
    T const* operator->() const { return &value(); }

    [[nodiscard]] Error const& error() const& {
        ensure(!has_value());
        return *std::get_if<1>(&state_);
    }
    [[nodiscard]] Error&& error() && {
        ensure(!has_value());
        return std::move(*std::get_if<1>(&state_));
    }
    template <class U>
    [[nodiscard]] T value_or(U&& other) && {
        return has_value() ? std::move(**this) : static_cast<T>(std::forward<U>(other));
    }

private:
    T* access() {
        ensure(has_value());
        return std::get_if<0>(&state_);
    }
    std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
public:
    Result() = default;
    Result(Error error) : error_{std::move(error)} {} // NOLINT: as in std::expected
    [[nodiscard]] bool has_value() const { return !error_; }
    explicit operator bool() const { return has_value(); }
    [[nodiscard]] Error const& error() const& {
        ensure(!has_value());
        return *error_;
    }
    [[nodiscard]] Error&& error() && {
        ensure(!has_value());
        return std::move(*error_);
    }

private:
    std::optional<Error> error_;
};

/// Done, or why not.
using Outcome = Result<void>;

} // namespace holdfast
