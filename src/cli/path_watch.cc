// SPDX-License-Identifier: Apache-2.0
#include "cli/path_watch.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

namespace holdfast::cli {

namespace fs = std::filesystem;

namespace {

constexpr std::uint32_t changes =
    IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB | IN_ONLYDIR;

bool is_hidden(std::string const& name) {
    return name.empty() || name.front() == '.' || name.back() == '~';
}

} // namespace

Outcome PathWatch::open() {
    if (inotify_.is_open())
        return {};
    UniqueFd inotify{::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
    if (!inotify.is_open())
        return system_error(errno, "watch for changes");
    auto source = loop_.try_watch(inotify, EPOLLIN, [this](std::uint32_t) { read_events(); });
    if (!source)
        return system_error(source.error().code, "watch for changes");
    inotify_ = std::move(inotify);
    source_ = std::move(source).value();
    return {};
}

Outcome PathWatch::add(std::string const& path) {
    if (auto opened = open(); !opened)
        return opened;
    std::error_code problem;
    auto const kind = fs::status(path, problem).type();
    if (kind == fs::file_type::not_found)
        return system_error(ENOENT, "watch " + path);
    if (kind == fs::file_type::directory)
        return add_tree(path);
    auto const whole = fs::absolute(path, problem);
    return add_folder(whole.parent_path(), whole.filename());
}

Outcome PathWatch::add_folder(std::string const& folder, std::string const& name) {
    if (watched_.size() >= most_folders)
        return plain_error("there are more than " + std::to_string(most_folders) + " folders to watch", {},
                           "watch something smaller");
    int const watch = ::inotify_add_watch(inotify_.raw(), folder.c_str(), changes);
    if (watch < 0)
        return system_error(errno, "watch " + folder);
    auto const [known, is_new] = watched_.try_emplace(watch, Watched{folder, {}});
    if (name.empty())
        known->second.names.clear();
    else if (is_new || !known->second.names.empty())
        known->second.names.push_back(name);
    return {};
}

Outcome PathWatch::add_tree(std::string const& folder) {
    if (auto added = add_folder(folder, {}); !added)
        return added;
    std::error_code problem;
    for (fs::recursive_directory_iterator
             entry{folder, fs::directory_options::skip_permission_denied, problem},
         end;
         !problem && entry != end; entry.increment(problem)) {
        if (!entry->is_directory(problem) || entry->is_symlink(problem))
            continue;
        if (is_hidden(entry->path().filename())) {
            entry.disable_recursion_pending();
            continue;
        }
        if (auto added = add_folder(entry->path(), {}); !added)
            return added;
    }
    return {};
}

/// The change itself is told whatever comes of this.
void PathWatch::add_new_tree(std::string const& folder) {
    auto const added = add_tree(folder);
    // One that is gone already, or that we may not read, is none of our business.
    bool const is_limit = !added && (added.error().code == 0 || added.error().code == ENOSPC);
    if (is_limit && !std::exchange(has_warned_, true) && blind_)
        blind_(added.error());
}

void PathWatch::read_events() {
    alignas(inotify_event) char buffer[16 * 1024];
    auto const size = ::read(inotify_.raw(), buffer, sizeof buffer);
    for (ssize_t at = 0; at < size;) {
        inotify_event event{};
        std::memcpy(&event, buffer + at, sizeof event);
        auto const* const name = buffer + at + sizeof event;
        see(event.wd, event.mask, event.len > 0 ? name : "");
        at += static_cast<ssize_t>(sizeof event + event.len);
    }
}

void PathWatch::see(int watch, std::uint32_t mask, std::string const& name) {
    auto const known = watched_.find(watch);
    if (known == watched_.end() && (mask & IN_Q_OVERFLOW) == 0)
        return;
    if ((mask & IN_IGNORED) != 0) { // its folder is gone, and the kernel has dropped the watch
        watched_.erase(known);
        return;
    }
    if (known != watched_.end()) {
        auto const& [folder, names] = known->second;
        bool const is_meant =
            names.empty() ? !is_hidden(name) : std::find(names.begin(), names.end(), name) != names.end();
        if (!is_meant)
            return;
        last_ = folder + "/" + name;
        if ((mask & IN_ISDIR) != 0 && (mask & (IN_CREATE | IN_MOVED_TO)) != 0)
            add_new_tree(last_);
    }
    auto const when = MonotonicTime::now() + settle_time;
    if (quiet_)
        quiet_.rearm(when);
    else
        quiet_ = loop_.at(when, [this] { changed_(last_); });
}

} // namespace holdfast::cli
