// SPDX-License-Identifier: Apache-2.0
// The descriptors that workers of one unit have left for the next ones: FDSTORE=1 of sd_notify(3). Owned by
// its UnitRunner, which makes it with the first of them and ends it with the unit's stop; decides which are
// taken, and nothing of what becomes of them in a worker. Where there is a keeper they outlive us.
#pragma once

#include "supervisor/keeping.h"
#include "supervisor/shared.h"
#include "worker/notify_socket.h"

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace holdfast {

/// Of all names in LISTEN_FDNAMES, which is one string of at most 128 KiB, see execve(2).
inline constexpr std::size_t most_bytes_of_stored_names = 64 * 1024;

class FdStore {
public:
    FdStore(Shared& shared, std::string unit) : shared_{shared}, unit_{std::move(unit)} {}
    FdStore(FdStore const&) = delete;
    FdStore& operator=(FdStore const&) = delete;

    [[nodiscard]] static bool is_any_in(FoundThings const& found);
    /// Takes what another supervisor of ours has kept of them, and nothing else.
    void adopt(FoundThings& found);
    /// What a worker says of them, with the descriptors that came with it. At most `most` are held; what is
    /// one too many, or refused, is closed and an event says so, once in a while.
    void hear(StoreWish const& wish, std::vector<UniqueFd> fds, std::uint32_t most);

    /// Closes them all, in the keeper too. What is just destroyed is found again by the next supervisor.
    void drop_all();
    /// Gives them all to the keeper once more.
    void put_all() { put_from(0); }

    [[nodiscard]] std::size_t size() const { return stored_.size(); }
    /// In the order in which they came.
    [[nodiscard]] std::vector<NamedFd> look() const;

private:
    /// What a descriptor is, so that one that is there already is found without asking for each pair.
    struct Node {
        std::uint64_t device = 0;
        std::uint64_t number = 0;
        unsigned type = 0; ///< S_IFMT of its mode
        bool operator==(Node const&) const = default;
    };
    struct Stored {
        std::uint32_t number; ///< of its name in the keeper
        std::string name;
        bool is_watched;
        Node node;
        UniqueFd fd;
        EventSource hangup; ///< ends before `fd`
    };
    enum class Trouble { Full, Nothing, Cut, BadName, NoName, NamesTooLong };

    [[nodiscard]] static Node node_of(FdRef fd);
    [[nodiscard]] static bool is_same(FdRef one, FdRef other, Node const& node);
    [[nodiscard]] bool has(FdRef fd, Node const& node) const;
    [[nodiscard]] bool has_room_for(std::string const& name) const;
    void store(StoreWish const& wish, std::vector<UniqueFd> fds, std::uint32_t most);
    void remove(std::string const& name);
    void add(std::uint32_t number, std::string name, bool is_watched, UniqueFd fd, Node node);
    void hear_hangup(std::uint32_t number);
    void drop(std::function<bool(Stored const&)> const& is_meant);
    void put_from(std::size_t first);
    void save_names();
    [[nodiscard]] std::string kept(std::uint32_t number) const {
        return kept_name("stored", unit_, {number});
    }
    void complain(Trouble trouble, std::string text);

    Shared& shared_;
    std::string unit_;
    std::vector<Stored> stored_;
    std::uint32_t last_number_ = 0;
    std::array<MonotonicTime, 6> quiet_until_{}; ///< by Trouble
};

} // namespace holdfast
