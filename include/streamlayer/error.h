/*
 * What a call says when it fails: one status, and an error object that tells a person what happened,
 * where, and how to mend it.
 *
 * Every function that can fail returns an sl_status and takes an optional sl_error: pass NULL when the
 * status is enough. The error object belongs to the caller, lives wherever the caller puts it, holds no
 * memory of its own and needs no release. On success it is left alone.
 */
#ifndef STREAMLAYER_ERROR_H
#define STREAMLAYER_ERROR_H

#include <stdbool.h>
#include <streamlayer/export.h>

SL_BEGIN_DECLS

/* What a call came to. */
typedef enum sl_status {
    SL_OK = 0,            /* done */
    SL_INVALID_ARGUMENT,  /* the call's own arguments are wrong */
    SL_INVALID_HANDLE,    /* the handle is NULL, destroyed, or of another kind */
    SL_OUT_OF_MEMORY,     /* memory could not be had */
    SL_BAD_CONFIG,        /* a setting is wrong; the text names it, with file and line */
    SL_CONNECTOR_MISSING, /* the connector's package is not installed; the text names it */
    SL_UNSUPPORTED,       /* the platform at the other end cannot do this */
    SL_TIMED_OUT,         /* the time given was not enough; the outcome may still be unknown */
    SL_QUEUE_FULL,        /* the producer's queue has no room (back-pressure) */
    SL_CLOSED,            /* the handle is being closed */
    SL_UNAUTHENTICATED,   /* no credentials, or they were refused (HTTP 401) */
    SL_FORBIDDEN,         /* not allowed with these credentials (HTTP 403) */
    SL_NOT_FOUND,         /* no such catalog, layer or file (HTTP 404) */
    SL_CONFLICT,          /* it exists already, or was changed meanwhile (HTTP 409, 412) */
    SL_TOO_LARGE,         /* a message, key or body is over its limit (HTTP 413) */
    SL_THROTTLED,         /* too much at once; later it may work (HTTP 429) */
    SL_UNAVAILABLE,       /* the platform or a broker cannot be reached or cannot serve now */
    SL_PROTOCOL,          /* the other side answered what the protocol does not allow */
    SL_CHECKSUM_MISMATCH, /* the payload does not have the checksum that was given */
    SL_KAFKA,             /* an error of Kafka's that has no status of its own; see the text */
    SL_IO,                /* a local file or socket failed */
    SL_INTERNAL,          /* a fault of this library's: please report it */
    SL_STATUS_COUNT       /* how many there are; not a status */
} sl_status;

#define SL_ERROR_TEXT_SIZE 1000 /* bytes, the terminating NUL included */

/* What went wrong, in the caller's memory. */
typedef struct sl_error {
    sl_status status;              /* the same as the call returned */
    bool retriable;                /* the same call may succeed later */
    bool fatal;                    /* this handle will not work again: close it */
    int http_status;               /* what the platform answered, or 0 */
    char text[SL_ERROR_TEXT_SIZE]; /* UTF-8, one line, NUL-terminated; too long a text is cut */
} sl_error;

/*
 * The status' name in words, "not found" for SL_NOT_FOUND; "unknown status" for any other number.
 *   Ownership: static text, never released.   Errors: none.   Threads: any.
 */
SL_API const char *sl_status_text(sl_status status);

SL_END_DECLS

#endif
