#include "compress.h"

#include <limits.h>
#include <stdlib.h>
#define ZLIB_CONST /* what it reads is const */
#include <zlib.h>

#define GZIP_WINDOW 31 /* the largest window, and gzip's header and trailer */
#define MEMORY      8

struct cli_compressor {
    z_stream stream;
    unsigned char *out;
    size_t capacity;
};

struct cli_compressor *cli_compressor_create(void)
{
    struct cli_compressor *compressor = calloc(1, sizeof *compressor);
    if (compressor && deflateInit2(&compressor->stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW,
                                   MEMORY, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(compressor);
        return NULL;
    }
    return compressor;
}

bool cli_compress(struct cli_compressor *compressor, const void *data, size_t size, const void **out,
                  size_t *out_size)
{
    z_stream *stream = &compressor->stream;
    size_t bound = size < UINT_MAX / 2 ? deflateBound(stream, (uLong)size) : 0;
    if (!bound || bound > UINT_MAX || deflateReset(stream) != Z_OK)
        return false;
    if (bound > compressor->capacity) {
        unsigned char *grown = realloc(compressor->out, bound);
        if (!grown)
            return false;
        compressor->out = grown;
        compressor->capacity = bound;
    }
    stream->next_in = data;
    stream->avail_in = (uInt)size;
    stream->next_out = compressor->out;
    stream->avail_out = (uInt)compressor->capacity;
    if (deflate(stream, Z_FINISH) != Z_STREAM_END)
        return false;
    *out = compressor->out;
    *out_size = compressor->capacity - stream->avail_out;
    return true;
}

void cli_compressor_destroy(struct cli_compressor **handle)
{
    struct cli_compressor *compressor = *handle;
    *handle = NULL;
    if (!compressor)
        return;
    deflateEnd(&compressor->stream);
    free(compressor->out);
    free(compressor);
}
