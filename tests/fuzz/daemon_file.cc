// SPDX-License-Identifier: Apache-2.0
// Any text is a holdfast.toml or has diagnostics, and what is right in it is within its limits.
#include "fuzz.h"
#include "unit/daemon_spec.h"

using namespace holdfast;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    auto const parsed = parse_daemon_file({"file", std::string{reinterpret_cast<char const*>(data), size}});
    must(parsed.diagnostics.size() <= 100, "at most 100 diagnostics");
    static_cast<void>(to_string(parsed.diagnostics));
    must(parsed.spec.max_connections >= 1 && parsed.spec.max_connections <= most_connections_of_all,
         "a number of connections that the keeper has room for");
    must(!parsed.spec.group.empty(), "a group, or the usual one");
    for (auto const& folder : parsed.spec.unit_dirs)
        must(folder.starts_with('/'), "folders are absolute paths");
    must(changes_between(parsed.spec, parsed.spec).empty(), "it differs in nothing from itself");
    return 0;
}
