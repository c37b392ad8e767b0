/*
 * Requests on the blobs of one layer, several at once: one thread begins them and takes them when they are
 * done, in the order in which they are. It may block meanwhile: for a token, for the platform's lookup.
 */
#ifndef SL_CLIENT_TRANSFERS_H
#define SL_CLIENT_TRANSFERS_H

#include "client/client.h"

struct sl_transfers;

struct sl_transfer {
    /* Set by whoever begins it, and borrowed until it is done. */
    const char *handle;
    const void *body; /* to be stored; NULL: the blob is fetched */
    size_t body_size;
    size_t max_size;     /* of what is fetched: more is SL_TOO_LARGE */
    int64_t deadline_ms; /* sl_mono_ms(): no try begins after it; INT64_MAX: none */
    bool persistent;     /* what may pass is tried again until then, not only as often as http.retry says */

    /* Once it is done. */
    sl_error error;                   /* status SL_OK: it has succeeded */
    struct sl_http_response response; /* freed by the one who took it */

    /* The set's own. */
    struct sl_transfers *set;
    struct sl_transfer *next; /* answered, or waiting for another try */
    bool in_flight, renewed;
    char *url;     /* of this try */
    sl_error last; /* of the one before */
    unsigned failures;
    int64_t due_ms;
};

sl_status sl_transfers_create(struct sl_client *client, const char *hrn, const char *layer,
                              struct sl_transfers **transfers, sl_error *error);
/* The transfer is the set's until sl_transfers_take or sl_transfers_cancel gives it back. What goes wrong at
 * once is told by take, too. The thread that takes. */
void sl_transfers_begin(struct sl_transfers *transfers, struct sl_transfer *transfer);
/* One that is done; NULL when none was until deadline_ms, or when somebody called sl_transfers_wake. */
struct sl_transfer *sl_transfers_take(struct sl_transfers *transfers, int64_t deadline_ms);
/* Ends what is under way: the engine has let go of it when this returns. The thread that takes; list: what
 * was begun and not taken. */
void sl_transfers_cancel(struct sl_transfers *transfers, struct sl_transfer *const *list, size_t count);
void sl_transfers_wake(struct sl_transfers *transfers); /* any thread */
/* What is begun, and what begins after, ends soon, with SL_CLOSED. Any thread. */
void sl_transfers_stop(struct sl_transfers *transfers);
void sl_transfers_destroy(struct sl_transfers **transfers);

/* Where a blob is; released with free. SL_UNSUPPORTED when the platform has no blobs, SL_INVALID_ARGUMENT for
 * a handle that cannot be one. */
sl_status sl_blob_url(struct sl_client *client, const char *hrn, const char *layer, const char *handle,
                      char **url, sl_error *error);
/* The same for who may have to stop: sl_http_cancel ends it by owner; no try begins after deadline_ms (0:
 * none). */
sl_status sl_blob_url_within(struct sl_client *client, const char *hrn, const char *layer, const char *handle,
                             const void *owner, int64_t deadline_ms, char **url, sl_error *error);
/* How long one try may take that moves size bytes. */
int sl_blob_timeout_ms(int64_t request_timeout_ms, size_t size);

#endif
