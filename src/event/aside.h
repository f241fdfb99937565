// SPDX-License-Identifier: Apache-2.0
// Work that would keep the event loop waiting (promise P6), done beside it: in a thread of its own, which is
// there as long as the work takes and no longer. The work touches nothing but what it was given; what it
// found comes back to the loop. Whoever wants to know owns the Aside.
#pragma once

#include "event/loop.h"

#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace holdfast {

class Aside {
public:
    Aside() = default;
    /// Begins `work` at once; `done` is called from the loop when it has ended. What `work` throws is thrown
    /// there instead. It shares nothing with anybody but what `done` reads afterwards. Where there can be no
    /// thread (pthread_create(3): EAGAIN), the loop itself does it.
    Aside(EventLoop& loop, std::function<void()> work, std::function<void()> done);
    Aside(Aside&&) noexcept = default;
    Aside& operator=(Aside&&) noexcept = default;

    /// Not done yet. Destroyed meanwhile: the work comes to its end, and nobody is told.
    explicit operator bool() const { return is_under_way_ && *is_under_way_; }

private:
    std::shared_ptr<bool> is_under_way_;
    EventSource ended_;
};

/// The same for work that finds something.
template <class Work, class Done>
[[nodiscard]] Aside find_aside(EventLoop& loop, Work work, Done done) {
    auto const found = std::make_shared<std::optional<decltype(work())>>();
    return {loop, [found, work = std::move(work)] { found->emplace(work()); },
            [found, done = std::move(done)] { done(std::move(**found)); }};
}

} // namespace holdfast
