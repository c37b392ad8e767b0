/* Trace ids for messages that have none: UUIDs (version 4), made without a system call each. */
#ifndef SL_CLIENT_TRACE_H
#define SL_CLIENT_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#define SL_TRACE_SIZE 37 /* with its NUL */

struct sl_trace_source {
    uint64_t high, low; /* random, the source's own */
};

/* false: the system has no random numbers. */
bool sl_trace_source_init(struct sl_trace_source *source);

/* The trace id of one number: another number, or another source, makes another. Any thread. */
void sl_trace_make(const struct sl_trace_source *source, uint64_t number, char out[SL_TRACE_SIZE]);

#endif
