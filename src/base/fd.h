// SPDX-License-Identifier: Apache-2.0
// Ownership of descriptors. UniqueFd by value means "I take it", FdRef means "I look".
// No function of ours returns an owning int. Closing a descriptor that is not open is a bug of ours, so it
// throws nothing and hides nothing: the destructor aborts on EBADF.
#pragma once

#include <utility>

namespace holdfast {

class UniqueFd;

/// A descriptor somebody else owns; valid only as long as its owner is.
class FdRef {
public:
    constexpr FdRef() = default;
    constexpr explicit FdRef(int fd) : fd_{fd} {}
    FdRef(UniqueFd const& fd); // NOLINT: looking at an owned descriptor is always fine
    [[nodiscard]] constexpr int raw() const { return fd_; }
    [[nodiscard]] constexpr bool is_open() const { return fd_ >= 0; }
    friend constexpr bool operator==(FdRef, FdRef) = default;

private:
    int fd_ = -1;
};

/// The one owner of a descriptor; closes it.
class UniqueFd {
public:
    constexpr UniqueFd() = default;
    constexpr explicit UniqueFd(int fd) : fd_{fd} {}
    UniqueFd(UniqueFd&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        if (this != &other) {
            reset();
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }
    ~UniqueFd() { reset(); }

    [[nodiscard]] int raw() const { return fd_; }
    [[nodiscard]] bool is_open() const { return fd_ >= 0; }
    /// Gives the descriptor up; the caller owns it now.
    [[nodiscard]] int release() { return std::exchange(fd_, -1); }
    void reset() noexcept;

private:
    int fd_ = -1;
};

inline FdRef::FdRef(UniqueFd const& fd) : fd_{fd.raw()} {}

} // namespace holdfast
