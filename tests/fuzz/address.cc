// SPDX-License-Identifier: Apache-2.0
// Any text is an address or an error with a sentence; an address reads back from its canonical form.
#include "unit/address.h"

#include "fuzz.h"

using namespace holdfast;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    auto const address = parse_address({reinterpret_cast<char const*>(data), size});
    if (!address) {
        must(!address.error().doing.empty(), "an error is a sentence");
        return 0;
    }
    auto const again = parse_address(to_string(*address));
    must(again.has_value() && *again == *address, "the canonical form reads back");
    return 0;
}
