// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process_setup.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

namespace holdfast {

void open_standard_descriptors() {
    int fd = -1;
    do
        fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        ::close(fd);
    for (int standard = STDIN_FILENO; standard <= STDERR_FILENO; ++standard)
        ::fcntl(standard, F_SETFD, 0);
}

std::vector<LimitSpec> raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= limit.rlim_max)
        return {};
    LimitSpec const given{RLIMIT_NOFILE, limit.rlim_cur, limit.rlim_max};
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) < 0)
        return {};
    return {given};
}

} // namespace holdfast
