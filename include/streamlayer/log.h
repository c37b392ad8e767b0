/*
 * The library's only output: a callback of the application's. Without one, nothing is ever printed.
 */
#ifndef STREAMLAYER_LOG_H
#define STREAMLAYER_LOG_H

#include <streamlayer/export.h>

SL_BEGIN_DECLS

/* How severe a line is: the lower, the more. */
typedef enum sl_log_level {
    SL_LOG_ERROR = 1,   /* something failed for good */
    SL_LOG_WARNING = 2, /* something to look at; it goes on */
    SL_LOG_INFO = 3,    /* what happens in the large */
    SL_LOG_DEBUG = 4    /* what happens in the small */
} sl_log_level;

/*
 * Receives one line of log, without a newline.
 *   Ownership: text is the library's and ends with the call.
 *   Threads: called from any thread, several at once; it must not block for long and must not call back
 *   into the client that logs.   Lifetime: until the client that it was given to is destroyed and the last
 *   producer and consumer of that client is closed.
 */
typedef void (*sl_log_callback)(void *opaque, sl_log_level level, const char *text);

SL_END_DECLS

#endif
