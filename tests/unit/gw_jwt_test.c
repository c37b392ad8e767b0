/* What passes for a token of the gateway's own, and what must not: each claim and each way to cheat. */
#include "support/cases.h"

#include "forge.h"

#include "base/text.h"
#include "base/time.h"
#include "gateway/api/jwt.h"
#include "gateway/api/tokens.h"
#include "gateway/gateway.h"

#include <stdlib.h>
#include <unistd.h>

#define ISSUER "https://gateway.example"

struct fixture {
    char directory[64];
    struct gw_application application;
    struct gw_applications *applications;
    struct gw_access *access;
    struct gw_tokens *tokens;
    char kid[GW_THUMBPRINT + 1];
    EVP_PKEY *key, *other; /* the gateway's own, and an attacker's */
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    char file[200];
    strcpy(fixture->directory, "/tmp/gw-jwt-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    assert_int_equal(gw_application_ensure(fixture->directory, "me", &fixture->application, NULL), SL_OK);
    assert_int_equal(gw_applications_open(fixture->directory, &fixture->applications, NULL), SL_OK);
    assert_int_equal(gw_access_open(fixture->applications, NULL, NULL, &fixture->access, NULL), SL_OK);
    const struct gw_token_settings settings = {.data_directory = fixture->directory,
                                               .times.lifetime_ms = 3600000,
                                               .issuer = ISSUER,
                                               .audience = "streamlayer",
                                               .access = fixture->access};
    assert_int_equal(gw_tokens_open(&settings, NULL, &fixture->tokens, NULL), SL_OK);
    json_t *keys = gw_token_keys_json(gw_tokens_keys(fixture->tokens), sl_wall_ms());
    snprintf(fixture->kid, sizeof fixture->kid, "%s",
             json_string_value(json_object_get(json_array_get(keys, 0), "kid")));
    json_decref(keys);
    snprintf(file, sizeof file, "%s/token-keys/%s.pem", fixture->directory, fixture->kid);
    fixture->key = forge_read(file);
    fixture->other = forge_key("P-256");
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    gw_tokens_close(&fixture->tokens);
    gw_access_close(&fixture->access);
    gw_applications_close(&fixture->applications);
    EVP_PKEY_free(fixture->key);
    EVP_PKEY_free(fixture->other);
    char command[100];
    snprintf(command, sizeof command, "rm -r %s", fixture->directory);
    assert_int_equal(system(command), 0);
    free(fixture);
    return 0;
}

/* Checked twice: the second time must not find it remembered when it was refused. */
static sl_status check(struct fixture *fixture, const char *token, char text[1024])
{
    sl_error error = {0};
    sl_status status = SL_OK;
    for (int i = 0; i < 2; i++) {
        struct gw_account *account;
        bool later;
        assert_null(gw_tokens_recall(fixture->tokens, i && !status ? "" : token));
        status = gw_tokens_check(fixture->tokens, token, NULL, &later, &account, &error);
        assert_false(later);
        assert_int_equal(account != NULL, status == SL_OK);
        gw_account_unlink(account);
    }
    snprintf(text, 1024, "%s", error.text);
    return status;
}

/* What a token says; NULL: as the gateway makes them. In the texts KID, APP and NOW stand for what they are.
 */
struct token {
    const char *header, *claims, *algorithm;
    bool other;      /* signed with the attacker's key */
    const char *why; /* part of the text that refuses it; NULL: it is good */
};

#define HEADER(more)           "{\"alg\":\"ES256\",\"kid\":\"KID\"" more "}"
#define CLAIMS(iss, aud, rest) "{\"iss\":" iss ",\"aud\":" aud ",\"sub\":\"APP\"" rest "}"
#define GOOD                   CLAIMS("\"" ISSUER "\"", "\"streamlayer\"", ",\"exp\":NOW60")

/* Puts in what the names stand for: NOW and digits is that many seconds after now, NOW- before. */
static char *fill(const struct fixture *fixture, const char *text)
{
    struct sl_buffer out;
    sl_buffer_init(&out, 10000);
    while (*text) {
        if (!strncmp(text, "KID", 3)) {
            sl_buffer_append_text(&out, fixture->kid);
            text += 3;
        } else if (!strncmp(text, "APP", 3)) {
            sl_buffer_append_text(&out, fixture->application.id);
            text += 3;
        } else if (!strncmp(text, "NOW", 3)) {
            char *end;
            long seconds = strtol(text + 3, &end, 10);
            sl_buffer_printf(&out, "%lld", (long long)(sl_wall_ms() / 1000 + seconds));
            text = end;
        } else {
            sl_buffer_append(&out, text++, 1);
        }
    }
    return sl_buffer_take(&out);
}

static void check_all(struct fixture *fixture, const struct token *tokens, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *header = fill(fixture, tokens[i].header ? tokens[i].header : HEADER("")),
             *claims = fill(fixture, tokens[i].claims ? tokens[i].claims : GOOD), text[1024];
        char *token = forge_token(header, claims, tokens[i].algorithm ? tokens[i].algorithm : "ES256",
                                  tokens[i].other ? fixture->other : fixture->key);
        sl_status status = check(fixture, token, text);
        if (status != (tokens[i].why ? SL_UNAUTHENTICATED : SL_OK) ||
            (tokens[i].why && !strstr(text, tokens[i].why)))
            fail_msg("%zu: %s %s: %d %s", i, header, claims, (int)status, text);
        free(header);
        free(claims);
        free(token);
    }
}

static void claims_are_checked(void **state)
{
    static const struct token tokens[] = {
        {.why = NULL},
        {.claims = CLAIMS("\"" ISSUER "\"", "[\"a\",\"streamlayer\"]", ",\"exp\":NOW60")},
        {.claims =
             CLAIMS("\"" ISSUER "\"", "\"streamlayer\"", ",\"exp\":NOW60.5,\"nbf\":NOW-1,\"iat\":NOW-1")},
        {.claims = CLAIMS("\"" ISSUER "\"", "\"streamlayer\"", ",\"exp\":NOW-1"), .why = "expired"},
        {.claims = CLAIMS("\"" ISSUER "\"", "\"streamlayer\"", ",\"exp\":NOW0"), .why = "expired"},
        {.claims = CLAIMS("\"" ISSUER "\"", "\"streamlayer\"", ""), .why = "(exp)"},
        {.claims = CLAIMS("\"" ISSUER "\"", "\"streamlayer\"", ",\"exp\":\"NOW60\""), .why = "(exp)"},
        {.claims = CLAIMS("\"" ISSUER "\"", "\"streamlayer\"", ",\"exp\":-1"), .why = "(exp)"},
        {.claims = CLAIMS("\"" ISSUER "\"", "\"streamlayer\"", ",\"exp\":1e300"), .why = "(exp)"},
        {.claims = CLAIMS("\"" ISSUER "\"", "\"streamlayer\"", ",\"exp\":NOW60,\"exp\":NOW99"),
         .why = "no JWT"},
        {.claims = CLAIMS("\"" ISSUER "\"", "\"streamlayer\"", ",\"exp\":NOW60,\"nbf\":NOW30"),
         .why = "(nbf)"},
        {.claims = CLAIMS("\"" ISSUER "\"", "\"streamlayer\"", ",\"exp\":NOW60,\"nbf\":\"soon\""),
         .why = "(nbf)"},
        {.claims = CLAIMS("\"" ISSUER "\"", "\"streamlayer\"", ",\"exp\":NOW60,\"iat\":[]"), .why = "(iat)"},
        {.claims = CLAIMS("\"https://elsewhere.example\"", "\"streamlayer\"", ",\"exp\":NOW60"),
         .why = "(iss)"},
        {.claims = CLAIMS("\"" ISSUER "/\"", "\"streamlayer\"", ",\"exp\":NOW60"), .why = "(iss)"},
        {.claims = CLAIMS("7", "\"streamlayer\"", ",\"exp\":NOW60"), .why = "(iss)"},
        {.claims = "{\"aud\":\"streamlayer\",\"sub\":\"APP\",\"exp\":NOW60}", .why = "(iss)"},
        {.claims = "{\"iss\":\"" ISSUER "\",\"sub\":\"APP\",\"exp\":NOW60}", .why = "(aud)"},
        {.claims = CLAIMS("\"" ISSUER "\"", "\"streamlaye\"", ",\"exp\":NOW60"), .why = "(aud)"},
        {.claims = CLAIMS("\"" ISSUER "\"", "[]", ",\"exp\":NOW60"), .why = "(aud)"},
        {.claims = CLAIMS("\"" ISSUER "\"", "[\"streamlayer\",7]", ",\"exp\":NOW60"), .why = "(aud)"},
        {.claims = CLAIMS("\"" ISSUER "\"", "{\"streamlayer\":1}", ",\"exp\":NOW60"), .why = "(aud)"},
        {.claims = "{\"iss\":\"" ISSUER "\",\"aud\":\"streamlayer\",\"exp\":NOW60}", .why = "(sub)"},
        {.claims = "{\"iss\":\"" ISSUER "\",\"aud\":\"streamlayer\",\"sub\":7,\"exp\":NOW60}",
         .why = "(sub)"},
        {.claims = "{\"iss\":\"" ISSUER "\",\"aud\":\"streamlayer\",\"sub\":\"\",\"exp\":NOW60}",
         .why = "deleted"},
        {.claims = "{\"iss\":\"" ISSUER "\",\"aud\":\"streamlayer\",\"sub\":\"nobody\",\"exp\":NOW60}",
         .why = "deleted"},
        {.claims = "[]", .why = "no JWT"},
        {.claims = "{}", .why = "(exp)"},
        {.claims = "", .why = "no JWT"},
        {.claims = "{\"iss\":\"\xff\"}", .why = "no JWT"},
    };
    check_all(*state, tokens, sizeof tokens / sizeof *tokens);
}

static void algorithms_cannot_be_chosen(void **state)
{
    static const struct token tokens[] = {
        {.header = "{\"alg\":\"none\"}", .algorithm = "none", .why = "no signature"},
        {.header = "{\"alg\":\"none\",\"kid\":\"KID\"}", .why = "another algorithm"},
        {.header = "{\"alg\":\"None\",\"kid\":\"KID\"}", .why = "another algorithm"},
        {.header = HEADER(""), .algorithm = "none", .why = "no signature"},
        /* The public key is a secret to nobody. */
        {.header = "{\"alg\":\"HS256\",\"kid\":\"KID\"}", .algorithm = "HS256", .why = "another algorithm"},
        {.header = HEADER(""), .algorithm = "HS256", .why = "wrong signature"},
        {.header = "{\"alg\":\"RS256\",\"kid\":\"KID\"}", .why = "wrong signature"},
        {.header = "{\"alg\":\"ES384\",\"kid\":\"KID\"}", .why = "wrong signature"},
        {.header = "{\"alg\":\"ES256K\",\"kid\":\"KID\"}", .why = "another algorithm"},
        {.header = "{\"alg\":\"es256\",\"kid\":\"KID\"}", .why = "another algorithm"},
        {.header = "{\"alg\":7,\"kid\":\"KID\"}", .why = "another algorithm"},
        {.header = "{\"alg\":[\"ES256\"],\"kid\":\"KID\"}", .why = "another algorithm"},
        {.header = "{\"kid\":\"KID\"}", .why = "another algorithm"},
        {.header = "{\"alg\":\"ES256\",\"alg\":\"none\",\"kid\":\"KID\"}", .why = "no JWT"},
        {.header = HEADER(""), .algorithm = "DER", .why = "wrong signature"},
    };
    check_all(*state, tokens, sizeof tokens / sizeof *tokens);
}

static void keys_cannot_be_chosen(void **state)
{
    struct fixture *fixture = *state;
    static const struct token tokens[] = {
        {.other = true, .why = "wrong signature"},
        {.header = "{\"alg\":\"ES256\"}", .why = "does not have"},
        {.header = "{\"alg\":\"ES256\",\"kid\":\"another\"}", .why = "does not have"},
        {.header = "{\"alg\":\"ES256\",\"kid\":\"\"}", .why = "(kid)"},
        {.header = "{\"alg\":\"ES256\",\"kid\":7}", .why = "(kid)"},
        {.header = "{\"alg\":\"ES256\",\"kid\":null}", .why = "(kid)"},
        {.header = "{\"alg\":\"ES256\",\"kid\":\"../token-keys/KID\"}", .why = "does not have"},
        {.header = "{\"alg\":\"ES256\",\"kid\":\"../../../../dev/null\"}", .why = "does not have"},
        {.header = "{\"alg\":\"ES256\",\"kid\":\"KID.pem\"}", .why = "does not have"},
        {.header = "{\"alg\":\"ES256\",\"kid\":\"KID\\u0000x\"}", .why = "no JWT"},
        {.header = "{\"alg\":\"ES256\",\"kid\":\"' OR 1=1 --\"}", .why = "does not have"},
        /* Keys and certificates that a token brings along are not looked at, nor fetched. */
        {.header = HEADER(",\"jku\":\"http://127.0.0.1:9/jwks\""), .other = true, .why = "wrong signature"},
        {.header = HEADER(",\"x5u\":\"http://127.0.0.1:9/x\",\"x5c\":[\"MIIB\"]"),
         .other = true,
         .why = "wrong signature"},
        {.header = HEADER(",\"jku\":\"http://127.0.0.1:9/jwks\"")},
        {.header = HEADER(",\"crit\":[\"exp\"]"), .why = "(crit)"},
        {.header = HEADER(",\"crit\":[]"), .why = "(crit)"},
        {.header = HEADER(",\"typ\":\"JWT\"")},
        {.header = HEADER(",\"typ\":\"at+JWT\"")},
        {.header = HEADER(",\"typ\":\"logout+jwt\""), .why = "(typ)"},
        {.header = HEADER(",\"typ\":7"), .why = "(typ)"},
        {.header = "[]", .why = "no JWT"},
        {.header = "", .why = "no JWT"},
    };
    check_all(fixture, tokens, sizeof tokens / sizeof *tokens);
    char *jwk = forge_jwk(fixture->other, fixture->kid, ""), header[1000];
    snprintf(header, sizeof header, HEADER(",\"jwk\":%s"), jwk);
    const struct token own = {.header = header, .other = true, .why = "wrong signature"};
    check_all(fixture, &own, 1);
    free(jwk);
    snprintf(header, sizeof header, "{\"alg\":\"ES256\",\"kid\":\"%0257d\"}", 0);
    const struct token longest = {.header = header, .why = "(kid)"};
    check_all(fixture, &longest, 1);
}

/* Every character of a good token counts. */
static void nothing_can_be_changed(void **state)
{
    struct fixture *fixture = *state;
    char *token, text[1024];
    assert_int_equal(gw_tokens_sign(fixture->tokens, fixture->application.id, 60000, &token, NULL), SL_OK);
    size_t size = strlen(token);
    for (size_t i = 0; i < size; i++) {
        char before = token[i];
        static const char others[] = "AQgwBR.=+ ";
        for (const char *c = others; *c; c++) {
            token[i] = *c;
            if (*c != before && check(fixture, token, text) != SL_UNAUTHENTICATED)
                fail_msg("character %zu may be %c", i, *c);
        }
        token[i] = before;
    }
    char *longer = malloc(size + 20);
    for (size_t cut = 0; cut < size; cut += 7) {
        snprintf(longer, cut + 1, "%s", token);
        assert_int_equal(check(fixture, longer, text), SL_UNAUTHENTICATED);
    }
    static const char *const ends[] = {".", "A", "=", ".x", " "};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(longer, size + 20, "%s%s", token, ends[i]);
        assert_int_equal(check(fixture, longer, text), SL_UNAUTHENTICATED);
    }
    free(longer);
    assert_int_equal(check(fixture, token, text), SL_OK);
    free(token);
}

static void tokens_have_a_longest(void **state)
{
    struct fixture *fixture = *state;
    char text[1024], *token = malloc(GW_JWT_MAX + 2);
    memset(token, 'a', GW_JWT_MAX + 1);
    token[GW_JWT_MAX + 1] = 0;
    assert_int_equal(check(fixture, token, text), SL_UNAUTHENTICATED);
    assert_non_null(strstr(text, "longer than"));
    free(token);
}

/* What the gateway gives has all that others want of it. */
static void own_tokens_say_all(void **state)
{
    struct fixture *fixture = *state;
    struct gw_jwt jwt;
    char *token, *again;
    assert_int_equal(gw_tokens_sign(fixture->tokens, "app", 60000, &token, NULL), SL_OK);
    assert_int_equal(gw_jwt_parse(token, strlen(token), &jwt, NULL), SL_OK);
    assert_string_equal(jwt.algorithm, "ES256");
    assert_string_equal(jwt.kid, fixture->kid);
    assert_string_equal(jwt.issuer, ISSUER);
    assert_string_equal(gw_jwt_text(&jwt, "sub"), "app");
    assert_true(gw_jwt_is_for(&jwt, "streamlayer"));
    int64_t issued = json_integer_value(json_object_get(jwt.claims, "iat"));
    assert_in_range(issued, sl_wall_ms() / 1000 - 30, sl_wall_ms() / 1000);
    assert_int_equal(jwt.expires_s, issued + 60);
    assert_int_equal(gw_tokens_sign(fixture->tokens, "app", 60000, &again, NULL), SL_OK);
    assert_string_not_equal(token, again); /* jti */
    gw_jwt_free(&jwt);
    free(token);
    free(again);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(claims_are_checked, setup, teardown),
    cmocka_unit_test_setup_teardown(algorithms_cannot_be_chosen, setup, teardown),
    cmocka_unit_test_setup_teardown(keys_cannot_be_chosen, setup, teardown),
    cmocka_unit_test_setup_teardown(nothing_can_be_changed, setup, teardown),
    cmocka_unit_test_setup_teardown(tokens_have_a_longest, setup, teardown),
    cmocka_unit_test_setup_teardown(own_tokens_say_all, setup, teardown))
