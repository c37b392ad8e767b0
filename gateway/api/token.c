/* POST /oauth2/token (OAuth 1.0a signed client_credentials), and the bearer check of all other calls. */
#include "auth/auth.h"
#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "gateway/api/tokens.h"
#include "gateway/gateway_internal.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PARAMETERS_MAX 64
#define CLOCK_SKEW_S   300 /* how far a client's clock may be off */
#define URLS_MAX       3
#define LIFETIME_MIN_S 60

/* A signed request on its way through a worker. */
struct token_job {
    struct gw_job job;
    struct gw_request *request;
    struct gateway *gateway;
    char *header, *form; /* what the parameters point into */
    struct sl_oauth_parameter parameters[PARAMETERS_MAX];
    size_t count;
    char *urls[URLS_MAX]; /* as the client may know this endpoint */
    char *grant;
    int64_t lifetime_ms;
};

static void job_free(struct token_job *job)
{
    free(job->header);
    free(job->form);
    for (size_t i = 0; i < URLS_MAX; i++)
        free(job->urls[i]);
    free(job->grant);
    free(job);
}

static const char *parameter(const struct token_job *job, const char *name)
{
    for (size_t i = 0; i < job->count; i++)
        if (!strcmp(job->parameters[i].name, name))
            return job->parameters[i].value;
    return NULL;
}

static void plus_to_space(char *text)
{
    for (; *text; text++)
        if (*text == '+')
            *text = ' ';
}

/* Decodes one value in place; false when it is malformed or there are too many. */
static bool add_parameter(struct token_job *job, char *name, char *value, bool form)
{
    if (form) {
        plus_to_space(name);
        plus_to_space(value);
    }
    long name_size = sl_percent_decode(name), value_size = sl_percent_decode(value);
    if (job->count == PARAMETERS_MAX || name_size < 0 || value_size < 0 ||
        strlen(name) != (size_t)name_size || strlen(value) != (size_t)value_size)
        return false;
    job->parameters[job->count++] = (struct sl_oauth_parameter){name, value};
    return true;
}

/* Authorization: OAuth name="value", … */
static bool parse_header(struct token_job *job, const char *header)
{
    job->header = strdup(header);
    char *c = job->header;
    while (c && *c) {
        c += strspn(c, " \t,");
        if (!*c)
            break;
        char *name = c;
        c += strcspn(c, "=");
        if (c[0] != '=' || c[1] != '"')
            return false;
        *c = 0;
        char *value = c + 2;
        c = strchr(value, '"');
        if (!c)
            return false;
        *c++ = 0;
        if (!add_parameter(job, name, value, false))
            return false;
    }
    return c != NULL;
}

/* RFC 5849, 3.4.1.3.1: the query's parameters are signed too. They are decoded, and stay while the request
 * does. */
static bool take_query(void *opaque, const char *name, const char *value)
{
    struct token_job *job = opaque;
    if (job->count == PARAMETERS_MAX)
        return false; /* the signature will not be right */
    job->parameters[job->count++] = (struct sl_oauth_parameter){name, value};
    return true;
}

static bool parse_form(struct token_job *job, const struct sl_buffer *body)
{
    job->form = body->size ? strndup(body->data, body->size) : strdup("");
    if (!job->form || strlen(job->form) != body->size)
        return false;
    for (char *pair, *rest = job->form; (pair = strsep(&rest, "&"));) {
        char *value = strchr(pair, '=');
        if (value)
            *value++ = 0;
        if (*pair && !add_parameter(job, pair, value ? value : pair + strlen(pair), true))
            return false;
    }
    const char *grant = parameter(job, "grant_type"), *expires = parameter(job, "expires_in");
    int64_t seconds;
    if (expires && sl_parse_int(expires, LIFETIME_MIN_S, INT32_MAX, &seconds))
        job->lifetime_ms = seconds * 1000;
    job->grant = strdup(grant ? grant : "");
    return job->grant != NULL;
}

static bool parse_json(struct token_job *job, const struct sl_buffer *body)
{
    json_t *value = json_loadb(body->size ? body->data : "", body->size, JSON_REJECT_DUPLICATES, NULL);
    const char *grant = json_string_value(json_object_get(value, "grantType"));
    if (!grant)
        grant = json_string_value(json_object_get(value, "grant_type"));
    const json_t *expires = json_object_get(value, "expiresIn");
    if (json_is_integer(expires) && json_integer_value(expires) >= LIFETIME_MIN_S &&
        json_integer_value(expires) <= INT32_MAX)
        job->lifetime_ms = json_integer_value(expires) * 1000;
    job->grant = strdup(grant ? grant : "");
    bool good = value && job->grant;
    json_decref(value);
    return good;
}

/* The URLs that the signature may be over: the configured one, and by the Host header (a proxy may add TLS).
 */
static bool list_urls(struct token_job *job)
{
    const char *host = gw_request_header(job->request, "Host");
    job->urls[0] = sl_printf("%s/oauth2/token", job->gateway->public_url);
    if (!host)
        return job->urls[0] != NULL;
    job->urls[1] = sl_printf("http://%s/oauth2/token", host);
    job->urls[2] = sl_printf("https://%s/oauth2/token", host);
    return job->urls[0] && job->urls[1] && job->urls[2];
}

static bool signature_is_right(const struct token_job *job, const char *secret)
{
    const char *given = parameter(job, "oauth_signature");
    bool right = false;
    for (size_t i = 0; i < URLS_MAX && job->urls[i] && !right; i++) {
        char signature[45];
        right = sl_oauth_signature("POST", job->urls[i], job->parameters, job->count, secret, signature) &&
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
    "sign the request with the key of credentials.properties (OAuth 1.0a, HMAC-SHA256), with a fresh nonce " \
    "and the right time"

static void refuse(struct gw_request *request, const char *cause)
{
    gw_respond_error(request, 401, "bad-signature", cause, HOW_TO_SIGN);
}

/* The number has HERE's clients ask for the time and sign once more. */
static void refuse_time(struct gw_request *request, const char *cause)
{
    gw_respond_error_with(request, 401, "bad-signature", cause, HOW_TO_SIGN, "errorCode", 401204);
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
        return sl_error_set(error, SL_UNAUTHENTICATED, "the access key or the signature is wrong");
    return gw_tokens_remember_nonce(job->gateway->tokens, key, parameter(job, "oauth_nonce"), timestamp,
                                    (timestamp + 2L * CLOCK_SKEW_S) * 1000, error);
}

/* Both spellings: official clients read accessToken, others access_token. */
static json_t *token_json(const char *token, int64_t lifetime_ms)
{
    json_int_t seconds = lifetime_ms / 1000;
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:I}", "accessToken", token, "tokenType", "bearer",
                     "expiresIn", seconds, "access_token", token, "token_type", "bearer", "expires_in",
                     seconds);
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
    if (!status && strcmp(job->grant, "client_credentials"))
        gw_respond_errorf(job->request, 400, "unsupported-grant", "ask with grantType client_credentials",
                          "the grant type \"%.64s\" is not known", job->grant);
    else if (!status &&
             !(status = gw_tokens_sign(job->gateway->tokens, account->id, lifetime, &token, &error)))
        gw_respond_json(job->request, 200, token_json(token, lifetime));
    if (late)
        refuse_time(job->request, error.text);
    else if (status == SL_UNAUTHENTICATED)
        refuse(job->request, error.text);
    else if (status)
        gw_respond_failure(job->request, &error);
    gw_account_unlink(account);
    free(token);
    job_free(job);
}

static void post_token(struct gw_request *request)
{
    const char *authorization = gw_request_header(request, "Authorization");
    const char *type = gw_request_header(request, "Content-Type");
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
    } else if (!list_urls(job)) {
        gw_respond_json(request, 500, NULL);
    } else {
        gw_request_each_query(request, take_query, job);
        gw_work_post(job->gateway->token_workers, &job->job);
        return;
    }
    job_free(job);
}

static void get_time(struct gw_request *request)
{
    gw_respond_json(request, 200, json_pack("{s:I}", "timestamp", (json_int_t)(sl_wall_ms() / 1000)));
}

enum gw_verdict gw_tokens_authenticate(void *opaque, struct gw_request *request, struct gw_caller *caller)
{
    struct gateway *gateway = opaque;
    const char *authorization = gw_request_header(request, "Authorization");
    struct gw_account *account = NULL;
    char *application = NULL;
    sl_error error = {0};
    sl_status status;
    if (!authorization)
        status = sl_error_set(&error, SL_UNAUTHENTICATED, "the request has no bearer token");
    else if (strncasecmp(authorization, "Bearer ", 7))
        status =
            sl_error_set(&error, SL_UNAUTHENTICATED, "the Authorization header does not begin with Bearer");
    else
        status = gw_tokens_check(gateway->tokens, authorization + 7 + strspn(authorization + 7, " "),
                                 &application, &error);
    if (!status && !(account = gw_access_find(gateway->access, application)))
        status = sl_error_set(&error, SL_UNAUTHENTICATED,
                              "the application that the bearer token was made for is deleted");
    free(application);
    if (status == SL_UNAUTHENTICATED) {
        struct sl_buffer action;
        sl_buffer_init(&action, 1000);
        sl_buffer_append_text(&action, "get a token from ");
        gw_request_public_url(request, &action);
        sl_buffer_append_text(&action, "/oauth2/token (streamlayer token prints one)");
        gw_respond_error(request, 401, "unauthenticated", error.text,
                         action.data ? action.data : "get a token from /oauth2/token");
        sl_buffer_free(&action);
    } else if (status) {
        gw_respond_failure(request, &error);
    }
    return status ? GW_ANSWERED : gw_authorize(gateway, request, account, caller);
}

const struct gw_route gw_token_routes[] = {
    {.method = "POST",
     .pattern = "/oauth2/token",
     .flags = GW_ROUTE_PUBLIC | GW_ROUTE_ANY_TYPE,
     .max_body = (size_t)16 * 1024,
     .handle = post_token,
     .name = "token"},
    {.method = "GET", .pattern = "/timestamp", .flags = GW_ROUTE_PUBLIC, .handle = get_time, .name = "time"},
};
const size_t gw_token_route_count = sizeof gw_token_routes / sizeof *gw_token_routes;
