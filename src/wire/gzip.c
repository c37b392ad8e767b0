#include "wire/gzip.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#define ZLIB_CONST /* what it reads is const */
#include <zlib.h>

#include "base/error.h"

enum {
    GZIP_WINDOW = 31, /* the largest window, and gzip's header and trailer */
    MEMORY = 8,
    FIRST = 256,           /* bytes that the smallest output begins with */
    KEPT = 2 * 1024 * 1024 /* bytes of output that a spare compressor keeps */
};

struct sl_gzip {
    z_stream stream;
    unsigned char *out;
    size_t capacity;
    struct sl_gzip *next; /* of the pool's */
};

struct sl_gzip *sl_gzip_create(void)
{
    struct sl_gzip *gzip = calloc(1, sizeof *gzip);
    if (gzip && deflateInit2(&gzip->stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, MEMORY,
                             Z_DEFAULT_STRATEGY) != Z_OK) {
        free(gzip);
        return NULL;
    }
    return gzip;
}

/* zlib counts in unsigned int: the next piece of what is left. */
static uInt piece(size_t left)
{
    return left < UINT_MAX ? (uInt)left : UINT_MAX;
}

bool sl_gzip_compress(struct sl_gzip *gzip, const void *data, size_t size, const void **out, size_t *out_size)
{
    z_stream *stream = &gzip->stream;
    const unsigned char *in = data;
    size_t made = 0, read = 0;
    if (deflateReset(stream) != Z_OK)
        return false;
    size_t bound = deflateBound(stream, size); /* behind the reset: it goes by what the stream is to be */
    if (bound < size)
        return false;
    if (bound > gzip->capacity) {
        free(gzip->out); /* nothing of it is wanted any more */
        gzip->capacity = 0;
        gzip->out = malloc(bound);
        if (!gzip->out)
            return false;
        gzip->capacity = bound;
    }
    int result = Z_OK;
    while (result == Z_OK) { /* once, but for what is over 4 GiB */
        stream->next_in = size ? in + read : (const unsigned char *)"";
        stream->avail_in = piece(size - read);
        stream->next_out = gzip->out + made;
        stream->avail_out = piece(gzip->capacity - made);
        uInt given = stream->avail_in, room = stream->avail_out;
        result = deflate(stream, read + given == size ? Z_FINISH : Z_NO_FLUSH);
        read += given - stream->avail_in;
        made += room - stream->avail_out;
    }
    *out = gzip->out;
    *out_size = made;
    return result == Z_STREAM_END;
}

void sl_gzip_destroy(struct sl_gzip **gzip)
{
    struct sl_gzip *gone = *gzip;
    *gzip = NULL;
    if (!gone)
        return;
    deflateEnd(&gone->stream);
    free(gone->out);
    free(gone);
}

void sl_gzip_pool_init(struct sl_gzip_pool *pool)
{
    pthread_mutex_init(&pool->lock, NULL);
    pool->spare = NULL;
}

void sl_gzip_pool_free(struct sl_gzip_pool *pool)
{
    while (pool->spare) {
        struct sl_gzip *gone = pool->spare;
        pool->spare = gone->next;
        sl_gzip_destroy(&gone);
    }
    pthread_mutex_destroy(&pool->lock);
}

struct sl_gzip *sl_gzip_pool_take(struct sl_gzip_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    struct sl_gzip *gzip = pool->spare;
    if (gzip)
        pool->spare = gzip->next;
    pthread_mutex_unlock(&pool->lock);
    return gzip ? gzip : sl_gzip_create();
}

void sl_gzip_pool_give(struct sl_gzip_pool *pool, struct sl_gzip *gzip)
{
    if (!gzip)
        return;
    if (gzip->capacity > KEPT) {
        free(gzip->out);
        gzip->out = NULL;
        gzip->capacity = 0;
    }
    pthread_mutex_lock(&pool->lock);
    gzip->next = pool->spare;
    pool->spare = gzip;
    pthread_mutex_unlock(&pool->lock);
}

/* What is inflated so far. */
struct inflating {
    z_stream stream;
    unsigned char *out;
    size_t made, capacity, max;
};

/* Room for more, and for the NUL behind it. One byte over max tells that there is more than max. */
static sl_status grow(struct inflating *it, sl_error *error)
{
    if (it->made > it->max)
        return sl_error_set(error, SL_TOO_LARGE, "the payload would have more than %zu bytes inflated",
                            it->max);
    if (it->made < it->capacity)
        return SL_OK;
    size_t most = it->max < SIZE_MAX - 2 ? it->max + 1 : SIZE_MAX - 1;
    size_t wanted = it->capacity < most / 2 ? 2 * it->capacity : most;
    unsigned char *grown = realloc(it->out, wanted + 1);
    if (!grown)
        return sl_error_oom(error);
    it->out = grown;
    it->capacity = wanted;
    return SL_OK;
}

static sl_status refuse(const struct inflating *it, int result, sl_error *error)
{
    if (result == Z_MEM_ERROR)
        return sl_error_oom(error);
    if (result == Z_BUF_ERROR)
        return sl_error_set(error, SL_PROTOCOL, "the payload is not whole gzip: it ends early");
    return sl_error_set(error, SL_PROTOCOL, "the payload is not gzip, or damaged: %s",
                        it->stream.msg ? it->stream.msg : "zlib does not say why");
}

static sl_status inflate_all(struct inflating *it, const unsigned char *in, size_t size, sl_error *error)
{
    z_stream *stream = &it->stream;
    size_t read = 0;
    for (;;) {
        sl_status status = grow(it, error);
        if (status)
            return status;
        stream->next_in = in + read;
        stream->avail_in = piece(size - read);
        stream->next_out = it->out + it->made;
        stream->avail_out = piece(it->capacity - it->made);
        uInt given = stream->avail_in, room = stream->avail_out;
        int result = inflate(stream, Z_NO_FLUSH);
        read += given - stream->avail_in;
        it->made += room - stream->avail_out;
        if (result == Z_STREAM_END && read == size)
            return it->made > it->max ? grow(it, error) : SL_OK;
        if (result == Z_STREAM_END) /* another member, or what is no gzip */
            result = inflateReset(stream);
        else if (result == Z_BUF_ERROR && !stream->avail_out)
            result = Z_OK; /* it wants more room */
        if (result != Z_OK)
            return refuse(it, result, error);
    }
}

sl_status sl_gzip_inflate(const void *data, size_t size, size_t max, void **out, size_t *out_size,
                          sl_error *error)
{
    struct inflating it = {.max = max, .capacity = size < SIZE_MAX / 8 ? 4 * size + FIRST : size};
    if (!size)
        return sl_error_set(error, SL_PROTOCOL, "the payload is empty, which is no gzip");
    if (it.capacity > max)
        it.capacity = max < SIZE_MAX - 2 ? max + 1 : SIZE_MAX - 2;
    if (inflateInit2(&it.stream, GZIP_WINDOW) != Z_OK)
        return sl_error_oom(error);
    it.out = malloc(it.capacity + 1);
    sl_status status = it.out ? inflate_all(&it, data, size, error) : sl_error_oom(error);
    inflateEnd(&it.stream);
    if (status) {
        free(it.out);
        return status;
    }
    it.out[it.made] = 0;
    *out = it.out;
    *out_size = it.made;
    return SL_OK;
}
