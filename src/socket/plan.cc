// SPDX-License-Identifier: Apache-2.0
#include "socket/plan.h"

#include <array>
#include <cstdio>
#include <functional>
#include <unordered_map>

namespace holdfast {

namespace {

/// One address of one [[socket]] table: what becomes one listener.
struct Listing {
    SocketSpec const* socket = nullptr;
    ListenAddress const* address = nullptr;
    bool is_matched = false;
};

std::vector<Listing> list_all(std::vector<SocketSpec> const& sockets) {
    std::vector<Listing> listings;
    for (SocketSpec const& socket : sockets)
        for (ListenAddress const& address : socket.listen)
            listings.push_back({&socket, &address});
    return listings;
}

std::string octal(mode_t mode) {
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), "%04o", static_cast<unsigned>(mode));
    return text.data();
}

std::string on_off(bool is_on) {
    return is_on ? "true" : "false";
}

void note(std::vector<std::string>& list, std::string_view what, std::string const& from,
          std::string const& to) {
    if (from != to)
        list.push_back(std::string{what} + " " + from + " -> " + to);
}

/// What differs for this one address. A setting that means nothing for its transport does not count.
ListenerStep compare(SocketSpec const& from, SocketSpec const& to, ListenAddress const& address) {
    ListenerStep step;
    step.address = address;
    step.name = to.name;
    note(step.why, "name", from.name, to.name);
    if (address.transport != Transport::Udp)
        note(step.why, "backlog", std::to_string(from.backlog), std::to_string(to.backlog));
    note(step.why, "trigger_limit_burst", std::to_string(from.trigger_limit_burst),
         std::to_string(to.trigger_limit_burst));
    note(step.why, "poll_limit_burst", std::to_string(from.poll_limit_burst),
         std::to_string(to.poll_limit_burst));
    note(step.why, "poll_limit_interval", to_string(from.poll_limit_interval),
         to_string(to.poll_limit_interval));
    note(step.why, "trigger_limit_interval", to_string(from.trigger_limit_interval),
         to_string(to.trigger_limit_interval));
    note(step.why, "reuse_port", on_off(from.reuse_port), on_off(to.reuse_port));
    if (address.is_unix() && !address.is_abstract())
        note(step.why, "socket_mode", octal(from.socket_mode), octal(to.socket_mode));
    step.deferred = deferred_settings({from.free_bind, from.non_blocking}, to, address.transport);
    step.action = step.why.empty() ? ListenerAction::Keep : ListenerAction::Change;
    return step;
}

ListenerStep step_of(ListenerAction action, Listing const& listing) {
    return {.action = action,
            .address = *listing.address,
            .name = listing.socket->name,
            .why = {},
            .deferred = {},
            .other_unit = {},
            .displaced = {}};
}

/// "::ffff:127.0.0.1" is 127.0.0.1 for the kernel.
std::string_view plain_host(ListenAddress const& address) {
    constexpr std::string_view mapped = "::ffff:";
    std::string_view host = address.host;
    if (host.starts_with(mapped) && host.find('.') != std::string_view::npos)
        host.remove_prefix(mapped.size());
    return host;
}

bool covers(std::string_view host, std::string_view other) {
    if (host.empty() || host == "::" || host == other)
        return true;
    return host == "0.0.0.0" && other.find(':') == std::string_view::npos;
}

} // namespace

bool may_collide(ListenAddress const& one, ListenAddress const& other) {
    if (one.transport != other.transport)
        return false;
    if (one.is_unix())
        return one.host == other.host;
    if (one.port != other.port || one.port == 0)
        return false;
    return covers(plain_host(one), plain_host(other)) || covers(plain_host(other), plain_host(one));
}

std::vector<std::string> deferred_settings(BoundWith bound, SocketSpec const& wanted, Transport transport) {
    std::vector<std::string> deferred;
    if (transport != Transport::UnixStream)
        note(deferred, "free_bind", on_off(bound.free_bind), on_off(wanted.free_bind));
    note(deferred, "non_blocking", on_off(bound.non_blocking), on_off(wanted.non_blocking));
    return deferred;
}

std::vector<ListenerStep> plan_listeners(std::vector<SocketSpec> const& now,
                                         std::vector<SocketSpec> const& wanted) {
    std::vector<Listing> old = list_all(now);
    std::unordered_multimap<ListenerIdentity, Listing*, IdentityHash> unmatched;
    unmatched.reserve(old.size());
    for (Listing& listing : old)
        unmatched.emplace(ListenerIdentity{listing.socket->name, *listing.address}, &listing);

    std::vector<ListenerStep> steps;
    for (Listing const& listing : list_all(wanted)) {
        auto const match = unmatched.find({listing.socket->name, *listing.address});
        if (match == unmatched.end()) {
            steps.push_back(step_of(ListenerAction::Add, listing));
            continue;
        }
        steps.push_back(compare(*match->second->socket, *listing.socket, *listing.address));
        match->second->is_matched = true;
        unmatched.erase(match);
    }
    for (Listing const& listing : old)
        if (!listing.is_matched)
            steps.push_back(step_of(ListenerAction::Remove, listing));
    return steps;
}

} // namespace holdfast
