// SPDX-License-Identifier: Apache-2.0
// ScopeExit: runs a callable when the scope ends, unless dismissed. For undoing half-done kernel work.
#pragma once

#include <utility>

namespace holdfast {

template <class F>
class [[nodiscard]] ScopeExit {
public:
    explicit ScopeExit(F f) : f_{std::move(f)} {}
    ScopeExit(ScopeExit const&) = delete;
    ScopeExit& operator=(ScopeExit const&) = delete;
    ~ScopeExit() {
        if (armed_)
            f_();
    }
    void dismiss() { armed_ = false; }

private:
    F f_;
    bool armed_ = true;
};

} // namespace holdfast
