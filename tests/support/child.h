// SPDX-License-Identifier: Apache-2.0
// Work in a process of its own, which may become what a test program itself cannot be. The child leaves by
// _exit, so nothing of the test program runs twice.
#pragma once

#include <functional>
#include <string>

namespace holdfast::test {

/// What `work` returns when it runs in a forked child, which ends with it; then "threw WHAT" if it threw, and
/// " (died: STATUS)" if it did not end well. `work` may have any descriptors from 3 to 199 for itself.
[[nodiscard]] std::string in_child(std::function<std::string()> const& work);

/// Becomes a user without rights, for ever; true where it is one already.
[[nodiscard]] bool become_nobody();

} // namespace holdfast::test
