// SPDX-License-Identifier: Apache-2.0
// A unit with `accept` has no pool: what is about workers that stay says nothing there, and is an error
// rather than a surprise. By values, not by what is written: a unit that was written out says all of them.
#include "base/placeholder.h"
#include "unit/check.h"

#include <algorithm>

namespace holdfast {

namespace {

class AcceptCheck {
public:
    AcceptCheck(Node const& root, UnitSpec const& spec, Report& report)
        : root_{root}, spec_{spec}, report_{report} {}

    void run() {
        if (!spec_.service.accept)
            return check_without();
        check_sockets();
        check_service();
        check_others();
        check_placeholders();
    }

private:
    /// `accept` itself, where the value that speaks against it is not in the file.
    [[nodiscard]] Place place_of(std::string_view section, std::string_view key) const {
        if (auto const* const value = value_of(root_, section, key))
            return value->place;
        if (auto const* const accept = value_of(root_, "service", "accept"))
            return accept->place;
        return {};
    }
    void refuse(std::string_view key, std::string why, std::string advice = {}) {
        report_.error(place_of("service", key), std::move(why), std::move(advice));
    }

    void check_without() {
        ServiceSpec const standard;
        auto const& service = spec_.service;
        auto constexpr advice = "write accept = true";
        auto const needs = [](std::string_view key) {
            return quoted(key) + " says nothing without `accept`: the workers accept themselves";
        };
        if (service.max_connections != standard.max_connections)
            refuse("max_connections", needs("max_connections"), advice);
        if (service.max_connections_per_source != standard.max_connections_per_source)
            refuse("max_connections_per_source", needs("max_connections_per_source"), advice);
        if (service.on_full != standard.on_full)
            refuse("on_full", needs("on_full"), advice);
        if (hands_off(HandoffKind::Inetd))
            refuse("handoff", "`inetd` without `accept` is not supported yet", advice);
    }

    void check_sockets() {
        if (spec_.sockets.empty())
            refuse("accept", "`accept` needs a [[socket]]: there is nothing to accept from");
        for (std::size_t i = 0; i < spec_.sockets.size(); ++i) {
            auto const& socket = spec_.sockets[i];
            auto const& table = root_.find("socket")->value.items[i];
            auto const place = [&](std::string_view key) {
                auto const* const entry = table.find(key);
                return entry ? entry->value.place : table.place;
            };
            for (auto const& address : socket.listen)
                if (address.transport == Transport::Udp)
                    report_.error(place("listen"),
                                  "`accept` is for connections, and " + quoted(to_string(address)) +
                                      " has none",
                                  "give it to a unit of its own");
            if (socket.reuse_port)
                report_.error(place("reuse_port"),
                              "a unit with `accept` and `reuse_port`: there are no workers to share out to");
            check_limits(socket, place);
        }
    }

    void check_limits(SocketSpec const& socket, auto const& place) {
        SocketSpec const standard;
        auto const refuse_limit = [&](std::string_view key, bool is_standard) {
            if (!is_standard)
                report_.error(place(key),
                              "a unit with `accept` and " + quoted(key) +
                                  ": it counts how often a listener wakes holdfast, and each time all who "
                                  "wait are accepted",
                              "say how many may be started by `trigger_limit_burst`");
        };
        refuse_limit("poll_limit_burst", socket.poll_limit_burst == standard.poll_limit_burst);
        refuse_limit("poll_limit_interval", socket.poll_limit_interval == standard.poll_limit_interval);
    }

    void check_service() {
        ServiceSpec const standard;
        auto const& service = spec_.service;
        if (service.workers != standard.workers)
            refuse("workers", "a unit with `accept` and `workers`: each connection has a process of its own",
                   "say how many there may be by `max_connections`");
        if (sign_of(service.type) == ServiceType::Notify)
            refuse("type",
                   "a unit with `accept` and type = \"" + std::string{to_name(service.type)} +
                       "\": nobody waits until an instance is ready",
                   "write exec or simple");
        if (service.activation != standard.activation)
            refuse("activation", "a unit with `accept` and `activation`: each connection starts its process");
        if (service.idle_stop > Duration::zero())
            refuse("idle_stop",
                   "a unit with `accept` and `idle_stop`: nothing runs but what serves a connection");
        if (service.restart != standard.restart && service.restart != RestartWhen::No)
            refuse("restart",
                   "a unit with `accept` and `restart`: whose connection is gone is not started again");
        if (service.watchdog > Duration::zero())
            refuse("watchdog",
                   "a unit with `accept` and `watchdog`: an instance that is ended is not replaced");
        if (service.fd_store_max != 0)
            refuse("fd_store_max",
                   "a unit with `accept` and `fd_store_max`: an instance is given its connection alone");
        if (service.can_reload())
            refuse(service.exec_reload.empty() ? "reload_signal" : "exec_reload",
                   "a unit with `accept` cannot reload: the next connection starts the program anew");
        if (hands_off(HandoffKind::ScmRights) || service.handoff.empty())
            refuse("handoff", "a unit with `accept` hands its connections off by listen_fds or inetd");
    }

    void check_others() {
        auto const refuse_section = [&](char const* section, std::string why) {
            if (auto const* const found = root_.find(section); found && found->value.is(NodeKind::Table))
                report_.error(found->place, std::move(why));
        };
        if (spec_.health)
            refuse_section("health", "a unit with `accept` and [health]: no instance serves twice");
        if (spec_.share)
            refuse_section("share", "a unit with `accept` and [share]: holdfast alone accepts");
        refuse_section("steering",
                       "a unit with `accept` and [steering]: there are no workers to share out to");
        RolloutSpec standard;
        standard.drain_timeout = spec_.rollout.drain_timeout;
        if (spec_.rollout != standard)
            refuse_section("rollout",
                           "a unit with `accept` and [rollout]: nothing is rolled out, the next connection "
                           "gets the new program; only `drain_timeout` has a meaning");
    }

    void check_placeholders() {
        for (auto const key : {"exec_start", "environment"})
            if (auto const* const node = value_of(root_, "service", key))
                check_placeholders_in(*node);
    }
    void check_placeholders_in(Node const& node) {
        for (auto const& item : node.items)
            check_placeholders_in(item);
        for (auto const& entry : node.entries)
            check_placeholders_in(entry.value);
        if (!node.is(NodeKind::Text))
            return;
        for (auto const& piece : split_placeholders(node.text))
            if (piece.is_placeholder() && piece.has_argument && !report_.is_full())
                report_.error(node.place,
                              "with `accept` a process is given its connection, no listener: no {fd:NAME}, "
                              "no {port:NAME}");
    }

    [[nodiscard]] bool hands_off(HandoffKind kind) const {
        return std::ranges::find(spec_.service.handoff, kind) != spec_.service.handoff.end();
    }

    Node const& root_;
    UnitSpec const& spec_;
    Report& report_;
};

} // namespace

void check_accept(Node const& root, UnitSpec const& spec, Report& report) {
    AcceptCheck{root, spec, report}.run();
}

} // namespace holdfast
