/* The token cache: one token, kept until it expires, and one fetch at a time for all who need another. */
#include "auth/auth.h"

#include <stdlib.h>
#include <string.h>

#include "auth/inside.h"
#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "base/time.h"
#include "config/settings.h"

#define SCHEME          "Bearer "
#define SCHEME_LENGTH   (sizeof SCHEME - 1)
#define RENEW_EARLY_MS  60000 /* before expiry, so that a request under way is not overtaken by it */
#define HOLD_MS         1000  /* without another fetch, after one that was of no use */
#define CANCEL_AGAIN_MS 50
#define RENEW_AGAIN     5 /* times that, after renewing failed, or brought what is to be renewed at once */

sl_status sl_token_make(const char *text, struct token *token, sl_error *error)
{
    size_t size = strlen(text);
    token->bearer = sl_hidden_alloc(SCHEME_LENGTH + size + 1);
    if (!token->bearer)
        return sl_error_oom(error);
    memcpy(token->bearer, SCHEME, SCHEME_LENGTH);
    memcpy(token->bearer + SCHEME_LENGTH, text, size);
    sl_token_set_expiry(token, 0);
    return SL_OK;
}

void sl_token_set_lifetime(struct token *token, int64_t began_mono, int64_t lifetime_ms)
{
    int64_t early = lifetime_ms / 10;
    token->expires_mono = began_mono + lifetime_ms;
    token->expires_wall = sl_wall_ms() + lifetime_ms;
    token->renew_mono = token->expires_mono - (early < RENEW_EARLY_MS ? early : RENEW_EARLY_MS);
}

void sl_token_set_expiry(struct token *token, int64_t expires_wall)
{
    int64_t now = sl_wall_ms();
    int64_t left = expires_wall > now ? expires_wall - now : 0;
    if (expires_wall > 0 && left < INT64_MAX / 2)
        sl_token_set_lifetime(token, sl_mono_ms(), left);
    else
        token->expires_mono = token->renew_mono = INT64_MAX;
    token->expires_wall = expires_wall;
}

static void free_token(struct token *token)
{
    sl_hidden_free(&token->bearer);
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

/* What is asked for tokens: what the program says, else what the credentials are. */
static sl_status choose_origin(struct sl_auth *auth, const sl_config *config,
                               const struct sl_token_origin *origin, sl_error *error)
{
    const char *token = origin ? origin->token : NULL;
    auth->callback = origin ? origin->callback : NULL;
    auth->opaque = origin ? origin->opaque : NULL;
    if (auth->callback || token) {
        auth->credentials.source =
            sl_strdup(auth->callback ? "the application's token callback" : "the application");
        if (!auth->credentials.source)
            return sl_error_oom(error);
    } else {
        sl_status status = sl_credentials_load(config, &auth->log, &auth->credentials, error);
        if (status != SL_OK)
            return status;
        token = auth->credentials.token;
    }
    if (auth->callback)
        auth->fetch = sl_fetch_from_callback;
    else if (auth->credentials.kind == SL_ACCESS_KEY)
        auth->fetch = sl_fetch_with_key;
    else if (auth->credentials.kind == SL_TOKEN_FILE)
        auth->fetch = sl_fetch_from_file;
    sl_status status = token && !auth->fetch ? sl_token_make(token, &auth->token, error) : SL_OK;
    if (status == SL_OK && auth->token.bearer)
        sl_token_set_expiry(&auth->token, auth->credentials.token_expires_ms);
    sl_hidden_free(&auth->credentials.token);
    return status;
}

sl_status sl_auth_create(const sl_config *config, const struct sl_token_origin *origin, struct sl_http *http,
                         const struct sl_log *log, struct sl_auth **auth, sl_error *error)
{
    *auth = NULL;
    struct sl_auth *made = calloc(1, sizeof *made);
    if (!made)
        return sl_error_oom(error);
    made->http = http;
    made->hold_ms = HOLD_MS;
    if (log)
        made->log = *log;
    if (pthread_mutex_init(&made->lock, NULL) != 0) {
        free(made);
        return sl_error_oom(error);
    }
    sl_cond_init(&made->fetched);
    sl_status status = read_settings(made, config, error);
    if (status == SL_OK)
        status = choose_origin(made, config, origin, error);
    if (status != SL_OK)
        sl_auth_destroy(&made);
    *auth = made;
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

/* Ends the fetch under way, if there is one, and waits until it has. */
static void end_fetch(struct sl_auth *auth)
{
    pthread_mutex_lock(&auth->lock);
    auth->stopping = true;
    pthread_cond_broadcast(&auth->fetched);
    while (auth->fetching) {
        pthread_mutex_unlock(&auth->lock);
        sl_http_cancel(auth->http, auth);
        pthread_mutex_lock(&auth->lock);
        if (auth->fetching) /* perhaps its request begins only now */
            wait_fetched(auth, sl_mono_ms() + CANCEL_AGAIN_MS);
    }
    bool started = auth->started;
    pthread_mutex_unlock(&auth->lock);
    if (started)
        pthread_join(auth->fetcher, NULL);
}

void sl_auth_destroy(struct sl_auth **auth)
{
    if (!auth || !*auth)
        return;
    end_fetch(*auth);
    free_token(&(*auth)->token);
    sl_hidden_free(&(*auth)->refused);
    sl_credentials_free(&(*auth)->credentials);
    pthread_cond_destroy(&(*auth)->fetched);
    pthread_mutex_destroy(&(*auth)->lock);
    free(*auth);
    *auth = NULL;
}

bool sl_auth_pause(struct sl_auth *auth, int64_t until_ms)
{
    pthread_mutex_lock(&auth->lock);
    while (!auth->stopping && sl_mono_ms() < until_ms)
        wait_fetched(auth, until_ms);
    bool go_on = !auth->stopping;
    pthread_mutex_unlock(&auth->lock);
    return go_on;
}

/* Under lock. Whether the token may be handed out: not past its time, and not the one that was refused. */
static bool usable(const struct token *token, const char *refused)
{
    return token->bearer && sl_mono_ms() < token->expires_mono &&
           !(refused && strcmp(token->bearer, refused) == 0);
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

/* Under lock. Who gives tokens, for people. */
static const char *giver(const struct sl_auth *auth)
{
    if (auth->credentials.kind == SL_ACCESS_KEY)
        return auth->credentials.token_url;
    return auth->credentials.source;
}

/* A thread of its own, so that whoever waits for a token may stop waiting. */
static void *run_fetch(void *opaque)
{
    struct sl_auth *auth = opaque;
    struct token token = {0};
    sl_error error = {0};
    sl_status status = auth->fetch(auth, auth->refused, &token, &error);
    pthread_mutex_lock(&auth->lock);
    int64_t now = sl_mono_ms();
    if (status == SL_OK) {
        memset(&error, 0, sizeof error);
        if (!usable(&token, auth->refused))
            sl_error_set(&error, SL_UNAUTHENTICATED,
                         "%s gave a token that is refused, or has expired already", giver(auth));
    } else {
        error.status = status;
    }
    /* One that is of no use does not take the place of one that is. */
    bool keep = error.status && (status != SL_OK || usable(&auth->token, auth->refused));
    if (keep) {
        free_token(&token);
        auth->token.renew_mono = now;
    } else {
        free_token(&auth->token);
        auth->token = token;
    }
    if (keep && status == SL_OK && !auth->last.status) {
        pthread_mutex_unlock(&auth->lock); /* others find the fetch under way meanwhile */
        SL_WARNING(&auth->log, "%s; the one before is used on", error.text);
        pthread_mutex_lock(&auth->lock);
    }
    if (error.status)
        auth->held_until = now + auth->hold_ms;
    if (auth->token.renew_mono <= now) /* while the old one is good, not every call need begin another */
        auth->token.renew_mono = now + auth->hold_ms * RENEW_AGAIN;
    auth->last = error;
    sl_hidden_free(&auth->refused);
    auth->fetching = false;
    auth->fetches++;
    pthread_cond_broadcast(&auth->fetched);
    pthread_mutex_unlock(&auth->lock);
    return NULL;
}

/* Under lock. Begins a fetch, unless one is under way. */
static sl_status begin_fetch(struct sl_auth *auth, const char *refused, sl_error *error)
{
    if (auth->fetching)
        return SL_OK;
    if (auth->started)
        pthread_join(auth->fetcher, NULL); /* it has let go of the lock for the last time */
    auth->started = false;
    auth->refused = refused ? sl_hidden_copy(refused, strlen(refused)) : NULL;
    if (refused && !auth->refused)
        return sl_error_oom(error);
    if (pthread_create(&auth->fetcher, NULL, run_fetch, auth)) {
        sl_hidden_free(&auth->refused);
        return sl_error_set(error, SL_INTERNAL, "no thread for getting a token could be started");
    }
    auth->started = auth->fetching = true;
    return SL_OK;
}

/* Under lock, which is let go of meanwhile. */
static sl_status fetch_and_wait(struct sl_auth *auth, const char *refused, int64_t deadline_ms,
                                const atomic_bool *cancelled, sl_error *error)
{
    unsigned before = auth->fetches;
    sl_status status = begin_fetch(auth, refused, error);
    if (!status && pthread_equal(auth->fetcher, pthread_self()))
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "a token callback has called what needs a token of its own client");
    while (!status && auth->fetches == before) {
        if (cancelled && atomic_load(cancelled))
            status = sl_error_set(error, SL_CLOSED, "it was cancelled while a token was being got from %s",
                                  giver(auth));
        else if (sl_mono_ms() >= deadline_ms)
            status = sl_error_set_retriable(error, SL_TIMED_OUT, "%s gave no token in time", giver(auth));
        else
            wait_fetched(auth, deadline_ms);
    }
    return status;
}

/* Under lock. */
static sl_status no_other_token(const struct sl_auth *auth, sl_error *error)
{
    if (!auth->credentials.source)
        return sl_error_set(error, SL_UNAUTHENTICATED,
                            "no credentials: set %srequest-signer.credentials.file-path or "
                            "STREAMLAYER_CREDENTIALS to a credentials file, or put one at "
                            "~/.here/credentials.properties",
                            SL_ROOT);
    return sl_error_set(error, SL_UNAUTHENTICATED,
                        "the token of %s is refused (expired?), and a given token cannot be renewed: set a "
                        "new one, or an access key",
                        auth->credentials.source);
}

/* Under lock. Why there is no token. */
static sl_status last_error(const struct sl_auth *auth, sl_error *error)
{
    if (error)
        *error = auth->last;
    return auth->last.status;
}

static sl_status get_bearer(struct sl_auth *auth, const char *refused, int64_t deadline_ms,
                            const atomic_bool *cancelled, char **bearer, int64_t *expires_ms, sl_error *error)
{
    *bearer = NULL;
    pthread_mutex_lock(&auth->lock);
    sl_status status = SL_OK;
    bool tried = false;
    while (status == SL_OK && !usable(&auth->token, refused)) {
        /* A fetch that is under way may not know what is refused; the next one does. */
        bool own = !auth->fetching;
        if (!auth->fetch)
            status = no_other_token(auth, error);
        else if (own && auth->last.status && (tried || sl_mono_ms() < auth->held_until))
            status = last_error(auth, error);
        else
            status = fetch_and_wait(auth, refused, deadline_ms, cancelled, error);
        tried |= own;
    }
    if (status == SL_OK) {
        status = hand_out(&auth->token, bearer, expires_ms, error);
        /* Where the next cannot be fetched, this one is good all the same. */
        if (auth->fetch && !auth->stopping && sl_mono_ms() >= auth->token.renew_mono)
            (void)begin_fetch(auth, NULL, NULL);
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
                               const atomic_bool *cancelled, char **bearer, int64_t *expires_ms,
                               sl_error *error)
{
    return get_bearer(auth, refused, deadline_ms, cancelled, bearer, expires_ms, error);
}

void sl_auth_wake(struct sl_auth *auth)
{
    pthread_mutex_lock(&auth->lock);
    pthread_cond_broadcast(&auth->fetched);
    pthread_mutex_unlock(&auth->lock);
}

sl_status sl_auth_set_token(struct sl_auth *auth, const char *token, sl_error *error)
{
    const char *text = sl_token_text(token);
    if (!text)
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "the token is NULL, empty, or not printable ASCII without spaces");
    if (auth->fetch)
        return sl_error_set(
            error, SL_INVALID_ARGUMENT,
            "this client gets its tokens itself, from %s: only one that was made with a token "
            "can be given another",
            auth->callback ? "a callback" : "the credentials of its configuration");
    struct token next = {0};
    char *source = sl_strdup("the application");
    sl_status status = source ? sl_token_make(text, &next, error) : sl_error_oom(error);
    if (status != SL_OK) {
        free(source);
        return status;
    }
    pthread_mutex_lock(&auth->lock);
    struct token old = auth->token;
    char *old_source = auth->credentials.source;
    auth->token = next;
    auth->credentials.source = source;
    pthread_mutex_unlock(&auth->lock);
    free_token(&old);
    free(old_source);
    return SL_OK;
}

char *sl_auth_token_url(struct sl_auth *auth, char **source)
{
    pthread_mutex_lock(&auth->lock);
    const struct sl_credentials *credentials = &auth->credentials;
    bool has_key = credentials->kind == SL_ACCESS_KEY && credentials->token_url && credentials->source;
    char *url = has_key ? sl_strdup(credentials->token_url) : NULL;
    *source = url ? sl_strdup(credentials->source) : NULL;
    pthread_mutex_unlock(&auth->lock);
    if (*source)
        return url;
    free(url);
    return NULL;
}

char *sl_auth_describe(struct sl_auth *auth)
{
    pthread_mutex_lock(&auth->lock);
    const struct sl_credentials *credentials = &auth->credentials;
    char *text = !credentials->source  ? sl_strdup("none")
                 : credentials->key_id ? sl_printf("key %s (%s)", credentials->key_id, credentials->source)
                                       : sl_printf("a token (%s)", credentials->source);
    pthread_mutex_unlock(&auth->lock);
    return text;
}
