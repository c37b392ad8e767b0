/* Tokens got with an access key, by an OAuth 1.0a signed request. The key's file is looked at anew each time.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "auth/inside.h"
#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "base/time.h"

#define MAX_ANSWER     ((size_t)64 * 1024)
#define MAX_TOKEN      ((size_t)32 * 1024)
#define NO_LIFETIME_S  300 /* assumed where the platform does not say */
#define MAX_LIFETIME_S (10LL * 365 * 86400)

/* The Authorization header of one try: nonce and time are new each time, for a server refuses a nonce that it
 * saw before. Released with sl_secret_free; NULL: no memory, or no random numbers. */
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
    /* All of it at once, for what grows leaves pieces of it behind. */
    (void)sl_buffer_reserve(&header, 3 * (strlen(credentials->key_id) + sizeof signature) + 300);
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
    else
        status = sl_token_make(text, token, error);
    if (status == SL_OK)
        sl_token_set_lifetime(token, began, lifetime * 1000);
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
static sl_status try_once(struct sl_auth *auth, const char *body, struct token *token, int64_t *wait_ms,
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
    if (response.body.data)
        explicit_bzero(response.body.data, response.body.size); /* it has the token */
    sl_http_response_free(&response);
    sl_secret_free(&authorization);
    return status;
}

/* The engine's own retries would repeat the nonce, so tries are counted here. */
static sl_status fetch_signed(struct sl_auth *auth, struct token *token, sl_error *error)
{
    char *body = token_request(&auth->credentials);
    if (!body)
        return sl_error_oom(error);
    int64_t backoff = auth->backoff_ms;
    sl_status status;
    for (int tries = 0;; tries++) {
        int64_t wait = -1;
        status = try_once(auth, body, token, &wait, error);
        if (status == SL_OK || !error->retriable || tries >= auth->retries || wait > auth->backoff_max_ms)
            break;
        SL_INFO(&auth->log, "%s; trying again", error->text);
        if (!sl_auth_pause(auth, sl_mono_ms() + (wait >= 0 ? wait : backoff)))
            break;
        backoff = backoff * 2 < auth->backoff_max_ms ? backoff * 2 : auth->backoff_max_ms;
    }
    free(body);
    return status;
}

/* Reads the credentials' file again where it has changed, or always; true: they are others than before. */
static bool read_key_again(struct sl_auth *auth, bool always)
{
    struct sl_credentials fresh;
    struct sl_file_state state;
    sl_error error = {0};
    if (sl_credentials_read_again(&auth->credentials, always, &auth->log, &state, &fresh, &error) != SL_OK) {
        /* Perhaps it is being written. */
        if (!auth->bad || !sl_file_state_same(&auth->bad_state, &state))
            SL_WARNING(&auth->log, "%s; the credentials that were read before are kept", error.text);
        auth->bad = true;
        auth->bad_state = state;
        return false;
    }
    auth->bad = false;
    if (fresh.kind != SL_ACCESS_KEY) {
        sl_credentials_free(&fresh); /* there is nothing new, or it holds something else now */
        return false;
    }
    pthread_mutex_lock(&auth->lock);
    struct sl_credentials old = auth->credentials;
    auth->credentials = fresh;
    pthread_mutex_unlock(&auth->lock);
    bool others = !sl_credentials_same(&old, &fresh);
    sl_credentials_free(&old);
    if (others)
        SL_INFO(&auth->log, "the credentials of %s have changed", auth->credentials.file);
    return others;
}

sl_status sl_fetch_with_key(struct sl_auth *auth, const char *refused, struct token *token, sl_error *error)
{
    (void)refused; /* every token fetched is a new one */
    (void)read_key_again(auth, false);
    sl_status status = fetch_signed(auth, token, error);
    bool key_refused = status != SL_OK && (error->http_status == 401 || error->http_status == 403);
    /* A file that was written anew within the clock's grain looks the same. */
    if (key_refused && read_key_again(auth, true)) {
        memset(error, 0, sizeof *error);
        status = fetch_signed(auth, token, error);
    }
    return status;
}
