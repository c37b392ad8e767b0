/* A log that a callback of the application's receives. Copied by value; the callback may be NULL. */
#ifndef SL_BASE_LOG_H
#define SL_BASE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <streamlayer/log.h>

struct sl_log {
    sl_log_callback callback;
    void *opaque;
    sl_log_level level; /* lines above it are not made */
    const atomic_int
        *changing; /* where the level stands instead, if others may change it; outlives the log */
};

/* Whether a line of that level would be made. Any thread. */
bool sl_log_takes(const struct sl_log *log, sl_log_level level);

/* Lines are cut at 2,000 bytes and cleaned of control characters. Any thread. */
void sl_log_write(const struct sl_log *log, sl_log_level level, const char *format, ...) SL_PRINTF(3, 4);

#define SL_ERROR(log, ...)   sl_log_write(log, SL_LOG_ERROR, __VA_ARGS__)
#define SL_WARNING(log, ...) sl_log_write(log, SL_LOG_WARNING, __VA_ARGS__)
#define SL_INFO(log, ...)    sl_log_write(log, SL_LOG_INFO, __VA_ARGS__)
#define SL_DEBUG(log, ...)   sl_log_write(log, SL_LOG_DEBUG, __VA_ARGS__)

#endif
