// SPDX-License-Identifier: Apache-2.0
#include "supervisor/keeping.h"

#include "base/text.h"
#include "lifecycle/line.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <iterator>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast {

namespace {

constexpr std::size_t longest_unit = 64;
constexpr std::size_t longest_text = 64 * 1024 * 1024;
constexpr Duration patience_for_upgrade = std::chrono::seconds{5};
constexpr Duration patience_to_let_go = std::chrono::milliseconds{100};
constexpr Duration pause_of_sending = std::chrono::milliseconds{10};
constexpr Duration first_pause = std::chrono::seconds{1};
constexpr Duration longest_pause = std::chrono::seconds{60};

/// FNV-1a: the same in every version, since the next one has to find what this one has put.
std::uint64_t hash_of(std::string_view text) {
    std::uint64_t hash = 0xcbf29ce484222325ULL;
    for (char const c : text)
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    return hash;
}

std::string unit_in(std::string_view name) {
    auto const rest = name.substr(std::min(name.size(), name.find(' ')));
    if (rest.empty())
        return {};
    return std::string{rest.substr(1, rest.find(' ', 1) - 1)};
}

Result<UniqueFd> seal(std::string const& name, std::string_view text) {
    UniqueFd file{::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    if (!file.is_open())
        return system_error(errno, "make a memfd");
    while (!text.empty()) {
        auto const size = ::write(file.raw(), text.data(), text.size());
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return system_error(errno, "write a memfd");
        text.remove_prefix(static_cast<std::size_t>(size));
    }
    if (::fcntl(file.raw(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return system_error(errno, "seal a memfd");
    return file;
}

} // namespace

std::string unit_in_names(std::string_view unit) {
    if (unit.size() <= longest_unit)
        return std::string{unit};
    char hash[17];
    std::snprintf(hash, sizeof hash, "%016llx", static_cast<unsigned long long>(hash_of(unit)));
    return std::string{unit.substr(0, longest_unit - 17)} + "~" + hash;
}

std::string kept_name(std::string_view kind, std::string_view unit,
                      std::initializer_list<std::uint64_t> numbers) {
    std::string name{kind};
    name += ' ' + unit_in_names(unit);
    for (auto const number : numbers)
        name += ' ' + std::to_string(number);
    return name;
}

std::vector<std::uint32_t> numbers_in(std::string_view name) {
    std::vector<std::uint32_t> numbers;
    auto const words = split(name, ' ');
    for (std::size_t i = 2; i < words.size(); ++i)
        if (std::uint32_t number = 0; lifecycle::text::Values::read(words[i], number))
            numbers.push_back(number);
    return numbers;
}

bool are_sockets_alone(FoundThings const& things) {
    return std::ranges::all_of(things, [](auto const& thing) { return is_of_sockets(thing.first); });
}

std::optional<HeldFd> take(FoundThings& things, std::string const& name) {
    auto const found = things.find(name);
    if (found == things.end())
        return std::nullopt;
    std::optional<HeldFd> taken{std::move(found->second)};
    things.erase(found);
    return taken;
}

std::optional<std::string> text_of(FdRef memfd) {
    struct stat status {};
    if (::fstat(memfd.raw(), &status) < 0 || status.st_size < 0 ||
        static_cast<std::size_t>(status.st_size) > longest_text)
        return std::nullopt;
    std::string text(static_cast<std::size_t>(status.st_size), '\0');
    if (::pread(memfd.raw(), text.data(), text.size(), 0) != status.st_size)
        return std::nullopt;
    return text;
}

Keeping::Keeping(EventLoop& loop, KeeperLink link, Dump dump, std::function<void(Weight, std::string)> told)
    : loop_{loop}, link_{std::move(link)}, start_{std::move(dump.start)}, told_{std::move(told)} {
    for (auto& held : dump.held) {
        if (!held.fd.is_open()) // somebody has taken it already
            continue;
        auto const name = held.name;
        found_[unit_in(name)].emplace(name, std::move(held));
    }
    for (auto const& exit : dump.exits)
        remember(exit);
    source_ = loop.watch(
        link_.socket(), EPOLLIN,
        [this](std::uint32_t events) {
            if ((events & EPOLLOUT) != 0)
                link_.flush();
            receive();
        },
        Priority::Deaths);
}

FoundThings Keeping::take_of(std::string_view unit) {
    auto const found = found_.find(unit_in_names(unit));
    if (found == found_.end())
        return {};
    auto things = std::move(found->second);
    found_.erase(found);
    return things;
}

void Keeping::put(std::vector<Keep> const& entries, std::function<void()> sent) {
    if (!held_back_.empty())
        for (auto const& entry : entries)
            held_back_.erase(entry.name);
    link_.put(entries, std::move(sent));
    follow();
}

void Keeping::put_lasting(std::vector<Keep> entries) {
    put(entries);
    std::ranges::move(entries, std::back_inserter(lasting_));
}

void Keeping::put_lasting_text(std::string const& name, std::string text) {
    (void)put_text(name, text); // a loss is put again
    lasting_texts_.insert_or_assign(name, std::move(text));
}

bool Keeping::put_text(std::string const& name, std::string_view text, std::vector<Keep> with) {
    auto const file = seal(name, text);
    if (!file) {
        lose(to_string(file.error()));
        return false;
    }
    with.push_back({name, *file});
    put(with);
    return true;
}

void Keeping::drop(std::vector<std::string> const& names) {
    auto dropped = names;
    if (leaves_sockets_)
        std::erase_if(dropped, [](std::string const& name) { return is_of_sockets(name); });
    if (dropped.empty())
        return;
    if (losing_) { // what was to take its place may be what is lost
        held_back_.insert(dropped.begin(), dropped.end());
        return;
    }
    drop_for_good(dropped);
}

void Keeping::drop_for_good(std::vector<std::string> const& names) {
    if (names.empty())
        return;
    has_dropped_ = true;
    link_.drop(names);
    follow();
}

bool Keeping::has_let_go() {
    if (!std::exchange(has_dropped_, false))
        return false;
    bool const has = link_.sync(patience_to_let_go).has_value();
    follow();
    return has;
}

void Keeping::drop_leftovers(std::set<std::string> const& units) {
    std::set<std::string> staying;
    for (auto const& unit : units)
        staying.insert(unit_in_names(unit));
    std::vector<std::string> names;
    for (auto const& [unit, things] : found_)
        if (!staying.contains(unit))
            for (auto const& [name, held] : things)
                names.push_back(name);
    std::erase_if(found_, [&](auto const& of_unit) { return !staying.contains(of_unit.first); });
    drop(names);
}

bool Keeping::signal(std::string const& name, int number) {
    if (!is_whole())
        return false;
    link_.signal(name, number);
    follow();
    return true;
}

void Keeping::tell_ready() {
    link_.tell_ready();
    follow();
}

void Keeping::tell_stopping() {
    link_.tell_stopping();
    follow();
}

void Keeping::tell_alive(Duration within) {
    link_.tell_alive(within);
    follow();
}

Outcome Keeping::prepare_upgrade() {
    auto synced = link_.sync(patience_for_upgrade);
    follow();
    if (synced && !is_whole())
        return plain_error("not everything that the successor needs could be saved", {},
                           "the log says why; try again when it says that all is saved");
    return synced;
}

void Keeping::lose(std::string const& what) {
    if (losing_) {
        losing_->is_new = true;
        return;
    }
    told_(Weight::Failure, "what is to outlive us cannot be saved; this is tried again: " + what);
    losing_ = std::make_unique<Losing>();
    losing_->pause = first_pause;
    losing_->timer = loop_.at(MonotonicTime::now() + losing_->pause, [this] { look_at_losses(); });
}

void Keeping::look_at_losses() {
    if (!losing_->is_new) {
        told_(Weight::Normal, "what is to outlive us is saved again");
        losing_.reset();
        auto const dropped = std::exchange(held_back_, {});
        return drop({dropped.begin(), dropped.end()});
    }
    losing_->is_new = false;
    losing_->timer.rearm(MonotonicTime::now() + losing_->pause);
    losing_->pause = std::min(losing_->pause * 2, longest_pause);
    put(lasting_);
    for (auto const& [name, text] : lasting_texts_)
        (void)put_text(name, text); // that is a loss again
    put_again_();
}

void Keeping::follow() {
    if (source_)
        source_.set_events(link_.waits_for_room() ? EPOLLIN | EPOLLOUT : EPOLLIN);
    // No event tells when it goes on. Not put off by what is said meanwhile.
    if (link_.has_unsent() && !link_.waits_for_room() && !flushing_)
        flushing_ = loop_.at(MonotonicTime::now() + pause_of_sending, [this] {
            flushing_.reset();
            link_.flush();
            follow();
        });
    for (auto const& refusal : link_.take_refusals())
        lose(refusal);
}

void Keeping::receive() {
    auto const exits = link_.receive();
    if (!exits) {
        source_.reset();
        losing_.reset();
        flushing_.reset();
        link_.flush(); // nobody is to wait any more for what goes nowhere: workers do, at their gates
        return told_(Weight::Failure, "the keeper is gone: from now on nothing outlives this holdfastd");
    }
    for (auto const& exit : *exits)
        remember(exit);
    follow();
}

void Keeping::remember(ChildExit const& exit) {
    ExitStatus status;
    if (exit.code == CLD_EXITED)
        status.code = exit.status;
    else
        status.signal = exit.status;
    status.dumped_core = exit.code == CLD_DUMPED;
    auto place = in_order_.size();
    if (place < most_exits) {
        in_order_.push_back(exit.pid);
    } else {
        place = std::exchange(oldest_, (oldest_ + 1) % most_exits);
        auto const known = exits_.find(std::exchange(in_order_[place], exit.pid));
        if (known != exits_.end() && known->second.place == place) // or its number has ended again since
            exits_.erase(known);
    }
    exits_.insert_or_assign(exit.pid, KnownExit{status, place});
}

std::optional<ExitStatus> Keeping::exit_of(pid_t pid) {
    if (source_ && !exits_.contains(pid))
        receive();
    auto const found = exits_.find(pid);
    if (found == exits_.end())
        return std::nullopt;
    return found->second.status;
}

} // namespace holdfast
