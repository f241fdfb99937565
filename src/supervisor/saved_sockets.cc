// SPDX-License-Identifier: Apache-2.0
#include "supervisor/saved_sockets.h"

#include "base/text.h"
#include "lifecycle/line.h"
#include "socket/adoption.h"
#include "supervisor/addresses.h"

#include <algorithm>
#include <cerrno>

#include <sys/socket.h>
#include <sys/stat.h>

namespace holdfast {

using lifecycle::text::LooseReader;
using lifecycle::text::Writer;

namespace {

/// A line `listener`, `leaving`, or `member` of the group before it.
struct SavedListener {
    std::uint32_t kept = 0;
    std::string name;
    std::string wanted; ///< an address
    std::uint16_t port = 0;
    bool free_bind = false;
    bool non_blocking = false;
    bool is_hidden = false;
    bool is_replaced = false;
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::optional<Shard> shard;                      ///< of a member: none is the anchor
    MonotonicTime deadline = MonotonicTime::never(); ///< of one that leaves
};
void describe(auto& field, auto& it) {
    field("kept", it.kept);
    field("name", it.name);
    field("wanted", it.wanted);
    field("port", it.port);
    field("free-bind", it.free_bind);
    field("non-blocking", it.non_blocking);
    field("hidden", it.is_hidden);
    field("replaced", it.is_replaced);
    field("device", it.device);
    field("inode", it.inode);
    field("shard", it.shard);
    field("deadline", it.deadline);
}

/// A line `group`, before those of its members in the kernel's order.
struct SavedGroup {
    Shares shares;
    std::string order_ports; ///< "40001,40002"
};
void describe(auto& field, SavedGroup const& it) {
    field("shares", it.shares);
    field("order-ports", it.order_ports);
}
void describe(LooseReader& field, SavedGroup& it) {
    field("shares", it.shares);
    field("order-ports", it.order_ports);
}

void write(std::string& out, std::string_view word, Listener const& listener, std::optional<Shard> shard,
           MonotonicTime deadline = MonotonicTime::never()) {
    SavedListener const saved{listener.kept,
                              listener.name,
                              to_string(listener.wanted),
                              listener.port,
                              listener.bound_with.free_bind,
                              listener.bound_with.non_blocking,
                              listener.is_hidden,
                              listener.is_replaced,
                              listener.path_device,
                              listener.path_inode,
                              shard,
                              deadline};
    out += word;
    Writer writer{out};
    describe(writer, saved);
    out += '\n';
}

Result<Listener> to_listener(SavedListener const& saved, std::string_view unit, FoundThings& found) {
    auto const doing = "adopt the listener " + saved.wanted;
    auto address = parse_address(saved.wanted);
    if (!address)
        return std::move(address).error();
    auto held = take(found, kept_name("listener", unit, {saved.kept}));
    if (!held)
        return system_error(ENOENT, doing, saved.name);
    Listener listener;
    listener.fd = std::move(held->fd);
    listener.name = saved.name;
    listener.wanted = *std::move(address);
    listener.port = saved.port;
    listener.bound_with = {saved.free_bind, saved.non_blocking};
    listener.is_hidden = saved.is_hidden;
    listener.is_replaced = saved.is_replaced;
    listener.kept = saved.kept;
    listener.path_device = static_cast<dev_t>(saved.device);
    listener.path_inode = static_cast<ino_t>(saved.inode);
    return listener;
}

std::vector<std::uint16_t> ports_in(std::string_view text) {
    std::vector<std::uint16_t> ports;
    for (auto const word : split(text, ','))
        if (std::uint16_t port = 0; lifecycle::text::Values::read(word, port))
            ports.push_back(port);
    return ports;
}

std::string to_text(std::vector<std::uint16_t> const& ports) {
    std::string text;
    for (auto const port : ports)
        text += (text.empty() ? "" : ",") + std::to_string(port);
    return text;
}

/// For a group of so many slots.
Steering fitted(Steering const& steering, std::size_t slots) {
    auto const place_of = [&](Shard shard) {
        return Shard{static_cast<std::uint16_t>(shard.slot % slots), shard.bank};
    };
    Steering fitted{{}, steering.how};
    for (auto const& [shard, weight] : steering.shares)
        fitted.shares[place_of(shard)] += weight;
    for (auto const shard : steering.named)
        fitted.named.push_back(place_of(shard));
    return fitted;
}

class Reading {
public:
    Reading(std::string_view unit, FoundThings& found, Steering const& steering)
        : unit_{unit}, found_{found}, steering_{steering} {}

    void take_line(std::string_view line) {
        auto const word = line.substr(0, line.find(' '));
        LooseReader reader{line};
        if (word == "group") {
            end_group();
            group_.emplace();
            describe(reader, *group_);
        } else if (word == "listener" || word == "member" || word == "leaving") {
            SavedListener saved;
            describe(reader, saved);
            auto listener = to_listener(saved, unit_, found_);
            if (!listener)
                return problem(listener.error());
            if (word == "member")
                members_.push_back({saved.shard, std::move(listener).value()});
            else if (word == "leaving")
                adopted_.leaving.push_back({std::move(listener).value(), saved.deadline});
            else
                adopted_.listeners.push_back(std::move(listener).value());
        }
        if (!reader.is_good())
            adopted_.problems.push_back("a line of what was saved of the sockets cannot be read");
    }

    AdoptedSockets finish() {
        end_group();
        return std::move(adopted_);
    }

private:
    void problem(Error const& error) { adopted_.problems.push_back(to_string(error)); }
    void end_group() {
        if (!group_ || members_.empty())
            return;
        auto wanted = steering_;
        if (wanted.shares.empty())
            wanted.shares = group_->shares;
        wanted = fitted(wanted, std::max<std::size_t>(1, members_.size() / 2));
        wanted.how = steering_for(wanted.how, members_.front().listener.wanted.transport);
        auto group = ShardGroup::adopt(std::exchange(members_, {}), wanted, ports_in(group_->order_ports));
        if (!group)
            return problem(group.error());
        adopted_.groups.push_back(std::move(group).value());
    }

    std::string_view unit_;
    FoundThings& found_;
    Steering const& steering_;
    std::optional<SavedGroup> group_;
    std::vector<ShardMember> members_;
    AdoptedSockets adopted_;
};

} // namespace

std::string to_lines(SocketCustody const& sockets) {
    std::string out;
    for (auto const& listener : sockets.held())
        if (!listener.inherited)
            write(out, "listener", listener, {});
    sockets.each_leaving([&](LeavingListener const& leaving) {
        if (!leaving.listener.inherited)
            write(out, "leaving", leaving.listener, {}, leaving.deadline);
    });
    if (auto const* const shards = sockets.shards())
        for (auto const& group : shards->groups()) {
            out += "group";
            Writer writer{out};
            describe(writer, SavedGroup{group.shares(), to_text(group.order_ports())});
            out += '\n';
            // Those beyond are being closed: who finds them no longer needs them.
            for (auto const& member : group.members())
                if (!member.shard || shards->wanted_slots() == 0 ||
                    member.shard->slot < std::max<std::uint16_t>(1, shards->wanted_slots()))
                    write(out, "member", member.listener, member.shard);
        }
    return out;
}

AdoptedSockets adopt_sockets(std::string_view lines, std::string_view unit, FoundThings& found,
                             Steering const& steering) {
    Reading reading{unit, found, steering};
    for (auto const line : split(lines, '\n'))
        if (!line.empty())
            reading.take_line(line);
    return reading.finish();
}

AdoptedSockets adopt_by_address(UnitSpecPtr const& spec, FoundThings& found) {
    std::vector<FoundSocket> looks;
    std::vector<std::string> names;
    for (auto const& [name, held] : found)
        if (name.starts_with("listener "))
            if (auto const look = look_at_socket(held.fd)) {
                looks.push_back(*look);
                names.push_back(name);
            }
    AdoptedSockets adopted;
    for (auto const& one : plan_adoption(looks, {spec}).adopt) {
        auto const& name = names[one.found];
        auto listener = to_listener(std::move(take(found, name)->fd), looks[one.found], one, *spec);
        if (auto const numbers = numbers_in(name); numbers.size() == 1)
            listener.kept = numbers.front(); // as it was: under another name it would be put anew
        adopted.listeners.push_back(std::move(listener));
    }
    return adopted;
}

Listener to_listener(UniqueFd fd, FoundSocket const& found, AdoptionPlan::Adopt const& as,
                     UnitSpec const& spec) {
    Listener listener;
    listener.fd = std::move(fd);
    listener.name = as.name;
    listener.wanted = as.listener.address;
    listener.port = found.bound.port;
    for (auto const& socket : spec.sockets)
        if (socket.name == as.name)
            listener.bound_with = {socket.free_bind, socket.non_blocking};
    struct stat node {};
    auto const& path = listener.wanted.host;
    if (listener.wanted.is_unix() && !listener.wanted.is_abstract() && ::stat(path.c_str(), &node) == 0) {
        listener.path_device = node.st_dev;
        listener.path_inode = node.st_ino;
    }
    return listener;
}

} // namespace holdfast
