/*
 * Payloads of layers whose content encoding is gzip (RFC 1952). The library compresses what it sends to them
 * and inflates what it receives; the gateway only looks at headers (wire/gzip_header.h).
 */
#ifndef SL_WIRE_GZIP_H
#define SL_WIRE_GZIP_H

#include <pthread.h>
#include <streamlayer/error.h>

/* A compressor: about 256 KiB, so it is used again. One thread at a time. */
struct sl_gzip;

/* NULL: out of memory. */
struct sl_gzip *sl_gzip_create(void);
/* One member. *out is the compressor's, until its next call. false: out of memory. */
bool sl_gzip_compress(struct sl_gzip *gzip, const void *data, size_t size, const void **out,
                      size_t *out_size);
/* *gzip may be NULL. */
void sl_gzip_destroy(struct sl_gzip **gzip);

/* Compressors for whoever sends, as many as do so at once. Any thread. */
struct sl_gzip_pool {
    pthread_mutex_t lock;
    struct sl_gzip *spare;
};
void sl_gzip_pool_init(struct sl_gzip_pool *pool);
/* All compressors have been given back. */
void sl_gzip_pool_free(struct sl_gzip_pool *pool);
/* NULL: out of memory. */
struct sl_gzip *sl_gzip_pool_take(struct sl_gzip_pool *pool);
/* What it has compressed is gone. gzip may be NULL. */
void sl_gzip_pool_give(struct sl_gzip_pool *pool, struct sl_gzip *gzip);

/*
 * Inflates one member or several, whole and with nothing behind them, to at most max bytes.
 *   Ownership: *out is NUL-terminated behind its *out_size bytes and released with free.
 *   Errors: SL_TOO_LARGE (it would be over max; no more than that was inflated), SL_PROTOCOL (no gzip, not
 *   whole, or its check sum is wrong), SL_OUT_OF_MEMORY.
 */
sl_status sl_gzip_inflate(const void *data, size_t size, size_t max, void **out, size_t *out_size,
                          sl_error *error);

#endif
