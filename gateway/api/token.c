/* POST /oauth2/token (OAuth 1.0a signed client_credentials), and the bearer check of all other calls. */
#include "auth/auth.h"
#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "gateway/api/oauth_header.h"
#include "gateway/api/tokens.h"
#include "gateway/gateway_internal.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CLOCK_SKEW_S   300 /* how far a client's clock may be off */
#define URLS_MAX       4
#define ISSUER_AFTER_S 5    /* an issuer that is away is asked no sooner */
#define SCOPE_MAX      1000 /* characters */
#define NO_LIFETIME    (-1)

/* A signed request on its way through a worker. */
struct token_job {
    struct gw_job job;
    struct gw_request *request;
    struct gateway *gateway;
    char *header, *form; /* what the parameters point into */
    struct gw_oauth oauth;
    char *urls[URLS_MAX]; /* as the client may know this endpoint */
    char *grant, *scope;  /* scope NULL: none was asked for */
    int64_t lifetime_ms;  /* that was asked for; 0: none was, NO_LIFETIME: what was asked for is none */
    bool answered;        /* its application asks too often */
};

static void job_free(struct token_job *job)
{
    free(job->header);
    free(job->form);
    for (size_t i = 0; i < URLS_MAX; i++)
        free(job->urls[i]);
    free(job->grant);
    free(job->scope);
    free(job);
}

static const char *parameter(const struct token_job *job, const char *name)
{
    return gw_oauth_value(&job->oauth, name);
}

/* Authorization: OAuth name="value", … */
static bool parse_header(struct token_job *job, const char *header)
{
    job->header = strdup(header);
    return job->header && gw_oauth_read_header(&job->oauth, job->header);
}

/* RFC 5849, 3.4.1.3.1: the query's parameters are signed too. They are decoded, and stay while the request
 * does. */
static bool take_query(void *opaque, const char *name, const char *value)
{
    struct token_job *job = opaque;
    return gw_oauth_add(&job->oauth, name, value); /* too many: the signature will not be right */
}

/* The longest that is given is cut later: here it is only kept from overflowing. */
static void take_lifetime(struct token_job *job, int64_t seconds)
{
    job->lifetime_ms = seconds <= 0 ? NO_LIFETIME : (seconds < INT32_MAX ? seconds : INT32_MAX) * 1000;
}

static bool parse_form(struct token_job *job, const struct sl_buffer *body)
{
    job->form = body->size ? strndup(body->data, body->size) : strdup("");
    if (!job->form || strlen(job->form) != body->size || !gw_oauth_read_form(&job->oauth, job->form))
        return false;
    const char *grant = parameter(job, "grant_type"), *expires = parameter(job, "expires_in");
    int64_t seconds;
    if (expires)
        take_lifetime(job, sl_parse_int(expires, 1, INT64_MAX, &seconds) ? seconds : 0);
    job->grant = strdup(grant ? grant : "");
    job->scope = sl_strdup(parameter(job, "scope"));
    return job->grant && !job->scope == !parameter(job, "scope");
}

static bool parse_json(struct token_job *job, const struct sl_buffer *body)
{
    json_t *value = json_loadb(body->size ? body->data : "", body->size, JSON_REJECT_DUPLICATES, NULL);
    const char *grant = json_string_value(json_object_get(value, "grantType"));
    if (!grant)
        grant = json_string_value(json_object_get(value, "grant_type"));
    const json_t *expires = json_object_get(value, "expiresIn"), *scope = json_object_get(value, "scope");
    if (expires && !json_is_null(expires))
        take_lifetime(job, json_integer_value(expires)); /* 0 where it is no whole number */
    job->grant = strdup(grant ? grant : "");
    job->scope = sl_strdup(json_string_value(scope));
    bool good = value && job->grant && (!scope || json_is_null(scope) || job->scope);
    json_decref(value);
    return good;
}

/* RFC 6749, 3.3. */
static bool is_scope(const char *scope)
{
    for (const char *c = scope; *c; c++)
        if (*c < 0x20 || *c > 0x7e || *c == '"' || *c == '\\')
            return false;
    return *scope && strlen(scope) <= SCOPE_MAX;
}

/* The URLs that the signature may be over: the configured one, the one that trusted proxies tell, and by the
 * Host header (a proxy may add TLS). */
static bool list_urls(struct token_job *job)
{
    const char *host = gw_request_header(job->request, "Host");
    struct sl_buffer told;
    size_t count = 0;
    sl_buffer_init(&told, 1000);
    job->urls[count++] = sl_printf("%s/oauth2/token", job->gateway->public_url);
    if (gw_request_base_url(job->request, &told))
        job->urls[count++] = sl_printf("%s/oauth2/token", told.data);
    if (host) {
        job->urls[count++] = sl_printf("http://%s/oauth2/token", host);
        job->urls[count++] = sl_printf("https://%s/oauth2/token", host);
    }
    bool good = true;
    for (size_t i = 0; i < count; i++)
        good &= job->urls[i] != NULL;
    sl_buffer_free(&told);
    return good;
}

static bool signature_is_right(const struct token_job *job, const char *secret)
{
    const char *given = parameter(job, "oauth_signature");
    bool right = false;
    for (size_t i = 0; i < URLS_MAX && job->urls[i] && !right; i++) {
        char signature[45];
        right = sl_oauth_signature("POST", job->urls[i], job->oauth.parameters, job->oauth.count, secret,
                                   signature) &&
                strlen(given) == 44 && !CRYPTO_memcmp(given, signature, 44);
    }
    return right;
}

/* What is wrong with the request before its signature is looked at, or NULL. */
static const char *fault_of(const struct token_job *job, int64_t *timestamp)
{
    static const char *const needed[] = {"oauth_consumer_key", "oauth_nonce", "oauth_signature",
                                         "oauth_timestamp"};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!parameter(job, needed[i]) || !*parameter(job, needed[i]))
            return "the Authorization header lacks oauth_consumer_key, oauth_nonce, oauth_signature or "
                   "oauth_timestamp";
    if (gw_oauth_repeated(&job->oauth))
        return "an oauth_ parameter is there twice";
    const char *method = parameter(job, "oauth_signature_method");
    if (!method || strcmp(method, "HMAC-SHA256"))
        return "oauth_signature_method is not HMAC-SHA256";
    if (!sl_parse_int(parameter(job, "oauth_timestamp"), 0, INT32_MAX * 4LL, timestamp))
        return "oauth_timestamp is no number of seconds since 1970";
    return NULL;
}

static bool is_timely(int64_t timestamp)
{
    int64_t off = timestamp - sl_wall_ms() / 1000;
    return off <= CLOCK_SKEW_S && off >= -CLOCK_SKEW_S;
}

#define HOW_TO_SIGN                                                                                          \
    "sign the request (OAuth 1.0a, HMAC-SHA256) with an access key that is good, a fresh nonce and the "     \
    "right "                                                                                                 \
    "time; a new key for an application: streamlayer app rotate"

/* HERE's client for Java fails on a 401 that has no number. */
#define WRONG_CREDENTIALS 401300
#define WRONG_TIME        401204 /* has HERE's clients ask for the time and sign once more */

static void refuse_as(struct gw_request *request, const char *cause, int number)
{
    gw_respond_error_with(request, 401, "bad-signature", cause, HOW_TO_SIGN, "errorCode", number);
}

static void refuse(struct gw_request *request, const char *cause)
{
    refuse_as(request, cause, WRONG_CREDENTIALS);
}

/* *late: the timestamp is at fault. */
static sl_status check(struct token_job *job, struct gw_account **account, bool *late, sl_error *error)
{
    int64_t timestamp = 0;
    const char *fault = fault_of(job, &timestamp);
    *late = !fault && !is_timely(timestamp);
    if (*late)
        fault = "oauth_timestamp is more than 5 minutes away from the gateway's clock, which GET /timestamp "
                "tells";
    if (fault)
        return sl_error_set(error, SL_UNAUTHENTICATED, "%s", fault);
    const char *key = parameter(job, "oauth_consumer_key");
    char secret[GW_SECRET_SIZE];
    *account = gw_access_find_key(job->gateway->access, key, sl_wall_ms(), secret);
    /* An unknown key costs the same and says the same as a wrong signature. */
    bool right = signature_is_right(job, secret);
    OPENSSL_cleanse(secret, sizeof secret);
    if (!right || !*account)
        return sl_error_set(error, SL_UNAUTHENTICATED,
                            "the access key is not known or has ended, or the signature is wrong");
    job->answered = !gw_account_may_ask(job->request, *account);
    if (job->answered)
        return SL_THROTTLED;
    return gw_tokens_remember_nonce(job->gateway->tokens, key, parameter(job, "oauth_nonce"), timestamp,
                                    (timestamp + 2L * CLOCK_SKEW_S) * 1000, error);
}

/* Both spellings: official clients read accessToken, others access_token. The scope that was asked for is
 * echoed, as clients expect; what a token may do is a matter of grants. */
static json_t *token_json(const char *token, int64_t lifetime_ms, const char *scope)
{
    json_int_t seconds = lifetime_ms / 1000;
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:I, s:s*}", "accessToken", token, "tokenType", "bearer",
                     "expiresIn", seconds, "access_token", token, "token_type", "bearer", "expires_in",
                     seconds, "scope", scope);
}

static void give_token(struct gw_job *opaque)
{
    struct token_job *job = (struct token_job *)opaque;
    struct gw_account *account = NULL;
    char *token = NULL;
    sl_error error = {0};
    bool late;
    sl_status status = check(job, &account, &late, &error);
    int64_t longest = gw_tokens_lifetime_ms(job->gateway->tokens);
    int64_t lifetime = job->lifetime_ms && job->lifetime_ms < longest ? job->lifetime_ms : longest;
    if (!status && strcmp(job->grant, "client_credentials")) {
        gw_respond_errorf(job->request, 400, "unsupported-grant", "ask with grantType client_credentials",
                          "the grant type \"%.64s\" is not known", job->grant);
    } else if (!status &&
               !(status = gw_tokens_sign(job->gateway->tokens, account->id, lifetime, &token, &error))) {
        gw_respond_header(job->request, "Cache-Control", "no-store");
        gw_respond_json(job->request, 200, token_json(token, lifetime, job->scope));
    } else if (status == SL_UNAUTHENTICATED) {
        refuse_as(job->request, error.text, late ? WRONG_TIME : WRONG_CREDENTIALS);
    } else if (!job->answered) {
        gw_respond_failure(job->request, &error);
    }
    gw_account_unlink(account);
    free(token);
    job_free(job);
}

static void post_token(struct gw_request *request)
{
    const char *authorization = gw_request_header(request, "Authorization");
    const char *type = gw_request_header(request, "Content-Type");
    if (!gw_address_may_ask(request))
        return;
    if (!authorization || strncasecmp(authorization, "OAuth ", 6)) {
        refuse(request, "the request is not signed: it has no Authorization header that begins with OAuth");
        return;
    }
    struct token_job *job = calloc(1, sizeof *job);
    if (!job) {
        gw_respond_json(request, 500, NULL);
        return;
    }
    job->job.run = give_token;
    job->request = request;
    job->gateway = gw_request_opaque(request);
    bool form = type && gw_media_is(type, "application/x-www-form-urlencoded");
    if (!parse_header(job, authorization + 6)) {
        refuse(request, "the Authorization header is malformed");
    } else if (type && !form && !gw_media_is(type, "application/json")) {
        gw_respond_errorf(request, 415, "wrong-content-type",
                          "send application/json or application/x-www-form-urlencoded",
                          "a token is not asked for with Content-Type: %.200s", type);
    } else if (!(form ? parse_form : parse_json)(job, gw_request_body(request))) {
        gw_respond_error(request, 400, "bad-body", "the body is neither a form nor a JSON object",
                         "send {\"grantType\":\"client_credentials\"} or grant_type=client_credentials");
    } else if (job->scope && !is_scope(job->scope)) {
        gw_respond_error(request, 400, "bad-parameter",
                         "scope is not 1 to 1000 printable ASCII characters without \" and \\",
                         "correct the scope, or leave it out: grants say what an application may do");
    } else if (job->lifetime_ms == NO_LIFETIME) {
        gw_respond_error(request, 400, "bad-parameter",
                         form ? "expires_in is no positive whole number of seconds"
                              : "expiresIn is no positive whole number of seconds",
                         "correct it, such as 3600, in JSON without quotation marks; or leave it out for as "
                         "long as the gateway gives");
    } else if (!list_urls(job)) {
        gw_respond_json(request, 500, NULL);
    } else {
        gw_request_each_query(request, take_query, job);
        gw_work_post(job->gateway->token_workers, NULL, &job->job);
        return;
    }
    job_free(job);
}

static void get_time(struct gw_request *request)
{
    gw_respond_json(request, 200, json_pack("{s:I}", "timestamp", (json_int_t)(sl_wall_ms() / 1000)));
}

/* A bearer token on its way through a worker, where its signature is checked. */
struct bearer {
    struct gw_job job;
    struct gw_key_wait wait;
    struct gateway *gateway;
    struct gw_request *request;
    bool waited; /* its issuer was asked */
    char token[];
};

static void refuse_bearer(struct gw_request *request, const sl_error *error)
{
    struct sl_buffer action;
    switch (error->status) {
    case SL_UNAUTHENTICATED:
        sl_buffer_init(&action, 1000);
        sl_buffer_append_text(&action, "get a token from ");
        gw_request_public_url(request, &action);
        sl_buffer_append_text(&action, "/oauth2/token (streamlayer token prints one)");
        gw_respond_error(request, 401, "unauthenticated", error->text,
                         action.data ? action.data : "get a token from /oauth2/token");
        sl_buffer_free(&action);
        break;
    case SL_NOT_FOUND:
        gw_respond_error(
            request, 401, "unknown-application", error->text,
            "have an administrator make the application: streamlayer app create NAME --issuer URL "
            "--subject S");
        break;
    case SL_UNAVAILABLE:
        gw_respond_error_after(request, 503, "issuer-unavailable", error->text,
                               "send again after the time that Retry-After gives; the gateway's log says why",
                               ISSUER_AFTER_S);
        break;
    default:
        gw_respond_failure(request, error);
        break;
    }
}

/* Any thread: the issuer has answered, or never will. */
static void keys_came(struct gw_key_wait *wait)
{
    struct bearer *bearer = (struct bearer *)(void *)((char *)wait - offsetof(struct bearer, wait));
    bearer->waited = true;
    if (gw_work_try(bearer->gateway->token_workers, NULL, &bearer->job))
        return;
    gw_respond_error(bearer->request, 503, "shutting-down", "the gateway is being stopped", "try again");
    free(bearer);
}

static void check_bearer(struct gw_job *job)
{
    struct bearer *bearer = (struct bearer *)job;
    struct gateway *gateway = bearer->gateway;
    struct gw_account *account = NULL;
    struct gw_caller caller;
    sl_error error = {0};
    bool later;
    sl_status status = gw_tokens_check(gateway->tokens, bearer->token, bearer->waited ? NULL : &bearer->wait,
                                       &later, &account, &error);
    if (later)
        return; /* it is keys_came's */
    if (status)
        refuse_bearer(bearer->request, &error);
    else if (gw_authorize(bearer->request, account, &caller) == GW_PASS)
        gw_request_admit(bearer->request, &caller);
    else
        caller.release(caller.holder);
    free(bearer);
}

static enum gw_verdict check_later(struct gateway *gateway, struct gw_request *request, const char *token)
{
    size_t size = strlen(token) + 1;
    struct bearer *bearer = malloc(sizeof *bearer + size);
    if (!bearer) {
        gw_respond_json(request, 500, NULL);
        return GW_ANSWERED;
    }
    *bearer = (struct bearer){
        .job.run = check_bearer, .wait.ready = keys_came, .gateway = gateway, .request = request};
    memcpy(bearer->token, token, size);
    if (gw_work_try(gateway->token_workers, NULL, &bearer->job))
        return GW_LATER;
    free(bearer);
    gw_respond_error(request, 503, "shutting-down", "the gateway is being stopped", "try again");
    return GW_ANSWERED;
}

enum gw_verdict gw_tokens_authenticate(void *opaque, struct gw_request *request, struct gw_caller *caller)
{
    struct gateway *gateway = opaque;
    const char *authorization = gw_request_header(request, "Authorization");
    sl_error error = {0};
    if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0) {
        sl_error_set(&error, SL_UNAUTHENTICATED, "%s",
                     authorization ? "the Authorization header does not begin with Bearer"
                                   : "the request has no bearer token");
        refuse_bearer(request, &error);
        return GW_ANSWERED;
    }
    const char *token = authorization + 7 + strspn(authorization + 7, " ");
    struct gw_account *account = gw_tokens_recall(gateway->tokens, token);
    return account ? gw_authorize(request, account, caller) : check_later(gateway, request, token);
}

static void get_jwks(struct gw_request *request)
{
    struct gateway *gateway = gw_request_opaque(request);
    gw_respond_header(request, "Cache-Control", "public, max-age=300");
    gw_respond_json(request, 200, gw_token_keys_jwks(gw_tokens_keys(gateway->tokens), sl_wall_ms()));
}

const struct gw_route gw_token_routes[] = {
    {.method = "POST",
     .pattern = "/oauth2/token",
     .flags = GW_ROUTE_PUBLIC | GW_ROUTE_ANY_TYPE,
     .max_body = (size_t)16 * 1024,
     .handle = post_token,
     .correlation_header = "X-Correlation-ID", /* HERE's client for Java finds no other */
     .name = "token"},
    {.method = "GET",
     .pattern = "/oauth2/jwks",
     .flags = GW_ROUTE_PUBLIC,
     .handle = get_jwks,
     .name = "jwks"},
    {.method = "GET",
     .pattern = "/.well-known/jwks.json",
     .flags = GW_ROUTE_PUBLIC,
     .handle = get_jwks,
     .name = "jwks"},
    {.method = "GET", .pattern = "/timestamp", .flags = GW_ROUTE_PUBLIC, .handle = get_time, .name = "time"},
};
const size_t gw_token_route_count = sizeof gw_token_routes / sizeof *gw_token_routes;
