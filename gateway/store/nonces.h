/*
 * The signed token requests that were answered, so that one that was captured is not answered again, after a
 * restart either: DATA/nonces.db. What its process has written stays when the process ends; what a power
 * failure takes are the last moments. Any thread; every call blocks on disk.
 */
#ifndef GW_STORE_NONCES_H
#define GW_STORE_NONCES_H

#include <stdint.h>
#include <streamlayer/error.h>

struct gw_nonces;

#define GW_NONCE_DIGEST 32
#define GW_NONCES_MAX   1000000 /* remembered at once: some 80 MB */

/* Errors: SL_IO, which names the file. */
sl_status gw_nonces_open(const char *data_directory, int64_t now_ms, struct gw_nonces **out, sl_error *error);
void gw_nonces_close(struct gw_nonces **nonces);

/* Remembers a request until until_ms (wall clock). Errors: SL_CONFLICT when it is remembered already;
 * SL_THROTTLED when there are too many; SL_IO, retriable when the disk is full. */
sl_status gw_nonces_remember(struct gw_nonces *nonces, const unsigned char digest[GW_NONCE_DIGEST],
                             int64_t until_ms, sl_error *error);
/* Forgets those whose time is over. Errors: SL_IO. */
sl_status gw_nonces_prune(struct gw_nonces *nonces, int64_t now_ms, sl_error *error);

#endif
