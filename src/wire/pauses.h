/*
 * Which Kafka partitions are paused: a wish, which holds for partitions that are not assigned at present,
 * too. Not locked.
 */
#ifndef SL_WIRE_PAUSES_H
#define SL_WIRE_PAUSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sl_pauses {
    bool all;            /* all are paused, but … */
    int32_t *exceptions; /* … these; or, without all, only these */
    size_t count, capacity;
};

void sl_pauses_free(struct sl_pauses *pauses);
/* false: no memory; the copy is empty. */
bool sl_pauses_copy(const struct sl_pauses *pauses, struct sl_pauses *copy);
bool sl_pauses_has(const struct sl_pauses *pauses, int32_t partition);
/* Pauses partitions or ends their pause; count 0: of all. false: no memory; nothing has changed. */
bool sl_pauses_set(struct sl_pauses *pauses, const int32_t *partitions, size_t count, bool paused);

#endif
