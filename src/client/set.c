/* SPDX-License-Identifier: Apache-2.0 */
/* The set of named descriptors, and small things that several files need. */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct entry {
    int fd; /* -1 when it was taken */
    char* name;
};

struct holdfast_listeners {
    size_t count;
    size_t room;
    struct entry* entries;
};

const char* holdfast_version(void) {
    return HOLDFAST_VERSION;
}

holdfast_listeners* holdfast_new_set(void) {
    return calloc(1, sizeof(holdfast_listeners));
}

static int grow(holdfast_listeners* set) {
    if (set->count < set->room)
        return 0;
    size_t room = set->room == 0 ? 16 : set->room * 2;
    struct entry* entries = realloc(set->entries, room * sizeof *entries);
    if (!entries)
        return -ENOMEM;
    set->entries = entries;
    set->room = room;
    return 0;
}

int holdfast_add(holdfast_listeners* set, int fd, const char* name, size_t length) {
    char* copy = grow(set) < 0 ? NULL : malloc(length + 1);
    if (!copy) {
        close(fd);
        return -ENOMEM;
    }
    memcpy(copy, name, length);
    copy[length] = '\0';
    set->entries[set->count].fd = fd;
    set->entries[set->count].name = copy;
    ++set->count;
    return 0;
}

size_t holdfast_count(const holdfast_listeners* set) {
    return set ? set->count : 0;
}

int holdfast_fd(const holdfast_listeners* set, size_t index) {
    if (!set || index >= set->count)
        return -EINVAL;
    return set->entries[index].fd < 0 ? -EBADF : set->entries[index].fd;
}

const char* holdfast_name(const holdfast_listeners* set, size_t index) {
    return !set || index >= set->count ? NULL : set->entries[index].name;
}

int holdfast_take(holdfast_listeners* set, const char* name) {
    if (!name)
        return -EINVAL;
    for (size_t i = 0; i < holdfast_count(set); ++i) {
        struct entry* entry = &set->entries[i];
        if (entry->fd >= 0 && strcmp(entry->name, name) == 0) {
            int fd = entry->fd;
            entry->fd = -1;
            return fd;
        }
    }
    return -ENOENT;
}

void holdfast_free(holdfast_listeners* set) {
    if (!set)
        return;
    int saved = errno;
    for (size_t i = 0; i < set->count; ++i) {
        if (set->entries[i].fd >= 0)
            close(set->entries[i].fd);
        free(set->entries[i].name);
    }
    free(set->entries);
    free(set);
    errno = saved;
}

int holdfast_parse_decimal(const char* text, size_t length, uint64_t* value) {
    uint64_t sum = 0;
    if (length == 0)
        return -EINVAL;
    for (size_t i = 0; i < length; ++i) {
        if (text[i] < '0' || text[i] > '9')
            return -EINVAL;
        uint64_t digit = (uint64_t)(text[i] - '0');
        if (sum > (UINT64_MAX - digit) / 10)
            return -EINVAL;
        sum = sum * 10 + digit;
    }
    *value = sum;
    return 0;
}

int holdfast_unix_address(const char* text, struct sockaddr_un* address, unsigned* length) {
    size_t size = strlen(text);
    if ((text[0] != '/' && text[0] != '@') || size < 2)
        return -EAFNOSUPPORT;
    /* A path needs its NUL, an abstract name has one in front instead of the '@' and none behind. */
    size_t used = text[0] == '/' ? size + 1 : size;
    if (used > sizeof address->sun_path)
        return -ENAMETOOLONG;
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, text, size);
    if (text[0] == '@')
        address->sun_path[0] = '\0';
    *length = (unsigned)(offsetof(struct sockaddr_un, sun_path) + used);
    return 0;
}
