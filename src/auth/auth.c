/* Bearer tokens: got with an OAuth 1.0a signed request, kept until shortly before they expire. */
#include "auth/auth.h"

#include <inttypes.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "auth/credentials.h"
#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "config/settings.h"

#define MAX_ANSWER     ((size_t)64 * 1024)
#define MAX_TOKEN      ((size_t)32 * 1024)
#define RENEW_EARLY_MS 60000 /* before expiry, so that a request under way is not overtaken by it */
#define RENEW_AGAIN_MS 5000  /* after it failed */
#define NO_LIFETIME_S  300   /* assumed where the platform does not say */
#define MAX_LIFETIME_S (10LL * 365 * 86400)

struct token {
    char *bearer;         /* "Bearer …" */
    int64_t expires_wall; /* for people and other processes, ms; 0: not known */
    int64_t expires_mono; /* what is gone by here, ms */
    int64_t renew_mono;   /* not handed out after it while another can be had */
};

struct sl_auth {
    struct sl_http *http;
    struct sl_log log;
    struct sl_credentials credentials;
    int retries;
    int64_t backoff_ms, backoff_max_ms;

    pthread_mutex_t lock;
    pthread_cond_t fetched;
    /* under lock: */
    struct token token;
    bool fetching, stopping;
    bool started; /* fetcher is a thread to be joined: fetching, or at its end */
    pthread_t fetcher;
    unsigned fetches; /* how many have ended */
    sl_error last;    /* how the last one ended; status SL_OK: well */
};

static void free_token(struct token *token)
{
    if (token->bearer)
        OPENSSL_cleanse(token->bearer, strlen(token->bearer));
    free(token->bearer);
    memset(token, 0, sizeof *token);
}

static sl_status read_settings(struct sl_auth *auth, const sl_config *config, sl_error *error)
{
    int64_t retries = 0;
    sl_status status = sl_config_integer(config, SL_ROOT "http.retry.attempts", &retries, error);
    if (status == SL_OK)
        status = sl_config_duration_ms(config, SL_ROOT "http.retry.backoff", &auth->backoff_ms, error);
    if (status == SL_OK)
        status =
            sl_config_duration_ms(config, SL_ROOT "http.retry.max-backoff", &auth->backoff_max_ms, error);
    auth->retries = (int)retries;
    return status;
}

sl_status sl_auth_create(const sl_config *config, struct sl_http *http, const struct sl_log *log,
                         struct sl_auth **auth, sl_error *error)
{
    *auth = NULL;
    struct sl_auth *made = calloc(1, sizeof *made);
    if (!made)
        return sl_error_oom(error);
    made->http = http;
    if (log)
        made->log = *log;
    if (pthread_mutex_init(&made->lock, NULL) != 0) {
        free(made);
        return sl_error_oom(error);
    }
    sl_cond_init(&made->fetched);
    sl_status status = read_settings(made, config, error);
    if (status == SL_OK)
        status = sl_credentials_load(config, &made->log, &made->credentials, error);
    if (status != SL_OK)
        sl_auth_destroy(&made);
    *auth = made;
    return status;
}

void sl_auth_destroy(struct sl_auth **auth)
{
    if (!auth || !*auth)
        return;
    pthread_mutex_lock(&(*auth)->lock);
    (*auth)->stopping = true;
    bool started = (*auth)->started;
    pthread_cond_broadcast(&(*auth)->fetched);
    pthread_mutex_unlock(&(*auth)->lock);
    if (started) {
        sl_http_cancel((*auth)->http, *auth);
        pthread_join((*auth)->fetcher, NULL);
    }
    free_token(&(*auth)->token);
    sl_credentials_free(&(*auth)->credentials);
    pthread_cond_destroy(&(*auth)->fetched);
    pthread_mutex_destroy(&(*auth)->lock);
    free(*auth);
    *auth = NULL;
}

/* The Authorization header of one try: nonce and time are new each time, for a server refuses a nonce that it
 * saw before. Released with free; NULL: no memory, or no random numbers. */
static char *sign(const struct sl_credentials *credentials)
{
    char nonce[33], timestamp[24], signature[45];
    if (!sl_random_hex(nonce, 32))
        return NULL;
    snprintf(timestamp, sizeof timestamp, "%" PRId64, sl_wall_ms() / 1000);
    const struct sl_oauth_parameter parameters[] = {{"oauth_consumer_key", credentials->key_id},
                                                    {"oauth_nonce", nonce},
                                                    {"oauth_signature_method", "HMAC-SHA256"},
                                                    {"oauth_timestamp", timestamp},
                                                    {"oauth_version", "1.0"}};
    if (!sl_oauth_signature("POST", credentials->token_url, parameters,
                            sizeof parameters / sizeof *parameters, credentials->key_secret, signature))
        return NULL;
    struct sl_buffer header;
    sl_buffer_init(&header, (size_t)128 * 1024);
    sl_buffer_append_text(&header, "OAuth oauth_consumer_key=\"");
    sl_percent_encode(&header, credentials->key_id, strlen(credentials->key_id));
    sl_buffer_printf(&header, "\",oauth_nonce=\"%s\",oauth_signature=\"", nonce);
    sl_percent_encode(&header, signature, strlen(signature));
    sl_buffer_printf(&header,
                     "\",oauth_signature_method=\"HMAC-SHA256\",oauth_timestamp=\"%s\",oauth_version=\"1.0\"",
                     timestamp);
    char *text = sl_buffer_take(&header);
    sl_buffer_free(&header);
    return text;
}

static char *token_request(const struct sl_credentials *credentials)
{
    json_t *body = credentials->scope ? json_pack("{s:s, s:s}", "grantType", "client_credentials", "scope",
                                                  credentials->scope)
                                      : json_pack("{s:s}", "grantType", "client_credentials");
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    return text;
}

/* A member in either of its spellings. */
static const json_t *member(const json_t *answer, const char *camel, const char *snake)
{
    const json_t *value = json_object_get(answer, camel);
    return value ? value : json_object_get(answer, snake);
}

/* The token in a 2xx answer. began: when the request did, on the monotonic clock. */
static sl_status read_token(const struct sl_credentials *credentials, const struct sl_buffer *body,
                            int64_t began, struct token *token, sl_error *error)
{
    json_t *answer = body->size ? json_loadb(body->data, body->size, 0, NULL) : NULL;
    const char *text = json_string_value(member(answer, "accessToken", "access_token"));
    const char *type = json_string_value(member(answer, "tokenType", "token_type"));
    const json_t *expires = member(answer, "expiresIn", "expires_in");
    int64_t lifetime = NO_LIFETIME_S;
    sl_status status = SL_OK;
    if (json_is_number(expires)) {
        double seconds = json_number_value(expires);
        lifetime = seconds <= 0 ? 0 : seconds > (double)MAX_LIFETIME_S ? MAX_LIFETIME_S : (int64_t)seconds;
    } else if (json_is_string(expires) &&
               !sl_parse_int(json_string_value(expires), 0, MAX_LIFETIME_S, &lifetime)) {
        lifetime = NO_LIFETIME_S;
    }
    if (!text || !sl_is_token_text(text, MAX_TOKEN))
        status = sl_error_set(error, SL_PROTOCOL,
                              "%s answered without a usable accessToken: is this the token endpoint?",
                              credentials->token_url);
    else if (type && strcasecmp(type, "bearer") != 0)
        status = sl_error_set(error, SL_PROTOCOL,
                              "%s answered with a token of type \"%.40s\"; only bearer is known",
                              credentials->token_url, type);
    else if (!(token->bearer = sl_printf("Bearer %s", text)))
        status = sl_error_oom(error);
    if (status == SL_OK) {
        int64_t early = lifetime * 1000 / 10;
        token->expires_mono = began + lifetime * 1000;
        token->expires_wall = sl_wall_ms() + lifetime * 1000;
        token->renew_mono = token->expires_mono - (early < RENEW_EARLY_MS ? early : RENEW_EARLY_MS);
    }
    json_decref(answer);
    return status;
}

/* The error of an answer that is none; on 401 with this machine's time, for a wrong clock is a common cause.
 */
static sl_status refused_by_platform(const struct sl_credentials *credentials,
                                     const struct sl_http_response *response, sl_error *error)
{
    char what[300], clock[32] = "?";
    sl_http_describe("getting a token from", credentials->token_url, what, sizeof what);
    sl_status status = sl_http_error(response, what, error);
    if (response->status != 401 || !error)
        return status;
    time_t now = (time_t)(sl_wall_ms() / 1000);
    struct tm utc;
    if (gmtime_r(&now, &utc))
        strftime(clock, sizeof clock, "%Y-%m-%dT%H:%M:%SZ", &utc);
    sl_error copy = *error;
    sl_error_set(error, status,
                 "%.600s (credentials of %.120s; signed at %s by this machine's clock: a wrong "
                 "clock is refused too)",
                 copy.text, credentials->source, clock);
    error->http_status = copy.http_status;
    return status;
}

/* One try. *wait_ms: what the platform asks to wait before the next, or -1. */
static sl_status fetch_once(struct sl_auth *auth, const char *body, struct token *token, int64_t *wait_ms,
                            sl_error *error)
{
    const struct sl_credentials *credentials = &auth->credentials;
    char *authorization = sign(credentials);
    if (!authorization)
        return sl_error_set(error, SL_OUT_OF_MEMORY, "the token request cannot be signed: out of memory");
    const struct sl_http_header headers[] = {{"Authorization", authorization},
                                             {"Content-Type", "application/json"},
                                             {"Accept", "application/json"}};
    const struct sl_http_request request = {.method = "POST",
                                            .url = credentials->token_url,
                                            .headers = headers,
                                            .header_count = sizeof headers / sizeof *headers,
                                            .body = body,
                                            .body_size = strlen(body),
                                            .max_response = MAX_ANSWER,
                                            .owner = auth};
    struct sl_http_response response = {0};
    int64_t began = sl_mono_ms();
    sl_status status = sl_http_perform(auth->http, &request, &response, error);
    *wait_ms = -1;
    if (status == SL_OK) {
        *wait_ms = response.retry_after_ms;
        status = response.status >= 200 && response.status < 300
                     ? read_token(credentials, &response.body, began, token, error)
                     : refused_by_platform(credentials, &response, error);
    }
    sl_http_response_free(&response);
    OPENSSL_cleanse(authorization, strlen(authorization));
    free(authorization);
    return status;
}

/* Under lock. */
static void wait_fetched(struct sl_auth *auth, int64_t deadline_ms)
{
    if (deadline_ms == INT64_MAX) {
        pthread_cond_wait(&auth->fetched, &auth->lock);
        return;
    }
    struct timespec until = sl_mono_deadline(deadline_ms);
    pthread_cond_timedwait(&auth->fetched, &auth->lock, &until);
}

/* false: there is no need any more. */
static bool pause_until(struct sl_auth *auth, int64_t until_ms)
{
    pthread_mutex_lock(&auth->lock);
    while (!auth->stopping && sl_mono_ms() < until_ms)
        wait_fetched(auth, until_ms);
    bool go_on = !auth->stopping;
    pthread_mutex_unlock(&auth->lock);
    return go_on;
}

/* The engine's own retries would repeat the nonce, so tries are counted here. */
static sl_status fetch(struct sl_auth *auth, struct token *token, sl_error *error)
{
    char *body = token_request(&auth->credentials);
    if (!body)
        return sl_error_oom(error);
    int64_t backoff = auth->backoff_ms;
    sl_status status;
    for (int tries = 0;; tries++) {
        int64_t wait = -1;
        status = fetch_once(auth, body, token, &wait, error);
        if (status == SL_OK || !error->retriable || tries >= auth->retries || wait > auth->backoff_max_ms)
            break;
        SL_INFO(&auth->log, "%s; trying again", error->text);
        if (!pause_until(auth, sl_mono_ms() + (wait >= 0 ? wait : backoff)))
            break;
        backoff = backoff * 2 < auth->backoff_max_ms ? backoff * 2 : auth->backoff_max_ms;
    }
    free(body);
    return status;
}

/* Under lock. Whether the token may be handed out: not past the time, and not the one that was refused. */
static bool usable(const struct token *token, const char *refused, int64_t until)
{
    return token->bearer && sl_mono_ms() < until && !(refused && strcmp(token->bearer, refused) == 0);
}

/* Under lock. */
static sl_status hand_out(const struct token *token, char **bearer, int64_t *expires_ms, sl_error *error)
{
    *bearer = sl_strdup(token->bearer);
    if (!*bearer)
        return sl_error_oom(error);
    if (expires_ms)
        *expires_ms = token->expires_wall;
    return SL_OK;
}

/* A thread of its own, so that whoever waits for a token may stop waiting. */
static void *run_fetch(void *opaque)
{
    struct sl_auth *auth = opaque;
    struct token token = {0};
    sl_error error = {0};
    sl_status status = fetch(auth, &token, &error);
    pthread_mutex_lock(&auth->lock);
    if (status == SL_OK) {
        free_token(&auth->token);
        auth->token = token;
        memset(&error, 0, sizeof error);
    } else {
        /* While the old one is good, not every call need wait for another failure. */
        auth->token.renew_mono = sl_mono_ms() + RENEW_AGAIN_MS;
    }
    auth->last = error;
    auth->fetching = false;
    auth->fetches++;
    pthread_cond_broadcast(&auth->fetched);
    pthread_mutex_unlock(&auth->lock);
    return NULL;
}

/* Under lock. Begins a fetch, unless one is under way. */
static sl_status begin_fetch(struct sl_auth *auth, sl_error *error)
{
    if (auth->fetching)
        return SL_OK;
    if (auth->started)
        pthread_join(auth->fetcher, NULL); /* it has let go of the lock for the last time */
    auth->started = false;
    if (pthread_create(&auth->fetcher, NULL, run_fetch, auth))
        return sl_error_set(error, SL_INTERNAL, "no thread for getting a token could be started");
    auth->started = auth->fetching = true;
    return SL_OK;
}

/* Under lock, which is let go of meanwhile. */
static sl_status fetch_and_wait(struct sl_auth *auth, int64_t deadline_ms, const atomic_bool *cancelled,
                                sl_error *error)
{
    unsigned before = auth->fetches;
    sl_status status = begin_fetch(auth, error);
    while (!status && auth->fetches == before) {
        if (cancelled && atomic_load(cancelled))
            status = sl_error_set(error, SL_CLOSED, "it was cancelled while a token was being got from %s",
                                  auth->credentials.token_url);
        else if (sl_mono_ms() >= deadline_ms)
            status = sl_error_set_retriable(error, SL_TIMED_OUT, "%s gave no token in time",
                                            auth->credentials.token_url);
        else
            wait_fetched(auth, deadline_ms);
    }
    return status;
}

static sl_status literal(const struct sl_auth *auth, const char *refused, char **bearer, int64_t *expires_ms,
                         sl_error *error)
{
    struct token token = {.bearer = sl_printf("Bearer %s", auth->credentials.token)};
    if (!token.bearer)
        return sl_error_oom(error);
    sl_status status;
    if (refused && strcmp(refused, token.bearer) == 0)
        status =
            sl_error_set(error, SL_UNAUTHENTICATED,
                         "the token of %s is refused (expired?), and a given token cannot be renewed: set "
                         "a new one, or an access key",
                         auth->credentials.source);
    else
        status = hand_out(&token, bearer, expires_ms, error);
    free_token(&token);
    return status;
}

static sl_status get_bearer(struct sl_auth *auth, const char *refused, int64_t deadline_ms,
                            const atomic_bool *cancelled, char **bearer, int64_t *expires_ms, sl_error *error)
{
    *bearer = NULL;
    if (!auth->credentials.source)
        return sl_error_set(error, SL_UNAUTHENTICATED,
                            "no credentials: set %srequest-signer.credentials.file-path or "
                            "STREAMLAYER_CREDENTIALS to a credentials.properties file, or put one at "
                            "~/.here/credentials.properties",
                            SL_ROOT);
    if (auth->credentials.token)
        return literal(auth, refused, bearer, expires_ms, error);
    pthread_mutex_lock(&auth->lock);
    sl_status status = SL_OK;
    int64_t renew = auth->token.renew_mono, expires = auth->token.expires_mono;
    if (!usable(&auth->token, refused, renew < expires ? renew : expires))
        status = fetch_and_wait(auth, deadline_ms, cancelled, error);
    if (usable(&auth->token, refused, auth->token.expires_mono)) {
        /* Also when renewing failed, or takes long, and the old token is still good. */
        status = hand_out(&auth->token, bearer, expires_ms, error);
    } else if (!status) {
        status = auth->last.status ? auth->last.status : SL_UNAUTHENTICATED;
        if (error && auth->last.status)
            *error = auth->last;
        else
            sl_error_set(error, status, "%s gave a token that is refused, or has expired already",
                         auth->credentials.token_url);
    }
    pthread_mutex_unlock(&auth->lock);
    return status;
}

sl_status sl_auth_bearer(struct sl_auth *auth, const char *refused, char **bearer, int64_t *expires_ms,
                         sl_error *error)
{
    return get_bearer(auth, refused, INT64_MAX, NULL, bearer, expires_ms, error);
}

sl_status sl_auth_bearer_until(struct sl_auth *auth, const char *refused, int64_t deadline_ms,
                               const atomic_bool *cancelled, char **bearer, sl_error *error)
{
    return get_bearer(auth, refused, deadline_ms, cancelled, bearer, NULL, error);
}

void sl_auth_wake(struct sl_auth *auth)
{
    pthread_mutex_lock(&auth->lock);
    pthread_cond_broadcast(&auth->fetched);
    pthread_mutex_unlock(&auth->lock);
}
