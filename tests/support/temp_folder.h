// SPDX-License-Identifier: Apache-2.0
// A folder of a test alone, and the files in it. Throws where the system refuses, so that it serves in a
// forked child and in a thread too.
#pragma once

#include <string>
#include <vector>

namespace holdfast::test {

/// A folder under /tmp, removed with its content; anybody may write to it.
class TempFolder {
public:
    TempFolder();
    TempFolder(TempFolder const&) = delete;
    TempFolder& operator=(TempFolder const&) = delete;
    ~TempFolder();
    [[nodiscard]] std::string const& path() const { return path_; }
    [[nodiscard]] std::string operator/(std::string const& name) const { return path_ + "/" + name; }
    /// The names in it, sorted.
    [[nodiscard]] std::vector<std::string> names() const;

private:
    std::string path_;
};

/// Empty where there is none.
[[nodiscard]] std::string read_file(std::string const& path);
/// The folders above it are made.
void write_file(std::string const& path, std::string const& text, unsigned mode = 0644);

} // namespace holdfast::test
