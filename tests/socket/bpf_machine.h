// SPDX-License-Identifier: Apache-2.0
// A machine for the classic BPF programs that steer: what the kernel would do with a packet, as far as the
// programs use it. Anything else fails the test, and so does what the kernel's checker would refuse.
#pragma once

#include "catch.h"
#include "socket/steering.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::test {

/// A packet as a program sees it, and what else there is to see.
struct Packet {
    std::vector<std::uint8_t> header; ///< from the IP header on, the TCP or UDP header included
    std::vector<std::uint8_t> data;   ///< behind that
    std::uint32_t random = 0;
    std::uint32_t cpu = 0;
};

/// From `port` of 10.x.y.z, with so many words of IP options.
inline Packet ip4_packet(std::uint32_t address, std::uint16_t port, unsigned options = 0) {
    Packet packet;
    packet.header.assign(20 + 4 * options + 8, 0);
    packet.header[0] = static_cast<std::uint8_t>(0x40 | (5 + options));
    for (unsigned i = 0; i < 4; ++i)
        packet.header[12 + i] = static_cast<std::uint8_t>(address >> (24 - 8 * i));
    packet.header[20 + 4 * options] = static_cast<std::uint8_t>(port >> 8);
    packet.header[21 + 4 * options] = static_cast<std::uint8_t>(port);
    return packet;
}

inline Packet ip6_packet(std::uint64_t network, std::uint64_t host, std::uint16_t port) {
    Packet packet;
    packet.header.assign(48, 0);
    packet.header[0] = 0x60;
    for (unsigned i = 0; i < 8; ++i) {
        packet.header[8 + i] = static_cast<std::uint8_t>(network >> (56 - 8 * i));
        packet.header[16 + i] = static_cast<std::uint8_t>(host >> (56 - 8 * i));
    }
    packet.header[40] = static_cast<std::uint8_t>(port >> 8);
    packet.header[41] = static_cast<std::uint8_t>(port);
    return packet;
}

class BpfMachine {
public:
    /// Checked once, as the kernel does when it is attached.
    explicit BpfMachine(SteeringProgram program) : program_{std::move(program)} {
        REQUIRE(!program_.empty());
        REQUIRE(program_.size() <= 4096);
        for (std::size_t at = 0; at < program_.size(); ++at)
            check(at);
        REQUIRE(BPF_CLASS(program_.back().code) == BPF_RET);
    }

    [[nodiscard]] std::size_t size() const { return program_.size(); }

    /// Its value for the packet.
    [[nodiscard]] std::uint32_t run(Packet const& packet) const {
        std::uint32_t a = 0, x = 0, memory = 0;
        for (std::size_t at = 0; at < program_.size(); ++at) {
            auto const& step = program_[at];
            std::uint32_t const operand = BPF_SRC(step.code) == BPF_X ? x : step.k;
            switch (step.code) {
            case BPF_RET | BPF_K:
                return step.k;
            case BPF_LD | BPF_W | BPF_LEN:
                a = static_cast<std::uint32_t>(packet.data.size());
                break;
            case BPF_LD | BPF_W | BPF_ABS:
            case BPF_LD | BPF_H | BPF_ABS:
            case BPF_LD | BPF_B | BPF_ABS:
            case BPF_LD | BPF_H | BPF_IND: {
                auto const from = step.k + (BPF_MODE(step.code) == BPF_IND ? x : 0);
                auto const loaded = load(packet, from, BPF_SIZE(step.code));
                if (!loaded)
                    return 0; // as the kernel
                a = *loaded;
                break;
            }
            case BPF_LDX | BPF_B | BPF_MSH: {
                auto const loaded = load(packet, step.k, BPF_B);
                if (!loaded)
                    return 0;
                x = 4 * (*loaded & 0xf);
                break;
            }
            case BPF_LDX | BPF_W | BPF_MEM:
                x = memory;
                break;
            case BPF_ST:
                memory = a;
                break;
            case BPF_MISC | BPF_TAX:
                x = a;
                break;
            case BPF_ALU | BPF_AND | BPF_K:
                a &= operand;
                break;
            case BPF_ALU | BPF_MUL | BPF_K:
                a *= operand;
                break;
            case BPF_ALU | BPF_MOD | BPF_K:
                a %= operand;
                break;
            case BPF_ALU | BPF_ADD | BPF_X:
                a += operand;
                break;
            case BPF_ALU | BPF_RSH | BPF_K:
                a >>= operand;
                break;
            case BPF_JMP | BPF_JA:
                at += step.k;
                break;
            case BPF_JMP | BPF_JGE | BPF_K:
                at += a >= operand ? step.jt : step.jf;
                break;
            case BPF_JMP | BPF_JGT | BPF_K:
                at += a > operand ? step.jt : step.jf;
                break;
            case BPF_JMP | BPF_JEQ | BPF_K:
                at += a == operand ? step.jt : step.jf;
                break;
            default:
                FAIL("an instruction that no steering program has: " << step.code);
            }
        }
        FAIL("the program has no end");
        return 0;
    }

private:
    void check(std::size_t at) const {
        auto const& step = program_[at];
        if (BPF_CLASS(step.code) == BPF_JMP) {
            auto const furthest = BPF_OP(step.code) == BPF_JA ? step.k : std::max(step.jt, step.jf);
            REQUIRE(at + 1 + furthest < program_.size());
        }
        if (step.code == (BPF_ALU | BPF_MOD | BPF_K))
            REQUIRE(step.k != 0);
        if (step.code == (BPF_ALU | BPF_RSH | BPF_K))
            REQUIRE(step.k < 32);
        if (step.code == BPF_ST || step.code == (BPF_LDX | BPF_W | BPF_MEM))
            REQUIRE(step.k == 0);
    }

    static std::optional<std::uint32_t> load(Packet const& packet, std::uint32_t from, unsigned size) {
        auto const offset = static_cast<std::int32_t>(from);
        if (offset == SKF_AD_OFF + SKF_AD_RANDOM)
            return packet.random;
        if (offset == SKF_AD_OFF + SKF_AD_CPU)
            return packet.cpu;
        bool const is_header = offset < 0;
        if (is_header)
            REQUIRE(offset >= SKF_NET_OFF);
        auto const& bytes = is_header ? packet.header : packet.data;
        auto const first = static_cast<std::size_t>(is_header ? offset - SKF_NET_OFF : offset);
        std::size_t const count = size == BPF_W ? 4 : size == BPF_H ? 2 : 1;
        if (first + count > bytes.size())
            return std::nullopt;
        std::uint32_t value = 0;
        for (std::size_t i = 0; i < count; ++i)
            value = value << 8 | bytes[first + i];
        return value;
    }

    SteeringProgram program_;
};

} // namespace holdfast::test
