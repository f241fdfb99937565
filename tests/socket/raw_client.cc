// SPDX-License-Identifier: Apache-2.0
#include "raw_client.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <optional>
#include <vector>

#include <arpa/inet.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

namespace holdfast::test {

namespace {

constexpr std::uint32_t own_host = 0x7f000009;
constexpr std::uint32_t server_host = 0x7f000001;

sockaddr_in at(std::uint32_t host, std::uint16_t port) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_addr.s_addr = htonl(host);
    in.sin_port = htons(port);
    return in;
}

struct PseudoHeader {
    std::uint32_t from;
    std::uint32_t to;
    std::uint8_t zero;
    std::uint8_t protocol;
    std::uint16_t length;
};

std::uint16_t checksum(std::vector<std::byte> bytes) {
    if (bytes.size() % 2 != 0)
        bytes.push_back(std::byte{0});
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < bytes.size(); i += 2) {
        std::uint16_t word = 0;
        std::memcpy(&word, &bytes[i], sizeof word);
        sum += word;
    }
    while (sum > 0xffff)
        sum = (sum >> 16) + (sum & 0xffff);
    return static_cast<std::uint16_t>(~sum);
}

/// The next segment from `server_port` to `port`, if one comes within `patience` milliseconds.
std::optional<tcphdr> receive(FdRef wire, std::uint16_t server_port, std::uint16_t port, int patience) {
    pollfd seen{wire.raw(), POLLIN, 0};
    std::array<std::byte, 2048> packet{};
    while (::poll(&seen, 1, patience) == 1) {
        if (::recv(wire.raw(), packet.data(), packet.size(), 0) < 0)
            return std::nullopt;
        iphdr ip{};
        std::memcpy(&ip, packet.data(), sizeof ip);
        tcphdr tcp{};
        std::memcpy(&tcp, packet.data() + ip.ihl * std::size_t{4}, sizeof tcp);
        if (tcp.source == htons(server_port) && tcp.dest == htons(port))
            return tcp;
    }
    return std::nullopt;
}

} // namespace

RawClient::RawClient(std::uint16_t server_port)
    : wire_{::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP)},
      place_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)}, server_port_{server_port} {
    auto own = at(own_host, 0);
    socklen_t length = sizeof own;
    sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
    sock_fprog const drop_all{.len = 1, .filter = &drop};
    bool const is_ready =
        ::bind(wire_.raw(), reinterpret_cast<sockaddr*>(&own), length) == 0 &&
        ::setsockopt(place_.raw(), SOL_SOCKET, SO_ATTACH_FILTER, &drop_all, sizeof drop_all) == 0 &&
        ::bind(place_.raw(), reinterpret_cast<sockaddr*>(&own), length) == 0 &&
        ::listen(place_.raw(), 1) == 0 &&
        ::getsockname(place_.raw(), reinterpret_cast<sockaddr*>(&own), &length) == 0;
    if (!is_ready)
        return;
    port_ = ntohs(own.sin_port);
    send(TH_SYN, {});
    sent_ += 1;
    while (auto const answer = receive(wire_, server_port_, port_, 5000)) {
        if (answer->syn == 0 || answer->ack == 0)
            continue;
        received_ = ntohl(answer->seq) + 1;
        is_answered_ = true;
        return;
    }
}

void RawClient::send(std::uint8_t flags, std::string_view data) {
    tcphdr tcp{};
    tcp.source = htons(port_);
    tcp.dest = htons(server_port_);
    tcp.seq = htonl(sent_);
    tcp.ack_seq = htonl(received_);
    tcp.doff = sizeof tcp / 4;
    tcp.th_flags = flags;
    tcp.window = htons(65000);
    auto const length = static_cast<std::uint16_t>(sizeof tcp + data.size());
    PseudoHeader const pseudo{htonl(own_host), htonl(server_host), 0, IPPROTO_TCP, htons(length)};
    std::vector<std::byte> summed(sizeof pseudo + length);
    std::memcpy(summed.data(), &pseudo, sizeof pseudo);
    std::memcpy(summed.data() + sizeof pseudo, &tcp, sizeof tcp);
    std::transform(data.begin(), data.end(), summed.begin() + sizeof pseudo + sizeof tcp,
                   [](char letter) { return static_cast<std::byte>(letter); });
    tcp.check = checksum(summed);
    std::memcpy(summed.data() + sizeof pseudo, &tcp, sizeof tcp);
    auto const to = at(server_host, 0);
    (void)!::sendto(wire_.raw(), summed.data() + sizeof pseudo, length, 0,
                    reinterpret_cast<sockaddr const*>(&to), sizeof to);
}

void RawClient::finish(std::string_view data) {
    send(TH_ACK, data);
    sent_ += static_cast<std::uint32_t>(data.size());
}

bool RawClient::is_reset() const {
    while (auto const answer = receive(wire_, server_port_, port_, 500))
        if (answer->rst != 0)
            return true;
    return false;
}

} // namespace holdfast::test
