/* Tokens of outside issuers: their keys from a file and from a server of the test's own, which is away at
 * times. */
#include "support/cases.h"

#include "forge.h"

#include "base/text.h"
#include "base/time.h"
#include "gateway/api/tokens.h"
#include "gateway/http/server.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <unistd.h>

#define ISSUER "https://login.example/realms/fleet"

struct fixture {
    char directory[64], file[100];
    struct gw_application application;
    struct gw_applications *applications;
    struct gw_access *access;
    struct gw_tokens *tokens;
    EVP_PKEY *keys[3];
    struct gw_server *server;
    char url[100];
    pthread_mutex_t lock; /* of what the server gives */
    char *jwks;
    int status;
    unsigned asked;
    bool waits;                /* the server answers when the test says so */
    struct gw_request *parked; /* that request */
    sem_t reached, ready;      /* it is there; who waited for keys was called */
    struct gw_key_wait wait;
};

static struct fixture *global; /* of gw_key_wait.ready, which has nothing else to go by */

static void give_jwks(struct gw_request *request)
{
    struct fixture *fixture = gw_request_opaque(request);
    pthread_mutex_lock(&fixture->lock);
    fixture->asked++;
    char *text = strdup(fixture->jwks);
    int status = fixture->status;
    bool waits = fixture->waits;
    fixture->parked = request;
    pthread_mutex_unlock(&fixture->lock);
    if (waits)
        sem_post(&fixture->reached);
    else
        gw_respond(request, status, "application/jwk-set+json", text, strlen(text), free, text);
    if (waits)
        free(text);
}

static const struct gw_route routes[] = {
    {.method = "GET", .pattern = "/jwks", .flags = GW_ROUTE_PUBLIC, .handle = give_jwks, .name = "jwks"}};

static char *jwks_of(EVP_PKEY *const *keys, const char *const *kids, size_t count)
{
    struct sl_buffer text;
    sl_buffer_init(&text, 100000);
    sl_buffer_append_text(&text, "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"secret\",\"k\":\"AAAA\"}");
    for (size_t i = 0; i < count; i++) {
        char *jwk = forge_jwk(keys[i], kids[i], "\"use\":\"sig\"");
        sl_buffer_printf(&text, ",%s", jwk);
        free(jwk);
    }
    sl_buffer_append_text(&text, "]}");
    return sl_buffer_take(&text);
}

/* What the server and the file have from now on. */
static void publish(struct fixture *fixture, size_t count)
{
    static const char *const kids[] = {"one", "two", "three"};
    char *jwks = jwks_of(fixture->keys, kids, count), draft[120];
    snprintf(draft, sizeof draft, "%s.new", fixture->file);
    FILE *out = fopen(draft, "we");
    fputs(jwks, out);
    fclose(out);
    assert_int_equal(rename(draft, fixture->file), 0);
    pthread_mutex_lock(&fixture->lock);
    free(fixture->jwks);
    fixture->jwks = jwks;
    pthread_mutex_unlock(&fixture->lock);
}

static int setup(void **state)
{
    struct fixture *fixture = global = calloc(1, sizeof *fixture);
    static const char *const kinds[] = {"P-256", "P-384", "RSA-2048"};
    strcpy(fixture->directory, "/tmp/gw-issuers-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    snprintf(fixture->file, sizeof fixture->file, "%s/jwks.json", fixture->directory);
    const struct gw_application_spec spec = {.name = "fleet", .issuer = ISSUER, .subject = "7c1f"};
    assert_int_equal(gw_applications_open(fixture->directory, &fixture->applications, NULL), SL_OK);
    assert_int_equal(gw_applications_create(fixture->applications, &spec, &fixture->application, NULL),
                     SL_OK);
    assert_int_equal(gw_access_open(fixture->applications, NULL, NULL, &fixture->access, NULL), SL_OK);
    for (size_t i = 0; i < 3; i++)
        fixture->keys[i] = forge_key(kinds[i]);
    pthread_mutex_init(&fixture->lock, NULL);
    sem_init(&fixture->reached, 0, 0);
    sem_init(&fixture->ready, 0, 0);
    fixture->status = 200;
    publish(fixture, 3);
    const struct gw_server_settings settings = {
        .loops = 1, .routes = routes, .route_count = 1, .opaque = fixture};
    assert_int_equal(gw_server_start(&settings, NULL, &fixture->server, NULL), SL_OK);
    snprintf(fixture->url, sizeof fixture->url, "http://127.0.0.1:%u/jwks",
             (unsigned)gw_server_port(fixture->server));
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    gw_tokens_close(&fixture->tokens);
    gw_server_stop(&fixture->server);
    gw_access_close(&fixture->access);
    gw_applications_close(&fixture->applications);
    for (size_t i = 0; i < 3; i++)
        EVP_PKEY_free(fixture->keys[i]);
    free(fixture->jwks);
    char command[100];
    snprintf(command, sizeof command, "rm -r %s", fixture->directory);
    assert_int_equal(system(command), 0);
    pthread_mutex_destroy(&fixture->lock);
    free(fixture);
    return 0;
}

static sl_status open_with(struct fixture *fixture, const struct gw_issuer_settings *issuers, size_t count,
                           sl_error *error)
{
    static const struct sl_http_settings http = {.user_agent = "test"};
    const struct gw_token_settings settings = {.data_directory = fixture->directory,
                                               .times = {.lifetime_ms = 3600000, .jwks_refresh_ms = 600000},
                                               .issuer = "https://gateway.example",
                                               .audience = "streamlayer",
                                               .issuers = issuers,
                                               .issuer_count = count,
                                               .http = &http,
                                               .access = fixture->access};
    gw_tokens_close(&fixture->tokens);
    return gw_tokens_open(&settings, NULL, &fixture->tokens, error);
}

static void open_file(struct fixture *fixture)
{
    const struct gw_issuer_settings issuer = {
        .name = "login", .issuer = ISSUER, .audience = "fleet-api", .jwks_file = fixture->file};
    assert_int_equal(open_with(fixture, &issuer, 1, NULL), SL_OK);
}

static void open_url(struct fixture *fixture)
{
    const struct gw_issuer_settings issuer = {
        .name = "login", .issuer = ISSUER, .audience = "fleet-api", .jwks_url = fixture->url};
    assert_int_equal(open_with(fixture, &issuer, 1, NULL), SL_OK);
}

static void ready(struct gw_key_wait *wait)
{
    (void)wait;
    sem_post(&global->ready);
}

/* A token's outcome, as one who waits for its issuer sees it. waited (may be NULL): whether it had to. */
static sl_status check(struct fixture *fixture, const char *token, bool *waited, sl_error *error)
{
    struct gw_account *account;
    bool later;
    fixture->wait = (struct gw_key_wait){.ready = ready};
    sl_status status = gw_tokens_check(fixture->tokens, token, &fixture->wait, &later, &account, error);
    if (waited)
        *waited = later;
    if (later) {
        sem_wait(&fixture->ready);
        status = gw_tokens_check(fixture->tokens, token, NULL, &later, &account, error);
        assert_false(later);
    }
    if (!status)
        assert_string_equal(account->id, fixture->application.id);
    gw_account_unlink(account);
    return status;
}

static char *token_of(struct fixture *fixture, size_t key, const char *kid, const char *algorithm,
                      const char *iss, const char *aud, const char *sub, int64_t seconds)
{
    char header[200], claims[400];
    snprintf(header, sizeof header, kid ? "{\"alg\":\"%s\",\"kid\":\"%s\"}" : "{\"alg\":\"%s\"}", algorithm,
             kid);
    snprintf(claims, sizeof claims, "{\"iss\":\"%s\",\"aud\":[\"x\",\"%s\"],\"sub\":\"%s\",\"exp\":%lld}",
             iss, aud, sub, (long long)(sl_wall_ms() / 1000 + seconds));
    return forge_token(header, claims, algorithm, fixture->keys[key]);
}

static void check_usual(struct fixture *fixture)
{
    static const struct {
        size_t key;
        const char *kid, *algorithm, *iss, *aud, *sub;
        int64_t seconds;
        sl_status status;
        const char *why;
    } cases[] = {
        {0, "one", "ES256", ISSUER, "fleet-api", "7c1f", 60, SL_OK, NULL},
        {1, "two", "ES384", ISSUER, "fleet-api", "7c1f", 60, SL_OK, NULL},
        {2, "three", "RS256", ISSUER, "fleet-api", "7c1f", 60, SL_OK, NULL},
        {2, "three", "PS256", ISSUER, "fleet-api", "7c1f", 60, SL_OK, NULL},
        {2, "three", "HS256", ISSUER, "fleet-api", "7c1f", 60, SL_UNAUTHENTICATED, "another algorithm"},
        {0, NULL, "ES256", ISSUER, "fleet-api", "7c1f", 60, SL_OK, NULL},   /* the only one for it */
        {0, "one", "ES256", ISSUER, "fleet-api", "7c1f", -30, SL_OK, NULL}, /* clocks differ */
        {0, "one", "ES256", ISSUER, "fleet-api", "7c1f", -61, SL_UNAUTHENTICATED, "expired"},
        {0, "one", "ES256", ISSUER, "other-api", "7c1f", 60, SL_UNAUTHENTICATED, "(aud)"},
        {0, "one", "ES256", ISSUER "/", "fleet-api", "7c1f", 60, SL_UNAUTHENTICATED, "not known here"},
        {0, "one", "ES256", "https://gateway.example", "streamlayer", "7c1f", 60, SL_UNAUTHENTICATED,
         "does not have"},
        {0, "one", "ES256", ISSUER, "fleet-api", "7c1", 60, SL_NOT_FOUND, "no application"},
        {0, "one", "ES256", ISSUER, "fleet-api", "", 60, SL_UNAUTHENTICATED, "no sub claim"},
        {0, "two", "ES256", ISSUER, "fleet-api", "7c1f", 60, SL_UNAUTHENTICATED, "does not publish"},
        {0, "three", "ES256", ISSUER, "fleet-api", "7c1f", 60, SL_UNAUTHENTICATED, "does not publish"},
        {0, "secret", "ES256", ISSUER, "fleet-api", "7c1f", 60, SL_UNAUTHENTICATED, "does not publish"},
        {0, "four", "ES256", ISSUER, "fleet-api", "7c1f", 60, SL_UNAUTHENTICATED, "does not publish"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sl_error error = {0};
        char *token = token_of(fixture, cases[i].key, cases[i].kid, cases[i].algorithm, cases[i].iss,
                               cases[i].aud, cases[i].sub, cases[i].seconds);
        sl_status status = check(fixture, token, NULL, &error);
        if (status != cases[i].status || (cases[i].why && !strstr(error.text, cases[i].why)))
            fail_msg("%zu: %d %s", i, (int)status, error.text);
        free(token);
    }
    /* Another's key under a name of the issuer's. */
    EVP_PKEY *other = forge_key("P-256");
    char claims[200];
    snprintf(claims, sizeof claims,
             "{\"iss\":\"" ISSUER "\",\"aud\":\"fleet-api\",\"sub\":\"7c1f\",\"exp\":%lld}",
             (long long)(sl_wall_ms() / 1000 + 60));
    char *token = forge_token("{\"alg\":\"ES256\",\"kid\":\"one\"}", claims, "ES256", other);
    sl_error error = {0};
    assert_int_equal(check(fixture, token, NULL, &error), SL_UNAUTHENTICATED);
    assert_non_null(strstr(error.text, "wrong signature"));
    free(token);
    EVP_PKEY_free(other);
}

static char *usual_token(struct fixture *fixture, size_t key, const char *kid)
{
    static const char *const algorithms[] = {"ES256", "ES384", "RS256"};
    return token_of(fixture, key, kid, algorithms[key], ISSUER, "fleet-api", "7c1f", 60);
}

static void tokens_are_checked_with_a_file(void **state)
{
    open_file(*state);
    check_usual(*state);
}

static void tokens_are_checked_with_a_url(void **state)
{
    open_url(*state);
    check_usual(*state);
}

static void a_file_is_read_again(void **state)
{
    struct fixture *fixture = *state;
    sl_error error = {0};
    publish(fixture, 1);
    open_file(fixture);
    char *first = usual_token(fixture, 0, "one"), *second = usual_token(fixture, 1, "two");
    assert_int_equal(check(fixture, first, NULL, NULL), SL_OK);
    assert_int_equal(check(fixture, second, NULL, NULL), SL_UNAUTHENTICATED);
    publish(fixture, 2);
    assert_int_equal(check(fixture, second, NULL, NULL), SL_OK);
    /* What is gone from it is good no more, though it was checked before. */
    struct gw_account *account = gw_tokens_recall(fixture->tokens, second);
    assert_non_null(account);
    gw_account_unlink(account);
    publish(fixture, 1);
    assert_int_equal(gw_tokens_reread(fixture->tokens, NULL), SL_OK);
    assert_null(gw_tokens_recall(fixture->tokens, second));
    assert_int_equal(check(fixture, second, NULL, NULL), SL_UNAUTHENTICATED);
    assert_int_equal(check(fixture, first, NULL, NULL), SL_OK);
    /* A broken one changes nothing. */
    FILE *out = fopen(fixture->file, "we");
    fputs("{\"keys\":", out);
    fclose(out);
    assert_int_equal(gw_tokens_reread(fixture->tokens, NULL), SL_OK);
    assert_int_equal(check(fixture, first, NULL, NULL), SL_OK);
    /* But nobody starts with it. */
    const struct gw_issuer_settings issuer = {
        .name = "login", .issuer = ISSUER, .audience = "fleet-api", .jwks_file = fixture->file};
    assert_int_equal(open_with(fixture, &issuer, 1, &error), SL_BAD_CONFIG);
    assert_non_null(strstr(error.text, "streamlayer.gateway.token.issuers.login.jwks-file: "));
    assert_non_null(strstr(error.text, fixture->file));
    free(first);
    free(second);
}

static unsigned asked(struct fixture *fixture)
{
    pthread_mutex_lock(&fixture->lock);
    unsigned count = fixture->asked;
    pthread_mutex_unlock(&fixture->lock);
    return count;
}

static void set_server(struct fixture *fixture, int status, bool waits)
{
    pthread_mutex_lock(&fixture->lock);
    fixture->status = status;
    fixture->waits = waits;
    pthread_mutex_unlock(&fixture->lock);
}

/* Tokens wait for the answer that is under way, and one question serves all. */
static void the_issuer_is_asked_once_for_all(void **state)
{
    struct fixture *fixture = *state;
    set_server(fixture, 200, true);
    open_url(fixture);
    sem_wait(&fixture->reached);
    char *tokens[3];
    struct gw_key_wait waits[3];
    struct gw_account *account;
    bool later;
    for (size_t i = 0; i < 3; i++) {
        static const char *const kids[] = {"one", "two", "three"};
        tokens[i] = usual_token(fixture, i, kids[i]);
        waits[i] = (struct gw_key_wait){.ready = ready};
        assert_int_equal(gw_tokens_check(fixture->tokens, tokens[i], &waits[i], &later, &account, NULL),
                         SL_OK);
        assert_true(later);
    }
    pthread_mutex_lock(&fixture->lock);
    char *text = strdup(fixture->jwks);
    pthread_mutex_unlock(&fixture->lock);
    gw_respond(fixture->parked, 200, "application/json", text, strlen(text), free, text);
    for (size_t i = 0; i < 3; i++)
        sem_wait(&fixture->ready);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(check(fixture, tokens[i], NULL, NULL), SL_OK);
        free(tokens[i]);
    }
    assert_int_equal(asked(fixture), 1);
    /* An unknown name is asked for at most every 30 s, however many come. */
    for (int i = 0; i < 20; i++) {
        char kid[20];
        snprintf(kid, sizeof kid, "guess-%d", i);
        char *token = usual_token(fixture, 0, kid);
        assert_int_equal(check(fixture, token, NULL, NULL), SL_UNAUTHENTICATED);
        free(token);
    }
    assert_int_equal(asked(fixture), 1);
}

static void an_issuer_may_be_away(void **state)
{
    struct fixture *fixture = *state;
    sl_error error = {0};
    bool waited;
    char *token = usual_token(fixture, 0, "one");
    set_server(fixture, 500, false);
    open_url(fixture);
    assert_int_equal(check(fixture, token, NULL, &error), SL_UNAVAILABLE);
    assert_true(error.retriable);
    assert_non_null(strstr(error.text, ISSUER));
    /* Soon after nobody waits for it, nor is it asked. */
    unsigned before = asked(fixture);
    assert_int_equal(check(fixture, token, &waited, &error), SL_UNAVAILABLE);
    assert_false(waited);
    assert_int_equal(asked(fixture), before);
    free(token);
}

/* Once had, its keys stay in use. */
static void keys_outlive_the_issuer(void **state)
{
    struct fixture *fixture = *state;
    char *first = usual_token(fixture, 0, "one"), *second = usual_token(fixture, 1, "two");
    open_url(fixture);
    assert_int_equal(check(fixture, first, NULL, NULL), SL_OK);
    gw_server_stop(&fixture->server);
    /* It is asked again, in vain. */
    const struct gw_token_times times = {.lifetime_ms = 3600000};
    int64_t next_ms;
    assert_int_equal(gw_tokens_set_times(fixture->tokens, &times, NULL), SL_OK);
    assert_int_equal(gw_tokens_tick(fixture->tokens, &next_ms, NULL), SL_OK);
    char *unknown = usual_token(fixture, 0, "unknown");
    assert_int_equal(check(fixture, unknown, NULL, NULL), SL_UNAUTHENTICATED); /* after its answer */
    free(unknown);
    assert_int_equal(check(fixture, second, NULL, NULL), SL_OK);
    free(first);
    free(second);
}

/* Who waits is called when all ends, and nobody is forgotten. */
static void an_end_while_tokens_wait(void **state)
{
    struct fixture *fixture = *state;
    struct gw_account *account;
    bool later;
    char *token = usual_token(fixture, 0, "one");
    set_server(fixture, 200, true);
    open_url(fixture);
    sem_wait(&fixture->reached);
    fixture->wait = (struct gw_key_wait){.ready = ready};
    assert_int_equal(gw_tokens_check(fixture->tokens, token, &fixture->wait, &later, &account, NULL), SL_OK);
    assert_true(later);
    gw_tokens_finish(fixture->tokens);
    sem_wait(&fixture->ready);
    assert_int_equal(check(fixture, token, NULL, NULL), SL_UNAVAILABLE);
    gw_respond(fixture->parked, 200, "text/plain", "", 0, NULL, NULL);
    free(token);
}

static void what_cannot_be_is_refused_at_the_start(void **state)
{
    struct fixture *fixture = *state;
    const char *file = fixture->file;
    const struct {
        struct gw_issuer_settings issuer;
        const char *why;
    } cases[] = {
        {{.name = "a", .audience = "x", .jwks_file = file}, "a.issuer is not set"},
        {{.name = "a", .issuer = ISSUER, .jwks_file = file}, "a.audience is not set"},
        {{.name = "a", .issuer = ISSUER, .audience = "x"}, "one of the two"},
        {{.name = "a", .issuer = ISSUER, .audience = "x", .jwks_file = file, .jwks_url = "https://x"},
         "one of the two"},
        {{.name = "a", .issuer = "https://gateway.example", .audience = "x", .jwks_file = file},
         "gateway's own"},
        {{.name = "a", .issuer = ISSUER, .audience = "x", .jwks_url = "http://login.example/jwks"},
         "use https://"},
        {{.name = "a", .issuer = ISSUER, .audience = "x", .jwks_url = "http://127.0.0.1.login.example/"},
         "use https://"},
        {{.name = "a", .issuer = ISSUER, .audience = "x", .jwks_url = "HTTP://login.example/"},
         "use https://"},
        {{.name = "a", .issuer = ISSUER, .audience = "x", .jwks_url = "https://me:secret@login.example/"},
         "leave it out"},
        {{.name = "a", .issuer = ISSUER, .audience = "x", .jwks_file = "/nowhere/jwks.json"},
         "/nowhere/jwks.json: No such file"},
        {{.name = "a", .issuer = ISSUER, .audience = "x", .jwks_file = "/"}, "no file"},
        {{.name = "a",
          .issuer = ISSUER,
          .audience = "x",
          .jwks_url = "https://login.example/",
          .ca_file = "/nowhere"},
         "/nowhere"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sl_error error = {0};
        sl_status status = open_with(fixture, &cases[i].issuer, 1, &error);
        if (status != SL_BAD_CONFIG || !strstr(error.text, cases[i].why) || strstr(error.text, "secret"))
            fail_msg("%zu: %d %s", i, (int)status, error.text);
        assert_null(fixture->tokens);
    }
    const struct gw_issuer_settings twice[] = {
        {.name = "a", .issuer = ISSUER, .audience = "x", .jwks_file = file},
        {.name = "b", .issuer = ISSUER, .audience = "y", .jwks_file = file}};
    sl_error error = {0};
    assert_int_equal(open_with(fixture, twice, 2, &error), SL_BAD_CONFIG);
    assert_non_null(strstr(error.text, "b.issuer"));
}

/* Which of a JWKS' keys are of use, by algorithm and purpose. */
static void keys_are_for_one_purpose(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *more, *serves; /* "": none */
    } cases[] = {
        {"P-256", "", "ES256"},
        {"P-384", "", "ES384"},
        {"RSA-2048", "", "RS256 PS256"},
        {"RSA-2048", "\"alg\":\"PS256\"", "PS256"},
        {"RSA-2048", "\"alg\":\"RS512\"", ""},
        {"RSA-2048", "\"alg\":\"ES256\"", ""},
        {"P-256", "\"alg\":\"ES384\"", ""},
        {"P-256", "\"alg\":7", ""},
        {"P-256", "\"use\":\"enc\"", ""},
        {"P-256", "\"use\":[\"sig\"]", ""},
        {"P-256", "\"key_ops\":[\"verify\"]", "ES256"},
        {"P-256", "\"key_ops\":[\"sign\"]", ""},
        {"P-256", "\"key_ops\":\"verify\"", ""},
        {"RSA-1024", "", ""},
        {"P-521", "", ""},
    };
    static const char *const algorithms[] = {"ES256", "ES384", "RS256", "PS256", "HS256"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        EVP_PKEY *pkey = forge_key(cases[i].kind);
        char *text = forge_jwk(pkey, "k", cases[i].more);
        json_t *value = json_loads(text, 0, NULL);
        struct gw_jwk *key = gw_jwk_of_json(value);
        assert_int_equal(key != NULL, *cases[i].serves != 0);
        for (size_t k = 0; key && k < 5; k++)
            assert_int_equal(gw_jwk_serves(key, algorithms[k]),
                             strstr(cases[i].serves, algorithms[k]) != NULL);
        gw_jwk_unlink(key);
        json_decref(value);
        free(text);
        EVP_PKEY_free(pkey);
    }
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(tokens_are_checked_with_a_file, setup, teardown),
    cmocka_unit_test_setup_teardown(tokens_are_checked_with_a_url, setup, teardown),
    cmocka_unit_test_setup_teardown(a_file_is_read_again, setup, teardown),
    cmocka_unit_test_setup_teardown(the_issuer_is_asked_once_for_all, setup, teardown),
    cmocka_unit_test_setup_teardown(an_issuer_may_be_away, setup, teardown),
    cmocka_unit_test_setup_teardown(keys_outlive_the_issuer, setup, teardown),
    cmocka_unit_test_setup_teardown(an_end_while_tokens_wait, setup, teardown),
    cmocka_unit_test_setup_teardown(what_cannot_be_is_refused_at_the_start, setup, teardown),
    cmocka_unit_test(keys_are_for_one_purpose))
