// SPDX-License-Identifier: Apache-2.0
// Rare<T>: a std::optional<T> that costs a pointer while it is empty. For what most owners lack most of the
// time: there are many units, and most rest. A value: copies are deep, and what they hold is compared.
#pragma once

#include <memory>
#include <optional>
#include <utility>

namespace holdfast {

template <class T>
class Rare {
public:
    Rare() = default;
    Rare(std::nullopt_t) {}
    Rare(T it) : it_{std::make_unique<T>(std::move(it))} {}
    Rare(Rare const& other) : it_{other.it_ ? std::make_unique<T>(*other.it_) : nullptr} {}
    Rare(Rare&&) noexcept = default;
    Rare& operator=(Rare const& other) { return *this = Rare{other}; }
    Rare& operator=(Rare&&) noexcept = default;
    ~Rare() = default;

    [[nodiscard]] bool has_value() const { return it_ != nullptr; }
    explicit operator bool() const { return has_value(); }
    // Only of one that has a value.
    [[nodiscard]] T& operator*() { return *it_; }
    [[nodiscard]] T const& operator*() const { return *it_; }
    [[nodiscard]] T* operator->() { return it_.get(); }
    [[nodiscard]] T const* operator->() const { return it_.get(); }

    T& emplace() {
        it_ = std::make_unique<T>();
        return *it_;
    }
    void reset() { it_.reset(); }

    bool operator==(Rare const& other) const {
        return has_value() && other.has_value() ? *it_ == *other.it_ : has_value() == other.has_value();
    }

private:
    std::unique_ptr<T> it_;
};

} // namespace holdfast
