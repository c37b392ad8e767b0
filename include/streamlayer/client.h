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
 * What a program decides about a client besides its configuration: where tokens come from. It wins over all
 * credentials in settings, variables and files, which are not even read then.
 */
typedef struct sl_client_options sl_client_options;

/*
 * Empty options: a client made with them is sl_client_create's.
 *   Ownership: the caller destroys them.   Errors: SL_INVALID_ARGUMENT, SL_OUT_OF_MEMORY.
 *   Threads: options are for one thread at a time.
 */
SL_API SL_MUST_CHECK sl_status sl_client_options_create(sl_client_options **options, sl_error *error);

/* Releases options and sets the pointer to NULL; *options may be NULL. Clients made with them stay as they
 * are. */
SL_API void sl_client_options_destroy(sl_client_options **options);

/*
 * The bearer token to use, with or without "Bearer " before it. It is not renewed: sl_client_set_token gives
 * the next. It takes the place of a callback that was set before.
 *   Ownership: token is copied.
 *   Errors: SL_INVALID_HANDLE, SL_INVALID_ARGUMENT (NULL, empty, or not printable ASCII), SL_OUT_OF_MEMORY.
 */
SL_API SL_MUST_CHECK sl_status sl_client_options_set_token(sl_client_options *options, const char *token,
                                                           sl_error *error);

/* Where a token callback puts its answer. It ends with the call. */
typedef struct sl_token_answer sl_token_answer;

/*
 * Gives a token from within a token callback; of several calls the last counts.
 *   token: with or without "Bearer " before it; copied.
 *   expires_ms: until when it is good, wall clock, ms since 1970; 0: until the platform refuses it.
 *   Errors: SL_INVALID_ARGUMENT (answer is NULL; token is NULL, empty, or not printable ASCII; expires_ms is
 *   below 0), SL_OUT_OF_MEMORY.
 */
SL_API SL_MUST_CHECK sl_status sl_token_answer_set(sl_token_answer *answer, const char *token,
                                                   int64_t expires_ms);

/*
 * Asked for a token: when there is none yet, shortly before the last one expires, and when the platform
 * refused it.
 *   refused: the token that the platform refused, without "Bearer "; NULL when none was. Giving it again is
 *   an error of the calls that wait.
 *   Returns SL_OK after sl_token_answer_set; else what went wrong: the calls that wait fail with that status
 *   and with the text and the retriable flag that the callback puts into *error (which is empty before, and
 *   never NULL). They are not asked again within a second of that.
 *   Threads: a thread of the library's, one call at a time of a client. It may block: the calls that wait for
 *   it wait no longer than their own time-outs, and while the last token is good none waits.
 *   Lifetime: it must not destroy the client, nor call anything that needs a token of it. Destroying the
 *   client, and closing its last producer or consumer after that, waits for a call under way. refused ends
 *   with the call.
 */
typedef sl_status (*sl_token_callback)(void *opaque, const char *refused, sl_token_answer *answer,
                                       sl_error *error);

/*
 * Has tokens come from a callback. It takes the place of a token that was set before; NULL: of none.
 *   Ownership: opaque stays the caller's, for as long as the callback may be called: until the client is
 *   destroyed and its last producer and consumer is closed.
 *   Errors: SL_INVALID_HANDLE.
 */
SL_API SL_MUST_CHECK sl_status sl_client_options_set_token_callback(sl_client_options *options,
                                                                    sl_token_callback callback, void *opaque,
                                                                    sl_error *error);

/*
 * As sl_client_create, with options.
 *   Ownership: config and options are copied and stay the caller's; each may be NULL.
 *   Errors: as sl_client_create; SL_INVALID_HANDLE (options).
 */
SL_API SL_MUST_CHECK sl_status sl_client_create_with(const sl_config *config,
                                                     const sl_client_options *options, sl_log_callback log,
                                                     void *log_opaque, sl_client **client, sl_error *error);

/*
 * Gives a client that lives on a given token the next one: what begins after it uses it, and so does what the
 * platform refused with the old one. Also for a client that has no credentials at all.
 *   Ownership: token is copied.
 *   Errors: SL_INVALID_HANDLE, SL_INVALID_ARGUMENT (no token text; or this client gets its tokens itself,
 * with an access key, from a file or from a callback), SL_OUT_OF_MEMORY.
 */
SL_API SL_MUST_CHECK sl_status sl_client_set_token(sl_client *client, const char *token, sl_error *error);

/*
 * Releases a client and sets the pointer to NULL; *client may be NULL.
 *   Lifetime: producers and consumers keep what they need of it; they may be closed later.
 */
SL_API void sl_client_destroy(sl_client **client);

/*
 * A bearer token for the platform's HTTP API, from the cache or fetched.
 *   Ownership: *token is released with sl_free. *expires_ms (may be NULL): wall clock, ms since 1970;
 *   0: not known.
 *   Errors: SL_UNAUTHENTICATED, SL_BAD_CONFIG (no credentials), SL_UNAVAILABLE, SL_OUT_OF_MEMORY.
 */
SL_API SL_MUST_CHECK sl_status sl_client_token(sl_client *client, char **token, int64_t *expires_ms,
                                               sl_error *error);

/* The library's version, "1.2.3". Static text. */
SL_API const char *sl_version(void);

SL_END_DECLS

#endif
