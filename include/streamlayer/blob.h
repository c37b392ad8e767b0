/*
 * Blobs: bytes too large for a message, stored beside a layer and named by a data handle. Producers and
 * consumers use them by themselves for payloads over SL_PAYLOAD_INLINE_MAX; these calls are for whoever wants
 * them by hand.
 *
 * A blob lives as long as the layer keeps messages (its ttl), counted from when it was stored.
 *
 *   Errors of every call: SL_INVALID_ARGUMENT, SL_NOT_FOUND, SL_TOO_LARGE, SL_UNAUTHENTICATED, SL_FORBIDDEN,
 *   SL_UNAVAILABLE, SL_TIMED_OUT, SL_PROTOCOL, SL_OUT_OF_MEMORY.
 *   Threads: any.
 */
#ifndef STREAMLAYER_BLOB_H
#define STREAMLAYER_BLOB_H

#include <stddef.h>
#include <stdint.h>
#include <streamlayer/client.h>

SL_BEGIN_DECLS

/*
 * Stores size bytes under a data handle: 1 to 128 characters of A-Z a-z 0-9 . _ - ; NULL makes one. A handle
 * that is there already is replaced.
 *   Ownership: data is borrowed for the call. *made (may be NULL) is the handle, released with sl_free.
 */
SL_API sl_status sl_blob_put(sl_client *client, const char *hrn, const char *layer, const char *handle,
                             const void *data, size_t size, char **made, sl_error *error);

/*
 * Bytes of a blob: count of them (-1: all that follow) from the one at first on (0: the first). Fewer come
 * where the blob ends before.
 *   Ownership: *data is NUL-terminated behind its *size bytes and released with sl_free.
 */
SL_API SL_MUST_CHECK sl_status sl_blob_get(sl_client *client, const char *hrn, const char *layer,
                                           const char *handle, int64_t first, int64_t count, void **data,
                                           size_t *size, sl_error *error);

/* The size of a blob, in bytes, which also tells whether it is there. */
SL_API SL_MUST_CHECK sl_status sl_blob_size(sl_client *client, const char *hrn, const char *layer,
                                            const char *handle, int64_t *size, sl_error *error);

SL_END_DECLS

#endif
