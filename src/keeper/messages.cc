// SPDX-License-Identifier: Apache-2.0
// What holdfastd asks for, and what it is told.
#include "base/error.h"
#include "base/pidfd.h"
#include "keeper/keeper.h"

#include <cerrno>
#include <csignal>

#include <unistd.h>

namespace holdfast::keeper {

namespace {

constexpr Duration pause_of_sending = 10ms; // where the kernel tells by no event that it takes more

} // namespace

// ---- what it says ----

void Keeper::take_messages() {
    while (socket_.is_open() && !owes_answer()) {
        switch (receive_message(socket_, message_)) {
        case Received::Message:
            take_message();
            break;
        case Received::Cut:
            refuse("the message is empty or too long, or its descriptors cannot be had");
            break;
        case Received::Nothing:
            return;
        case Received::Gone:
            return forget_connection();
        }
    }
}

void Keeper::take_last_messages() {
    while (socket_.is_open()) {
        dump_stage_ = DumpStage::None;
        owes_upgrade_ok_ = false;
        auto const received = receive_message(socket_, message_);
        if (received == Received::Message)
            take_message();
        else if (received != Received::Cut)
            return;
    }
}

void Keeper::take_message() {
    life_.has_spoken = true;
    auto const [request, problem] = parse_request(message_.text(), message_.descriptors());
    auto const reason = problem.empty() ? carry_out(request) : problem;
    message_.close_descriptors();
    if (!reason.empty())
        refuse(reason);
}

std::string_view Keeper::carry_out(StoreRequest const& request) {
    switch (request.verb) {
    case StoreVerb::Put:
        return put(request);
    case StoreVerb::Drop:
        for (Lines names{request.names}; auto const name = names.next();)
            drop(*name);
        return {};
    case StoreVerb::State:
        state_ = message_.take(0);
        return {};
    case StoreVerb::Signal:
        return signal_process(request);
    case StoreVerb::Dump:
        dump_stage_ = DumpStage::Start;
        return {};
    case StoreVerb::Ready:
        take_ready();
        return {};
    case StoreVerb::Stopping:
        life_.is_stopping = true;
        life_.stop_by = MonotonicTime::never();
        return {};
    case StoreVerb::Upgrade:
        owes_upgrade_ok_ = true;
        return {};
    case StoreVerb::Alive:
        life_.alive_by = MonotonicTime::now() + Duration{request.usec};
        return {};
    case StoreVerb::Unstarted:
        life_.unstarted = request.number;
        return {};
    }
    return {};
}

std::string_view Keeper::put(StoreRequest const& request) {
    std::size_t fresh = 0;
    for (Lines names{request.names}; auto const name = names.next();)
        fresh += held_.find(*name) == nullptr ? 1 : 0;
    if (!held_.has_room_for(fresh))
        return "more than 16384 names";
    // Who comes next has the same limit as we, and needs more than what we hold.
    if (fresh > 0 && held_.size() + fresh > program_.most_descriptors())
        return "too few descriptors would be left for the next holdfastd";
    std::size_t number = 0;
    for (Lines names{request.names}; auto const name = names.next(); ++number)
        note_put(held_.put(*name, message_.take(number)));
    return {};
}

std::string_view Keeper::signal_process(StoreRequest const& request) {
    auto* const entry = find(request.names);
    if (entry == nullptr)
        return "no such name";
    int const error = send_signal(FdRef{entry->fd}, request.number);
    // One that has ended cannot be told any more, and that is as good.
    if (error != 0 && error != ESRCH)
        return error == EPERM ? "it may not be signalled" : "it is no process";
    ++entry->signals;
    entry->last_signal = static_cast<std::uint8_t>(request.number);
    return {};
}

void Keeper::take_ready() {
    life_.is_ready = true;
    life_.was_ever_ready = true;
    life_.is_upgrading = false;
    life_.ready_by = MonotonicTime::never();
    previous_executable_.reset();
}

// ---- what it is told ----

bool Keeper::send(std::string_view text, int const* fds, std::size_t count) {
    if (!socket_.is_open() || is_deaf_)
        return false;
    int const error = send_message(socket_, text, fds, count);
    if (error == EAGAIN)
        is_full_ = true;
    else if (must_wait(error))
        send_again_at_ = MonotonicTime::now() + pause_of_sending;
    else if (error != 0)
        is_deaf_ = true;
    return error == 0;
}

void Keeper::refuse(std::string_view reason) {
    ++life_.refused;
    text_.clear();
    text_ << to_name(KeeperVerb::Refused) << " " << reason;
    // Why is not kept where there is no room, but that there was something is.
    owes_refusal_ = is_full_ || !send(text_.view()) || owes_refusal_;
}

void Keeper::send_owed_refusal() {
    text_.clear();
    text_ << to_name(KeeperVerb::Refused) << " something before this; there was no room to say what";
    owes_refusal_ = !send(text_.view());
}

void Keeper::send_what_is_due() {
    if (is_full_ || send_again_at_ != MonotonicTime::never())
        return;
    if (dump_stage_ != DumpStage::None && !send_dump())
        return;
    if (owes_refusal_) // before it is said that all is well
        send_owed_refusal();
    if (owes_upgrade_ok_ && !owes_refusal_)
        owes_upgrade_ok_ = !send(to_name(KeeperVerb::UpgradeOk));
    (void)send_exits();
    // What came while an answer was due is still unread, and poll tells so.
}

/// Each stage is passed when its message is out. False: there is no room now.
bool Keeper::send_dump() {
    if (dump_stage_ == DumpStage::Start) {
        text_.clear();
        write_start(text_, {life_.starts, life_.reason, life_.upgrade, life_.problem.view(), life_.previous,
                            life_.previous_exit.view(), life_.refused, outer_.is_open()});
        if (!send(text_.view()))
            return false;
        dump_stage_ = DumpStage::Held;
        dumped_ = 0;
        told_exits_ = exits_.begin();
    }
    if (dump_stage_ == DumpStage::Held) {
        if (!send_held())
            return false;
        dump_stage_ = DumpStage::State;
    }
    if (dump_stage_ == DumpStage::State) {
        int const state = state_.raw();
        if (state_.is_open() && !send(to_name(KeeperVerb::State), &state, 1))
            return false;
        dump_stage_ = DumpStage::Exits;
    }
    if (!send_exits() || !send(to_name(KeeperVerb::End)))
        return false;
    dump_stage_ = DumpStage::None;
    return true;
}

bool Keeper::send_held() {
    while (dumped_ < held_.size()) {
        text_.clear();
        text_ << to_name(KeeperVerb::Held);
        int fds[most_descriptors_per_message];
        std::size_t count = 0;
        auto next = dumped_;
        for (; count < most_descriptors_per_message && next < held_.size(); ++next) {
            auto const& entry = held_.at(next);
            if (entry.fd < 0)
                continue;
            auto const before = text_.size();
            write_line(text_, HeldLine{entry.signals, entry.last_signal, entry.name()});
            if (!text_.is_whole()) {
                text_.truncate(before);
                break;
            }
            fds[count++] = entry.fd;
        }
        if (count > 0 && !send(text_.view(), fds, count))
            return false;
        dumped_ = next;
    }
    return true;
}

bool Keeper::send_exits() {
    if (told_exits_ < exits_.begin())
        told_exits_ = exits_.begin();
    while (told_exits_ < exits_.end()) {
        text_.clear();
        text_ << to_name(KeeperVerb::Exits);
        auto number = told_exits_;
        for (; number < exits_.end(); ++number) {
            auto const before = text_.size();
            write_line(text_, exits_.at(number));
            if (!text_.is_whole()) {
                text_.truncate(before);
                break;
            }
        }
        if (!send(text_.view()))
            return false;
        told_exits_ = number;
    }
    return true;
}

void Keeper::forget_connection() {
    socket_.reset();
    is_deaf_ = is_full_ = false;
    send_again_at_ = MonotonicTime::never();
    dump_stage_ = DumpStage::None;
    owes_upgrade_ok_ = owes_refusal_ = false;
}

} // namespace holdfast::keeper
