// SPDX-License-Identifier: Apache-2.0
// Any datagram is a message or none; what is taken from it is within its bounds, and a status is well-formed
// UTF-8 without control characters.
#include "fuzz.h"
#include "worker/notify_socket.h"

#include <nlohmann/json.hpp>

using namespace holdfast;

namespace {

bool is_clean(std::string const& status) {
    for (std::size_t i = 0; i < status.size(); ++i) {
        auto const byte = static_cast<unsigned char>(status[i]);
        if (byte < 0x20 || byte == 0x7f)
            return false;
        if (byte == 0xc2 && static_cast<unsigned char>(status[i + 1]) < 0xa0)
            return false;
    }
    return true;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    auto const message = parse_notify({reinterpret_cast<char const*>(data), size});
    if (!message)
        return 0;
    must(size <= longest_notify_message, "a long message is none");
    if (message->status) {
        must(message->status->size() <= 256, "a status is short");
        must(is_clean(*message->status), "a status has no control characters");
        (void)nlohmann::json(*message->status).dump(); // throws for what is no UTF-8
    }
    must(!message->main_pid || *message->main_pid > 1, "a main process is never init");
    must(!message->extend_timeout || (message->extend_timeout->count() >= 0 &&
                                      *message->extend_timeout <= std::chrono::hours{24 * 365}),
         "an extension is within a year");
    must(!message->error || (*message->error > 0 && *message->error < 4096), "an errno is one");
    if (auto const& store = message->store) {
        must(store->stores || store->removes, "a wish is one");
        must(is_store_name(store->name), "a name is one, or none");
        must(!store->is_name_bad || store->name.empty(), "a bad name is not used");
    }
    return 0;
}
