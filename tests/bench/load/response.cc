// SPDX-License-Identifier: Apache-2.0
#include "load/response.h"

#include <algorithm>
#include <charconv>

#include <strings.h>

namespace holdfast::load {

namespace {

bool same_text(std::string_view a, std::string_view b) {
    return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
        text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r'))
        text.remove_suffix(1);
    return text;
}

bool read_number(std::string_view text, std::uint64_t& number, int base) {
    auto const [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number, base);
    return problem == std::errc{} && end == text.data() + text.size();
}

} // namespace

void ResponseReader::reset() {
    part_ = Part::Head;
    begun_ = false;
    head_.clear();
    body_.clear();
}

ResponseReader::State ResponseReader::feed(std::string_view bytes) {
    begun_ = begun_ || !bytes.empty();
    while (!bytes.empty() && part_ != Part::Done && part_ != Part::Bad) {
        if (part_ == Part::Body) {
            take_body(bytes);
        } else if (part_ == Part::Head) {
            auto const before = head_.size();
            head_.append(bytes);
            auto const end = head_.find("\r\n\r\n", before < 3 ? 0 : before - 3);
            if (end == std::string::npos) {
                if (head_.size() > longest_head)
                    part_ = Part::Bad;
                break;
            }
            bytes.remove_prefix(end + 4 - before);
            head_.resize(end + 2);
            if (read_head(head_))
                begin_body();
            else
                part_ = Part::Bad;
        } else if (take_line(bytes)) {
            on_line();
        }
    }
    if (part_ == Part::Done && !bytes.empty())
        keep_alive_ = false; // more than was announced: whose bytes are these?
    if (part_ == Part::Bad)
        return State::Malformed;
    return part_ == Part::Done ? State::Complete : State::NeedMore;
}

ResponseReader::State ResponseReader::at_end() const {
    return part_ == Part::Done || (part_ == Part::Body && framing_ == Framing::UntilEnd) ? State::Complete
                                                                                         : State::NeedMore;
}

bool ResponseReader::read_head(std::string_view head) {
    framing_ = Framing::UntilEnd;
    left_ = 0;
    std::uint64_t status = 0;
    if (!head.starts_with("HTTP/1.") || head.size() < 14 || !read_number(head.substr(9, 3), status, 10))
        return false;
    status_ = static_cast<int>(status);
    keep_alive_ = head[7] != '0';
    for (auto line = head.find("\r\n") + 2; line < head.size();) {
        auto const end = head.find("\r\n", line);
        if (!read_header(head.substr(line, end - line)))
            return false;
        line = end + 2;
    }
    return true;
}

bool ResponseReader::read_header(std::string_view line) {
    auto const colon = line.find(':');
    if (colon == std::string_view::npos)
        return false;
    auto const name = line.substr(0, colon);
    auto const value = trimmed(line.substr(colon + 1));
    if (same_text(name, "connection"))
        keep_alive_ = !same_text(value, "close") && (keep_alive_ || same_text(value, "keep-alive"));
    if (same_text(name, "transfer-encoding")) {
        framing_ = Framing::Chunked;
        return same_text(value, "chunked");
    }
    if (!same_text(name, "content-length") || framing_ == Framing::Chunked)
        return true;
    framing_ = Framing::Length;
    return read_number(value, left_, 10);
}

void ResponseReader::begin_body() {
    head_.clear();
    if (status_ >= 100 && status_ < 200) // an interim response: the real one follows
        part_ = Part::Head;
    else if (status_ == 204 || status_ == 304 || (framing_ == Framing::Length && left_ == 0))
        part_ = Part::Done;
    else
        part_ = framing_ == Framing::Chunked ? Part::ChunkSize : Part::Body;
    if (part_ == Part::Done && framing_ == Framing::UntilEnd)
        framing_ = Framing::Length;
}

void ResponseReader::take_body(std::string_view& bytes) {
    auto const all = bytes.size();
    auto const size =
        framing_ == Framing::UntilEnd ? all : static_cast<std::size_t>(std::min<std::uint64_t>(left_, all));
    if (keep_body_ && body_.size() < longest_kept_body)
        body_.append(bytes.substr(0, std::min(size, longest_kept_body - body_.size())));
    bytes.remove_prefix(size);
    if (framing_ == Framing::UntilEnd)
        return;
    left_ -= size;
    if (left_ == 0)
        part_ = framing_ == Framing::Chunked ? Part::ChunkEnd : Part::Done;
}

/// Moves bytes up to the next line end into `head_`; true when the line is whole.
bool ResponseReader::take_line(std::string_view& bytes) {
    auto const end = bytes.find('\n');
    head_.append(bytes.substr(0, end));
    bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 1);
    if (head_.size() > longest_head)
        part_ = Part::Bad;
    return end != std::string_view::npos;
}

void ResponseReader::on_line() {
    std::string_view const line = trimmed(head_);
    if (part_ == Part::ChunkSize) {
        if (!read_number(trimmed(line.substr(0, line.find(';'))), left_, 16))
            part_ = Part::Bad;
        else
            part_ = left_ == 0 ? Part::Trailer : Part::Body;
    } else if (part_ == Part::ChunkEnd) {
        part_ = line.empty() ? Part::ChunkSize : Part::Bad;
    } else if (part_ == Part::Trailer && line.empty()) {
        part_ = Part::Done;
    }
    head_.clear();
}

} // namespace holdfast::load
