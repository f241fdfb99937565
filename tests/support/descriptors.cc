// SPDX-License-Identifier: Apache-2.0
#include "support/descriptors.h"

#include "base/fd.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <system_error>

#include <dirent.h>
#include <unistd.h>

namespace holdfast::test {

std::vector<std::string> open_descriptors() {
    std::vector<std::string> all;
    std::unique_ptr<DIR, int (*)(DIR*)> const folder{::opendir("/proc/self/fd"), ::closedir};
    if (!folder)
        throw std::system_error{errno, std::generic_category(), "look into /proc/self/fd"};
    while (dirent const* entry = ::readdir(folder.get())) {
        std::string const name = entry->d_name;
        if (name == "." || name == ".." || name == std::to_string(::dirfd(folder.get())))
            continue;
        std::array<char, 256> target{};
        if (::readlinkat(::dirfd(folder.get()), entry->d_name, target.data(), target.size() - 1) > 0)
            all.push_back(name + " -> " + target.data());
    }
    std::sort(all.begin(), all.end());
    return all;
}

FewerDescriptors::FewerDescriptors(unsigned more) {
    UniqueFd const next{::dup(STDERR_FILENO)};
    if (!next.is_open() || ::getrlimit(RLIMIT_NOFILE, &before_) < 0)
        throw std::system_error{errno, std::generic_category(), "look at what is open"};
    rlimit const fewer{static_cast<rlim_t>(next.raw()) + more, before_.rlim_max};
    if (::setrlimit(RLIMIT_NOFILE, &fewer) < 0)
        throw std::system_error{errno, std::generic_category(), "lower the limit of open files"};
}

FewerDescriptors::~FewerDescriptors() {
    ::setrlimit(RLIMIT_NOFILE, &before_);
}

} // namespace holdfast::test
