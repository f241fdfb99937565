// SPDX-License-Identifier: Apache-2.0
// The rows of [unit], [rollout], [health], [share] and [steering].
#include "unit/codecs.h"
#include "unit/settings.h"

namespace holdfast {

namespace {

constexpr std::array<std::string_view, 0> none{};
constexpr int longest_datagram = 65507; // of UDP over IPv4

constexpr auto strategy = setting<&RolloutSpec::strategy, Word<Strategy, none>>;

constexpr std::array unit_rows{
    setting<&UnitSpec::description, Text>(Section::Unit, "description", "empty",
                                          "What the unit is, for people."),
    setting<&UnitSpec::documentation, TextList>(Section::Unit, "documentation", "empty",
                                                "Where to read about it: man:web(8), https://…"),
    later(Section::Unit, "requires", "list of units", "Units without which this one does not run."),
    later(Section::Unit, "wants", "list of units", "Units that are started with this one."),
    later(Section::Unit, "after", "list of units", "Units that are started before this one."),
    later(Section::Unit, "before", "list of units", "Units that are started after this one."),
    later(Section::Unit, "conflicts", "list of units", "Units that do not run together with this one."),
    later(Section::Unit, "on_failure", "list of units", "Units that are started when this one fails."),
    setting<&UnitSpec::start_at_boot, Flag>(Section::Unit, "start_at_boot", "true",
                                            "Start the unit when holdfastd starts."),
};

constexpr std::array rollout_rows{
    strategy(Section::Rollout, "strategy", "overlap", "How a new generation replaces the old one."),
    setting<&RolloutSpec::drain_timeout, Maybe<Time<Allow::ZeroAndInfinity>>>(
        Section::Rollout, "drain_timeout", "timeout_stop",
        "How long the old generation may take to finish its work."),
    setting<&RolloutSpec::max_surge, Whole<0, most_workers>>(
        Section::Rollout, "max_surge", "1",
        "Rolling: how many workers more than the pool holds may run meanwhile."),
    setting<&RolloutSpec::max_unavailable, Whole<0, most_workers>>(
        Section::Rollout, "max_unavailable", "0",
        "Rolling: how many workers of the pool may be missing meanwhile."),
    setting<&RolloutSpec::steps, Percentages>(
        Section::Rollout, "steps", "[5, 25, 50]",
        "The percentages of new connections that a canary gets, one after the other."),
    setting<&RolloutSpec::hold, Time<Allow::Zero>>(Section::Rollout, "hold", "30s",
                                                   "Canary: how long each step is held."),
    setting<&RolloutSpec::probation, Time<Allow::Zero>>(
        Section::Rollout, "probation", "5s",
        "How long the old generation stays at hand after the new one has taken over."),
    setting<&RolloutSpec::max_generations, Whole<2, 16>>(Section::Rollout, "max_generations", "3",
                                                         "How many generations may be alive at once."),
};

constexpr std::array health_rows{
    setting<&HealthSpec::http, ProbePath>(Section::Health, "http", "none",
                                          "Ask for this path; a status of 200 to 399 is healthy."),
    setting<&HealthSpec::tcp, Flag>(Section::Health, "tcp", "false",
                                    "Connect; an accepted connection is healthy."),
    setting<&HealthSpec::exec, OptionalCommand>(Section::Health, "exec", "none",
                                                "Run this; exit status 0 is healthy."),
    setting<&HealthSpec::interval, Time<Allow::Positive>>(Section::Health, "interval", "1s",
                                                          "How long between probes."),
    setting<&HealthSpec::timeout, Time<Allow::Positive>>(Section::Health, "timeout", "1s",
                                                         "How long one probe may take."),
    setting<&HealthSpec::failures, Whole<1, 1000>>(
        Section::Health, "failures", "3", "How many failed probes in a row make a worker unhealthy."),
};

constexpr std::array share_rows{
    setting<&ShareSpec::users, AccountList>(Section::Share, "users", "none",
                                            "Users who may fetch the unit's listeners from handoff.sock."),
    setting<&ShareSpec::groups, AccountList>(Section::Share, "groups", "none",
                                             "Groups that may fetch the unit's listeners from handoff.sock."),
};

constexpr auto steering_mode = setting<&SteeringSpec::mode, Word<SteeringMode, none>>;

constexpr std::array steering_rows{
    steering_mode(Section::Steering, "mode", "hash",
                  "By what new connections and packets choose their worker, within the weights."),
    setting<&SteeringSpec::offset, Whole<0, longest_datagram - 1>>(
        Section::Steering, "offset", "0", "payload_byte: which byte of a packet's data names its worker."),
    setting<&SteeringSpec::mask, Whole<1, 255>>(Section::Steering, "mask", "255",
                                                "payload_byte: the bits of it that do."),
    setting<&SteeringSpec::shift, Whole<0, 7>>(Section::Steering, "shift", "0",
                                               "payload_byte: how far they are shifted to the right."),
};

} // namespace

std::span<Setting const> unit_settings() {
    return unit_rows;
}
std::span<Setting const> rollout_settings() {
    return rollout_rows;
}
std::span<Setting const> health_settings() {
    return health_rows;
}
std::span<Setting const> share_settings() {
    return share_rows;
}
std::span<Setting const> steering_settings() {
    return steering_rows;
}

} // namespace holdfast
