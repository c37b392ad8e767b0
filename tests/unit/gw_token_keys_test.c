/* The keys of tokens over months, by a clock of the test's own. */
#include "support/cases.h"

#include "base/text.h"
#include "gateway/api/jwt.h"
#include "gateway/api/token_keys.h"

#include <openssl/pem.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOUR  INT64_C(3600000)
#define DAY   (24 * HOUR)
#define START (20000 * DAY)

static const struct gw_token_key_settings usual = {
    .lifetime_ms = 90 * DAY, .lead_ms = HOUR, .token_ms = HOUR};

struct fixture {
    char directory[64];
    struct gw_token_keys *keys;
    int64_t now_ms;
};

static void open_keys(struct fixture *fixture, const struct gw_token_key_settings *settings)
{
    assert_int_equal(
        gw_token_keys_open(fixture->directory, settings, fixture->now_ms, NULL, &fixture->keys, NULL), SL_OK);
}

static void reopen(struct fixture *fixture)
{
    gw_token_keys_close(&fixture->keys);
    open_keys(fixture, &usual);
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    strcpy(fixture->directory, "/tmp/gw-token-keys-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    fixture->now_ms = START;
    open_keys(fixture, &usual);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    gw_token_keys_close(&fixture->keys);
    char command[100];
    snprintf(command, sizeof command, "rm -r %s", fixture->directory);
    assert_int_equal(system(command), 0);
    free(fixture);
    return 0;
}

struct kid {
    char text[GW_THUMBPRINT + 1];
};

/* The key in that state; "" when there is none. */
static struct kid kid_of(struct fixture *fixture, const char *wanted)
{
    struct kid kid = {""};
    json_t *keys = gw_token_keys_json(fixture->keys, fixture->now_ms), *key;
    size_t index;
    json_array_foreach(keys, index, key)
    {
        if (!strcmp(json_string_value(json_object_get(key, "state")), wanted))
            snprintf(kid.text, sizeof kid.text, "%s", json_string_value(json_object_get(key, "kid")));
    }
    json_decref(keys);
    return kid;
}

static char *sign(struct fixture *fixture)
{
    char *token;
    assert_int_equal(gw_token_keys_sign(fixture->keys, fixture->now_ms, "{\"exp\":1}", &token, NULL), SL_OK);
    return token;
}

static struct kid signer(const char *token)
{
    struct gw_jwt jwt;
    struct kid kid;
    assert_int_equal(gw_jwt_parse(token, strlen(token), &jwt, NULL), SL_OK);
    snprintf(kid.text, sizeof kid.text, "%s", jwt.kid);
    gw_jwt_free(&jwt);
    return kid;
}

static bool is_good(struct fixture *fixture, const char *token)
{
    struct gw_jwk *key = gw_token_keys_find(fixture->keys, signer(token).text, fixture->now_ms);
    bool good = key && gw_jwk_verify(key, "ES256", token, strlen(token));
    gw_jwk_unlink(key);
    return good;
}

static bool is_published(struct fixture *fixture, const char *kid)
{
    json_t *jwks = gw_token_keys_jwks(fixture->keys, fixture->now_ms), *key;
    bool found = false;
    size_t index;
    json_array_foreach(json_object_get(jwks, "keys"), index, key)
    {
        found = found || !strcmp(json_string_value(json_object_get(key, "kid")), kid);
        assert_null(json_object_get(key, "d"));
    }
    json_decref(jwks);
    return found;
}

static bool has_file(struct fixture *fixture, const char *kid)
{
    char file[200];
    struct stat info;
    snprintf(file, sizeof file, "%s/token-keys/%s.pem", fixture->directory, kid);
    if (stat(file, &info))
        return false;
    assert_int_equal(info.st_mode & 0777, 0600);
    return true;
}

static int64_t tick(struct fixture *fixture)
{
    int64_t next_ms;
    assert_int_equal(gw_token_keys_tick(fixture->keys, fixture->now_ms, &next_ms, NULL), SL_OK);
    assert_true(next_ms > fixture->now_ms);
    return next_ms;
}

static void the_first_key_signs_at_once(void **state)
{
    struct fixture *fixture = *state;
    char *token = sign(fixture);
    struct kid kid = kid_of(fixture, "signing");
    assert_string_equal(signer(token).text, kid.text);
    assert_true(is_good(fixture, token));
    assert_true(is_published(fixture, kid.text));
    assert_true(has_file(fixture, kid.text));
    reopen(fixture); /* and it stays */
    assert_true(is_good(fixture, token));
    assert_string_equal(kid_of(fixture, "signing").text, kid.text);
    free(token);
}

/* Seen by who checks tokens with a JWKS that is up to an hour old, none is ever of an unknown key. */
static void a_rotation_refuses_no_token(void **state)
{
    struct fixture *fixture = *state;
    struct kid first = kid_of(fixture, "signing");
    bool made;
    json_t *key;
    assert_int_equal(gw_token_keys_rotate(fixture->keys, fixture->now_ms, &made, &key, NULL), SL_OK);
    assert_true(made);
    assert_string_equal(json_string_value(json_object_get(key, "state")), "next");
    assert_int_equal(json_integer_value(json_object_get(key, "signsFrom")), START + HOUR);
    json_decref(key);
    struct kid second = kid_of(fixture, "next");
    assert_true(is_published(fixture, second.text));
    /* Once more: the one that waits. */
    assert_int_equal(gw_token_keys_rotate(fixture->keys, fixture->now_ms, &made, &key, NULL), SL_OK);
    assert_false(made);
    assert_string_equal(json_string_value(json_object_get(key, "kid")), second.text);
    json_decref(key);
    fixture->now_ms = START + HOUR - 1;
    tick(fixture);
    char *last = sign(fixture);
    assert_string_equal(signer(last).text, first.text);
    fixture->now_ms++;
    char *token = sign(fixture);
    assert_string_equal(signer(token).text, second.text);
    for (int i = 0; i < 2; i++) {
        assert_true(is_good(fixture, last));
        assert_true(is_good(fixture, token));
        reopen(fixture);
    }
    fixture->now_ms = START + 2 * HOUR - 1; /* the last one has ended by then */
    tick(fixture);
    assert_true(is_good(fixture, last));
    assert_true(is_published(fixture, first.text));
    fixture->now_ms++;
    assert_false(is_good(fixture, last));
    assert_false(is_published(fixture, first.text));
    assert_true(has_file(fixture, first.text));
    tick(fixture);
    assert_false(has_file(fixture, first.text));
    assert_true(is_good(fixture, token));
    free(last);
    free(token);
}

static void keys_change_by_themselves(void **state)
{
    struct fixture *fixture = *state;
    struct kid first = kid_of(fixture, "signing");
    fixture->now_ms = START + 90 * DAY - HOUR - 1;
    assert_true(tick(fixture) <= fixture->now_ms + 1000);
    assert_string_equal(kid_of(fixture, "next").text, "");
    fixture->now_ms++;
    tick(fixture);
    struct kid second = kid_of(fixture, "next");
    assert_string_not_equal(second.text, "");
    fixture->now_ms = START + 90 * DAY;
    assert_string_equal(kid_of(fixture, "signing").text, second.text);
    assert_string_equal(kid_of(fixture, "checking").text, first.text);
    /* A gateway that was down for a year makes the next one when it starts, and signs with what it has. */
    fixture->now_ms = START + 365 * DAY;
    reopen(fixture);
    assert_string_equal(kid_of(fixture, "signing").text, second.text);
    assert_string_equal(kid_of(fixture, "checking").text, "");
    assert_string_not_equal(kid_of(fixture, "next").text, "");
    /* 0: not at all. */
    struct gw_token_key_settings never = usual;
    never.lifetime_ms = 0;
    fixture->now_ms += HOUR;
    struct kid third = kid_of(fixture, "signing");
    assert_int_equal(gw_token_keys_set(fixture->keys, &never, NULL), SL_OK);
    fixture->now_ms += 1000 * DAY;
    tick(fixture);
    assert_string_equal(kid_of(fixture, "signing").text, third.text);
    assert_string_equal(kid_of(fixture, "next").text, "");
}

/* Tokens that last longer than before: their key stays longer, too, whatever comes after. */
static void longer_tokens_keep_their_key(void **state)
{
    struct fixture *fixture = *state;
    struct gw_token_key_settings longer = usual;
    struct kid first = kid_of(fixture, "signing");
    bool made;
    json_t *key;
    longer.token_ms = 10 * DAY;
    assert_int_equal(gw_token_keys_set(fixture->keys, &longer, NULL), SL_OK);
    reopen(fixture); /* with short ones again */
    assert_int_equal(gw_token_keys_rotate(fixture->keys, fixture->now_ms, &made, &key, NULL), SL_OK);
    json_decref(key);
    fixture->now_ms = START + HOUR + 10 * DAY - 1;
    tick(fixture);
    assert_string_equal(kid_of(fixture, "checking").text, first.text);
    fixture->now_ms++;
    tick(fixture);
    assert_string_equal(kid_of(fixture, "checking").text, "");
}

static void a_revoked_key_ends_at_once(void **state)
{
    struct fixture *fixture = *state;
    sl_error error = {0};
    char *token = sign(fixture);
    struct kid first = kid_of(fixture, "signing");
    assert_int_equal(gw_token_keys_revoke(fixture->keys, "nobody", fixture->now_ms, &error), SL_NOT_FOUND);
    assert_int_equal(gw_token_keys_revoke(fixture->keys, first.text, fixture->now_ms, NULL), SL_OK);
    assert_false(is_good(fixture, token));
    assert_false(has_file(fixture, first.text));
    struct kid second = kid_of(fixture, "signing");
    assert_string_not_equal(second.text, first.text);
    free(token);
    token = sign(fixture);
    assert_true(is_good(fixture, token));
    /* The next one takes its place, where there is one. */
    bool made;
    json_t *key;
    assert_int_equal(gw_token_keys_rotate(fixture->keys, fixture->now_ms, &made, &key, NULL), SL_OK);
    json_decref(key);
    struct kid third = kid_of(fixture, "next");
    assert_int_equal(gw_token_keys_revoke(fixture->keys, second.text, fixture->now_ms, NULL), SL_OK);
    assert_false(is_good(fixture, token));
    reopen(fixture);
    assert_string_equal(kid_of(fixture, "signing").text, third.text);
    assert_false(is_good(fixture, token));
    /* One that only waits. */
    assert_int_equal(gw_token_keys_rotate(fixture->keys, fixture->now_ms, &made, &key, NULL), SL_OK);
    json_decref(key);
    assert_int_equal(gw_token_keys_revoke(fixture->keys, kid_of(fixture, "next").text, fixture->now_ms, NULL),
                     SL_OK);
    assert_string_equal(kid_of(fixture, "signing").text, third.text);
    free(token);
}

static void write_key(const char *file, const char *curve)
{
    EVP_PKEY *key = EVP_EC_gen(curve);
    FILE *out = fopen(file, "we");
    assert_non_null(out);
    assert_int_equal(PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(out);
    EVP_PKEY_free(key);
}

/* One in 64 would. */
static void no_name_looks_like_an_option(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 200; i++) {
        struct kid kid = kid_of(fixture, "signing");
        assert_true(*kid.text && *kid.text != '-');
        assert_int_equal(gw_token_keys_revoke(fixture->keys, kid.text, fixture->now_ms, NULL), SL_OK);
    }
}

/* One of before keys had names: tokens that name none are checked with it, for as long as they may last. */
static void the_old_key_is_moved(void **state)
{
    struct fixture *fixture = *state;
    char old[100], moved[200];
    struct stat info;
    gw_token_keys_close(&fixture->keys);
    snprintf(moved, sizeof moved, "rm -r %s/token-keys", fixture->directory);
    assert_int_equal(system(moved), 0);
    snprintf(old, sizeof old, "%s/token-key.pem", fixture->directory);
    write_key(old, "P-256");
    open_keys(fixture, &usual);
    assert_int_equal(stat(old, &info), -1);
    struct kid kid = kid_of(fixture, "signing");
    assert_true(has_file(fixture, kid.text));
    bool made;
    json_t *key;
    assert_int_equal(gw_token_keys_rotate(fixture->keys, fixture->now_ms, &made, &key, NULL), SL_OK);
    json_decref(key);
    for (int i = 0; i < 2; i++) {
        struct gw_jwk *found = gw_token_keys_find(fixture->keys, NULL, fixture->now_ms);
        assert_string_equal(gw_jwk_kid(found), kid.text);
        gw_jwk_unlink(found);
        reopen(fixture);
        fixture->now_ms = START + 30 * DAY - 1;
    }
    fixture->now_ms++;
    assert_null(gw_token_keys_find(fixture->keys, NULL, fixture->now_ms));
}

static void a_key_of_ones_own_is_taken_up(void **state)
{
    struct fixture *fixture = *state;
    char file[200];
    struct kid first = kid_of(fixture, "signing");
    snprintf(file, sizeof file, "%s/token-keys/mine.pem", fixture->directory);
    write_key(file, "P-256");
    assert_int_equal(chmod(file, 0644), 0);
    assert_int_equal(gw_token_keys_reread(fixture->keys, fixture->now_ms, NULL), SL_OK);
    struct kid mine = kid_of(fixture, "next");
    assert_true(has_file(fixture, mine.text)); /* of mode 0600 */
    assert_int_equal(access(file, F_OK), -1);
    assert_string_equal(kid_of(fixture, "signing").text, first.text);
    assert_int_equal(gw_token_keys_reread(fixture->keys, fixture->now_ms, NULL), SL_OK);
    fixture->now_ms += HOUR;
    reopen(fixture);
    assert_string_equal(kid_of(fixture, "signing").text, mine.text);
}

static void what_is_broken_is_named(void **state)
{
    struct fixture *fixture = *state;
    struct kid kid = kid_of(fixture, "signing");
    struct gw_token_keys *keys;
    char file[200], state_file[200];
    sl_error error = {0};
    snprintf(file, sizeof file, "%s/token-keys/other.pem", fixture->directory);
    snprintf(state_file, sizeof state_file, "%s/token-keys/%s.json", fixture->directory, kid.text);
    const char *const curves[] = {"P-384", NULL};
    for (size_t i = 0; i < 2; i++) {
        if (curves[i]) {
            write_key(file, curves[i]);
        } else {
            FILE *out = fopen(file, "we");
            fputs("no key", out);
            fclose(out);
        }
        assert_int_equal(gw_token_keys_open(fixture->directory, &usual, START, NULL, &keys, &error), SL_IO);
        assert_non_null(strstr(error.text, file));
        assert_null(keys);
        /* While it runs it goes on. */
        assert_int_equal(gw_token_keys_reread(fixture->keys, START, &error), SL_IO);
        char *token = sign(fixture);
        assert_true(is_good(fixture, token));
        free(token);
    }
    assert_int_equal(unlink(file), 0);
    static const char *const states[] = {
        "",
        "{\"signsFrom\":1,\"tokenLifetime\":1,\"unnamedUntil\":0}",
        "{\"made\":1,\"tokenLifetime\":1,\"unnamedUntil\":0}",
        "{\"made\":1,\"signsFrom\":1,\"unnamedUntil\":0}",
        "{\"made\":1,\"signsFrom\":1,\"tokenLifetime\":1}",
        "{\"made\":\"1\",\"signsFrom\":1,\"tokenLifetime\":1,\"unnamedUntil\":0}",
        "{\"made\":-1,\"signsFrom\":1,\"tokenLifetime\":1,\"unnamedUntil\":0}",
    };
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        FILE *out = fopen(state_file, "we");
        fputs(states[i], out);
        fclose(out);
        assert_int_equal(gw_token_keys_open(fixture->directory, &usual, START, NULL, &keys, &error), SL_IO);
        assert_non_null(strstr(error.text, state_file));
    }
}

/* The gateway answers what passes, a full disk, by another code. */
static void a_directory_that_is_gone_is_no_full_disk(void **state)
{
    struct fixture *fixture = *state;
    char gone[100];
    bool made;
    json_t *key;
    sl_error error = {.retriable = true};
    snprintf(gone, sizeof gone, "rm -r %s/token-keys", fixture->directory);
    assert_int_equal(system(gone), 0);
    assert_int_equal(gw_token_keys_rotate(fixture->keys, fixture->now_ms, &made, &key, &error), SL_IO);
    assert_false(error.retriable);
}

static void keys_are_bounded(void **state)
{
    struct fixture *fixture = *state;
    sl_error error = {0};
    bool made;
    json_t *key;
    for (int i = 1; i < GW_TOKEN_KEYS_MAX; i++) {
        assert_int_equal(gw_token_keys_rotate(fixture->keys, fixture->now_ms, &made, &key, NULL), SL_OK);
        assert_true(made);
        json_decref(key);
        fixture->now_ms += HOUR; /* without a tick: none is removed */
    }
    assert_int_equal(gw_token_keys_rotate(fixture->keys, fixture->now_ms, &made, &key, &error),
                     SL_QUEUE_FULL);
    assert_non_null(strstr(error.text, "revoke one"));
    tick(fixture);
    assert_int_equal(gw_token_keys_rotate(fixture->keys, fixture->now_ms, &made, &key, NULL), SL_OK);
    json_decref(key);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(the_first_key_signs_at_once, setup, teardown),
    cmocka_unit_test_setup_teardown(a_rotation_refuses_no_token, setup, teardown),
    cmocka_unit_test_setup_teardown(keys_change_by_themselves, setup, teardown),
    cmocka_unit_test_setup_teardown(longer_tokens_keep_their_key, setup, teardown),
    cmocka_unit_test_setup_teardown(a_revoked_key_ends_at_once, setup, teardown),
    cmocka_unit_test_setup_teardown(no_name_looks_like_an_option, setup, teardown),
    cmocka_unit_test_setup_teardown(the_old_key_is_moved, setup, teardown),
    cmocka_unit_test_setup_teardown(a_key_of_ones_own_is_taken_up, setup, teardown),
    cmocka_unit_test_setup_teardown(what_is_broken_is_named, setup, teardown),
    cmocka_unit_test_setup_teardown(a_directory_that_is_gone_is_no_full_disk, setup, teardown),
    cmocka_unit_test_setup_teardown(keys_are_bounded, setup, teardown))
