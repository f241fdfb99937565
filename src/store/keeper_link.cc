// SPDX-License-Identifier: Apache-2.0
#include "store/keeper_link.h"

#include "base/peer.h"
#include "store/wire.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace holdfast {

namespace {

// A keeper that refuses everything must not fill our memory when nobody asks what it said.
constexpr std::size_t most_refusals = 100;
constexpr Duration patience_without_descriptors = std::chrono::seconds{1};

std::string with_lines(StoreVerb verb, std::string const* first, std::string const* last) {
    std::string text{to_name(verb)};
    for (; first != last; ++first) {
        text += '\n';
        text += *first;
    }
    return text;
}

StartInfo to_info(StartFields const& fields) {
    return {fields.starts,   fields.reason,
            fields.upgrade,  std::string{fields.problem},
            fields.previous, std::string{fields.previous_exit},
            fields.stored};
}

Error keeper_is_gone() {
    return system_error(EPIPE, "talk to the keeper");
}

} // namespace

KeeperLink::KeeperLink(UniqueFd socket) : socket_{std::move(socket)}, message_{std::make_unique<Message>()} {}
KeeperLink::KeeperLink(KeeperLink&&) noexcept = default;
KeeperLink& KeeperLink::operator=(KeeperLink&&) noexcept = default;
KeeperLink::~KeeperLink() = default;

Result<std::optional<KeeperLink>> KeeperLink::inherited() {
    char const* const text = std::getenv(keeper_variable);
    if (text == nullptr)
        return std::optional<KeeperLink>{};
    auto const number = parse_number(std::string_view{text}, std::numeric_limits<int>::max());
    std::string const shown{text};
    ::unsetenv(keeper_variable);
    int type = 0;
    socklen_t size = sizeof type;
    if (!number || *number <= 2 || ::getsockopt(*number, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
        type != SOCK_SEQPACKET)
        return plain_error("HOLDFAST_KEEPER=" + shown + " is not the keeper's socket", {},
                           "it is set by holdfast-keeper alone");
    if (::fcntl(*number, F_SETFD, FD_CLOEXEC) < 0)
        return system_error(errno, "take over the keeper's socket");
    return std::optional<KeeperLink>{KeeperLink{UniqueFd{*number}}};
}

pid_t KeeperLink::keeper() const {
    auto const peer = read_peer(socket_);
    return peer && peer->pid == ::getppid() ? peer->pid : 0; // a parent keeps its number
}

void KeeperLink::queue(std::string text, std::vector<FdRef> const& fds, std::function<void()> sent) {
    std::vector<UniqueFd> own;
    for (auto const fd : fds) {
        own.emplace_back(::fcntl(fd.raw(), F_DUPFD_CLOEXEC, 3));
        if (own.back().is_open())
            continue;
        auto const error = system_error(errno, "queue descriptors for the keeper");
        own.clear();
        is_stuck_ = !send_within(is_stuck_ ? Duration{0} : patience_without_descriptors, text, fds);
        if (is_stuck_)
            refusals_.push_back(to_string(error));
        else if (sent)
            sent();
        return;
    }
    unsent_.push_back({std::move(text), std::move(own), std::move(sent)});
}

int KeeperLink::send(std::string_view text, std::vector<FdRef> const& fds) {
    int numbers[most_descriptors_per_message];
    ensure(fds.size() <= most_descriptors_per_message, "descriptors of one message");
    std::transform(fds.begin(), fds.end(), numbers, [](FdRef fd) { return fd.raw(); });
    int const error = is_gone_ || text.empty() ? 0 : send_message(socket_, text, numbers, fds.size());
    if (must_wait(error)) {
        waits_for_ = error;
        return error;
    }
    is_stuck_ = false;
    if (error == EPIPE || error == ECONNRESET || error == ENOTCONN)
        is_gone_ = true;
    else if (error != 0 && refusals_.size() < most_refusals)
        refusals_.push_back(to_string(system_error(error, "send something to the keeper")));
    return 0;
}

void KeeperLink::say(std::string text, std::vector<FdRef> const& fds, std::function<void()> sent) {
    if (!unsent_.empty() || send(text, fds) != 0)
        return queue(std::move(text), fds, std::move(sent));
    if (sent)
        sent();
}

bool KeeperLink::send_within(Duration patience, std::string_view text, std::vector<FdRef> const& fds) {
    auto const deadline = MonotonicTime::now() + patience;
    for (;;) {
        flush();
        if (!has_unsent() && send(text, fds) == 0)
            return true;
        auto const left = deadline - MonotonicTime::now();
        if (left <= Duration{0})
            return false;
        // Too many descriptors on their way is told by no event.
        pollfd at{socket_.raw(), POLLOUT, 0};
        (void)::poll(&at, 1, 1);
        if ((at.revents & POLLOUT) != 0)
            (void)::poll(nullptr, 0, 1);
    }
}

void KeeperLink::flush() {
    while (!unsent_.empty()) {
        auto& first = unsent_.front();
        if (send(first.text, {first.fds.begin(), first.fds.end()}) != 0)
            return;
        // Off the queue first: `sent` may put more.
        auto const sent = std::move(first.sent);
        unsent_.pop_front();
        if (sent)
            sent();
    }
}

void KeeperLink::put(std::vector<Keep> const& entries, std::function<void()> sent) {
    if (entries.empty())
        return say({}, {}, std::move(sent));
    for (std::size_t i = 0; i < entries.size(); i += most_descriptors_per_message) {
        auto const end = std::min(i + most_descriptors_per_message, entries.size());
        std::vector<FdRef> fds;
        std::string text{to_name(StoreVerb::Put)};
        for (auto at = i; at < end; ++at) {
            ensure(is_held_name(entries[at].name), "a name that the keeper takes");
            text += '\n' + entries[at].name;
            fds.push_back(entries[at].fd);
        }
        say(std::move(text), fds, end == entries.size() ? std::exchange(sent, nullptr) : nullptr);
    }
}

void KeeperLink::drop(std::vector<std::string> const& names) {
    for (std::size_t i = 0; i < names.size(); i += most_descriptors_per_message) {
        auto const end = std::min(i + most_descriptors_per_message, names.size());
        say(with_lines(StoreVerb::Drop, names.data() + i, names.data() + end));
    }
}

void KeeperLink::save(FdRef state) {
    say(std::string{to_name(StoreVerb::State)}, {state});
}

void KeeperLink::signal(std::string const& name, int number) {
    say(std::string{to_name(StoreVerb::Signal)} + '\n' + std::to_string(number) + ' ' + name);
}

void KeeperLink::tell_ready() {
    say(std::string{to_name(StoreVerb::Ready)});
}

void KeeperLink::tell_stopping() {
    say(std::string{to_name(StoreVerb::Stopping)});
}

void KeeperLink::tell_alive(Duration within) {
    // Behind what still waits, too: the keeper puts its deadline off for nothing else.
    say(std::string{to_name(StoreVerb::Alive)} + '\n' + std::to_string(within.count()));
}

Outcome KeeperLink::wait_until(MonotonicTime deadline, std::string const& doing) {
    for (;;) {
        auto const left = deadline - MonotonicTime::now();
        if (left <= Duration{0})
            return system_error(ETIMEDOUT, doing);
        short const wanted = has_unsent() ? POLLIN | POLLOUT : POLLIN;
        pollfd at{socket_.raw(), wanted, 0};
        auto const whole_ms = std::min<Duration::rep>(left.count() / 1000 + 1, 1'000'000);
        int const count = ::poll(&at, 1, static_cast<int>(whole_ms));
        if (count < 0 && errno != EINTR)
            return system_error(errno, doing);
        if ((at.revents & POLLOUT) != 0) {
            flush();
            if (has_unsent() && !waits_for_room()) // no event tells when it goes on
                ::poll(nullptr, 0, 1);
        }
        if (count > 0 && (at.revents & ~POLLOUT) != 0)
            return {};
    }
}

void KeeperLink::take_unasked(KeeperNotice const& notice) {
    if (notice.verb == KeeperVerb::Refused && refusals_.size() < most_refusals)
        refusals_.push_back("the keeper refused: " + std::string{notice.body});
    if (notice.verb == KeeperVerb::UpgradeOk && questions_ > 0)
        --questions_;
    if (notice.verb == KeeperVerb::Exits)
        for (Lines lines{notice.body}; auto const line = lines.next();)
            exits_.push_back(*parse_exit_line(*line));
}

Result<bool> KeeperLink::take_into(Dump& dump, bool& started) {
    auto const [notice, problem] = parse_notice(message_->text(), message_->descriptors());
    if (!problem.empty())
        return plain_error("the keeper said what nobody understands: " + std::string{problem});
    switch (notice.verb) {
    case KeeperVerb::Start:
        // What ended before is in the dump too.
        exits_.clear();
        dump.start = to_info(*parse_start(notice.body));
        started = true;
        return false;
    case KeeperVerb::Held: {
        std::size_t number = 0;
        for (Lines lines{notice.body}; auto const line = lines.next(); ++number) {
            auto const held = *parse_held_line(*line);
            dump.held.push_back(
                {std::string{held.name}, message_->take(number), held.signals, held.last_signal});
        }
        return false;
    }
    case KeeperVerb::State:
        dump.state = message_->take(0);
        return false;
    case KeeperVerb::Exits:
    case KeeperVerb::Refused:
        take_unasked(notice);
        return false;
    case KeeperVerb::End:
        return started;
    case KeeperVerb::UpgradeOk:
        return false;
    }
    return false;
}

Result<Dump> KeeperLink::dump(Duration patience) {
    std::string const doing = "read what the keeper holds";
    auto const deadline = MonotonicTime::now() + patience;
    say(std::string{to_name(StoreVerb::Dump)});
    Dump dump;
    for (bool started = false;;) {
        switch (receive_message(socket_, *message_)) {
        case Received::Gone:
            is_gone_ = true;
            return keeper_is_gone();
        case Received::Cut:
            return system_error(EMFILE, doing);
        case Received::Nothing:
            if (auto waited = wait_until(deadline, doing); !waited)
                return std::move(waited).error();
            break;
        case Received::Message:
            auto const last = take_into(dump, started);
            if (!last)
                return last.error();
            if (*last) {
                dump.exits = std::exchange(exits_, {});
                return dump;
            }
        }
    }
}

Outcome KeeperLink::sync(Duration patience) {
    std::string const doing = "wait for the keeper";
    auto const deadline = MonotonicTime::now() + patience;
    say(std::string{to_name(StoreVerb::Upgrade)});
    ++questions_;
    for (;;) {
        switch (receive_message(socket_, *message_)) {
        case Received::Gone:
            is_gone_ = true;
            return keeper_is_gone();
        case Received::Nothing:
            if (auto waited = wait_until(deadline, doing); !waited)
                return waited;
            break;
        case Received::Cut:
            break;
        case Received::Message:
            auto const [notice, problem] = parse_notice(message_->text(), message_->descriptors());
            if (!problem.empty())
                break;
            take_unasked(notice);
            if (questions_ == 0) // the answer to one that was given up may come before
                return {};
        }
    }
}

Result<std::vector<ChildExit>> KeeperLink::receive() {
    for (;;) {
        switch (receive_message(socket_, *message_)) {
        case Received::Gone:
            is_gone_ = true;
            // What it told before it went is not lost: the next call says that it is gone.
            if (exits_.empty())
                return keeper_is_gone();
            return std::exchange(exits_, {});
        case Received::Nothing:
            return std::exchange(exits_, {});
        case Received::Cut:
            break;
        case Received::Message:
            auto const [notice, problem] = parse_notice(message_->text(), message_->descriptors());
            if (problem.empty())
                take_unasked(notice);
            message_->close_descriptors();
        }
    }
}

std::vector<std::string> KeeperLink::take_refusals() {
    return std::exchange(refusals_, {});
}

} // namespace holdfast
