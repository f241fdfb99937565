// SPDX-License-Identifier: Apache-2.0
// Becoming the file that is now at our own path, with everything in hand: numbers of descriptors and the rest
// as lines "key=value" in a memfd. A reader passes over keys that it does not know.
#include "base/error.h"
#include "keeper/keeper.h"
#include "keeper/say.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::keeper {

namespace {

/// What goes along beside the tables and the life.
struct Rest {
    int executable = -1;
    int previous_executable = -1;
    int socket = -1;
    int state = -1;
    std::uint64_t untold_exits = 0;
    std::uint64_t soft_limit = 0;
    std::uint64_t hard_limit = 0;
    bool has_outer_store = false;
};

template <class Visit>
void visit_fields(Rest& rest, Visit&& visit) {
    visit("executable", rest.executable);
    visit("previous_executable", rest.previous_executable);
    visit("socket", rest.socket);
    visit("state", rest.state);
    visit("untold_exits", rest.untold_exits);
    visit("soft_limit", rest.soft_limit);
    visit("hard_limit", rest.hard_limit);
    visit("has_outer_store", rest.has_outer_store);
}

Rest rest; // what is read, line by line

void keep_across_exec(FdRef fd, bool keep) {
    if (fd.is_open())
        ::fcntl(fd.raw(), F_SETFD, keep ? 0 : FD_CLOEXEC);
}

/// Lines on their way into a file, a buffer at a time.
struct Writer {
    FdRef file;
    MessageText& text;
    bool is_good = true;

    void flush_beyond(std::size_t size) {
        if (text.size() <= size)
            return;
        is_good = is_good && text.is_whole() &&
                  ::write(file.raw(), text.view().data(), text.size()) == static_cast<ssize_t>(text.size());
        text.clear();
    }
};

constexpr std::size_t longest_line = 1024;

} // namespace

UniqueFd Keeper::write_carried() {
    UniqueFd file{::memfd_create("holdfast-keeper", MFD_CLOEXEC)};
    Rest now{executable_.raw(),
             previous_executable_.raw(),
             socket_.raw(),
             state_.raw(),
             exits_.end() - told_exits_,
             program_.limits.rlim_cur,
             program_.limits.rlim_max,
             outer_.is_open()};
    text_.clear();
    Writer writer{file, text_};
    FieldWriter<most_message_bytes> const field{text_};
    visit_fields(life_, field);
    visit_fields(now, field);
    for (auto number = exits_.begin(); number < exits_.end(); ++number) {
        auto const& exit = exits_.at(number);
        text_ << "exit=" << exit.pid << " " << exit.code << " " << exit.status << "\n";
        writer.flush_beyond(most_message_bytes - longest_line);
    }
    for (std::size_t i = 0; i < held_.size(); ++i) {
        auto const& entry = held_.at(i);
        if (entry.fd >= 0)
            text_ << "held=" << entry.fd << " " << entry.signals << " " << entry.last_signal << " "
                  << entry.name() << "\n";
        if (entry.notes != 0)
            text_ << "noted=" << entry.notes << " " << entry.name() << "\n";
        writer.flush_beyond(most_message_bytes - longest_line);
    }
    writer.flush_beyond(0);
    if (!writer.is_good)
        file.reset();
    return file;
}

void Keeper::keep_across_exec(bool keep) {
    for (FdRef const fd : {FdRef{executable_}, FdRef{previous_executable_}, FdRef{socket_}, FdRef{state_}})
        keeper::keep_across_exec(fd, keep);
    for (std::size_t i = 0; i < held_.size(); ++i)
        keeper::keep_across_exec(FdRef{held_.at(i).fd}, keep);
}

void Keeper::re_execute() {
    wants_re_execution_ = false;
    auto const carried = write_carried();
    int problem = errno;
    if (carried.is_open()) {
        keep_across_exec(true);
        keeper::keep_across_exec(carried, true);
        problem = program_.become(own_path_, argv_, carried);
        keep_across_exec(false);
    }
    say("cannot execute ", own_path_, ": ", errno_text(problem), "; everything stays as it is");
}

bool Keeper::take_line(std::string_view key, std::string_view value) {
    if (key == "exit") {
        auto const exit = parse_exit_line(value);
        if (exit)
            exits_.add(*exit);
        return exit.has_value();
    }
    if (key == "held") {
        auto const number = parse_number(take_word(value), INT_MAX);
        auto const held = parse_held_line(value);
        if (!number || !held || !held_.has_room_for(1))
            return false;
        auto& entry = held_.put(held->name, UniqueFd{*number});
        entry.signals = held->signals;
        entry.last_signal = static_cast<std::uint8_t>(held->last_signal);
        return true;
    }
    if (key == "noted") {
        auto const notes = parse_number(take_word(value), UINT8_MAX);
        auto* const known = held_.find(value);
        if (!notes || !is_held_name(value) || (known == nullptr && !held_.has_room_for(1)))
            return false;
        take_notes(known != nullptr ? *known : held_.put(value, UniqueFd{}), *notes);
        return true;
    }
    FieldReader reader{key, value};
    visit_fields(life_, reader);
    visit_fields(rest, reader);
    return reader.is_good;
}

bool Keeper::take_over(UniqueFd carried) {
    struct stat node {};
    ::fstat(carried.raw(), &node);
    auto const size = static_cast<std::size_t>(node.st_size);
    void* const bytes = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, carried.raw(), 0);
    bool is_good = bytes != MAP_FAILED;
    if (is_good) {
        for (Lines lines{{static_cast<char const*>(bytes), size}}; auto const line = lines.next();) {
            auto const reader = FieldReader::of_line(*line);
            is_good = is_good && reader && take_line(reader->key, reader->value);
        }
        ::munmap(bytes, size);
    }
    if (!is_good)
        return say("what the keeper before this one had in hand cannot be read"), false;
    executable_ = UniqueFd{rest.executable};
    previous_executable_ = UniqueFd{rest.previous_executable};
    socket_ = UniqueFd{rest.socket};
    state_ = UniqueFd{rest.state};
    told_exits_ = exits_.end() - std::min(rest.untold_exits, exits_.end());
    program_.limits = {rest.soft_limit, rest.hard_limit};
    keep_across_exec(false);
    if (rest.has_outer_store)
        outer_.open_again();
    return true;
}

} // namespace holdfast::keeper
