// SPDX-License-Identifier: Apache-2.0
// Becoming the file that is now at our own path, with everything in hand: numbers of descriptors and the rest
// as lines "key=value" in a memfd. Who wrote it may be older or newer: a reader passes over what it does not
// understand, keeps whatever else is there, and says what was lost.
#include "base/error.h"
#include "keeper/keeper.h"
#include "keeper/say.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <limits>

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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

/// What of it could not be taken, to be told in one line.
struct Losses {
    unsigned lines = 0;
    FixedText<48> first_line;
    unsigned descriptors = 0;
    FixedText<longest_name> first_name;

    void add_line(std::string_view line) {
        if (lines++ == 0)
            first_line << printable(line.substr(0, 40));
    }
    void add_descriptor(std::string_view name) {
        if (descriptors++ == 0)
            first_name << printable(name.substr(0, longest_name));
    }
    void tell() const {
        FixedText<300> text;
        if (lines > 0)
            text << lines << (lines == 1 ? " line is" : " lines are")
                 << " not understood (the first: " << first_line.view() << ")";
        if (descriptors > 0)
            text << (lines > 0 ? ", and " : "") << descriptors
                 << (descriptors == 1 ? " descriptor is" : " descriptors are")
                 << " lost (the first: " << first_name.view() << ")";
        if (!text.is_empty())
            say("of what the keeper before this one had in hand ", text.view());
    }

private:
    static std::string_view printable(std::string_view text) {
        auto const is_odd = [](char c) { return c < ' ' || c > '~'; };
        return text.substr(0, static_cast<std::size_t>(std::ranges::find_if(text, is_odd) - text.begin()));
    }
};

Losses losses;

/// The descriptor of that number, if it was given to us and not taken yet: what we have opened ourselves, and
/// what was taken, is close-on-exec.
UniqueFd take_given(int number) {
    if (number <= STDERR_FILENO || ::fcntl(number, F_GETFD) != 0)
        return {};
    ::fcntl(number, F_SETFD, FD_CLOEXEC);
    return UniqueFd{number};
}

UniqueFd take_given(int number, std::string_view name) {
    auto fd = take_given(number);
    if (number >= 0 && !fd.is_open())
        losses.add_descriptor(name);
    return fd;
}

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
        if (entry.notes != 0 && entry.inode != 0)
            text_ << "stored-file=" << entry.inode << " " << entry.name() << "\n";
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

/// "FD SIGNALS LASTSIGNAL NAME". False: there is something that cannot be read; what can is kept all the
/// same.
bool Keeper::take_held(std::string_view value) {
    auto const number = parse_number(take_word(value), INT_MAX);
    auto const signals = parse_number(take_word(value), std::numeric_limits<unsigned>::max());
    auto const last_signal = parse_number(take_word(value), UINT8_MAX);
    if (!number)
        return false;
    auto fd = take_given(*number);
    bool const is_placed = is_held_name(value) && (held_.find(value) != nullptr || held_.has_room_for(1));
    if (!fd.is_open() || !is_placed)
        return losses.add_descriptor(value), true;
    auto& entry = held_.put(value, std::move(fd));
    entry.signals = signals.value_or(0);
    entry.last_signal = static_cast<std::uint8_t>(last_signal.value_or(0));
    return signals && last_signal;
}

bool Keeper::take_line(std::string_view key, std::string_view value) {
    if (key == "exit") {
        auto const exit = parse_exit_line(value);
        if (exit)
            exits_.add(*exit);
        return exit.has_value();
    }
    if (key == "held")
        return take_held(value);
    if (key == "noted") {
        auto const notes = parse_number(take_word(value), UINT8_MAX);
        auto* const known = held_.find(value);
        if (!notes || !is_held_name(value) || (known == nullptr && !held_.has_room_for(1)))
            return false;
        take_notes(known != nullptr ? *known : held_.put(value, UniqueFd{}), *notes);
        return true;
    }
    if (key == "stored-file") {
        auto const inode = parse_number(take_word(value), std::numeric_limits<std::uint64_t>::max());
        auto* const known = held_.find(value);
        if (inode && known != nullptr)
            known->inode = *inode;
        return inode && known != nullptr;
    }
    FieldReader reader{key, value};
    visit_fields(life_, reader);
    visit_fields(rest, reader);
    return reader.is_known && reader.is_good;
}

bool Keeper::take_over(UniqueFd carried) {
    struct stat node {};
    ::fstat(carried.raw(), &node);
    auto const size = static_cast<std::size_t>(node.st_size);
    void* const bytes = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, carried.raw(), 0);
    if (bytes == MAP_FAILED)
        return say("what the keeper before this one had in hand cannot be read"), false;
    program_.raise_descriptor_limit(); // and the one for holdfastd, where nothing else is said
    rest.soft_limit = program_.limits.rlim_cur;
    rest.hard_limit = program_.limits.rlim_max;
    for (Lines lines{{static_cast<char const*>(bytes), size}}; auto const line = lines.next();) {
        auto const reader = FieldReader::of_line(*line);
        if (!reader || !take_line(reader->key, reader->value))
            losses.add_line(*line);
    }
    ::munmap(bytes, size);
    take_rest();
    losses.tell();
    return true;
}

void Keeper::take_rest() {
    executable_ = take_given(rest.executable, "the program");
    previous_executable_ = take_given(rest.previous_executable, "the previous program");
    socket_ = take_given(rest.socket, "the socket of holdfastd");
    state_ = take_given(rest.state, "the state");
    // What no line tells of is nobody's, and not to be passed on; before Linux 5.11 it is.
    ::syscall(SYS_close_range, STDERR_FILENO + 1U, ~0U, CLOSE_RANGE_CLOEXEC);
    if (!executable_.is_open())
        executable_ = program_.open();
    if (!life_.is_running() && life_.start_at == MonotonicTime::never())
        life_.start_at = MonotonicTime::now();
    told_exits_ = exits_.end() - std::min(rest.untold_exits, exits_.end());
    program_.limits = {rest.soft_limit, rest.hard_limit};
    if (rest.has_outer_store)
        outer_.open_again();
}

} // namespace holdfast::keeper
