// SPDX-License-Identifier: Apache-2.0
#include "worker/launch_room.h"

#include "base/proc_file.h"

#include <csignal>
#include <cstdio>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

namespace holdfast {

namespace {

constexpr std::size_t guard_size = 64 * 1024; // a whole page, whatever its size is
constexpr std::size_t stack_size = 64 * 1024;

/// The signals that we were started with as ignored; exec(2) would hand them on. Asked once (it takes 60
/// system calls): we ourselves never ignore one.
std::vector<int> const& ignored_signals() {
    // Never freed: a child may read it when we have ended.
    static auto const& ignored = *new std::vector<int> const {[] {
        std::vector<int> found;
        for (int signal = 1; signal <= last_signal; ++signal) {
            struct sigaction now {};
            if (::sigaction(signal, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) == 0 &&
                now.sa_handler == SIG_IGN)
                found.push_back(signal);
        }
        return found;
    }()};
    return ignored;
}

/// Since Linux 5.16 the core dump of a process ends no other that shares its memory.
bool is_recent_kernel() {
    static bool const is_recent = [] {
        utsname names{};
        int major = 0, minor = 0;
        return ::uname(&names) == 0 && std::sscanf(names.release, "%d.%d", &major, &minor) == 2 &&
               (major > 5 || (major == 5 && minor >= 16));
    }();
    return is_recent;
}

bool may_share_memory(LaunchPlan const& plan) {
    if (!is_recent_kernel())
        return false;
    if (plan.cgroup && ::faccessat(plan.cgroup->raw(), "memory.max", F_OK, 0) == 0)
        return false;
    return !plan.identity || read_proc_file("/proc/sys/fs/suid_dumpable") == "0\n";
}

/// The child has executed, or is gone.
bool has_left(FdRef status) {
    pollfd seen{status.raw(), 0, 0};
    return ::poll(&seen, 1, 0) > 0;
}

} // namespace

std::optional<ChildStack> ChildStack::make() {
    void* const memory = ::mmap(nullptr, guard_size + stack_size, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return {};
    ChildStack stack{memory};
    if (::mprotect(memory, guard_size, PROT_NONE) < 0)
        return {};
    return stack;
}

ChildStack::ChildStack(ChildStack&& other) noexcept : memory_{std::exchange(other.memory_, nullptr)} {}

ChildStack& ChildStack::operator=(ChildStack&& other) noexcept {
    std::swap(memory_, other.memory_);
    return *this;
}

ChildStack::~ChildStack() {
    if (memory_ != nullptr)
        ::munmap(memory_, guard_size + stack_size);
}

void* ChildStack::lowest() const noexcept {
    return static_cast<char*>(memory_) + guard_size;
}

std::size_t ChildStack::size() const noexcept {
    return stack_size;
}

LaunchRoom::LaunchRoom(LaunchPlan launch) : plan_{std::move(launch)} {
    for (auto const& program : plan_.programs)
        programs_.push_back(program.c_str());
    programs_.push_back(nullptr);
    // execve(2) takes char*, and changes nothing.
    for (auto const& argument : plan_.arguments)
        arguments_.push_back(const_cast<char*>(argument.c_str()));
    arguments_.push_back(nullptr);
    for (auto const& variable : plan_.environment)
        environment_.push_back(const_cast<char*>(variable.c_str()));
    if (plan_.announces_listeners) {
        listen_fds_.emplace(plan_.listeners).append_to(environment_);
        child.listen_fds = &*listen_fds_;
    }
    if (plan_.announces_watchdog) {
        environment_.push_back(watchdog_pid_);
        child.watchdog_pid = std::span{watchdog_pid_}.subspan(std::strlen(watchdog_pid_));
    }
    environment_.push_back(nullptr);
    for (auto const& listener : plan_.listeners)
        descriptors_.push_back(listener.fd.raw());
    for (auto const fd : plan_.others)
        descriptors_.push_back(fd.raw());
    if (plan_.output.kind == Output::Kind::Journal) {
        // The stream protocol of systemd-journald: identifier, unit, priority, level prefix, and three
        // forwards, a line each.
        journal_header_ = plan_.output.identifier + '\n' + plan_.output.unit + "\n6\n1\n0\n0\n0\n";
        journal_address_.sun_family = AF_UNIX;
        std::strcpy(journal_address_.sun_path, "/run/systemd/journal/stdout");
        child.journal = &journal_address_;
        child.journal_header = journal_header_;
    }
    child.plan = &plan_;
    child.programs = programs_.data();
    child.arguments = arguments_.data();
    child.environment = environment_.data();
    child.descriptors = descriptors_;
    child.pinned = plan_.pinned.raw();
    child.connection = plan_.connection.raw();
    child.null = plan_.null.raw();
    child.ignored = ignored_signals();
}

LaunchRooms& LaunchRooms::ours() {
    static auto& rooms = *new LaunchRooms;
    return rooms;
}

LaunchRoom& LaunchRooms::prepare(LaunchPlan launch, FdRef status) {
    if (stacks_.empty())
        sweep();
    auto& room = *rooms_.emplace_back(std::make_unique<LaunchRoom>(std::move(launch)));
    room.is_used = 1;
    if (!may_share_memory(room.plan()))
        return room;
    if (room.plan().identity) {
        UniqueFd own{::fcntl(status.raw(), F_DUPFD_CLOEXEC, 3)};
        if (!own.is_open())
            return room;
        others_.push_back(std::move(own));
        if (!was_dumpable_)
            was_dumpable_ = ::prctl(PR_GET_DUMPABLE);
    }
    if (stacks_.empty())
        room.stack = ChildStack::make();
    else {
        room.stack = std::move(stacks_.back());
        stacks_.pop_back();
    }
    return room;
}

void LaunchRooms::give_up(LaunchRoom& room) noexcept {
    room.is_used = 0;
    sweep();
}

void LaunchRooms::sweep() noexcept {
    std::erase_if(rooms_, [this](auto& room) {
        if (room->is_used != 0)
            return false;
        if (room->stack && stacks_.size() < most_idle_stacks)
            stacks_.push_back(std::move(*room->stack));
        return true;
    });
    if (!was_dumpable_)
        return;
    std::erase_if(others_, [](auto const& status) { return has_left(status); });
    if (others_.empty())
        may_be_dumped(*std::exchange(was_dumpable_, std::nullopt));
}

void LaunchRooms::may_be_dumped(int before) noexcept {
    if (!was_dumpable_)
        ::prctl(PR_SET_DUMPABLE, before); // 2 cannot be set, and is what it then still is
}

} // namespace holdfast
