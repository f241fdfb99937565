// SPDX-License-Identifier: Apache-2.0
#include "keeper/outer_store.h"

#include "store/fixed_text.h"
#include "store/wire.h"

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace holdfast::keeper {

namespace {

/// All names come back in one variable, and execve(2) takes none beyond 128 KiB: with one name too many the
/// service could not be started any more. Some room is for what others pass to us.
constexpr std::size_t most_bytes = 112 * 1024;
/// systemd compares each new one with all that it has.
constexpr std::size_t most_entries_outside = 4096;
constexpr char name_of_question[] = "holdfast-question";

struct Pipe {
    UniqueFd read;
    UniqueFd write;

    [[nodiscard]] static Pipe open() {
        int ends[2] = {-1, -1};
        if (::pipe2(ends, O_CLOEXEC) < 0)
            return {};
        return {UniqueFd{ends[0]}, UniqueFd{ends[1]}};
    }
    /// Nobody has the other end, within that time.
    [[nodiscard]] bool is_closed(Duration within) const {
        pollfd at{read.raw(), 0, 0};
        return ::poll(&at, 1, static_cast<int>(within.count() / 1000)) == 1;
    }
};

} // namespace

bool OuterStore::connect() {
    char const* const path = std::getenv("NOTIFY_SOCKET");
    auto const size = path == nullptr ? 0 : std::strlen(path);
    sockaddr_un address{};
    if (size < 2 || size >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@'))
        return false;
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path, size);
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    auto const length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + size);
    socket_ = UniqueFd{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    return ::connect(socket_.raw(), reinterpret_cast<sockaddr const*>(&address), length) == 0;
}

void OuterStore::open(bool is_known, Duration patience) {
    if (!connect())
        return socket_.reset();
    // There is no way to look: what the unit says is in FDSTORE since version 254 of systemd only, and does
    // not say whether we are listened to.
    is_open_ = is_known || ask(patience);
    if (!is_open_)
        socket_.reset();
}

void OuterStore::open_again() {
    is_open_ = connect();
}

/// By what becomes of a descriptor: who has no store, or does not listen to us, closes it.
bool OuterStore::ask(Duration patience) {
    auto const deadline = MonotonicTime::now() + patience;
    auto question = Pipe::open();
    auto barrier = Pipe::open(); // closed when all that was said before it has been read
    FixedText<96> text;
    text << "FDSTORE=1\nFDPOLL=0\nFDNAME=" << name_of_question;
    if (!question.write.is_open() || !barrier.write.is_open() || send(text.view(), question.write) != 0 ||
        send("BARRIER=1", barrier.write) != 0)
        return false;
    question.write.reset();
    barrier.write.reset();
    if (!barrier.is_closed(deadline - MonotonicTime::now()) || question.is_closed(Duration{0}))
        return false;
    text.clear();
    text << "FDSTOREREMOVE=1\nFDNAME=" << name_of_question;
    return send(text.view()) == 0;
}

int OuterStore::send(std::string_view text, FdRef fd) {
    int const number = fd.raw();
    int const error = send_message(socket_, text, &number, fd.is_open() ? 1 : 0);
    // It may have become another socket at the same path. The kernel says so once; after that we have no
    // peer.
    if ((error == ECONNREFUSED || error == ENOTCONN) && connect())
        return send_message(socket_, text, &number, fd.is_open() ? 1 : 0);
    return error;
}

int OuterStore::store(std::string_view name, FdRef fd) {
    if (entries_ >= most_entries_outside || bytes_ + name.size() + 1 > most_bytes)
        return E2BIG;
    int const error = repeat(name, fd);
    if (error == 0)
        count(name);
    return error;
}

int OuterStore::repeat(std::string_view name, FdRef fd) {
    FixedText<192> text;
    // It is not to be polled: a socket that does not listen yet would be thrown out at once.
    text << "FDSTORE=1\nFDPOLL=0\nFDNAME=" << name;
    return send(text.view(), fd);
}

int OuterStore::remove(std::string_view name) {
    FixedText<192> text;
    text << "FDSTOREREMOVE=1\nFDNAME=" << name;
    int const error = send(text.view());
    if (error == 0) {
        --entries_;
        bytes_ -= name.size() + 1;
    }
    return error;
}

void OuterStore::count(std::string_view name) {
    ++entries_;
    bytes_ += name.size() + 1;
}

} // namespace holdfast::keeper
