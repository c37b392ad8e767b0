/* Inside auth: the token cache, and what fetches for it. */
#ifndef SL_AUTH_INSIDE_H
#define SL_AUTH_INSIDE_H

#include "auth/auth.h"
#include "auth/credentials.h"
#include <pthread.h>

struct token {
    char *bearer;         /* "Bearer …", hidden */
    int64_t expires_wall; /* for people and other processes, ms; 0: not known */
    int64_t expires_mono; /* what is gone by here, ms; INT64_MAX: when it is refused */
    int64_t renew_mono;   /* another is fetched after it, ms */
};

/* Makes *token of its text. */
sl_status sl_token_make(const char *text, struct token *token, sl_error *error);
/* It is good for lifetime_ms from began_mono on (sl_mono_ms()). */
void sl_token_set_lifetime(struct token *token, int64_t began_mono, int64_t lifetime_ms);
/* The same by the wall clock; 0: until it is refused. */
void sl_token_set_expiry(struct token *token, int64_t expires_wall);

/*
 * Brings a token, on the fetch's own thread. refused: that the platform refused, or NULL. *token is empty
 * before, and is the caller's to free after errors too; *error is never NULL.
 */
typedef sl_status (*sl_token_fetch)(struct sl_auth *auth, const char *refused, struct token *token,
                                    sl_error *error);
sl_status sl_fetch_with_key(struct sl_auth *auth, const char *refused, struct token *token, sl_error *error);
sl_status sl_fetch_from_file(struct sl_auth *auth, const char *refused, struct token *token, sl_error *error);
sl_status sl_fetch_from_callback(struct sl_auth *auth, const char *refused, struct token *token,
                                 sl_error *error);

struct sl_auth {
    struct sl_http *http;
    struct sl_log log;
    int retries;
    int64_t backoff_ms, backoff_max_ms;
    int64_t hold_ms;      /* without another fetch, after one that was of no use */
    sl_token_fetch fetch; /* NULL: there is only the token that was given, if any */
    sl_token_callback callback;
    void *opaque; /* the callback's */

    /* Changed under lock: by the fetch's thread, which reads them without; by sl_auth_set_token, where fetch
     * is NULL and there is no such thread. */
    struct sl_credentials credentials;
    /* The fetch's thread's own: */
    struct sl_file_state bad_state; /* of the credentials file that could not be read last, when bad */
    bool bad;

    pthread_mutex_t lock;
    pthread_cond_t fetched;
    /* under lock: */
    struct token token;
    char *refused; /* what the fetch under way knows to be refused, hidden; the fetch reads it without */
    bool fetching, stopping;
    bool started; /* fetcher is a thread to be joined: fetching, or at its end */
    pthread_t fetcher;
    unsigned fetches;   /* how many have ended */
    sl_error last;      /* why the last one was of no use; status SL_OK: it was */
    int64_t held_until; /* who would fetch before then is told last instead */
};

/* Waits until until_ms, or the end; false: there is no need any more. */
bool sl_auth_pause(struct sl_auth *auth, int64_t until_ms);

#endif
