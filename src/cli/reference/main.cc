// SPDX-License-Identifier: Apache-2.0
// main of `holdfast-reference`, a step of the build. `schema TO` writes the JSON schema of unit files, `page
// FROM TO` a manual page with the lines that come from the table.
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
    std::string const what = count > 1 ? arguments[1] : "";
    if (what == "schema" && count == 3)
        return write(arguments[2], cli::unit_schema());
    if (what == "page" && count == 4) {
        std::ifstream file{arguments[2]};
        std::string const page{std::istreambuf_iterator<char>{file}, {}};
        auto const filled = cli::fill_in(page);
        return filled ? write(arguments[3], *filled) : refuse(to_string(filled.error()));
    }
    std::fputs("usage: holdfast-reference schema TO | page FROM TO\n", stderr);
    return 2;
}
