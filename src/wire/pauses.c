#include "wire/pauses.h"

#include <stdlib.h>
#include <string.h>

void sl_pauses_free(struct sl_pauses *pauses)
{
    free(pauses->exceptions);
    memset(pauses, 0, sizeof *pauses);
}

bool sl_pauses_copy(const struct sl_pauses *pauses, struct sl_pauses *copy)
{
    memset(copy, 0, sizeof *copy);
    copy->all = pauses->all;
    if (!pauses->count)
        return true;
    copy->exceptions = malloc(pauses->count * sizeof *copy->exceptions);
    if (!copy->exceptions)
        return false;
    memcpy(copy->exceptions, pauses->exceptions, pauses->count * sizeof *copy->exceptions);
    copy->count = copy->capacity = pauses->count;
    return true;
}

/* Its place among the exceptions; their count: none. */
static size_t find(const struct sl_pauses *pauses, int32_t partition)
{
    size_t at = 0;
    while (at < pauses->count && pauses->exceptions[at] != partition)
        at++;
    return at;
}

bool sl_pauses_has(const struct sl_pauses *pauses, int32_t partition)
{
    return pauses->all != (find(pauses, partition) < pauses->count);
}

bool sl_pauses_set(struct sl_pauses *pauses, const int32_t *partitions, size_t count, bool paused)
{
    if (!count) {
        pauses->all = paused;
        pauses->count = 0;
        return true;
    }
    if (paused != pauses->all && count > pauses->capacity - pauses->count) {
        if (count > SIZE_MAX / sizeof *pauses->exceptions - pauses->count)
            return false;
        size_t capacity = pauses->count + count;
        int32_t *exceptions = realloc(pauses->exceptions, capacity * sizeof *exceptions);
        if (!exceptions)
            return false;
        pauses->exceptions = exceptions;
        pauses->capacity = capacity;
    }
    for (size_t i = 0; i < count; i++) {
        size_t at = find(pauses, partitions[i]);
        if (paused != pauses->all && at == pauses->count)
            pauses->exceptions[pauses->count++] = partitions[i];
        else if (paused == pauses->all && at < pauses->count)
            pauses->exceptions[at] = pauses->exceptions[--pauses->count];
    }
    return true;
}
