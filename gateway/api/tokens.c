/* Signing and checking tokens. A token's signature is checked once, and then remembered by the token's
 * SHA-256. */
#include "gateway/api/tokens.h"

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"

#include <cjose/cjose.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIGEST          32
#define TOKEN_MAX       4096 /* characters in a token of ours: far less */
#define APPLICATION_MAX 64
#define CACHE_SETS      1024 /* of CACHE_WAYS tokens each */
#define CACHE_WAYS      4
#define NONCE_SLOTS     65536
#define NONCE_PROBES    64 /* slots in which one nonce may lie */

struct cached {
    unsigned char digest[DIGEST];
    int64_t expires_ms; /* wall clock; 0: free */
    char application[APPLICATION_MAX];
};

struct nonce {
    unsigned char digest[DIGEST];
    int64_t until_ms;
};

struct gw_tokens {
    cjose_jwk_t *key;
    EVP_MD *sha256;
    _Atomic int64_t lifetime_ms;
    pthread_mutex_t signing; /* one use of the key at a time */
    pthread_mutex_t lock;    /* guards what follows */
    struct cached *cache;    /* CACHE_SETS * CACHE_WAYS */
    struct nonce *nonces;    /* NONCE_SLOTS */
};

static sl_status key_error(sl_error *error, const char *file)
{
    return sl_error_set(
        error, SL_IO,
        "%s holds no P-256 private key in PEM: mend it, or remove it so that a new one is made "
        "(which ends all tokens)",
        file);
}

/* One of the key's numbers as 32 big-endian bytes. */
static bool key_number(const EVP_PKEY *key, const char *name, unsigned char out[32])
{
    BIGNUM *number = NULL;
    bool good = EVP_PKEY_get_bn_param(key, name, &number) == 1 && BN_bn2binpad(number, out, 32) == 32;
    BN_clear_free(number);
    return good;
}

static cjose_jwk_t *to_jwk(const EVP_PKEY *key)
{
    unsigned char d[32], x[32], y[32];
    cjose_err problem;
    cjose_jwk_t *jwk = NULL;
    if (EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_bits(key) == 256 &&
        key_number(key, OSSL_PKEY_PARAM_PRIV_KEY, d) && key_number(key, OSSL_PKEY_PARAM_EC_PUB_X, x) &&
        key_number(key, OSSL_PKEY_PARAM_EC_PUB_Y, y)) {
        const cjose_jwk_ec_keyspec spec = {
            .crv = CJOSE_JWK_EC_P_256, .d = d, .dlen = 32, .x = x, .xlen = 32, .y = y, .ylen = 32};
        jwk = cjose_jwk_create_EC_spec(&spec, &problem);
    }
    OPENSSL_cleanse(d, sizeof d);
    return jwk;
}

/* Writes beside, then renames, so that a crash leaves no half of a key. */
static sl_status write_key(EVP_PKEY *key, const char *file, sl_error *error)
{
    char *draft = sl_printf("%s.new", file);
    if (!draft)
        return sl_error_oom(error);
    unlink(draft);
    int fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    bool good =
        out && PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) == 1 && !fflush(out) && !fsync(fd);
    if (out)
        good = !fclose(out) && good;
    good = good && !rename(draft, file);
    sl_status status =
        good ? SL_OK : sl_error_set(error, SL_IO, "cannot write %s: %s", file, sl_errno_text(errno));
    free(draft);
    return status;
}

static sl_status read_key(const char *file, EVP_PKEY **key, sl_error *error)
{
    FILE *in = fopen(file, "re");
    if (in) {
        *key = PEM_read_PrivateKey(in, NULL, NULL, NULL);
        fclose(in);
        return *key ? SL_OK : key_error(error, file);
    }
    if (errno != ENOENT)
        return sl_error_set(error, SL_IO, "cannot read %s: %s", file, sl_errno_text(errno));
    *key = EVP_EC_gen("P-256");
    return *key ? write_key(*key, file, error) : sl_error_set(error, SL_INTERNAL, "no key could be made");
}

sl_status gw_tokens_open(const char *data_directory, int64_t lifetime_ms, struct gw_tokens **out,
                         sl_error *error)
{
    struct gw_tokens *tokens = calloc(1, sizeof *tokens);
    *out = tokens;
    if (!tokens)
        return sl_error_oom(error);
    tokens->lifetime_ms = lifetime_ms;
    pthread_mutex_init(&tokens->signing, NULL);
    pthread_mutex_init(&tokens->lock, NULL);
    tokens->cache = calloc((size_t)CACHE_SETS * CACHE_WAYS, sizeof *tokens->cache);
    tokens->nonces = calloc(NONCE_SLOTS, sizeof *tokens->nonces);
    tokens->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    char *file = sl_printf("%s/token-key.pem", data_directory);
    EVP_PKEY *key = NULL;
    sl_status status =
        tokens->cache && tokens->nonces && tokens->sha256 && file ? SL_OK : sl_error_oom(error);
    if (!status)
        status = read_key(file, &key, error);
    if (!status && !(tokens->key = to_jwk(key)))
        status = key_error(error, file);
    EVP_PKEY_free(key);
    free(file);
    if (status)
        gw_tokens_close(out);
    return status;
}

void gw_tokens_close(struct gw_tokens **out)
{
    struct gw_tokens *tokens = *out;
    if (!tokens)
        return;
    *out = NULL;
    if (tokens->key)
        cjose_jwk_release(tokens->key);
    EVP_MD_free(tokens->sha256);
    free(tokens->cache);
    free(tokens->nonces);
    pthread_mutex_destroy(&tokens->signing);
    pthread_mutex_destroy(&tokens->lock);
    free(tokens);
}

void gw_tokens_set_lifetime(struct gw_tokens *tokens, int64_t lifetime_ms)
{
    tokens->lifetime_ms = lifetime_ms;
}

int64_t gw_tokens_lifetime_ms(const struct gw_tokens *tokens)
{
    return tokens->lifetime_ms;
}

static char *sign(cjose_jwk_t *key, const char *payload)
{
    cjose_err problem;
    const char *compact = NULL;
    char *token = NULL;
    cjose_header_t *header = cjose_header_new(&problem);
    cjose_jws_t *jws = NULL;
    if (header && cjose_header_set(header, CJOSE_HDR_ALG, CJOSE_HDR_ALG_ES256, &problem) &&
        cjose_header_set(header, "typ", "JWT", &problem) &&
        (jws = cjose_jws_sign(key, header, (const uint8_t *)payload, strlen(payload), &problem)) &&
        cjose_jws_export(jws, &compact, &problem))
        token = strdup(compact);
    cjose_jws_release(jws);
    cjose_header_release(header);
    return token;
}

sl_status gw_tokens_sign(struct gw_tokens *tokens, const char *application, int64_t lifetime_ms, char **token,
                         sl_error *error)
{
    int64_t now = sl_wall_ms() / 1000;
    char id[17];
    *token = NULL;
    if (!sl_random_hex(id, 16)) /* two tokens of one second must differ */
        return sl_error_set(error, SL_INTERNAL, "the system's random source failed");
    json_t *claims = json_pack("{s:s, s:s, s:I, s:I, s:s}", "iss", "streamlayer", "sub", application, "iat",
                               (json_int_t)now, "exp", (json_int_t)(now + lifetime_ms / 1000), "jti", id);
    char *payload = claims ? json_dumps(claims, JSON_COMPACT) : NULL;
    json_decref(claims);
    if (payload) {
        pthread_mutex_lock(&tokens->signing);
        *token = sign(tokens->key, payload);
        pthread_mutex_unlock(&tokens->signing);
    }
    free(payload);
    return *token ? SL_OK : sl_error_oom(error);
}

static bool digest(const struct gw_tokens *tokens, const char *text, size_t size, unsigned char out[DIGEST])
{
    return EVP_Digest(text, size, out, NULL, tokens->sha256, NULL) == 1;
}

/* The set that a digest's token would lie in: the digest is as good as random. */
static struct cached *cache_set(struct gw_tokens *tokens, const unsigned char *key)
{
    return tokens->cache + (size_t)(key[0] | key[1] << 8) % CACHE_SETS * CACHE_WAYS;
}

static bool cache_find(struct gw_tokens *tokens, const unsigned char *key, char application[APPLICATION_MAX])
{
    int64_t now = sl_wall_ms();
    bool found = false;
    pthread_mutex_lock(&tokens->lock);
    struct cached *set = cache_set(tokens, key);
    for (int i = 0; i < CACHE_WAYS && !found; i++)
        if (set[i].expires_ms > now && !memcmp(set[i].digest, key, DIGEST)) {
            memcpy(application, set[i].application, APPLICATION_MAX);
            found = true;
        }
    pthread_mutex_unlock(&tokens->lock);
    return found;
}

static void cache_put(struct gw_tokens *tokens, const unsigned char *key, const char *application,
                      int64_t expires_ms)
{
    pthread_mutex_lock(&tokens->lock);
    struct cached *place = cache_set(tokens, key);
    for (struct cached *other = place + CACHE_WAYS - 1; other > cache_set(tokens, key); other--)
        if (other->expires_ms < place->expires_ms)
            place = other; /* the one that ends first makes room */
    memcpy(place->digest, key, DIGEST);
    snprintf(place->application, sizeof place->application, "%s", application);
    place->expires_ms = expires_ms;
    pthread_mutex_unlock(&tokens->lock);
}

/* The claims of a token that this key has signed; NULL: it has not. */
static json_t *verified_claims(struct gw_tokens *tokens, const char *token, size_t size)
{
    cjose_err problem;
    json_t *claims = NULL;
    uint8_t *payload = NULL;
    size_t payload_size = 0;
    pthread_mutex_lock(&tokens->signing);
    cjose_jws_t *jws = cjose_jws_import(token, size, &problem);
    const char *algorithm =
        jws ? cjose_header_get(cjose_jws_get_protected(jws), CJOSE_HDR_ALG, &problem) : NULL;
    if (algorithm && !strcmp(algorithm, CJOSE_HDR_ALG_ES256) &&
        cjose_jws_verify(jws, tokens->key, &problem) &&
        cjose_jws_get_plaintext(jws, &payload, &payload_size, &problem))
        claims = json_loadb((const char *)payload, payload_size, 0, NULL);
    cjose_jws_release(jws);
    pthread_mutex_unlock(&tokens->signing);
    return claims;
}

sl_status gw_tokens_check(struct gw_tokens *tokens, const char *token, char **out, sl_error *error)
{
    unsigned char key[DIGEST];
    char application[APPLICATION_MAX];
    size_t size = strnlen(token, TOKEN_MAX + 1);
    *out = NULL;
    if (size > TOKEN_MAX)
        return sl_error_set(error, SL_UNAUTHENTICATED, "the bearer token is none of this platform's");
    if (!digest(tokens, token, size, key))
        return sl_error_oom(error);
    if (!cache_find(tokens, key, application)) {
        json_t *claims = verified_claims(tokens, token, size);
        const char *subject = json_string_value(json_object_get(claims, "sub"));
        int64_t expires = json_integer_value(json_object_get(claims, "exp"));
        bool good = subject && *subject && strlen(subject) < APPLICATION_MAX;
        bool fresh = good && expires > sl_wall_ms() / 1000;
        if (fresh) {
            snprintf(application, sizeof application, "%s", subject);
            cache_put(tokens, key, application, expires * 1000);
        }
        json_decref(claims);
        if (!fresh)
            return sl_error_set(error, SL_UNAUTHENTICATED,
                                good ? "the bearer token has expired"
                                     : "the bearer token is none of this platform's");
    }
    *out = strdup(application);
    return *out ? SL_OK : sl_error_oom(error);
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
    int64_t now = sl_wall_ms();
    struct nonce *room = NULL;
    bool seen = false;
    pthread_mutex_lock(&tokens->lock);
    size_t first = (size_t)(key[0] | key[1] << 8);
    for (size_t i = 0; i < NONCE_PROBES && !seen; i++) {
        struct nonce *slot = &tokens->nonces[(first + i) % NONCE_SLOTS];
        bool live = slot->until_ms > now;
        seen = live && !memcmp(slot->digest, key, DIGEST);
        if (!live && !room)
            room = slot;
    }
    if (!seen && room) {
        memcpy(room->digest, key, DIGEST);
        room->until_ms = until_ms;
    }
    pthread_mutex_unlock(&tokens->lock);
    if (seen)
        return sl_error_set(error, SL_UNAUTHENTICATED, "the nonce was used before");
    return room ? SL_OK : sl_error_set_retriable(error, SL_THROTTLED, "too many tokens are being asked for");
}
