// SPDX-License-Identifier: Apache-2.0
#include "socket/steering.h"

#include "base/ensure.h"

#include <algorithm>
#include <array>
#include <map>

namespace holdfast {

namespace {

/// Where the IP header begins, for a load (socket filters of Linux: negative offsets).
constexpr auto header = static_cast<std::uint32_t>(SKF_NET_OFF);
constexpr std::uint32_t golden_32 = 0x9e3779b1; // 2^32 / golden ratio, odd
constexpr std::uint32_t mixing = 0x85ebca6b;    // of murmur3; a power of the golden one lies near 2^32
constexpr std::uint32_t golden_16 = 40503;      // 2^16 / golden ratio, odd: no two ports have one product

struct Weighted {
    std::uint32_t index = 0;
    std::uint32_t weight = 0;
};

/// Instructions, one after the other; a jump is over code that is made before it is appended.
class Code {
public:
    void add(unsigned code, std::uint32_t k) {
        program_.push_back(BPF_STMT(static_cast<std::uint16_t>(code), k));
    }
    void load(std::int32_t ancillary) {
        add(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(SKF_AD_OFF + ancillary));
    }
    void ret(std::uint32_t index) { add(BPF_RET | BPF_K, index); }
    /// Where the accumulator is not as compared (BPF_JEQ, …) to `k`: past `code`. How far is no matter.
    void only_if(unsigned comparison, std::uint32_t k, Code const& code) {
        program_.push_back(BPF_JUMP(static_cast<std::uint16_t>(BPF_JMP | comparison | BPF_K), k, 1, 0));
        skip(code);
        append(code);
    }
    void skip(Code const& code) { add(BPF_JMP | BPF_JA, static_cast<std::uint32_t>(code.program_.size())); }
    void append(Code const& code) {
        program_.insert(program_.end(), code.program_.begin(), code.program_.end());
    }
    /// "ret index" where the accumulator is `k`.
    void choose(std::uint32_t k, std::uint32_t index) {
        program_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, k, 0, 1));
        ret(index);
    }
    /// The index in whose part of the whole the accumulator is. A chain and no tree: a jump skips one
    /// instruction only, so that its 8 bits always reach, and 256 comparisons are still a small part of what
    /// a new connection costs the kernel.
    void choose_by_weight(std::span<Weighted const> members) {
        std::uint32_t below = 0;
        for (auto const& [index, weight] : members) {
            below += weight;
            if (index != members.back().index)
                program_.push_back(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, below, 1, 0));
            ret(index);
        }
    }
    [[nodiscard]] SteeringProgram take() && { return std::move(program_); }

private:
    SteeringProgram program_;
};

Code random_number() {
    Code code;
    code.load(SKF_AD_RANDOM);
    code.add(BPF_ALU | BPF_AND | BPF_K, whole - 1);
    return code;
}

/// The accumulator times the golden ratio, its upper half, into M[0].
void fold_address(Code& code) {
    code.add(BPF_ALU | BPF_MUL | BPF_K, golden_32);
    code.add(BPF_ALU | BPF_RSH | BPF_K, 16);
    code.add(BPF_ST, 0);
}

/// The accumulator, the client's port, and M[0] become a number below the whole.
void add_port(Code& code) {
    code.add(BPF_ALU | BPF_MUL | BPF_K, golden_16);
    code.add(BPF_LDX | BPF_W | BPF_MEM, 0);
    code.add(BPF_ALU | BPF_ADD | BPF_X, 0);
    code.add(BPF_ALU | BPF_AND | BPF_K, whole - 1);
}

/// A number below the whole that is the same for each packet of a flow.
Code flow_number() {
    constexpr std::uint32_t ip6_source = 8, ip6_end = 40, ip4_source = 12, ip6_version = 6;
    Code ip4;
    ip4.add(BPF_LD | BPF_W | BPF_ABS, header + ip4_source);
    fold_address(ip4);
    ip4.add(BPF_LDX | BPF_B | BPF_MSH, header); // the length of the IP header, with its options
    ip4.add(BPF_LD | BPF_H | BPF_IND, header);

    Code ip6;
    ip6.add(BPF_LD | BPF_W | BPF_ABS, header + ip6_source);
    for (std::uint32_t at = ip6_source + 4; at < ip6_source + 16; at += 4) {
        ip6.add(BPF_ALU | BPF_MUL | BPF_K, mixing);
        ip6.add(BPF_MISC | BPF_TAX, 0);
        ip6.add(BPF_LD | BPF_W | BPF_ABS, header + at);
        ip6.add(BPF_ALU | BPF_ADD | BPF_X, 0);
    }
    fold_address(ip6);
    // Behind extension headers the port is elsewhere; what is here then is that of one flow, too.
    ip6.add(BPF_LD | BPF_H | BPF_ABS, header + ip6_end);
    ip6.skip(ip4);

    Code code;
    code.add(BPF_LD | BPF_B | BPF_ABS, header);
    code.add(BPF_ALU | BPF_RSH | BPF_K, 4);
    code.only_if(BPF_JEQ, ip6_version, ip6);
    code.append(ip4);
    add_port(code);
    return code;
}

std::vector<Weighted> weighted_of(std::span<SteeredMember const> members) {
    std::vector<Weighted> weighted;
    std::uint64_t sum = 0;
    for (std::uint32_t index = 0; index < members.size(); ++index) {
        sum += members[index].weight;
        if (members[index].weight > 0)
            weighted.push_back({index, members[index].weight});
    }
    ensure(sum == whole, "the weights add up to the whole");
    return weighted;
}

Code by_random(std::vector<Weighted> const& weighted) {
    Code code;
    if (weighted.size() > 1)
        code = random_number();
    code.choose_by_weight(weighted);
    return code;
}

Code by_flow(std::vector<Weighted> const& weighted) {
    Code code;
    if (weighted.size() > 1)
        code = flow_number();
    code.choose_by_weight(weighted);
    return code;
}

/// Of one bank: the slot of the CPU, or the one that stands in for it.
Code in_bank_by_cpu(std::map<std::uint16_t, std::uint32_t> const& indexes, std::uint32_t slots) {
    std::vector<std::uint32_t> present;
    for (auto const& [slot, index] : indexes)
        present.push_back(index);
    Code code;
    if (present.size() == 1) {
        code.ret(present.front());
        return code;
    }
    code.load(SKF_AD_CPU);
    code.add(BPF_ALU | BPF_MOD | BPF_K, slots);
    for (std::uint16_t slot = 0; slot + 1U < slots; ++slot) {
        auto const own = indexes.find(slot);
        code.choose(slot, own != indexes.end() ? own->second : present[slot % present.size()]);
    }
    auto const last = indexes.find(static_cast<std::uint16_t>(slots - 1));
    code.ret(last != indexes.end() ? last->second : present[(slots - 1) % present.size()]);
    return code;
}

Code by_cpu(std::span<SteeredMember const> members) {
    std::array<std::map<std::uint16_t, std::uint32_t>, 2> banks;
    std::uint32_t blue = 0;
    std::uint32_t slots = 1;
    for (std::uint32_t index = 0; index < members.size(); ++index) {
        auto const& [shard, weight, is_named] = members[index];
        if (!shard)
            continue;
        slots = std::max<std::uint32_t>(slots, shard->slot + 1U);
        if (weight == 0)
            continue;
        banks.at(shard->bank == Bank::Blue ? 0 : 1)[shard->slot] = index;
        blue += shard->bank == Bank::Blue ? weight : 0;
    }
    if (blue == whole)
        return in_bank_by_cpu(banks[0], slots);
    if (blue == 0)
        return in_bank_by_cpu(banks[1], slots);
    auto code = random_number();
    code.only_if(BPF_JGE, blue, in_bank_by_cpu(banks[1], slots));
    code.append(in_bank_by_cpu(banks[0], slots));
    return code;
}

Code by_payload(SteeringSpec const& how, std::span<SteeredMember const> members,
                std::vector<Weighted> const& weighted) {
    Code named;
    named.add(BPF_LD | BPF_B | BPF_ABS, how.offset);
    named.add(BPF_ALU | BPF_AND | BPF_K, how.mask);
    named.add(BPF_ALU | BPF_RSH | BPF_K, how.shift);
    for (std::uint32_t index = 0; index < members.size(); ++index)
        if (auto const& member = members[index];
            member.is_named && member.shard && steering_id(*member.shard) <= how.highest_id())
            named.choose(steering_id(*member.shard), index);
    Code code;
    code.add(BPF_LD | BPF_W | BPF_LEN, 0);
    code.only_if(BPF_JGT, how.offset, named);
    code.append(by_flow(weighted));
    return code;
}

} // namespace

Steering without(Steering const& steering, std::span<Shard const> excluded) {
    Steering rest{without(steering.shares, excluded), steering.how, steering.named};
    std::erase_if(rest.named,
                  [&](Shard shard) { return std::ranges::find(excluded, shard) != excluded.end(); });
    return rest;
}

SteeringProgram steering_program(SteeringSpec const& how, std::span<SteeredMember const> members) {
    auto const weighted = weighted_of(members);
    switch (how.mode) {
    case SteeringMode::Random:
        return by_random(weighted).take();
    case SteeringMode::Hash:
    case SteeringMode::LeastLoaded:
        return by_flow(weighted).take();
    case SteeringMode::Cpu:
        return by_cpu(members).take();
    case SteeringMode::PayloadByte:
        return by_payload(how, members, weighted).take();
    }
    ensure(false, "every mode has its program");
    return {};
}

SteeringProgram steering_program(std::span<std::uint32_t const> weights) {
    std::vector<SteeredMember> members;
    for (auto const weight : weights)
        members.push_back({std::nullopt, weight, false});
    return steering_program({.mode = SteeringMode::Random}, members);
}

} // namespace holdfast
