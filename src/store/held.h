// SPDX-License-Identifier: Apache-2.0
// What the keeper holds: names and descriptors in tables of a fixed size. Entries lie dense in the order in
// which they came (a dropped one is replaced by the last), so that only the memory of what is held is ever
// touched; an index by open addressing finds them. Meant to be one static object, which is never destroyed.
#pragma once

#include "base/fd.h"
#include "store/protocol.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace holdfast {

class Held {
public:
    struct Entry {
        int fd;                   ///< owned by the table; may be none
        unsigned signals;         ///< how often the process was signalled on request
        std::uint8_t last_signal; ///< 0: never
        std::uint8_t name_size;
        std::uint8_t notes;  ///< whose table it is may write here; 0 at first, and kept by put()
        std::uint64_t inode; ///< the same
        char name_bytes[longest_name];
        [[nodiscard]] std::string_view name() const { return {name_bytes, name_size}; }
    };

    [[nodiscard]] std::size_t size() const { return size_; }
    /// In no particular order; `number` is below size().
    [[nodiscard]] Entry& at(std::size_t number) { return entries_[number]; }
    [[nodiscard]] Entry* find(std::string_view name);
    [[nodiscard]] bool has_room_for(std::size_t more) const { return more <= most_entries - size_; }

    /// `name` is a held name. The descriptor that was kept under it is closed, and its signals stay counted:
    /// a worker whose main process is another now was told all the same. A new name needs room.
    Entry& put(std::string_view name, UniqueFd fd);
    /// Closes it; false where there is no such name.
    bool drop(std::string_view name);
    void clear();

private:
    static constexpr std::size_t index_size = 2 * most_entries; // a power of two, never more than half full
    static_assert((index_size & (index_size - 1)) == 0 && most_entries < 0xffff && longest_name <= 0xff);

    [[nodiscard]] static std::size_t home_of(std::string_view name);
    /// The place in the index where `name` is, or where it would come.
    [[nodiscard]] std::size_t place_of(std::string_view name) const;
    void free_place(std::size_t place);

    std::array<Entry, most_entries> entries_{};
    std::array<std::uint16_t, index_size> index_{}; ///< the number of an entry, plus one; 0: free
    std::size_t size_ = 0;
};

} // namespace holdfast
