// SPDX-License-Identifier: Apache-2.0
// What holdfastd and holdfast-keeper say to each other over a SOCK_SEQPACKET pair, one text per message with
// descriptors beside it (SCM_RIGHTS). The first line is the verb. Everything here is pure and allocates
// nothing.
//
//   holdfastd says      put NAME…        + a descriptor per name: keep them; where a name exists its
//   (each word a line)                   descriptor is replaced, and its signals stay counted
//                       drop NAME…       close them; unknown names are passed over
//                       state            + one descriptor, which takes the place of the one before
//                       signal "NUMBER NAME"   pidfd_send_signal(2) to what is kept under that name
//                       dump             answered by start, held…, state, exits… and end
//                       ready, stopping, upgrade
//                       alive USEC       if it does not say so again within that time, it stands still
//   the keeper says     start KEY=VALUE… held "SIGNALS LASTSIGNAL NAME"… + descriptors, state + descriptor,
//                       exits "PID CODE STATUS"… (also unasked), end, "upgrade ok", "refused REASON"
//
// A message that is refused is refused as a whole: its descriptors are closed, and nothing of it is done.
#pragma once

#include "base/enum_names.h"
#include "store/fixed_text.h"

#include <cstddef>
#include <string_view>

#include <sys/types.h>

namespace holdfast {

inline constexpr std::size_t most_descriptors_per_message = 253; ///< SCM_MAX_FD, see unix(7)
inline constexpr std::size_t most_message_bytes = 32 * 1024;
inline constexpr std::size_t most_entries = 16384; ///< names that the keeper holds
inline constexpr std::size_t longest_name = 120;   ///< bytes
inline constexpr std::size_t most_exits = 1024;    ///< that are remembered for the next dump

/// The exit code of holdfastd that says: start what is now at the path of my program.
inline constexpr int start_successor = 79;
/// The environment variable that tells holdfastd the number of its end of the pair.
inline constexpr char keeper_variable[] = "HOLDFAST_KEEPER";
/// What the names of processes begin with: these end with the keeper when nobody is left to end them.
inline constexpr std::string_view worker_prefix = "worker ";
/// The same of who leads the process group of a worker that has named another main process.
inline constexpr std::string_view leader_prefix = "leader ";
/// And those of descriptors that were passed to the keeper by who started it, see sd_listen_fds(3): "passed
/// NUMBER NAME".
inline constexpr std::string_view passed_prefix = "passed ";
/// Listeners, and what is to be known of them: where our own supervisor has a store too (sd_notify(3),
/// FDSTORE), they are there as well, under the same names.
[[nodiscard]] constexpr bool is_of_sockets(std::string_view name) {
    return name.starts_with("listener ") || name.starts_with("sockets ");
}

using MessageText = FixedText<most_message_bytes>;

/// 1 to longest_name printable ASCII characters without '/'; spaces are allowed.
[[nodiscard]] bool is_held_name(std::string_view name);

/// A child of the keeper that ended: si_code and si_status of waitid(2).
struct ChildExit {
    pid_t pid = 0;
    int code = 0;
    int status = 0;
    bool operator==(ChildExit const&) const = default;
};

// ---- what holdfastd says ----

/// Unstarted is said by the keeper's own child when it could not become holdfastd: the number is the errno.
enum class StoreVerb { Put, Drop, State, Signal, Dump, Ready, Stopping, Upgrade, Alive, Unstarted };
constexpr auto enum_table(StoreVerb) {
    return std::array{EnumName{StoreVerb::Put, "put"},           EnumName{StoreVerb::Drop, "drop"},
                      EnumName{StoreVerb::State, "state"},       EnumName{StoreVerb::Signal, "signal"},
                      EnumName{StoreVerb::Dump, "dump"},         EnumName{StoreVerb::Ready, "ready"},
                      EnumName{StoreVerb::Stopping, "stopping"}, EnumName{StoreVerb::Upgrade, "upgrade"},
                      EnumName{StoreVerb::Alive, "alive"},       EnumName{StoreVerb::Unstarted, "unstarted"}};
}

struct StoreRequest {
    StoreVerb verb = StoreVerb::Dump;
    std::string_view names; ///< of Put and Drop: checked, one a line; of Signal: the one
    std::size_t count = 0;  ///< how many names
    int number = 0;         ///< of Signal: 1 to 64; of Unstarted: an errno
    std::int64_t usec = 0;  ///< of Alive
};

/// A request, or what is wrong with it (a literal; empty when nothing is).
struct ParsedRequest {
    StoreRequest request;
    std::string_view problem;
};

/// `text` is what arrived, of any content, with that many descriptors; the views look into it.
[[nodiscard]] ParsedRequest parse_request(std::string_view text, std::size_t descriptors);

// ---- what the keeper says ----

enum class KeeperVerb { Start, Held, State, Exits, End, UpgradeOk, Refused };
constexpr auto enum_table(KeeperVerb) {
    return std::array{EnumName{KeeperVerb::Start, "start"},    EnumName{KeeperVerb::Held, "held"},
                      EnumName{KeeperVerb::State, "state"},    EnumName{KeeperVerb::Exits, "exits"},
                      EnumName{KeeperVerb::End, "end"},        EnumName{KeeperVerb::UpgradeOk, "upgrade ok"},
                      EnumName{KeeperVerb::Refused, "refused"}};
}

struct KeeperNotice {
    KeeperVerb verb = KeeperVerb::End;
    std::string_view body; ///< the checked lines after the verb; of Refused: the reason
};

struct ParsedNotice {
    KeeperNotice notice;
    std::string_view problem;
};

[[nodiscard]] ParsedNotice parse_notice(std::string_view text, std::size_t descriptors);

/// A line of `held`: how often the keeper signalled it, and with what last (0: never).
struct HeldLine {
    unsigned signals = 0;
    int last_signal = 0;
    std::string_view name;
    bool operator==(HeldLine const&) const = default;
};
[[nodiscard]] std::optional<HeldLine> parse_held_line(std::string_view line);
[[nodiscard]] std::optional<ChildExit> parse_exit_line(std::string_view line);

template <std::size_t Size>
void write_line(FixedText<Size>& text, HeldLine const& line) {
    text << "\n" << line.signals << " " << line.last_signal << " " << line.name;
}
template <std::size_t Size>
void write_line(FixedText<Size>& text, ChildExit const& line) {
    text << "\n" << line.pid << " " << line.code << " " << line.status;
}

/// Why holdfastd was started.
enum class StartReason { First, Crash, Upgrade, Fallback };
constexpr auto enum_table(StartReason) {
    return std::array{EnumName{StartReason::First, "first"}, EnumName{StartReason::Crash, "crash"},
                      EnumName{StartReason::Upgrade, "upgrade"}, EnumName{StartReason::Fallback, "fallback"}};
}
/// What became of the latest upgrade, until a holdfastd that was told of it has said ready. Ok: this one is
/// the successor.
enum class UpgradeOutcome { None, Ok, Failed };
constexpr auto enum_table(UpgradeOutcome) {
    return std::array{EnumName{UpgradeOutcome::None, "none"}, EnumName{UpgradeOutcome::Ok, "ok"},
                      EnumName{UpgradeOutcome::Failed, "failed"}};
}

/// The fields of `start`. A reader passes over keys that it does not know.
struct StartFields {
    unsigned starts = 0; ///< how often holdfastd was started; 1 is the first
    StartReason reason = StartReason::First;
    UpgradeOutcome upgrade = UpgradeOutcome::None;
    std::string_view problem;       ///< why the successor failed, one line
    pid_t previous = 0;             ///< the holdfastd before this one
    std::string_view previous_exit; ///< "CODE STATUS" of it, as in ChildExit
    unsigned refused = 0;           ///< messages, since the keeper was started
    bool stored = false;            ///< what is_of_sockets() outlives the keeper too
};

template <class Fields, class Visit>
void visit_start_fields(Fields& fields, Visit&& visit) {
    visit("starts", fields.starts);
    visit("reason", fields.reason);
    visit("upgrade", fields.upgrade);
    visit("problem", fields.problem);
    visit("previous", fields.previous);
    visit("previous_exit", fields.previous_exit);
    visit("refused", fields.refused);
    visit("stored", fields.stored);
}

template <std::size_t Size>
void write_start(FixedText<Size>& text, StartFields const& fields) {
    text << to_name(KeeperVerb::Start) << "\n";
    visit_start_fields(fields, FieldWriter<Size>{text});
}
/// The fields in the body of `start`; nothing if a value is none.
[[nodiscard]] std::optional<StartFields> parse_start(std::string_view body);

} // namespace holdfast
