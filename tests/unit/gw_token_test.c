#include "support/cases.h"

#include "gw_client.h"

#include <sys/stat.h>

#include "auth/auth.h"
#include "base/text.h"
#include "base/time.h"
#include "gateway/api/tokens.h"
#include "gateway/gateway_internal.h"
#include "gateway/store/applications.h"

/* The token endpoint as the gateway has it, without Kafka, and one call that needs a token. */
struct fixture {
    char directory[64];
    uint16_t port;
    struct gateway gateway;
    struct gw_application application;
    struct gw_route routes[5];
    char token_url[100];
};

static void who(struct gw_request *request)
{
    char *name = strdup(gw_request_application(request));
    gw_respond(request, 200, "text/plain", name, strlen(name), free, name);
}

static const struct gw_token_settings token_settings = {
    .times.lifetime_ms = 3600000, .issuer = "https://gateway.example", .audience = "streamlayer"};

static void open_tokens(const char *directory, struct gw_access *access, struct gw_tokens **tokens)
{
    struct gw_token_settings settings = token_settings;
    settings.access = access;
    settings.data_directory = directory;
    assert_int_equal(gw_tokens_open(&settings, NULL, tokens, NULL), SL_OK);
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct gateway *gateway = &fixture->gateway;
    strcpy(fixture->directory, "/tmp/gw-token-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    assert_int_equal(gw_application_ensure(fixture->directory, "me", &fixture->application, NULL), SL_OK);
    assert_int_equal(gw_applications_open(fixture->directory, &gateway->applications, NULL), SL_OK);
    assert_int_equal(gw_access_open(gateway->applications, NULL, NULL, &gateway->access, NULL), SL_OK);
    open_tokens(fixture->directory, gateway->access, &gateway->tokens);
    assert_int_equal(gw_workers_start(2, 2, &gateway->token_workers, NULL), SL_OK);
    gateway->public_url = strdup("http://gateway.example:8080");
    gateway->public_url_set = true;
    assert_int_equal(gw_token_route_count, 4);
    memcpy(fixture->routes, gw_token_routes, 4 * sizeof *gw_token_routes);
    fixture->routes[4] = (struct gw_route){
        .method = "GET", .pattern = "/who", .handle = who, .access = GW_ACCESS_NONE, .name = "who"};
    const struct gw_server_settings settings = {.loops = 1,
                                                .routes = fixture->routes,
                                                .route_count = 5,
                                                .authenticate = gw_tokens_authenticate,
                                                .opaque = gateway};
    assert_int_equal(gw_server_start(&settings, NULL, &gateway->server, NULL), SL_OK);
    fixture->port = gw_server_port(gateway->server);
    snprintf(fixture->token_url, sizeof fixture->token_url, "http://127.0.0.1:%u/oauth2/token",
             (unsigned)fixture->port);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    gw_workers_stop(&fixture->gateway.token_workers);
    gw_server_stop(&fixture->gateway.server);
    gw_tokens_close(&fixture->gateway.tokens);
    gw_access_close(&fixture->gateway.access);
    gw_applications_close(&fixture->gateway.applications);
    free(fixture->gateway.public_url);
    char command[100];
    snprintf(command, sizeof command, "rm -r %s", fixture->directory);
    assert_int_equal(system(command), 0);
    free(fixture);
    return 0;
}

/* What a request may be told to do otherwise. */
struct ask {
    const char *secret, *key, *nonce, *url, *method, *grant;
    int64_t seconds_off;
    bool form;
    int64_t timestamp;    /* 0: now */
    const char *scope;    /* of JSON, as it stands there; NULL: none */
    const char *repeated; /* a parameter that the header has once more; NULL: none */
};

static void add(struct sl_oauth_parameter *parameters, size_t *count, const char *name, const char *value)
{
    parameters[(*count)++] = (struct sl_oauth_parameter){name, value};
}

static void ask_token(struct fixture *fixture, struct ask ask, struct answer *answer)
{
    char nonce[17], timestamp[24], signature[45];
    sl_random_hex(nonce, 16);
    int64_t now = ask.timestamp ? ask.timestamp : sl_wall_ms() / 1000;
    snprintf(timestamp, sizeof timestamp, "%lld", (long long)(now + ask.seconds_off));
    const char *grant = ask.grant ? ask.grant : "client_credentials";
    struct sl_oauth_parameter parameters[10];
    size_t count = 0;
    add(parameters, &count, "oauth_consumer_key", ask.key ? ask.key : fixture->application.key_id);
    add(parameters, &count, "oauth_nonce", ask.nonce ? ask.nonce : nonce);
    add(parameters, &count, "oauth_signature_method", ask.method ? ask.method : "HMAC-SHA256");
    add(parameters, &count, "oauth_timestamp", timestamp);
    add(parameters, &count, "oauth_version", "1.0");
    if (ask.repeated)
        add(parameters, &count, ask.repeated, "again");
    size_t in_header = count;
    if (ask.form) {
        add(parameters, &count, "grant_type", grant);
        add(parameters, &count, "scope", "a b+c");
    }
    assert_true(sl_oauth_signature("POST", ask.url ? ask.url : fixture->token_url, parameters, count,
                                   ask.secret ? ask.secret : fixture->application.key_secret, signature));
    struct sl_buffer header;
    sl_buffer_init(&header, 4000);
    sl_buffer_printf(&header, "Authorization: OAuth ");
    for (size_t i = 0; i < in_header; i++) {
        sl_buffer_printf(&header, "%s=\"", parameters[i].name);
        sl_percent_encode(&header, parameters[i].value, strlen(parameters[i].value));
        sl_buffer_printf(&header, "\", ");
    }
    sl_buffer_printf(&header, "oauth_signature=\"");
    sl_percent_encode(&header, signature, 44);
    char body[2000], request[8000];
    if (ask.form)
        snprintf(body, sizeof body, "grant_type=%s&scope=a+b%%2bc", grant);
    else
        snprintf(body, sizeof body, "{\"grantType\":\"%s\",\"expiresIn\":600%s%s}", grant,
                 ask.scope ? ",\"scope\":" : "", ask.scope ? ask.scope : "");
    snprintf(
        request, sizeof request,
        "POST /oauth2/token HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n%s\"\r\nContent-Type: %s\r\nContent-Length: "
        "%zu\r\n\r\n%s",
        (unsigned)fixture->port, header.data,
        ask.form ? "application/x-www-form-urlencoded; charset=utf-8" : "application/json", strlen(body),
        body);
    sl_buffer_free(&header);
    client_ask(fixture->port, request, answer);
}

static void ask_who(struct fixture *fixture, const char *token, struct answer *answer)
{
    char request[6000];
    snprintf(request, sizeof request, "GET /who HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n",
             token);
    client_ask(fixture->port, request, answer);
}

static void a_signed_request_gets_a_token(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer;
    for (int form = 0; form < 2; form++) {
        ask_token(fixture, (struct ask){.form = form != 0}, &answer);
        assert_int_equal(answer.status, 200);
        json_t *value = json_loads(answer.body, 0, NULL);
        assert_string_equal(json_string_value(json_object_get(value, "tokenType")), "bearer");
        assert_string_equal(json_string_value(json_object_get(value, "token_type")), "bearer");
        assert_int_equal(json_integer_value(json_object_get(value, "expiresIn")), form ? 3600 : 600);
        assert_int_equal(json_integer_value(json_object_get(value, "expires_in")), form ? 3600 : 600);
        const char *token = json_string_value(json_object_get(value, "accessToken"));
        assert_string_equal(token, json_string_value(json_object_get(value, "access_token")));
        for (int i = 0; i < 2; i++) { /* checked, then remembered */
            struct answer said;
            ask_who(fixture, token, &said);
            assert_string_equal(said.body, fixture->application.id);
        }
        json_decref(value);
    }
}

static void the_public_url_may_be_signed(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer;
    ask_token(fixture, (struct ask){.url = "http://gateway.example:8080/oauth2/token"}, &answer);
    assert_int_equal(answer.status, 200);
    ask_token(fixture, (struct ask){.url = "http://elsewhere.example/oauth2/token"}, &answer);
    assert_int_equal(answer.status, 401);
}

static void wrong_signatures_get_401(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer;
    const struct ask wrong[] = {{.secret = "guessed"},    {.key = "nobody"},    {.method = "HMAC-SHA1"},
                                {.seconds_off = -301},    {.seconds_off = 310}, {.key = ""},
                                {.secret = "", .form = 1}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ask_token(fixture, wrong[i], &answer);
        assert_int_equal(answer.status, 401);
        assert_non_null(strstr(answer.body, "\"code\":\"bad-signature\""));
    }
    ask_token(fixture, (struct ask){.seconds_off = -290}, &answer);
    assert_int_equal(answer.status, 200);
    ask_token(fixture, (struct ask){.grant = "password"}, &answer);
    assert_int_equal(answer.status, 400);
}

static void nonces_are_good_once(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer;
    const int64_t now = sl_wall_ms() / 1000;
    ask_token(fixture, (struct ask){.nonce = "once", .timestamp = now}, &answer);
    assert_int_equal(answer.status, 200);
    ask_token(fixture, (struct ask){.nonce = "once", .timestamp = now}, &answer);
    assert_int_equal(answer.status, 401);
    assert_non_null(strstr(answer.body, "nonce"));
    ask_token(fixture, (struct ask){.nonce = "twice", .timestamp = now}, &answer);
    assert_int_equal(answer.status, 200);
}

/* As HERE's clients mend a wrong clock: the error's number, the time, and the request once more. */
static void the_time_is_told_to_whom_it_is_wrong(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer;
    ask_token(fixture, (struct ask){.seconds_off = -1000}, &answer);
    assert_int_equal(answer.status, 401);
    assert_non_null(strstr(answer.body, "\"errorCode\":401204}"));
    ask_token(fixture, (struct ask){.secret = "wrong"}, &answer);
    assert_int_equal(answer.status, 401);
    assert_non_null(strstr(answer.body, "\"errorCode\":401300}"));
    client_ask(fixture->port, "GET /timestamp HTTP/1.1\r\nHost: x\r\n\r\n", &answer);
    assert_int_equal(answer.status, 200);
    long long told = 0;
    assert_int_equal(sscanf(answer.body, "{\"timestamp\":%lld}", &told), 1);
    assert_in_range(told, sl_wall_ms() / 1000 - 60, sl_wall_ms() / 1000);
}

static void malformed_requests_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer;
    static const char *const headers[] = {"",
                                          "Authorization: Bearer x\r\n",
                                          "Authorization: OAuth \r\n",
                                          "Authorization: OAuth a=\"\r\n",
                                          "Authorization: OAuth a=b\r\n",
                                          "Authorization: OAuth a=\"%2\"\r\n"};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        char request[500];
        snprintf(request, sizeof request,
                 "POST /oauth2/token HTTP/1.1\r\nHost: x\r\n%sContent-Length: 2\r\n\r\n{}", headers[i]);
        client_ask(fixture->port, request, &answer);
        assert_int_equal(answer.status, 401);
    }
    client_ask(fixture->port,
               "POST /oauth2/token HTTP/1.1\r\nHost: x\r\nAuthorization: OAuth a=\"b\"\r\nContent-Length: "
               "1\r\n\r\n{",
               &answer);
    assert_int_equal(answer.status, 400);
}

static void other_tokens_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer;
    char *token;
    assert_int_equal(gw_tokens_sign(fixture->gateway.tokens, fixture->application.id, 60000, &token, NULL),
                     SL_OK);
    ask_who(fixture, token, &answer);
    assert_string_equal(answer.body, fixture->application.id);
    /* One bit of the signature; the payload of another; no signature at all. */
    size_t middle = strlen(token) - 20;
    token[middle] = token[middle] == 'A' ? 'B' : 'A';
    ask_who(fixture, token, &answer);
    assert_int_equal(answer.status, 401);
    assert_non_null(strstr(answer.body, "get a token from http://gateway.example:8080/oauth2/token"));
    free(token);
    /* {"alg":"none"} {"sub":"app","exp":99999999999} */
    ask_who(fixture, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhcHAiLCJleHAiOjk5OTk5OTk5OTk5fQ.", &answer);
    assert_int_equal(answer.status, 401);
    ask_who(fixture, "", &answer);
    assert_int_equal(answer.status, 401);
    ask_who(fixture, "a.b.c", &answer);
    assert_int_equal(answer.status, 401);
    char longest[5000];
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = 0;
    ask_who(fixture, longest, &answer);
    assert_int_equal(answer.status, 401);
    client_ask(fixture->port, "GET /who HTTP/1.1\r\nHost: x\r\nAuthorization: Basic x\r\n\r\n", &answer);
    assert_int_equal(answer.status, 401);
    /* Signed with another gateway's key. */
    char elsewhere[] = "/tmp/gw-token-XXXXXX", command[100];
    struct gw_tokens *others;
    assert_non_null(mkdtemp(elsewhere));
    open_tokens(elsewhere, fixture->gateway.access, &others);
    assert_int_equal(gw_tokens_sign(others, "app", 60000, &token, NULL), SL_OK);
    ask_who(fixture, token, &answer);
    assert_int_equal(answer.status, 401);
    free(token);
    gw_tokens_close(&others);
    snprintf(command, sizeof command, "rm -r %s", elsewhere);
    assert_int_equal(system(command), 0);
}

static void tokens_expire(void **state)
{
    struct fixture *fixture = *state;
    struct gw_account *account;
    char *token;
    sl_error error = {0};
    bool later;
    assert_int_equal(gw_tokens_sign(fixture->gateway.tokens, "app", -1000, &token, NULL), SL_OK);
    assert_int_equal(gw_tokens_check(fixture->gateway.tokens, token, NULL, &later, &account, &error),
                     SL_UNAUTHENTICATED);
    assert_non_null(strstr(error.text, "expired"));
    free(token);
}

/* What clients ask for as scope comes back; what is no scope is refused. */
static void a_scope_is_echoed(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer;
    ask_token(fixture, (struct ask){.form = true}, &answer);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body, "\"scope\":\"a b+c\""));
    ask_token(fixture, (struct ask){.scope = "\"hrn:here:authorization::org:project/p\""}, &answer);
    assert_non_null(strstr(answer.body, "\"scope\":\"hrn:here:authorization::org:project/p\""));
    ask_token(fixture, (struct ask){0}, &answer);
    assert_null(strstr(answer.body, "scope"));
    ask_token(fixture, (struct ask){.scope = "null"}, &answer);
    assert_int_equal(answer.status, 200);
    char longest[1100];
    snprintf(longest, sizeof longest, "\"%01001d\"", 0);
    const char *const wrong[] = {"7",         "\"\"",         "\"a\\\"b\"", "\"a\\\\b\"",
                                 "\"a\\nb\"", "\"\xc3\xa4\"", longest};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ask_token(fixture, (struct ask){.scope = wrong[i]}, &answer);
        assert_int_equal(answer.status, 400);
    }
}

static void parameters_that_are_there_twice_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer;
    ask_token(fixture, (struct ask){.repeated = "oauth_nonce"}, &answer);
    assert_int_equal(answer.status, 401);
    assert_non_null(strstr(answer.body, "twice"));
    ask_token(fixture, (struct ask){.repeated = "other"}, &answer);
    assert_int_equal(answer.status, 200);
}

/* What was captured is no good after a restart either. */
static void nonces_outlive_the_gateway(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer;
    const struct ask captured = {.nonce = "captured", .timestamp = sl_wall_ms() / 1000};
    ask_token(fixture, captured, &answer);
    assert_int_equal(answer.status, 200);
    gw_tokens_close(&fixture->gateway.tokens);
    open_tokens(fixture->directory, fixture->gateway.access, &fixture->gateway.tokens);
    ask_token(fixture, captured, &answer);
    assert_int_equal(answer.status, 401);
    assert_non_null(strstr(answer.body, "nonce"));
}

static void keys_are_published(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer;
    static const char *const paths[] = {"/oauth2/jwks", "/.well-known/jwks.json"};
    for (size_t i = 0; i < 2; i++) {
        char request[200];
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", paths[i]);
        client_ask(fixture->port, request, &answer);
        assert_int_equal(answer.status, 200);
        assert_non_null(strstr(answer.text, "Cache-Control: public, max-age=300"));
        json_t *jwks = json_loads(answer.body, 0, NULL), *keys = json_object_get(jwks, "keys");
        assert_int_equal(json_array_size(keys), 1);
        const json_t *key = json_array_get(keys, 0);
        assert_string_equal(json_string_value(json_object_get(key, "alg")), "ES256");
        assert_int_equal(strlen(json_string_value(json_object_get(key, "kid"))), GW_THUMBPRINT);
        assert_null(json_object_get(key, "d"));
        json_decref(jwks);
    }
}

static void many_tokens_are_remembered_and_forgotten(void **state)
{
    struct fixture *fixture = *state;
    struct gw_tokens *tokens = fixture->gateway.tokens;
    for (int i = 0; i < 6000; i++) { /* more than the cache holds */
        struct gw_account *account;
        char *token;
        bool later;
        assert_int_equal(gw_tokens_sign(tokens, fixture->application.id, 60000 + i, &token, NULL), SL_OK);
        assert_null(gw_tokens_recall(tokens, token));
        assert_int_equal(gw_tokens_check(tokens, token, NULL, &later, &account, NULL), SL_OK);
        assert_string_equal(account->id, fixture->application.id);
        gw_account_unlink(account);
        account = gw_tokens_recall(tokens, token);
        assert_string_equal(account->id, fixture->application.id);
        gw_account_unlink(account);
        free(token);
    }
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(a_signed_request_gets_a_token, setup, teardown),
    cmocka_unit_test_setup_teardown(the_public_url_may_be_signed, setup, teardown),
    cmocka_unit_test_setup_teardown(wrong_signatures_get_401, setup, teardown),
    cmocka_unit_test_setup_teardown(nonces_are_good_once, setup, teardown),
    cmocka_unit_test_setup_teardown(the_time_is_told_to_whom_it_is_wrong, setup, teardown),
    cmocka_unit_test_setup_teardown(malformed_requests_are_refused, setup, teardown),
    cmocka_unit_test_setup_teardown(other_tokens_are_refused, setup, teardown),
    cmocka_unit_test_setup_teardown(tokens_expire, setup, teardown),
    cmocka_unit_test_setup_teardown(a_scope_is_echoed, setup, teardown),
    cmocka_unit_test_setup_teardown(parameters_that_are_there_twice_are_refused, setup, teardown),
    cmocka_unit_test_setup_teardown(nonces_outlive_the_gateway, setup, teardown),
    cmocka_unit_test_setup_teardown(keys_are_published, setup, teardown),
    cmocka_unit_test_setup_teardown(many_tokens_are_remembered_and_forgotten, setup, teardown))
