// SPDX-License-Identifier: Apache-2.0
// A main for a fuzz target without libFuzzer: gives it every file of the folders that are named, once.
#include "fuzz.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

int main(int count, char** arguments) {
    std::vector<std::filesystem::path> files;
    for (int i = 1; i < count; ++i) {
        std::error_code problem;
        for (auto const& entry : std::filesystem::directory_iterator{arguments[i], problem})
            files.push_back(entry.path());
        if (problem) {
            std::fprintf(stderr, "cannot read the folder %s: %s\n", arguments[i], problem.message().c_str());
            return 1;
        }
    }
    std::sort(files.begin(), files.end());
    for (auto const& path : files) {
        std::ifstream file{path, std::ios::binary};
        std::string const bytes{std::istreambuf_iterator<char>{file}, std::istreambuf_iterator<char>{}};
        if (!file) {
            std::fprintf(stderr, "cannot read %s\n", path.c_str());
            return 1;
        }
        // Said before it runs, so that a crash has a name.
        std::printf("%s\n", path.filename().c_str());
        std::fflush(stdout);
        LLVMFuzzerTestOneInput(reinterpret_cast<std::uint8_t const*>(bytes.data()), bytes.size());
    }
    if (files.empty())
        std::fprintf(stderr, "no corpus: nothing was replayed\n");
    return files.empty() ? 1 : 0;
}
