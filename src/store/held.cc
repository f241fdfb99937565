// SPDX-License-Identifier: Apache-2.0
#include "store/held.h"

#include <cstring>

namespace holdfast {

namespace {

constexpr std::size_t next(std::size_t place, std::size_t size) {
    return (place + 1) & (size - 1);
}

} // namespace

std::size_t Held::home_of(std::string_view name) {
    // FNV-1a. The names are those of our own units, so nobody chooses them to collide.
    std::uint32_t hash = 2166136261U;
    for (char const c : name)
        hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
    return hash & (index_size - 1);
}

std::size_t Held::place_of(std::string_view name) const {
    auto place = home_of(name);
    while (index_[place] != 0 && entries_[index_[place] - 1U].name() != name)
        place = next(place, index_size);
    return place;
}

Held::Entry* Held::find(std::string_view name) {
    auto const number = index_[place_of(name)];
    return number == 0 ? nullptr : &entries_[number - 1U];
}

Held::Entry& Held::put(std::string_view name, UniqueFd fd) {
    auto const place = place_of(name);
    if (index_[place] == 0) {
        auto& entry = entries_[size_];
        entry.name_size = static_cast<std::uint8_t>(name.size());
        entry.notes = 0;
        entry.inode = 0;
        std::memcpy(entry.name_bytes, name.data(), name.size());
        index_[place] = static_cast<std::uint16_t>(++size_);
        entry.fd = -1;
    }
    auto& entry = entries_[index_[place] - 1U];
    if (entry.fd < 0) {
        entry.signals = 0;
        entry.last_signal = 0;
    }
    UniqueFd{entry.fd}.reset();
    entry.fd = fd.release();
    return entry;
}

bool Held::drop(std::string_view name) {
    auto const place = place_of(name);
    if (index_[place] == 0)
        return false;
    auto const number = index_[place] - 1U;
    UniqueFd{entries_[number].fd}.reset();
    free_place(place);
    if (number != size_ - 1) {
        auto& last = entries_[size_ - 1];
        index_[place_of(last.name())] = static_cast<std::uint16_t>(number + 1U);
        entries_[number] = last;
    }
    --size_;
    return true;
}

/// What comes behind in the same run moves up, where it may, so that no search ends too early.
void Held::free_place(std::size_t place) {
    for (auto at = next(place, index_size); index_[at] != 0; at = next(at, index_size)) {
        auto const home = home_of(entries_[index_[at] - 1U].name());
        // May it stand at `place`? Only if its home is not between the two.
        if (((at - home) & (index_size - 1)) >= ((at - place) & (index_size - 1))) {
            index_[place] = index_[at];
            place = at;
        }
    }
    index_[place] = 0;
}

void Held::clear() {
    for (std::size_t i = 0; i < size_; ++i)
        UniqueFd{entries_[i].fd}.reset();
    index_ = {};
    size_ = 0;
}

} // namespace holdfast
