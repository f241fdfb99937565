// SPDX-License-Identifier: Apache-2.0
// Any text is a unit or has diagnostics; a unit reads back from what to_toml makes of it. A line "#--" begins
// a drop-in, so that merging is searched too.
#include "fuzz.h"
#include "unit/parse.h"

#include <string_view>

using namespace holdfast;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    std::string_view rest{reinterpret_cast<char const*>(data), size};
    constexpr std::string_view separator = "\n#--\n";
    std::vector<UnitText> files;
    for (;;) {
        auto const at = rest.find(separator);
        files.push_back(UnitText{"file", std::string{rest.substr(0, at)}});
        if (at == std::string_view::npos)
            break;
        rest.remove_prefix(at + separator.size());
    }
    auto const main = files.front();
    files.erase(files.begin());
    auto const unit = parse_unit("web@a", main, files);
    must(has_errors(unit.diagnostics) == !unit.spec,
         "a unit without an error has a spec, one with an error has none");
    must(unit.diagnostics.size() <= 100, "at most 100 diagnostics");
    static_cast<void>(to_string(unit.diagnostics));
    if (!unit.spec)
        return 0;
    auto const again = parse_unit("web@a", UnitText{"file", to_toml(*unit.spec)});
    must(again.spec && *again.spec == *unit.spec, "to_toml reads back to an equal spec");
    return 0;
}
