// SPDX-License-Identifier: Apache-2.0
// The text of a unit file as a tree of plain values, each with its place: what remains of TOML when the
// library is out of sight. Made by toml_text.cc, merged by merge.cc, read by the settings' readers, then
// thrown away.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

/// Where something stands. Line and column count from 1, in characters; line 0 is the file as a whole.
struct Place {
    std::uint32_t file = 0; ///< 0: the unit itself; n: its n-th drop-in
    std::uint32_t line = 0;
    std::uint32_t column = 0;
    std::uint32_t length = 1; ///< columns
};

enum class NodeKind { Text, Integer, Real, Flag, Date, List, Table };

struct Entry;

struct Node {
    NodeKind kind = NodeKind::Table;
    Place place;
    std::string text; ///< Text
    std::int64_t integer = 0;
    double real = 0;
    bool flag = false;
    std::vector<Node> items;    ///< List
    std::vector<Entry> entries; ///< Table, in the order of the file

    [[nodiscard]] bool is(NodeKind wanted) const { return kind == wanted; }
    [[nodiscard]] Entry const* find(std::string_view key) const;
    [[nodiscard]] Entry* find(std::string_view key);
};

/// One key of a table.
struct Entry {
    std::string key;
    Place place; ///< of the key; the value has its own
    Node value;
};

inline Entry const* Node::find(std::string_view key) const {
    for (auto const& entry : entries)
        if (entry.key == key)
            return &entry;
    return nullptr;
}

inline Entry* Node::find(std::string_view key) {
    return const_cast<Entry*>(static_cast<Node const*>(this)->find(key));
}

/// The value of KEY in [SECTION], or null.
inline Node const* value_of(Node const& root, std::string_view section, std::string_view key) {
    auto const* const table = root.find(section);
    if (!table || !table->value.is(NodeKind::Table))
        return nullptr;
    auto const* const entry = table->value.find(key);
    return entry ? &entry->value : nullptr;
}

} // namespace holdfast
