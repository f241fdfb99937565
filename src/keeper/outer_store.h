// SPDX-License-Identifier: Apache-2.0
// The store that our own supervisor has for us, FDSTORE of sd_notify(3): what is in it outlives us, and is
// passed to the next keeper as LISTEN_FDS. Says one thing at a time and never waits, but for the question
// whether there is a store, at the very start.
#pragma once

#include "base/fd.h"
#include "base/time.h"

#include <cstddef>
#include <string_view>

namespace holdfast::keeper {

class OuterStore {
public:
    /// Looks for it. `is_known`: something has come out of it, so it is there. Else it is asked, which takes
    /// as long as the supervisor takes to read two messages, `patience` at most.
    void open(bool is_known, Duration patience);
    /// After a re-execution: it was there.
    void open_again();
    [[nodiscard]] bool is_open() const { return is_open_; }
    [[nodiscard]] FdRef socket() const { return socket_; }

    /// Each 0, or an errno: see must_wait(). E2BIG: all that may be in it is in it.
    [[nodiscard]] int store(std::string_view name, FdRef fd);
    [[nodiscard]] int remove(std::string_view name);
    /// One that may be in there still: then nothing changes.
    [[nodiscard]] int repeat(std::string_view name, FdRef fd);
    /// It is in there already.
    void count(std::string_view name);

private:
    [[nodiscard]] bool connect();
    [[nodiscard]] bool ask(Duration patience);
    [[nodiscard]] int send(std::string_view text, FdRef fd = {});

    UniqueFd socket_;
    bool is_open_ = false;
    std::size_t entries_ = 0;
    std::size_t bytes_ = 0; ///< of names
};

} // namespace holdfast::keeper
