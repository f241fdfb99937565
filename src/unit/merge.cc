// SPDX-License-Identifier: Apache-2.0
#include "unit/merge.h"

#include <map>
#include <string>

namespace holdfast {

namespace {

// The depth of this recursion is limited as that of the tree is (toml_guard.cc).
void merge_tables(Node& base, Node&& over) {
    std::map<std::string, std::size_t> known; // a search per key would be quadratic in what a file may hold
    for (std::size_t i = 0; i < base.entries.size(); ++i)
        known.emplace(base.entries[i].key, i);
    for (auto& entry : over.entries) {
        auto const found = known.find(entry.key);
        if (found == known.end()) {
            base.entries.push_back(std::move(entry));
            continue;
        }
        auto& ours = base.entries[found->second];
        if (ours.value.is(NodeKind::Table) && entry.value.is(NodeKind::Table))
            merge_tables(ours.value, std::move(entry.value));
        else
            ours = std::move(entry);
    }
}

// Empty for what is no socket that can have one: it is added as it is and complained about later.
std::string name_of(Node const& socket, std::string_view unit_name) {
    if (!socket.is(NodeKind::Table))
        return {};
    auto const* const name = socket.find("name");
    if (!name)
        return std::string{unit_name};
    return name->value.is(NodeKind::Text) ? name->value.text : std::string{};
}

void merge_sockets(Node& base, Node&& over, std::string_view unit_name) {
    // Only sockets that were there before: two of one name in the same drop-in are a mistake that must stay
    // visible.
    std::map<std::string, std::size_t> known;
    for (std::size_t i = 0; i < base.items.size(); ++i)
        known.emplace(name_of(base.items[i], unit_name), i);
    known.erase("");
    for (auto& socket : over.items) {
        auto const found = known.find(name_of(socket, unit_name));
        if (found == known.end()) {
            base.items.push_back(std::move(socket));
        } else {
            merge_tables(base.items[found->second], std::move(socket));
            known.erase(found);
        }
    }
}

} // namespace

void merge_over(Node& base, Node&& over, std::string_view unit_name) {
    if (auto* const theirs = over.find("socket"); theirs && theirs->value.is(NodeKind::List)) {
        if (auto* const ours = base.find("socket"); ours && ours->value.is(NodeKind::List)) {
            merge_sockets(ours->value, std::move(theirs->value), unit_name);
            over.entries.erase(over.entries.begin() + (theirs - over.entries.data()));
        }
    }
    merge_tables(base, std::move(over));
}

} // namespace holdfast
