/* Blobs, as producers and consumers use them by themselves. */
#ifndef SL_CLIENT_BLOB_H
#define SL_CLIENT_BLOB_H

#include "client/client.h"
#include <streamlayer/blob.h>

#define SL_BLOB_HANDLE_SIZE 33 /* of one that we make, with its NUL */

/* A new data handle; false: the system has no random numbers. */
bool sl_blob_handle(char out[SL_BLOB_HANDLE_SIZE]);

/* One blob to fetch whole. */
struct sl_blob_fetch {
    const char *handle; /* borrowed */
    /* Results: data has a NUL behind its size bytes and is released with free. */
    sl_status status;
    void *data;
    size_t size;
    sl_error error;
};

/*
 * Fetches count blobs of a layer, at most at_once of them at the same time, each of at most max_size bytes
 * (else SL_TOO_LARGE); returns when all have a status. deadline_ms (sl_mono_ms()): no try begins after it.
 * SL_OK when every one has succeeded, else the first other status. Any thread but the engine's.
 */
sl_status sl_blobs_fetch(struct sl_client *client, const char *hrn, const char *layer,
                         struct sl_blob_fetch *list, size_t count, size_t at_once, size_t max_size,
                         int64_t deadline_ms);

#endif
