// SPDX-License-Identifier: Apache-2.0
// Reports of the lifecycle core in words for people. Made where it is needed; decides and keeps nothing.
#pragma once

#include "lifecycle/order.h"

#include <string>

namespace holdfast {

class UnitRunner;

[[nodiscard]] std::string to_text(lifecycle::WorkerId id);     ///< "worker 3"
[[nodiscard]] std::string to_text(lifecycle::GenerationId id); ///< "generation 2"

class UnitWords {
public:
    explicit UnitWords(UnitRunner const& unit) : unit_{unit} {}

    [[nodiscard]] std::string sentence(lifecycle::Report const& report) const;
    /// Why; empty where there is no cause.
    [[nodiscard]] std::string reason(lifecycle::Report const& report) const;
    [[nodiscard]] std::string count_text() const; ///< "3 workers": how many it is to have

private:
    [[nodiscard]] std::string canary_text(unsigned share) const;
    [[nodiscard]] std::string reason_of_failure(lifecycle::Report const& report) const;
    [[nodiscard]] std::string ending_text(lifecycle::WorkerId id) const;

    UnitRunner const& unit_;
};

} // namespace holdfast
