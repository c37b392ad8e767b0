/*
 * Blobs: files beside the layers, DATA/blobs/layers/TOPIC/HANDLE.blob. Each begins with a head that says what
 * it is (type, encoding, checksum, owner); it comes into being by a rename, so it is there whole or not at
 * all. The topic carries the layer's creation id: a layer that was deleted and made again has none of the old
 * blobs.
 *
 * A blob belongs to the application that stored it: only that one replaces it. Blobs from before owners were
 * written down are nobody's, and are not replaced.
 *
 * All calls but the checks of names block on disk: on a worker only, any number at once.
 */
#ifndef GW_STORE_BLOBS_H
#define GW_STORE_BLOBS_H

#include <stddef.h>
#include <stdint.h>
#include <streamlayer/error.h>

struct gw_blobs;

#define GW_HANDLE_MAX        128
#define GW_BLOB_TYPE_MAX     255     /* characters of a media type or an encoding */
#define GW_BLOB_OWNER_MAX    127     /* of an application's id */
#define GW_BLOB_SPARE_TTL_MS 3600000 /* a blob outlives its layer's ttl by that */

struct gw_blob_info {
    int64_t size;
    char checksum[65];                   /* SHA-256, hex */
    char type[GW_BLOB_TYPE_MAX + 1];     /* "": none was given */
    char encoding[GW_BLOB_TYPE_MAX + 1]; /* Content-Encoding; "": none */
};

/* Makes the directories; what an earlier run left half-written goes. */
sl_status gw_blobs_open(const char *data_directory, struct gw_blobs **out, sl_error *error);
void gw_blobs_close(struct gw_blobs **out);

/* A data handle: 1 to 128 characters of A-Z a-z 0-9 . _ - */
bool gw_handle_ok(const char *handle);

/*
 * Storing: begin, write as often as need be, seal (the checksum and size are known then), keep. drop gives up
 * at any of these. Errors: SL_IO, retriable when the disk is full; SL_OUT_OF_MEMORY.
 */
struct gw_blob_file;
sl_status gw_blob_begin(struct gw_blobs *blobs, struct gw_blob_file **out, sl_error *error);
sl_status gw_blob_write(struct gw_blob_file *file, const void *data, size_t size, sl_error *error);
/* Fills size and checksum. */
sl_status gw_blob_seal(struct gw_blob_file *file, struct gw_blob_info *info, sl_error *error);
/* On disk for good under its handle, in the place of one of the same owner's that was there. Takes the file,
 * also on failure. Errors beside those above: SL_NOT_FOUND (the handle is another application's). */
sl_status gw_blob_keep(struct gw_blob_file **out, const char *topic, const char *handle, const char *owner,
                       const struct gw_blob_info *info, sl_error *error);
void gw_blob_drop(struct gw_blob_file **out); /* NULL is allowed */

/* What a blob is; with fd, open for reading from *offset on, the caller's to close. owner: only that
 * application's blobs are there; NULL: all are. Errors: SL_NOT_FOUND, SL_IO. */
sl_status gw_blob_open(struct gw_blobs *blobs, const char *topic, const char *handle, const char *owner,
                       struct gw_blob_info *info, int *fd, int64_t *offset, sl_error *error);
sl_status gw_blob_find(struct gw_blobs *blobs, const char *topic, const char *handle, const char *owner,
                       struct gw_blob_info *info, sl_error *error);
/* One that is not there is SL_OK. */
sl_status gw_blob_remove(struct gw_blobs *blobs, const char *topic, const char *handle, sl_error *error);

/*
 * Removes what has outlived its layer's ttl by an hour, and the blobs of layers that are gone. ttl_of tells a
 * topic's ttl, -1 when no layer has it; it must know every layer that could be found when the sweep began.
 */
sl_status gw_blobs_sweep(struct gw_blobs *blobs, int64_t now_ms,
                         int64_t (*ttl_of)(void *opaque, const char *topic), void *opaque, size_t *removed,
                         sl_error *error);

#endif
