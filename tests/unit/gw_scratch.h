/* A directory below /tmp that a test of the gateway has for itself. */
#ifndef TESTS_GW_SCRATCH_H
#define TESTS_GW_SCRATCH_H

#include "support/cases.h"

#include <stdio.h>
#include <stdlib.h>

#define SCRATCH_SIZE 64 /* of its path */

static inline void scratch_make(char directory[SCRATCH_SIZE], const char *name)
{
    snprintf(directory, SCRATCH_SIZE, "/tmp/gw-%s-XXXXXX", name);
    assert_non_null(mkdtemp(directory));
}

static inline void scratch_remove(const char *directory)
{
    char command[SCRATCH_SIZE + 10];
    snprintf(command, sizeof command, "rm -r %s", directory);
    assert_int_equal(system(command), 0);
}

#endif
