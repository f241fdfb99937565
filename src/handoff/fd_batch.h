// SPDX-License-Identifier: Apache-2.0
// Named descriptors: NamedFd looks at one that somebody else holds, FdBatch owns those of one message.
// A name may occur more than once: a socket that listens on two addresses is two descriptors of one name.
#pragma once

#include "base/fd.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast {

/// One listener as it is handed off: valid as long as its owner holds it.
struct NamedFd {
    std::string name;
    FdRef fd;
};

/// The owned descriptors of one message, in its order. What is not taken is closed with the batch.
class FdBatch {
public:
    struct Item {
        std::string name;
        UniqueFd fd;
    };

    void add(std::string name, UniqueFd fd) { items_.push_back({std::move(name), std::move(fd)}); }
    [[nodiscard]] std::size_t size() const { return items_.size(); }
    [[nodiscard]] bool is_empty() const { return items_.empty(); }
    [[nodiscard]] auto begin() const { return items_.begin(); }
    [[nodiscard]] auto end() const { return items_.end(); }

    /// The first descriptor of that name, which the caller owns now; not open when there is none.
    [[nodiscard]] UniqueFd take(std::string_view name) {
        auto const found =
            std::find_if(items_.begin(), items_.end(), [&](Item const& i) { return i.name == name; });
        if (found == items_.end())
            return {};
        auto fd = std::move(found->fd);
        items_.erase(found);
        return fd;
    }

    [[nodiscard]] std::vector<NamedFd> look() const {
        std::vector<NamedFd> seen;
        seen.reserve(items_.size());
        for (auto const& item : items_)
            seen.push_back({item.name, item.fd});
        return seen;
    }

private:
    std::vector<Item> items_;
};

} // namespace holdfast
