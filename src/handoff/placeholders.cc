// SPDX-License-Identifier: Apache-2.0
#include "handoff/placeholders.h"

#include "base/placeholder.h"

#include <algorithm>

namespace holdfast {

namespace {

std::string as_written(TextPiece const& piece) {
    return '{' + std::string{piece.word} + (piece.has_argument ? ':' + std::string{piece.argument} : "") +
           '}';
}

Result<std::string> expand_listener(Placeholder placeholder, TextPiece const& piece,
                                    PlaceholderValues const& values) {
    auto const found =
        std::find_if(values.listeners.begin(), values.listeners.end(),
                     [&](HandedListener const& listener) { return listener.name == piece.argument; });
    if (found == values.listeners.end())
        return plain_error("there is no listener for " + as_written(piece), values.unit);
    if (placeholder == Placeholder::Fd) {
        if (!found->number)
            return plain_error(as_written(piece) + ": this listener is not handed over as a descriptor",
                               values.unit);
        return std::to_string(*found->number);
    }
    if (!found->port)
        return plain_error(as_written(piece) + ": this listener has no port", values.unit);
    return std::to_string(*found->port);
}

Result<std::string> expand_piece(TextPiece const& piece, PlaceholderValues const& values) {
    auto const placeholder = from_name<Placeholder>(piece.word);
    if (!placeholder || takes_argument(*placeholder) != piece.has_argument)
        return plain_error("there is no placeholder " + as_written(piece), values.unit);
    switch (*placeholder) {
    case Placeholder::Fd:
    case Placeholder::Port:
        return expand_listener(*placeholder, piece, values);
    case Placeholder::Unit:
        return values.unit;
    case Placeholder::Instance:
        return values.instance;
    case Placeholder::Slot:
        return std::to_string(values.slot);
    case Placeholder::Generation:
        return std::to_string(values.generation);
    }
    return plain_error("there is no placeholder " + as_written(piece), values.unit);
}

} // namespace

Result<std::string> expand_placeholders(std::string_view text, PlaceholderValues const& values) {
    std::string expanded;
    for (auto const& piece : split_placeholders(text)) {
        if (!piece.is_placeholder()) {
            expanded += piece.literal;
            continue;
        }
        auto value = expand_piece(piece, values);
        if (!value)
            return value;
        expanded += *value;
    }
    return expanded;
}

} // namespace holdfast
