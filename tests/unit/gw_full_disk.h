/* A disk that is full, for files that are open: /dev/full is put in their place. */
#ifndef TESTS_GW_FULL_DISK_H
#define TESTS_GW_FULL_DISK_H

#include "support/cases.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FULL_DISK_FDS 64

struct full_disk {
    int kept[FULL_DISK_FDS]; /* by descriptor: what was there; 0: nothing was changed */
};

/* For those of this process whose path has this part. */
static inline void full_disk_begin(struct full_disk *disk, const char *part)
{
    int found = 0, device = open("/dev/full", O_RDWR | O_CLOEXEC);
    assert_true(device >= 0);
    memset(disk, 0, sizeof *disk);
    for (int fd = 3; fd < FULL_DISK_FDS; fd++) {
        char link[64], target[256];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t size = readlink(link, target, sizeof target - 1);
        target[size > 0 ? size : 0] = 0;
        if (!strstr(target, part))
            continue;
        disk->kept[fd] = fcntl(fd, F_DUPFD_CLOEXEC, FULL_DISK_FDS);
        assert_true(disk->kept[fd] > 0);
        assert_int_equal(dup2(device, fd), fd);
        found++;
    }
    close(device);
    assert_true(found > 0);
}

static inline void full_disk_end(struct full_disk *disk)
{
    for (int fd = 3; fd < FULL_DISK_FDS; fd++)
        if (disk->kept[fd]) {
            assert_int_equal(dup2(disk->kept[fd], fd), fd);
            close(disk->kept[fd]);
        }
}

#endif
