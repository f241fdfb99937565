// SPDX-License-Identifier: Apache-2.0
#include "unit/check.h"

#include "base/placeholder.h"
#include "base/text.h"

#include <algorithm>
#include <map>
#include <set>

namespace holdfast {

namespace {

class Check {
public:
    Check(Node const& root, UnitSpec const& spec, Report& report)
        : root_{root}, spec_{spec}, report_{report} {}

    void run() {
        check_program();
        check_socket_names();
        check_addresses();
        check_placeholders();
        check_reuse_port();
        check_contradictions();
        check_health();
        check_reload();
        check_steering();
    }

private:
    void check_program() {
        auto const* const service = root_.find("service");
        auto constexpr advice = "write exec_start = [\"PROGRAM\", \"ARGUMENT\", …]";
        if (!service)
            report_.error(Place{}, "the unit has no [service]",
                          "a unit needs a [service] table with at least exec_start");
        else if (service->value.is(NodeKind::Table) && !service->value.find("exec_start"))
            report_.error(service->place, "[service] has no `exec_start`", advice);
    }

    // The [[socket]] table that sockets[index] was read from.
    [[nodiscard]] Node const& table_of(std::size_t index) const {
        return root_.find("socket")->value.items[index];
    }
    [[nodiscard]] Place place_in(std::size_t index, std::string_view key) const {
        auto const* const entry = table_of(index).find(key);
        return entry ? entry->value.place : table_of(index).place;
    }

    void check_socket_names() {
        std::size_t unnamed = 0;
        for (std::size_t i = 0; i < spec_.sockets.size(); ++i) {
            auto const& name = spec_.sockets[i].name;
            auto const& table = table_of(i);
            bool const is_named = table.find("name") != nullptr;
            if (!table.is(NodeKind::Table))
                continue;
            if (!table.find("listen"))
                report_.error(table.place, "[[socket]] " + quoted(name) + " has no `listen`",
                              "name an address, as in listen = \"127.0.0.1:80\"");
            if (!is_named && !is_socket_name(name)) {
                report_.error(table.place, "the unit's name cannot be that of a socket", "give it a `name`");
                continue;
            }
            if (!is_named && ++unnamed > 1) {
                report_.error(table.place, "more than one [[socket]] without a name",
                              "give each a `name`, so that the program can tell them apart");
                continue;
            }
            if (!name.empty() && !sockets_.emplace(name, i).second)
                report_.error(place_in(i, "name"), "a second [[socket]] named " + quoted(name),
                              "one [[socket]] may have a list of addresses");
        }
    }

    // Where a socket of the unit is already bound that would take the same traffic. Port 0 is another port
    // each time.
    void check_addresses() {
        std::set<std::string> known;
        for (std::size_t i = 0; i < spec_.sockets.size(); ++i) {
            for (std::size_t j = 0; j < spec_.sockets[i].listen.size(); ++j) {
                auto const& address = spec_.sockets[i].listen[j];
                auto const text = to_string(address);
                if (!address.is_unix() && !address.is_inherited() &&
                    address.port == 0) { // each socket gets a port of its own
                    if (!known.insert(text + " " + spec_.sockets[i].name).second)
                        report_.error(address_place(i, j), "the address " + quoted(text) + " is listed twice",
                                      "for two ports, make two [[socket]] tables with names of their own");
                    continue;
                }
                if (!known.insert(text).second)
                    report_.error(address_place(i, j), "the address " + quoted(text) + " is listed twice");
                else if (auto const other = covering(address, known); !other.empty())
                    report_.error(address_place(i, j),
                                  quoted(text) + " and " + quoted(other) + " are the same port",
                                  "a port alone is every address of both families");
            }
        }
    }

    // "80" is all addresses of both families, so it collides with "0.0.0.0:80" and "[::]:80".
    static std::string covering(ListenAddress const& address, std::set<std::string> const& known) {
        if (address.is_unix() || address.is_inherited() ||
            (!address.host.empty() && address.host != "0.0.0.0" && address.host != "::"))
            return {};
        for (auto const* const host : {"", "0.0.0.0", "::"}) {
            if (address.host == host || (!address.host.empty() && *host != '\0'))
                continue;
            auto other = address;
            other.host = host;
            if (auto const text = to_string(other); known.count(text) != 0)
                return text;
        }
        return {};
    }

    // Addresses that were refused are missing from the spec, so the index may be off by them: then the list
    // itself.
    [[nodiscard]] Place address_place(std::size_t socket, std::size_t index) const {
        auto const& listen = table_of(socket).find("listen")->value;
        if (!listen.is(NodeKind::List) || listen.items.size() != spec_.sockets[socket].listen.size())
            return listen.place;
        return listen.items[index].place;
    }

    void check_placeholders() {
        for (auto const* const node :
             {value_of(root_, "service", "exec_start"), value_of(root_, "service", "environment"),
              value_of(root_, "service", "exec_reload"), value_of(root_, "health", "exec")})
            if (node)
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
            if (piece.is_placeholder() && !report_.is_full())
                check_placeholder(node.place, piece);
    }

    void check_placeholder(Place const& place, TextPiece const& piece) {
        auto const shown = "{" + std::string{piece.word} + (piece.has_argument ? ":" : "") +
                           std::string{piece.argument} + "}";
        auto const known = from_name<Placeholder>(piece.word);
        if (!known) {
            std::vector<std::string_view> names;
            for (auto const& row : enum_table(Placeholder{}))
                names.push_back(row.name);
            auto const meant = nearest(piece.word, names);
            return report_.error(place, "unknown placeholder " + quoted(shown),
                                 "write {" + shown + "} for the text " + shown +
                                     (meant.empty()
                                          ? ""
                                          : "; or did you mean {" + std::string{meant} +
                                                std::string{shown.substr(piece.word.size() + 1)} + "?"));
        }
        if (takes_argument(*known) && !piece.has_argument)
            return report_.error(place, quoted(shown) + " must name a socket",
                                 "write {" + std::string{piece.word} + ":NAME}");
        if (!takes_argument(*known) && piece.has_argument)
            return report_.error(place, quoted(shown) + " takes no name",
                                 "write {" + std::string{piece.word} + "}");
        if (takes_argument(*known))
            check_socket_of(place, *known, shown, piece.argument);
    }

    void check_socket_of(Place const& place, Placeholder kind, std::string const& shown,
                         std::string_view name) {
        if (auto const found = sockets_.find(name); found != sockets_.end()) {
            auto const& listen = spec_.sockets[found->second].listen;
            bool has_port = listen.empty(); // no address: complained about elsewhere
            for (auto const& address : listen)
                has_port = has_port || !address.is_unix();
            if (kind == Placeholder::Port && !has_port)
                report_.error(place, quoted(shown) + ": a unix socket has no port",
                              "write {fd:" + std::string{name} + "}");
            return;
        }
        std::vector<std::string_view> names;
        for (auto const& socket : spec_.sockets)
            names.push_back(socket.name);
        std::string otherwise = names.empty() ? "the unit has no [[socket]]" : "the unit's sockets:";
        for (std::size_t i = 0; i < names.size() && i < 8; ++i)
            otherwise += " " + std::string{names[i]};
        report_.error(place, quoted(shown) + " names no socket of this unit",
                      did_you_mean(nearest(name, names), otherwise));
    }

    void check_reuse_port() {
        for (std::size_t i = 0; i < spec_.sockets.size(); ++i)
            for (auto const& address : spec_.sockets[i].listen)
                if (spec_.sockets[i].reuse_port && (address.is_unix() || address.is_inherited())) {
                    report_.error(place_in(i, "reuse_port"),
                                  "`reuse_port` is for TCP and UDP, and " + quoted(to_string(address)) +
                                      (address.is_unix() ? " is neither" : " is bound by somebody else"),
                                  "give it a [[socket]] of its own: all workers accept from it");
                    break;
                }
    }

    void check_contradictions() {
        auto const* const activation = value_of(root_, "service", "activation");
        if (activation && spec_.service.activation == Activation::Lazy && spec_.sockets.empty())
            report_.error(activation->place,
                          "lazy activation needs a [[socket]]: nothing could start the service");
        auto const* const idle = value_of(root_, "service", "idle_stop");
        if (idle && spec_.service.idle_stop > Duration{0} && !spec_.service.accept &&
            spec_.service.activation != Activation::Lazy)
            report_.error(
                idle->place,
                "`idle_stop` needs activation = \"lazy\": nothing else would start the service again");
        if (auto const* const share = root_.find("share"); share && spec_.sockets.empty())
            report_.error(share->place, "[share] needs a [[socket]]: there is nothing to share");
        auto const* const longest = value_of(root_, "service", "restart_max_delay");
        if (longest && spec_.service.restart_max_delay < spec_.service.restart_delay)
            report_.error(longest->place, "`restart_max_delay` is shorter than `restart_delay`");
        auto const* const surge = value_of(root_, "rollout", "max_surge");
        if (surge && spec_.rollout.max_surge == 0 && spec_.rollout.max_unavailable == 0)
            report_.error(surge->place,
                          "with `max_surge` and `max_unavailable` both 0 no worker could be replaced",
                          "allow one more worker (max_surge = 1) or one less (max_unavailable = 1)");
    }

    void check_health() {
        auto const* const section = root_.find("health");
        if (!section || !spec_.health)
            return;
        auto const& health = *spec_.health;
        unsigned kinds = 0;
        for (auto const key : {"http", "exec"})
            kinds += value_of(root_, "health", key) ? 1U : 0U;
        kinds += health.tcp ? 1U : 0U;
        if (kinds != 1)
            report_.error(section->place,
                          kinds == 0 ? "[health] says no probe" : "[health] says more than one probe",
                          "write one of http = \"/healthz\", tcp = true, exec = [\"PROGRAM\", …]");
        if (auto const* const command = value_of(root_, "health", "exec"); command)
            for (auto const& word : command->items)
                check_command_word(word, "a probe is given no socket: no {fd:NAME}, no {port:NAME}",
                                   "the worker is reached at HOLDFAST_PROBE_ADDRESS");
        if (health.interval < shortest_interval)
            report_.error(value_of(root_, "health", "interval")->place,
                          "`interval` is shorter than " + to_string(shortest_interval));
        if (health.timeout > longest_probe)
            report_.error(value_of(root_, "health", "timeout")->place,
                          "`timeout` of a probe is longer than " + to_string(longest_probe));
        if (auto const found = sockets_.find("health"); found != sockets_.end())
            report_.error(place_in(found->second, "name"),
                          "with [health], the name `health` is that of the listener for probes",
                          "give the socket another `name`");
    }

    void check_reload() {
        if (auto const* const command = value_of(root_, "service", "exec_reload"); command)
            for (auto const& word : command->items)
                check_command_word(word, "exec_reload is given no socket: no {fd:NAME}, no {port:NAME}",
                                   "the process that is to reload is MAINPID in its environment");
        auto const* const strategy = value_of(root_, "rollout", "strategy");
        if (strategy && spec_.rollout.strategy == Strategy::InPlace && !spec_.service.can_reload())
            report_.error(strategy->place, "nothing says how the program reloads in place",
                          "give [service] an `exec_reload`, a `reload_signal`, or type = \"notify-reload\"");
    }

    [[nodiscard]] bool has_shards(bool of_udp) const {
        for (auto const& socket : spec_.sockets)
            for (auto const& address : socket.listen)
                if (socket.reuse_port && (!of_udp || address.transport == Transport::Udp))
                    return true;
        return false;
    }

    void check_steering() {
        auto const* const section = root_.find("steering");
        if (!section || !section->value.is(NodeKind::Table) || spec_.service.accept) // check_accept()
            return;
        auto const& steering = spec_.steering;
        auto const* const mode = value_of(root_, "steering", "mode");
        auto const& place = mode ? mode->place : section->place;
        bool const is_by_byte = steering.mode == SteeringMode::PayloadByte;
        if (!has_shards(false))
            return report_.error(section->place,
                                 "[steering] needs a [[socket]] with `reuse_port`: nothing else is steered",
                                 "write reuse_port = true in its [[socket]]");
        if (is_by_byte && !has_shards(true))
            return report_.error(place, "payload_byte needs a UDP socket with `reuse_port`",
                                 "a TCP connection stays with its worker in every mode");
        SteeringSpec plain;
        plain.mode = steering.mode;
        for (auto const* const key : {"offset", "mask", "shift"})
            if (auto const* const value = value_of(root_, "steering", key);
                value && !is_by_byte && steering != plain)
                return report_.error(value->place, quoted(key) + " is for mode = \"payload_byte\"");
        // Each worker of two generations has a number of its own, from 1 on.
        unsigned const wanted = std::max<unsigned>(1, spec_.service.workers) * 2;
        if (auto const* const mask = value_of(root_, "steering", "mask");
            is_by_byte && wanted > steering.highest_id())
            report_.error(mask ? mask->place : place,
                          "the byte can name " + std::to_string(steering.highest_id()) +
                              " workers, and there are " + std::to_string(wanted) + " in two generations",
                          "have more bits in `mask`, a smaller `shift`, or fewer workers");
    }

    void check_command_word(Node const& word, std::string const& why, std::string const& advice) {
        if (!word.is(NodeKind::Text))
            return;
        for (auto const& piece : split_placeholders(word.text))
            if (piece.is_placeholder() && piece.has_argument && !report_.is_full())
                report_.error(word.place, why, advice);
    }

    static constexpr Duration shortest_interval = std::chrono::milliseconds{10};
    static constexpr Duration longest_probe = std::chrono::minutes{1};

    Node const& root_;
    UnitSpec const& spec_;
    Report& report_;
    std::map<std::string_view, std::size_t> sockets_; ///< by name, from check_socket_names()
};

} // namespace

void check_unit(Node const& root, UnitSpec const& spec, Report& report) {
    Check{root, spec, report}.run();
    check_accept(root, spec, report);
}

} // namespace holdfast
