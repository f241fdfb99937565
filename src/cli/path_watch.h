// SPDX-License-Identifier: Apache-2.0
// `holdfast run --watch`: tells when a file or anything in a folder has changed, once things have been quiet
// for a moment. A file is watched through its folder, since editors and compilers replace files rather than
// write them. inotify(7).
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "event/loop.h"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace holdfast::cli {

class PathWatch {
public:
    /// Quiet for this long, and a change is told: a compiler writes a program in many steps.
    static constexpr Duration settle_time = std::chrono::milliseconds{200};
    /// Folders below a watched one, at most; hidden ones are passed over.
    static constexpr std::size_t most_folders = 1000;

    /// `blind` is called once, when a new folder cannot be watched for one of the limits.
    PathWatch(EventLoop& loop, std::function<void(std::string const& path)> changed,
              std::function<void(Error const&)> blind = {})
        : loop_{loop}, changed_{std::move(changed)}, blind_{std::move(blind)} {}
    /// Errors: the path does not exist, cannot be read, or has too many folders; the user's inotify limits.
    [[nodiscard]] Outcome add(std::string const& path);

private:
    struct Watched {
        std::string folder;
        std::vector<std::string> names; ///< the files meant; empty: all of the folder
    };
    [[nodiscard]] Outcome open();
    [[nodiscard]] Outcome add_folder(std::string const& folder, std::string const& name);
    [[nodiscard]] Outcome add_tree(std::string const& folder);
    void add_new_tree(std::string const& folder);
    void read_events();
    void see(int watch, std::uint32_t mask, std::string const& name);

    EventLoop& loop_;
    std::function<void(std::string const&)> changed_;
    std::function<void(Error const&)> blind_;
    UniqueFd inotify_;
    EventSource source_;
    EventSource quiet_;
    std::map<int, Watched> watched_;
    bool has_warned_ = false; ///< `blind` was called
    std::string last_;        ///< the path of the last change seen
};

} // namespace holdfast::cli
