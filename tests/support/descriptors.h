// SPDX-License-Identifier: Apache-2.0
// What this process has open: taken before and after, it shows a descriptor that was lost; and none left to
// open.
#pragma once

#include <string>
#include <vector>

#include <sys/resource.h>

namespace holdfast::test {

/// "3 -> socket:[1]", … sorted.
[[nodiscard]] std::vector<std::string> open_descriptors();

/// While it lives this process can open only so many descriptors more (RLIMIT_NOFILE), as far as the numbers
/// below the limit are all taken.
class FewerDescriptors {
public:
    explicit FewerDescriptors(unsigned more);
    FewerDescriptors(FewerDescriptors const&) = delete;
    FewerDescriptors& operator=(FewerDescriptors const&) = delete;
    ~FewerDescriptors();

private:
    rlimit before_{};
};

} // namespace holdfast::test
