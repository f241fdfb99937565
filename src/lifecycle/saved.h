// SPDX-License-Identifier: Apache-2.0
// A UnitState as lines of text, and back: what a supervisor saves for its successor. One field list writes
// and reads it. A successor of another version passes over what it does not know and keeps defaults for what
// is not there, so the version before and the one after can read it.
#pragma once

#include "lifecycle/state.h"

#include <optional>
#include <string>
#include <string_view>

namespace holdfast::lifecycle {

/// One line for each part, "word field=value…", each ended by a newline.
[[nodiscard]] std::string to_lines(UnitState const& state);

/// Takes in lines, in any order but that policies follow their generations; those with words that are not of
/// a state are left alone.
class StateReader {
public:
    /// Is it a line of a state? Then it is taken in.
    bool take(std::string_view line);
    /// The state, once all lines were taken; nothing where a value could not be read, or where what was read
    /// is no state that step() could be given (a worker without its generation).
    [[nodiscard]] std::optional<UnitState> finish() &&;

private:
    UnitState state_;
    bool is_good_ = true;
    bool has_unit_ = false;
};

} // namespace holdfast::lifecycle
