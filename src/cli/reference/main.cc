// SPDX-License-Identifier: Apache-2.0
// main of `holdfast-reference`, a step of the build. `schema unit TO` writes the JSON schema of unit files,
// `page unit FROM TO` their manual page with the lines that come from the table; `daemon`: of holdfast.toml.
#include "cli/reference/reference.h"

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

namespace {

int refuse(std::string const& why) {
    std::fprintf(stderr, "holdfast-reference: %s\n", why.c_str());
    return 1;
}

int write(std::string const& path, std::string const& text) {
    std::ofstream file{path, std::ios::trunc};
    file << text;
    file.close();
    return file ? 0 : refuse("cannot write " + path);
}

} // namespace

int main(int count, char** arguments) {
    using namespace holdfast;
    std::string const what = count > 2 ? arguments[1] : "";
    std::string const of = count > 2 ? arguments[2] : "";
    auto const file = of == "unit" ? SettingsFile::Unit : SettingsFile::Daemon;
    bool const is_known = of == "unit" || of == "daemon";
    if (what == "schema" && is_known && count == 4)
        return write(arguments[3], cli::schema_of(file));
    if (what == "page" && is_known && count == 5) {
        std::ifstream source{arguments[3]};
        std::string const page{std::istreambuf_iterator<char>{source}, {}};
        auto const filled = cli::fill_in(page, file);
        return filled ? write(arguments[4], *filled) : refuse(to_string(filled.error()));
    }
    std::fputs("usage: holdfast-reference schema unit|daemon TO | page unit|daemon FROM TO\n", stderr);
    return 2;
}
