/* Payloads in gzip's format. */
#ifndef CLI_COMPRESS_H
#define CLI_COMPRESS_H

#include <stdbool.h>
#include <stddef.h>

struct cli_compressor;

/* NULL: out of memory. */
struct cli_compressor *cli_compressor_create(void);
/* *out is the compressor's, until the next call. false: out of memory. */
bool cli_compress(struct cli_compressor *compressor, const void *data, size_t size, const void **out,
                  size_t *out_size);
void cli_compressor_destroy(struct cli_compressor **handle);

#endif
