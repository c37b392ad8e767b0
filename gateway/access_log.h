/*
 * The access log: a line a request, in the combined format that log tools know or as JSON. Loops append to
 * buffers of their own; a thread writes them. When the disk is slower than the requests, lines are left out
 * and counted, and no request waits.
 */
#ifndef GW_ACCESS_LOG_H
#define GW_ACCESS_LOG_H

#include "base/buffer.h"
#include "base/log.h"
#include <stdint.h>
#include <streamlayer/error.h>

struct gw_access_log;

enum gw_access_format { GW_ACCESS_COMBINED, GW_ACCESS_JSON };

/* Texts may be NULL where they are not known; they may hold anything. */
struct gw_access_entry {
    const char *client, *application, *method, *target, *version, *referer, *agent;
    const char *route, *id, *correlation;
    int status;
    uint64_t bytes;      /* of the answer's body, as far as it was written */
    int64_t begun_ms;    /* wall clock */
    int64_t duration_us; /* until the answer was written or given up */
    bool whole;          /* it was written */
};

/* Appends the entry as one line. False: no room. */
bool gw_access_format_entry(const struct gw_access_entry *entry, enum gw_access_format format,
                            struct sl_buffer *line);

/* file: appended to, made 0640 when missing; "-": standard output. Errors: SL_IO, which names the file. */
sl_status gw_access_log_open(const char *file, enum gw_access_format format, unsigned loops,
                             const struct sl_log *log, struct gw_access_log **out, sl_error *error);
/* Writes what is left. Nobody adds any more. NULL is allowed. */
void gw_access_log_close(struct gw_access_log **out);
/* The file anew, after it was moved away. Errors: SL_IO: the old one is kept. Any thread. */
sl_status gw_access_log_reopen(struct gw_access_log *access, sl_error *error);
/* On the loop of that number. */
void gw_access_log_add(struct gw_access_log *access, unsigned loop, const struct gw_access_entry *entry);
/* Lines left out so far. Any thread. */
unsigned long long gw_access_log_lost(struct gw_access_log *access);

#endif
