/*
 * Outside issuers of tokens: those whose keys (a JWKS, from a file or a URL) are configured, so that what
 * they sign is good here. Their keys are read at the start, again and again (token.jwks-refresh), and when a
 * token names one that is not known. What was had once stays in use while the issuer is away.
 *
 * Any thread; what says so blocks on the disk, never on the network.
 */
#ifndef GW_API_ISSUERS_H
#define GW_API_ISSUERS_H

#include "base/log.h"
#include "gateway/api/jwk.h"
#include "gateway/faults.h"
#include "net/http.h"

#include <stdatomic.h>
#include <streamlayer/config.h>

struct gw_issuers;
struct gw_issuer;

#define GW_ISSUER_WAITERS_MAX 1000 /* tokens that wait for one issuer's keys */

/* One as configured: streamlayer.gateway.token.issuers.NAME. Not copied before gw_issuers_open does. */
struct gw_issuer_settings {
    const sl_config *config; /* for errors: where they are written; NULL: they do not tell */
    const char *name;        /* for errors */
    const char *issuer;      /* the tokens' iss */
    const char *audience;    /* one of the tokens' aud */
    const char *jwks_file, *jwks_url, *ca_file; /* a file or a URL; NULL: not set */
    const char *claim;                          /* what is the subject: "sub" */
};

/*
 * Tells all that keeps them from being opened: files are read, nobody is asked. own: the gateway's own
 * issuer, which no other may be. Blocks. Faults: SL_BAD_CONFIG, which names the setting; SL_OUT_OF_MEMORY.
 */
void gw_issuers_check(const struct gw_issuer_settings *settings, size_t count, const char *own,
                      struct gw_faults *faults);

/*
 * http: how URLs are reached (time-outs and the CA file are set here). own: the gateway's own issuer, which
 * no other may be. epoch is raised when a key is gone, so that who remembers what it signed forgets it.
 * Blocks. Errors: SL_BAD_CONFIG, which names the setting; SL_OUT_OF_MEMORY.
 */
sl_status gw_issuers_open(const struct gw_issuer_settings *settings, size_t count, const char *own,
                          int64_t refresh_ms, const struct sl_http_settings *http, const struct sl_log *log,
                          atomic_uint *epoch, struct gw_issuers **out, sl_error *error);
/* Ends what is under way: who waits is called. */
void gw_issuers_finish(struct gw_issuers *issuers);
void gw_issuers_close(struct gw_issuers **out);

void gw_issuers_set_refresh(struct gw_issuers *issuers, int64_t refresh_ms);
/* Files that were changed. Blocks. */
void gw_issuers_reread(struct gw_issuers *issuers);

/* Asks those again whose time has come. *next_ms: when to come again (sl_mono_ms()). Blocks. */
void gw_issuers_tick(struct gw_issuers *issuers, int64_t now_ms, int64_t *next_ms);

/* The one that tokens with that iss are of, or NULL. */
struct gw_issuer *gw_issuers_find(struct gw_issuers *issuers, const char *issuer);
const char *gw_issuer_audience(const struct gw_issuer *issuer);
const char *gw_issuer_claim(const struct gw_issuer *issuer);

/* Who waits for an issuer's keys: the caller's memory, untouched once ready is called, from any thread. */
struct gw_key_wait {
    struct gw_key_wait *next;
    void (*ready)(struct gw_key_wait *wait);
};

/*
 * The key of that kid (NULL: the only one there is) that serves the algorithm, linked. When it is not known
 * and the issuer is asked, *later is true: wait->ready follows, after which one asks again, with wait NULL,
 * which says what is known then. Blocks. Errors: SL_UNAUTHENTICATED (the issuer has no such key),
 * SL_UNAVAILABLE (the issuer's keys were never had), SL_OUT_OF_MEMORY.
 */
sl_status gw_issuer_key(struct gw_issuer *issuer, const char *kid, const char *algorithm,
                        struct gw_key_wait *wait, bool *later, struct gw_jwk **key, sl_error *error);

#endif
