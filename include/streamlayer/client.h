/*
 * A client: one application's connection to a platform. Producers, consumers and administration come from
 * it; they share its credentials, its token and its HTTP connections.
 *
 * Threads: every function here may be called from any thread. A process may have several clients.
 */
#ifndef STREAMLAYER_CLIENT_H
#define STREAMLAYER_CLIENT_H

#include <stdint.h>
#include <streamlayer/config.h>
#include <streamlayer/log.h>

SL_BEGIN_DECLS

typedef struct sl_client sl_client; /* one application's connection to a platform */

/* Told statistics, a JSON object of size bytes and NUL-terminated; it ends with the call. */
typedef void (*sl_statistics_callback)(void *opaque, const char *json, size_t size);

/*
 * Makes a client. Nothing is sent yet: the platform is asked when something needs it.
 *   Ownership: config is copied and stays the caller's; NULL means sl_config_load's usual places. log may be
 *   NULL. The caller destroys the client.
 *   Errors: SL_BAD_CONFIG, SL_IO (credentials file), SL_OUT_OF_MEMORY.
 */
SL_API SL_MUST_CHECK sl_status sl_client_create(const sl_config *config, sl_log_callback log,
                                                void *log_opaque, sl_client **client, sl_error *error);

/*
 * Releases a client and sets the pointer to NULL; *client may be NULL.
 *   Lifetime: producers and consumers keep what they need of it; they may be closed later.
 */
SL_API void sl_client_destroy(sl_client **client);

/*
 * A bearer token for the platform's HTTP API, from the cache or fetched.
 *   Ownership: *token is released with sl_free. *expires_ms (may be NULL): wall clock, ms since 1970.
 *   Errors: SL_UNAUTHENTICATED, SL_BAD_CONFIG (no credentials), SL_UNAVAILABLE, SL_OUT_OF_MEMORY.
 */
SL_API SL_MUST_CHECK sl_status sl_client_token(sl_client *client, char **token, int64_t *expires_ms,
                                               sl_error *error);

/* The library's version, "1.2.3". Static text. */
SL_API const char *sl_version(void);

SL_END_DECLS

#endif
