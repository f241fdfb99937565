// SPDX-License-Identifier: Apache-2.0
#include "handoff/session.h"

#include <algorithm>
#include <cerrno>
#include <map>
#include <unordered_map>

namespace holdfast {

/// What the lookup says during one call of ours: asked once per unit, and indexed by descriptor number.
class HandoffSession::Listing {
public:
    explicit Listing(Lookup const& lookup) : lookup_{lookup} {}

    [[nodiscard]] Result<std::vector<NamedFd>> const& of(std::string const& unit) {
        return entry(unit).listeners;
    }

    /// The number alone would not do: it may have been given to another descriptor since.
    [[nodiscard]] bool has(Pending const& pending) {
        auto const& numbers = entry(pending.wanted.unit).numbers;
        auto const found = numbers.find(pending.number);
        return found != numbers.end() && found->second == pending.wanted.name;
    }

private:
    struct Entry {
        Result<std::vector<NamedFd>> listeners;
        std::unordered_map<int, std::string_view> numbers;
    };

    Entry& entry(std::string const& unit) {
        if (auto const known = entries_.find(unit); known != entries_.end())
            return known->second;
        auto& fresh = entries_.emplace(unit, Entry{lookup_(unit), {}}).first->second;
        if (fresh.listeners)
            for (auto const& listener : *fresh.listeners)
                fresh.numbers.emplace(listener.fd.raw(), listener.name);
        return fresh;
    }

    Lookup const& lookup_;
    std::map<std::string, Entry> entries_;
};

HandoffSession::HandoffSession(UniqueFd socket, RequestScope scope, Lookup lookup)
    : socket_{std::move(socket)}, scope_{scope}, lookup_{std::move(lookup)} {}

SessionWait HandoffSession::on_ready() {
    // What is pending goes out before the next question is read: a peer that does not read cannot make us
    // remember more than one question.
    for (unsigned turn = 0; turn < max_frames_per_turn && await_ != SessionWait::Closed; ++turn)
        if (!(has_pending() ? send_one() : read_one()))
            break;
    return settle();
}

SessionWait HandoffSession::push(std::vector<NamedFd> const& fresh) {
    ensure(scope_ == RequestScope::OwnUnit, "only a worker is pushed listeners");
    if (await_ == SessionWait::Closed || !has_asked_)
        return await_;
    Listing listing{lookup_};
    std::erase_if(pushes_, [&](Pending const& pending) { return !listing.has(pending); });
    for (auto const& listener : fresh) {
        bool const is_waiting = std::any_of(pushes_.begin(), pushes_.end(), [&](Pending const& pending) {
            return pending.number == listener.fd.raw() && pending.wanted.name == listener.name;
        });
        if (!is_waiting && wants_push_of(listener.name))
            pushes_.push_back({{{}, listener.name}, listener.fd.raw()});
    }
    for (unsigned turn = 0; turn < max_frames_per_turn && has_pending(); ++turn)
        if (!send_one())
            break;
    return settle();
}

SessionWait HandoffSession::settle() {
    if (await_ != SessionWait::Closed)
        await_ = has_pending() ? SessionWait::Writable : SessionWait::Readable;
    return await_;
}

bool HandoffSession::read_one() {
    auto frame = receive_frame(socket_, 0);
    if (!frame) {
        auto const code = frame.error().code;
        if (code == EAGAIN)
            return false;
        if (code == EMSGSIZE)
            reject("the question is longer than " + std::to_string(max_frame_size) + " bytes");
        else if (code == E2BIG)
            reject("a question carries no descriptors");
        else
            close(code == ECONNRESET ? "" : to_string(frame.error()));
        return await_ != SessionWait::Closed;
    }
    if (frame->text.empty()) {
        close("");
        return false;
    }
    auto request = decode_request(frame->text, scope_);
    if (request)
        take_question(std::move(*request));
    else
        reject(to_string(request.error()));
    return await_ != SessionWait::Closed;
}

void HandoffSession::take_question(GetRequest request) {
    if (scope_ == RequestScope::OwnUnit) {
        has_asked_ = true;
        asked_names_.clear();
        for (auto const& wanted : request.wanted)
            asked_names_.push_back(wanted.name);
        if (request.wanted.empty())
            request.wanted.push_back({}); // everything of the own unit
    }
    Listing listing{lookup_};
    Queue reply;
    for (auto wanted = request.wanted.begin(); wanted != request.wanted.end(); ++wanted) {
        if (std::find(request.wanted.begin(), wanted, *wanted) != wanted)
            continue; // the same word again
        auto const& listeners = listing.of(wanted->unit);
        if (!listeners) {
            error_ = to_string(listeners.error());
            return;
        }
        auto const before = reply.size();
        for (auto const& listener : *listeners)
            if (wanted->name.empty() || wanted->name == listener.name)
                reply.push_back({{wanted->unit, listener.name}, listener.fd.raw()});
        if (reply.size() == before && !wanted->name.empty()) {
            error_ = "there is no listener " + to_string(*wanted);
            return;
        }
    }
    reply_ = std::move(reply);
    answering_ = true;
}

void HandoffSession::reject(std::string text) {
    if (++garbage_ > max_garbage_frames)
        close("sent " + std::to_string(garbage_) + " malformed questions");
    else
        error_ = std::move(text);
}

bool HandoffSession::send_one() {
    if (!error_.empty()) {
        auto const sent = send_frame(socket_, encode_reply({ReplyKind::Error, {}, 0, error_}));
        if (!sent)
            return not_sent(sent.error());
        error_.clear();
        return true;
    }
    return answering_ ? send_batch(ReplyKind::Fds, reply_) : send_batch(ReplyKind::Push, pushes_);
}

bool HandoffSession::send_batch(ReplyKind kind, Queue& queue) {
    constexpr std::size_t room_for_names = max_frame_size - 64; // the rest is the first line
    Listing listing{lookup_};
    Reply reply{kind, {}, 0, {}};
    std::vector<FdRef> fds;
    std::size_t size = 0;
    for (auto next = queue.begin(); next != queue.end() && fds.size() < max_frame_fds;) {
        if (!listing.has(*next)) { // given up since
            next = queue.erase(next);
            continue;
        }
        auto name = to_string(next->wanted);
        size += name.size() + 1;
        if (size > room_for_names)
            break;
        reply.names.push_back(std::move(name));
        fds.emplace_back(next->number);
        ++next;
    }
    if (fds.empty() && kind == ReplyKind::Push)
        return true; // all of it was given up: the queue is empty now
    for (;;) {
        reply.remaining = queue.size() - fds.size();
        auto const sent = send_frame(socket_, encode_reply(reply), fds);
        if (sent)
            break;
        // A send buffer that is smaller than the frame (wmem_default of an odd system): a smaller frame may
        // do.
        if (sent.error().code != EMSGSIZE || fds.size() <= 1)
            return not_sent(sent.error());
        fds.resize(fds.size() / 2);
        reply.names.resize(fds.size());
    }
    queue.erase(queue.begin(), queue.begin() + static_cast<std::ptrdiff_t>(fds.size()));
    if (kind == ReplyKind::Fds)
        answering_ = !queue.empty();
    return true;
}

bool HandoffSession::not_sent(Error const& error) {
    switch (error.code) {
    case EAGAIN:
        return false;
    case ETOOMANYREFS: // unix(7): more descriptors in flight than RLIMIT_NOFILE allows this user
    case ENOBUFS:
    case ENOMEM:
        // The socket stays writable, so waiting for that would spin: the peer is told, and asks again.
        if (error_.empty()) {
            reply_.clear();
            pushes_.clear();
            answering_ = false;
            error_ = std::string{errno_text(error.code)} + "; ask again later";
            return true;
        }
        [[fallthrough]];
    default:
        close(error.code == EPIPE || error.code == ECONNRESET ? "" : to_string(error));
        return false;
    }
}

void HandoffSession::close(std::string why) {
    await_ = SessionWait::Closed;
    closed_because_ = std::move(why);
    error_.clear();
    reply_.clear();
    pushes_.clear();
    answering_ = false;
}

bool HandoffSession::wants_push_of(std::string const& name) const {
    return asked_names_.empty() ||
           std::find(asked_names_.begin(), asked_names_.end(), name) != asked_names_.end();
}

} // namespace holdfast
