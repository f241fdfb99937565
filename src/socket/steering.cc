// SPDX-License-Identifier: Apache-2.0
#include "socket/steering.h"

#include "base/ensure.h"

namespace holdfast {

SteeringProgram steering_program(std::span<std::uint32_t const> weights) {
    std::vector<std::uint32_t> chosen; // the indexes that are weighted
    std::uint64_t sum = 0;
    for (std::uint32_t index = 0; index < weights.size(); ++index) {
        sum += weights[index];
        if (weights[index] > 0)
            chosen.push_back(index);
    }
    ensure(sum == whole, "the weights add up to the whole");
    ensure(chosen.size() <= most_weighted, "the program has at most BPF_MAXINSNS instructions");

    SteeringProgram program;
    if (chosen.size() > 1) {
        program.push_back(
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_RANDOM)));
        program.push_back(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, whole - 1));
    }
    // A chain and no tree: a jump skips one instruction only, so that its 8 bits always reach, and 256
    // comparisons are still a small part of what a new connection costs the kernel.
    std::uint32_t below = 0;
    for (std::uint32_t const index : chosen) {
        below += weights[index];
        if (index != chosen.back())
            program.push_back(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, below, 1, 0));
        program.push_back(BPF_STMT(BPF_RET | BPF_K, index));
    }
    return program;
}

} // namespace holdfast
