// SPDX-License-Identifier: Apache-2.0
#include "keeper/program.h"

#include "store/wire.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::keeper {

namespace {

constexpr char carried_variable[] = "HOLDFAST_KEEPER_STATE";
/// Names who is to say WATCHDOG=1, see sd_watchdog_enabled(3): it is holdfastd who does, not we.
constexpr char watchdog_variable[] = "WATCHDOG_PID";
constexpr int cannot_execute = 127;

/// The entry of `environ` that is rewritten for each start, so that none needs memory.
char** slot = nullptr;

/// Its "NAME=value" in the environment.
char** find_variable(std::string_view name) {
    for (char** entry = environ; *entry != nullptr; ++entry)
        if (std::string_view const text{*entry};
            text.starts_with(name) && text.substr(name.size()).starts_with('='))
            return entry;
    return nullptr;
}

bool is_for(std::string_view variable, pid_t pid) {
    auto const value = variable.substr(variable.find('=') + 1);
    return parse_number(value, std::numeric_limits<pid_t>::max()) == pid;
}

bool prepare_environment() {
    // Both are ours to set; what somebody else set is taken out by the way.
    if (::setenv(keeper_variable, "", 1) != 0)
        return false;
    slot = find_variable(keeper_variable);
    return slot != nullptr;
}

bool is_program(char const* path) {
    struct stat node {};
    return ::stat(path, &node) == 0 && S_ISREG(node.st_mode) && ::access(path, X_OK) == 0;
}

template <std::size_t Size>
bool copy_text(char (&to)[Size], std::string_view text) {
    if (text.size() >= Size)
        return false;
    std::memcpy(to, text.data(), text.size());
    to[text.size()] = '\0';
    return true;
}

} // namespace

int Program::find(char** argv) {
    if (!prepare_environment())
        return ENOMEM;
    argv_ = argv;
    std::string_view const name{argv[0]};
    if (name.find('/') != std::string_view::npos)
        return copy_text(path_, name) ? 0 : ENAMETOOLONG;
    char const* const path = std::getenv("PATH");
    std::string_view rest{path != nullptr ? path
                                          : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
    while (!rest.empty() && !name.empty()) {
        auto const folder = rest.substr(0, rest.find(':'));
        rest.remove_prefix(std::min(folder.size() + 1, rest.size()));
        FixedText<PATH_MAX> whole;
        whole << (folder.empty() ? "." : folder) << "/" << name;
        if (whole.is_whole() && copy_text(path_, whole.view()) && is_program(path_))
            return 0;
    }
    path_[0] = '\0';
    return ENOENT;
}

UniqueFd Program::open() const {
    return UniqueFd{::open(path_, O_RDONLY | O_CLOEXEC)};
}

void Program::raise_descriptor_limit() {
    ::getrlimit(RLIMIT_NOFILE, &limits);
    rlimit const raised{limits.rlim_max, limits.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &raised);
}

std::size_t Program::most_descriptors() const {
    constexpr rlim_t enough_left = most_descriptors_per_message + 64;
    return limits.rlim_max - std::min(limits.rlim_max / 4, enough_left);
}

pid_t Program::start_by_fork(FdRef executable, FdRef socket) {
    pid_t const pid = ::fork();
    if (pid == 0)
        become_in_child(executable, socket);
    return pid;
}

void Program::become_in_child(FdRef executable, FdRef socket) noexcept {
    // A signal to our group (Ctrl-C) is forwarded, and must not come twice: a second one stops without mercy.
    ::setpgid(0, 0);
    for (int number = 1; number < NSIG; ++number)
        ::signal(number, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::setrlimit(RLIMIT_NOFILE, &limits);
    FixedText<sizeof keeper_variable + 24> variable;
    variable << keeper_variable << "=" << socket.raw() << std::string_view{"\0", 1};
    *slot = const_cast<char*>(variable.view().data());
    FixedText<40> watchdog;
    if (char** const entry = find_variable(watchdog_variable);
        entry != nullptr && is_for(*entry, ::getppid())) {
        watchdog << watchdog_variable << "=" << ::getpid() << std::string_view{"\0", 1};
        *entry = const_cast<char*>(watchdog.view().data());
    }
    ::fcntl(socket.raw(), F_SETFD, 0);
    ::execveat(executable.raw(), "", argv_, environ, AT_EMPTY_PATH);
    // The interpreter of a script could not open the descriptor, which is closed by then, see execveat(2).
    if (errno == ENOENT)
        ::execve(path_, argv_, environ);
    FixedText<32> text;
    text << to_name(StoreVerb::Unstarted) << "\n" << errno;
    (void)send_message(socket, text.view());
    ::_exit(cannot_execute);
}

int Program::become(char const* path, char** argv, FdRef carried) {
    FixedText<sizeof carried_variable + 24> variable;
    variable << carried_variable << "=" << carried.raw() << std::string_view{"\0", 1};
    char* const before = *slot;
    *slot = const_cast<char*>(variable.view().data());
    ::execve(path, argv, environ);
    int const problem = errno;
    *slot = before;
    return problem;
}

UniqueFd Program::take_carried() {
    char const* const text = std::getenv(carried_variable);
    auto const number = parse_number(std::string_view{text != nullptr ? text : ""}, INT_MAX);
    ::unsetenv(carried_variable);
    if (!number || ::fcntl(*number, F_SETFD, FD_CLOEXEC) < 0)
        return {};
    return UniqueFd{*number};
}

} // namespace holdfast::keeper
