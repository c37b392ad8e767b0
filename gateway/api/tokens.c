/* Signing and checking tokens. A token's signature is checked once, and then remembered by the token's
 * SHA-256. */
#include "gateway/api/tokens.h"

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "gateway/api/jwt.h"
#include "gateway/store/nonces.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGEST      32
#define CACHE_SETS  1024 /* of CACHE_WAYS tokens each */
#define CACHE_WAYS  4
#define CACHE_LOCKS 16 /* each of the sets whose number ends so: loops seldom meet at one */
#define LEEWAY_S    60 /* how far an outside issuer's clock may be off */
#define PRUNE_MS    60000
#define OLD_ISSUER  "streamlayer" /* of tokens from before keys had names */
#define CACHE_LINE  64

struct cached {
    unsigned char digest[DIGEST];
    int64_t expires_ms;         /* wall clock; 0: free */
    unsigned epoch;             /* of when it was checked */
    struct gw_account *account; /* linked */
};

struct cache_lock {
    _Alignas(CACHE_LINE) pthread_mutex_t mutex;
};

struct gw_tokens {
    struct cache_lock locks[CACHE_LOCKS];
    struct cached *cache; /* CACHE_SETS * CACHE_WAYS */
    atomic_uint epoch;    /* raised when a key is gone: what was remembered before counts no more */
    EVP_MD *sha256;
    _Atomic int64_t lifetime_ms;
    char *issuer, *audience;
    struct gw_token_keys *keys;
    struct gw_issuers *issuers;
    struct gw_nonces *nonces;
    _Atomic int64_t pruned_ms; /* sl_mono_ms() of the last time that nonces were */
    struct gw_access *access;
};

static sl_status open_parts(struct gw_tokens *tokens, const struct gw_token_settings *settings,
                            const struct sl_log *log, sl_error *error)
{
    static const struct sl_http_settings no_http;
    const struct gw_token_key_settings keys = {.lifetime_ms = settings->times.key_lifetime_ms,
                                               .lead_ms = settings->times.key_lead_ms,
                                               .token_ms = settings->times.lifetime_ms};
    int64_t now_ms = sl_wall_ms();
    sl_status status = gw_nonces_open(settings->data_directory, now_ms, &tokens->nonces, error);
    if (!status)
        status = gw_token_keys_open(settings->data_directory, &keys, now_ms, log, &tokens->keys, error);
    if (!status)
        status = gw_issuers_open(settings->issuers, settings->issuer_count, settings->issuer,
                                 settings->times.jwks_refresh_ms, settings->http ? settings->http : &no_http,
                                 log, &tokens->epoch, &tokens->issuers, error);
    return status;
}

sl_status gw_tokens_open(const struct gw_token_settings *settings, const struct sl_log *log,
                         struct gw_tokens **out, sl_error *error)
{
    struct gw_tokens *tokens = aligned_alloc(CACHE_LINE, sizeof *tokens);
    *out = tokens;
    if (!tokens)
        return sl_error_oom(error);
    memset(tokens, 0, sizeof *tokens);
    for (size_t i = 0; i < CACHE_LOCKS; i++)
        pthread_mutex_init(&tokens->locks[i].mutex, NULL);
    atomic_store(&tokens->lifetime_ms, settings->times.lifetime_ms);
    tokens->access = settings->access;
    tokens->cache = calloc((size_t)CACHE_SETS * CACHE_WAYS, sizeof *tokens->cache);
    tokens->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    tokens->issuer = strdup(settings->issuer);
    tokens->audience = strdup(settings->audience);
    sl_status status = tokens->cache && tokens->sha256 && tokens->issuer && tokens->audience
                           ? open_parts(tokens, settings, log, error)
                           : sl_error_oom(error);
    if (status)
        gw_tokens_close(out);
    return status;
}

void gw_tokens_finish(struct gw_tokens *tokens)
{
    gw_issuers_finish(tokens->issuers);
}

void gw_tokens_close(struct gw_tokens **out)
{
    struct gw_tokens *tokens = *out;
    if (!tokens)
        return;
    *out = NULL;
    gw_issuers_close(&tokens->issuers);
    gw_token_keys_close(&tokens->keys);
    gw_nonces_close(&tokens->nonces);
    EVP_MD_free(tokens->sha256);
    for (size_t i = 0; tokens->cache && i < (size_t)CACHE_SETS * CACHE_WAYS; i++)
        gw_account_unlink(tokens->cache[i].account);
    free(tokens->cache);
    free(tokens->issuer);
    free(tokens->audience);
    for (size_t i = 0; i < CACHE_LOCKS; i++)
        pthread_mutex_destroy(&tokens->locks[i].mutex);
    free(tokens);
}

const char *gw_tokens_issuer(const struct gw_tokens *tokens)
{
    return tokens->issuer;
}

const char *gw_tokens_audience(const struct gw_tokens *tokens)
{
    return tokens->audience;
}

bool gw_tokens_take_issuer(const struct gw_tokens *tokens, const char *issuer)
{
    return gw_issuers_find(tokens->issuers, issuer) != NULL;
}

int64_t gw_tokens_lifetime_ms(const struct gw_tokens *tokens)
{
    return atomic_load(&tokens->lifetime_ms);
}

/* The keys first: they must stay for as long as the tokens that they sign from then on. */
sl_status gw_tokens_set_times(struct gw_tokens *tokens, const struct gw_token_times *times, sl_error *error)
{
    const struct gw_token_key_settings keys = {
        .lifetime_ms = times->key_lifetime_ms, .lead_ms = times->key_lead_ms, .token_ms = times->lifetime_ms};
    sl_status status = gw_token_keys_set(tokens->keys, &keys, error);
    if (status)
        return status;
    atomic_store(&tokens->lifetime_ms, times->lifetime_ms);
    gw_issuers_set_refresh(tokens->issuers, times->jwks_refresh_ms);
    return SL_OK;
}

sl_status gw_tokens_reread(struct gw_tokens *tokens, sl_error *error)
{
    gw_issuers_reread(tokens->issuers);
    return gw_token_keys_reread(tokens->keys, sl_wall_ms(), error);
}

struct gw_token_keys *gw_tokens_keys(struct gw_tokens *tokens)
{
    return tokens->keys;
}

sl_status gw_tokens_tick(struct gw_tokens *tokens, int64_t *next_ms, sl_error *error)
{
    int64_t now_ms = sl_mono_ms(), wall_ms = sl_wall_ms(), keys_ms, issuers_ms;
    sl_status status = gw_token_keys_tick(tokens->keys, wall_ms, &keys_ms, error);
    gw_issuers_tick(tokens->issuers, now_ms, &issuers_ms);
    if (now_ms >= atomic_load(&tokens->pruned_ms) + PRUNE_MS) {
        sl_status pruned = gw_nonces_prune(tokens->nonces, wall_ms, status ? NULL : error);
        atomic_store(&tokens->pruned_ms, now_ms);
        status = status ? status : pruned;
    }
    *next_ms = atomic_load(&tokens->pruned_ms) + PRUNE_MS;
    if (now_ms + (keys_ms - wall_ms) < *next_ms)
        *next_ms = now_ms + (keys_ms - wall_ms);
    if (issuers_ms < *next_ms)
        *next_ms = issuers_ms;
    return status;
}

sl_status gw_tokens_revoke_key(struct gw_tokens *tokens, const char *kid, sl_error *error)
{
    sl_status status = gw_token_keys_revoke(tokens->keys, kid, sl_wall_ms(), error);
    if (!status)
        atomic_fetch_add(&tokens->epoch, 1);
    return status;
}

sl_status gw_tokens_sign(struct gw_tokens *tokens, const char *application, int64_t lifetime_ms, char **token,
                         sl_error *error)
{
    int64_t now_ms = sl_wall_ms();
    char id[33];
    *token = NULL;
    if (!sl_random_hex(id, 32)) /* two tokens of one second must differ */
        return sl_error_set(error, SL_INTERNAL, "the system's random source failed");
    json_t *claims = json_pack("{s:s, s:s, s:s, s:I, s:I, s:s}", "iss", tokens->issuer, "sub", application,
                               "aud", tokens->audience, "iat", (json_int_t)(now_ms / 1000), "exp",
                               (json_int_t)((now_ms + lifetime_ms) / 1000), "jti", id);
    char *payload = claims ? json_dumps(claims, JSON_COMPACT) : NULL;
    json_decref(claims);
    sl_status status =
        payload ? gw_token_keys_sign(tokens->keys, now_ms, payload, token, error) : sl_error_oom(error);
    free(payload);
    return status;
}

/* --- What was checked before --- */

static bool digest(const struct gw_tokens *tokens, const char *text, size_t size, unsigned char out[DIGEST])
{
    return EVP_Digest(text, size, out, NULL, tokens->sha256, NULL) == 1;
}

/* The set that a digest's token would lie in: the digest is as good as random. */
static size_t set_of(const unsigned char *key)
{
    return (size_t)(key[0] | key[1] << 8) % CACHE_SETS;
}

struct gw_account *gw_tokens_recall(struct gw_tokens *tokens, const char *token)
{
    unsigned char key[DIGEST];
    size_t size = strnlen(token, GW_JWT_MAX + 1);
    if (size > GW_JWT_MAX || !digest(tokens, token, size, key))
        return NULL;
    int64_t now_ms = sl_wall_ms();
    unsigned epoch = atomic_load_explicit(&tokens->epoch, memory_order_acquire);
    struct cached *set = tokens->cache + set_of(key) * CACHE_WAYS;
    pthread_mutex_t *lock = &tokens->locks[set_of(key) % CACHE_LOCKS].mutex;
    struct gw_account *account = NULL;
    pthread_mutex_lock(lock);
    for (int i = 0; i < CACHE_WAYS && !account; i++)
        if (set[i].account && set[i].expires_ms > now_ms && set[i].epoch == epoch &&
            !memcmp(set[i].digest, key, DIGEST)) {
            set[i].account = gw_access_renew(tokens->access, set[i].account);
            if (!set[i].account)
                break;
            account = gw_account_link(set[i].account);
        }
    pthread_mutex_unlock(lock);
    return account;
}

static void remember(struct gw_tokens *tokens, const char *token, size_t size, struct gw_account *account,
                     int64_t expires_ms, unsigned epoch)
{
    unsigned char key[DIGEST];
    if (!digest(tokens, token, size, key))
        return; /* it is checked again the next time */
    struct cached *set = tokens->cache + set_of(key) * CACHE_WAYS, *place = set;
    pthread_mutex_t *lock = &tokens->locks[set_of(key) % CACHE_LOCKS].mutex;
    pthread_mutex_lock(lock);
    for (struct cached *other = set; other < set + CACHE_WAYS; other++) {
        if (!memcmp(other->digest, key, DIGEST)) {
            place = other;
            break;
        }
        if (other->expires_ms < place->expires_ms)
            place = other; /* the one that ends first makes room */
    }
    memcpy(place->digest, key, DIGEST);
    struct gw_account *before = place->account;
    place->account = gw_account_link(account);
    place->expires_ms = expires_ms;
    place->epoch = epoch;
    pthread_mutex_unlock(lock);
    gw_account_unlink(before);
}

/* --- Checking --- */

static sl_status refuse(sl_error *error, const char *why)
{
    return sl_error_set(error, SL_UNAUTHENTICATED, "the bearer token %s", why);
}

/* leeway_s: by how much the clock that it was made by may be off. */
static sl_status check_times(const struct gw_jwt *jwt, int64_t leeway_s, sl_error *error)
{
    int64_t now_s = sl_wall_ms() / 1000;
    if (jwt->expires_s + leeway_s <= now_s)
        return refuse(error, "has expired");
    if (jwt->not_before_s > now_s + leeway_s)
        return refuse(error, "is not good yet (nbf)");
    return SL_OK;
}

/* Of the gateway's own: the key first, since until then nothing of it is to be believed. */
static sl_status check_own(struct gw_tokens *tokens, const struct gw_jwt *jwt, const char *token, size_t size,
                           struct gw_account **account, sl_error *error)
{
    struct gw_jwk *key = gw_token_keys_find(tokens->keys, jwt->kid, sl_wall_ms());
    bool good = key && gw_jwk_verify(key, jwt->algorithm, token, size);
    gw_jwk_unlink(key);
    if (!key && strcmp(jwt->issuer, tokens->issuer) != 0 && strcmp(jwt->issuer, OLD_ISSUER) != 0)
        return sl_error_set(error, SL_UNAUTHENTICATED,
                            "the bearer token is of the issuer (iss) \"%.200s\", which is not known here",
                            jwt->issuer);
    if (!key)
        return refuse(error, "is signed with a key that this platform does not have, or has no more");
    if (!good)
        return refuse(error, "has a wrong signature");
    const char *subject = gw_jwt_text(jwt, "sub");
    /* Those from before keys had names have no aud. */
    if (strcmp(jwt->issuer, jwt->kid ? tokens->issuer : OLD_ISSUER) != 0 ||
        (jwt->kid && !gw_jwt_is_for(jwt, tokens->audience)))
        return refuse(error, "was made by (iss) or for (aud) another platform");
    if (!subject)
        return refuse(error, "does not say whom it is for (sub)");
    sl_status status = check_times(jwt, 0, error);
    if (status)
        return status;
    if (!(*account = gw_access_find(tokens->access, subject)))
        return sl_error_set(error, SL_UNAUTHENTICATED,
                            "the application that the bearer token was made for is deleted");
    return SL_OK;
}

static sl_status check_outside(struct gw_tokens *tokens, struct gw_issuer *issuer, const struct gw_jwt *jwt,
                               const char *token, size_t size, struct gw_key_wait *wait, bool *later,
                               struct gw_account **account, sl_error *error)
{
    struct gw_jwk *key;
    /* What is over, or for others, is no reason to ask its issuer anything. */
    sl_status status = check_times(jwt, LEEWAY_S, error);
    if (status)
        return status;
    if (!gw_jwt_is_for(jwt, gw_issuer_audience(issuer)))
        return refuse(error, "is for another audience (aud) than the one that is configured for its issuer");
    status = gw_issuer_key(issuer, jwt->kid, jwt->algorithm, wait, later, &key, error);
    if (status || *later)
        return status;
    bool good = gw_jwk_verify(key, jwt->algorithm, token, size);
    gw_jwk_unlink(key);
    if (!good)
        return refuse(error, "has a wrong signature");
    const char *subject = gw_jwt_text(jwt, gw_issuer_claim(issuer));
    if (!subject || !*subject)
        return sl_error_set(error, SL_UNAUTHENTICATED, "the bearer token has no %s claim that is a text",
                            gw_issuer_claim(issuer));
    if (!(*account = gw_access_find_subject(tokens->access, jwt->issuer, subject)))
        return sl_error_set(error, SL_NOT_FOUND, "no application has the issuer %s and the subject %s",
                            jwt->issuer, subject);
    return SL_OK;
}

sl_status gw_tokens_check(struct gw_tokens *tokens, const char *token, struct gw_key_wait *wait, bool *later,
                          struct gw_account **account, sl_error *error)
{
    struct gw_jwt jwt;
    size_t size = strlen(token);
    unsigned epoch = atomic_load(&tokens->epoch); /* before the key is looked for */
    *later = false;
    *account = NULL;
    sl_status status = gw_jwt_parse(token, size, &jwt, error);
    if (status)
        return status;
    struct gw_issuer *issuer = gw_issuers_find(tokens->issuers, jwt.issuer);
    int64_t leeway_s = issuer ? LEEWAY_S : 0;
    status = issuer ? check_outside(tokens, issuer, &jwt, token, size, wait, later, account, error)
                    : check_own(tokens, &jwt, token, size, account, error);
    if (!status && !*later)
        remember(tokens, token, size, *account, (jwt.expires_s + leeway_s) * 1000, epoch);
    gw_jwt_free(&jwt);
    return status;
}

sl_status gw_tokens_remember_nonce(struct gw_tokens *tokens, const char *key_id, const char *nonce,
                                   int64_t timestamp, int64_t until_ms, sl_error *error)
{
    unsigned char key[DIGEST];
    char *text = sl_printf("%lld %s %s", (long long)timestamp, key_id, nonce);
    bool made = text && digest(tokens, text, strlen(text), key);
    free(text);
    if (!made)
        return sl_error_oom(error);
    sl_status status = gw_nonces_remember(tokens->nonces, key, until_ms, error);
    return status == SL_CONFLICT ? sl_error_set(error, SL_UNAUTHENTICATED, "the nonce was used before")
                                 : status;
}
