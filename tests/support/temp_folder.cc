// SPDX-License-Identifier: Apache-2.0
#include "support/temp_folder.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

#include <sys/stat.h>

namespace holdfast::test {

namespace {

void require(bool succeeded, std::string const& what) {
    if (!succeeded)
        throw std::system_error{errno, std::generic_category(), what};
}

} // namespace

TempFolder::TempFolder() {
    std::string name = "/tmp/holdfast-test-XXXXXX";
    require(::mkdtemp(name.data()) != nullptr, "make a folder in /tmp");
    path_ = name;
    require(::chmod(path_.c_str(), 0777) == 0, "open " + path_ + " to all");
}

TempFolder::~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::vector<std::string> TempFolder::names() const {
    std::vector<std::string> names;
    for (auto const& entry : std::filesystem::directory_iterator{path_})
        names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
}

std::string read_file(std::string const& path) {
    std::ifstream file{path, std::ios::binary};
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

void write_file(std::string const& path, std::string const& text, unsigned mode) {
    std::filesystem::create_directories(std::filesystem::path{path}.parent_path());
    std::ofstream{path, std::ios::binary} << text;
    require(::chmod(path.c_str(), mode) == 0, "write " + path);
}

} // namespace holdfast::test
