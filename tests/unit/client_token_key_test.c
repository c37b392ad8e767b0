/* The keys of the platform's tokens: what is asked of it, and what becomes of its answers. */
#include "support/cases.h"

#include "web.h"

#include <stdlib.h>
#include <streamlayer/streamlayer.h>

struct platform {
    struct web *web;
    sl_client *client;
    bool extended;
    int status;
    const char *answer;
    char asked[300]; /* method and path of the last call; read when it was answered */
};

static void serve(void *opaque, const struct web_request *request, struct web_answer *answer)
{
    struct platform *p = opaque;
    if (web_introduces(p->web, request, answer, "config", "v1", "/C", p->extended))
        return;
    snprintf(p->asked, sizeof p->asked, "%s %s", request->method, request->path);
    web_text(answer, p->status, "application/json", p->answer);
}

static int setup(void **state)
{
    struct platform *p = calloc(1, sizeof *p);
    p->extended = true;
    p->web = web_start(serve, p);
    p->client = web_client(p->web, NULL);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct platform *p = *state;
    sl_client_destroy(&p->client);
    web_stop(p->web);
    free(p);
    return 0;
}

#define KEY(kid, state, end)                                                                                 \
    "{\"kid\":\"" kid "\",\"state\":\"" state "\",\"made\":1000,\"signsFrom\":2000,\"endsAt\":" end "}"

static void keys_are_listed(void **state)
{
    struct platform *p = *state;
    sl_token_key_list *list;
    sl_token_key key = {.struct_size = sizeof key};
    p->status = 200;
    p->answer = "{\"keys\":[" KEY("one", "checking", "3000") "," KEY("two", "signing", "null") "]}";
    assert_int_equal(sl_token_key_list_get(p->client, &list, NULL), SL_OK);
    assert_string_equal(p->asked, "GET /C/token-keys");
    assert_int_equal(sl_token_key_list_count(list), 2);
    assert_true(sl_token_key_list_at(list, 0, &key));
    assert_string_equal(key.kid, "one");
    assert_string_equal(key.state, "checking");
    assert_int_equal(key.made_ms, 1000);
    assert_int_equal(key.signs_from_ms, 2000);
    assert_int_equal(key.ends_at_ms, 3000);
    assert_true(sl_token_key_list_at(list, 1, &key));
    assert_int_equal(key.ends_at_ms, -1);
    assert_false(sl_token_key_list_at(list, 2, &key));
    key.struct_size = 8;
    assert_false(sl_token_key_list_at(list, 0, &key));
    assert_non_null(strstr(sl_token_key_list_json(list), "\"signing\""));
    sl_token_key_list_destroy(&list);
    assert_null(list);
    sl_token_key_list_destroy(&list);
}

static void a_rotation_answers_the_next_key(void **state)
{
    struct platform *p = *state;
    sl_token_key_list *list;
    sl_token_key key = {.struct_size = sizeof key};
    p->status = 201;
    p->answer = KEY("three", "next", "null");
    assert_int_equal(sl_token_key_rotate(p->client, &list, NULL), SL_OK);
    assert_string_equal(p->asked, "POST /C/token-keys");
    assert_int_equal(sl_token_key_list_count(list), 1);
    assert_true(sl_token_key_list_at(list, 0, &key));
    assert_string_equal(key.kid, "three");
    sl_token_key_list_destroy(&list);
    assert_int_equal(sl_token_key_rotate(p->client, NULL, NULL), SL_OK);
}

static void keys_are_revoked_by_name(void **state)
{
    struct platform *p = *state;
    sl_error error = {0};
    p->status = 204;
    p->answer = "";
    assert_int_equal(sl_token_key_revoke(p->client, "a/../b", NULL), SL_OK);
    /* As the server decodes it: what was sent is one segment, which nothing on the way folds. */
    assert_string_equal(p->asked, "DELETE /C/token-keys/a/../b");
    p->asked[0] = 0;
    const char *const wrong[] = {NULL, "", ".", ".."};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(sl_token_key_revoke(p->client, wrong[i], &error), SL_INVALID_ARGUMENT);
    assert_string_equal(p->asked, "");
    p->status = 404;
    p->answer = "{\"code\":\"no-such-token-key\",\"cause\":\"there is none\"}";
    assert_int_equal(sl_token_key_revoke(p->client, "x", &error), SL_NOT_FOUND);
    assert_non_null(strstr(error.text, "there is none"));
}

static void strange_answers_are_refused(void **state)
{
    struct platform *p = *state;
    sl_token_key_list *list;
    static const char *const answers[] = {"{}",
                                          "[]",
                                          "7",
                                          "{\"keys\":{}}",
                                          "{\"keys\":[7]}",
                                          "{\"keys\":[{\"kid\":\"one\"}]}",
                                          "{\"keys\":[" KEY("one", "signing", "\"never\"") "]}"};
    p->status = 200;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        p->answer = answers[i];
        assert_int_equal(sl_token_key_list_get(p->client, &list, NULL), SL_PROTOCOL);
        assert_null(list);
        assert_int_equal(sl_token_key_rotate(p->client, &list, NULL), SL_PROTOCOL);
    }
    assert_int_equal(sl_token_key_list_get(p->client, NULL, NULL), SL_INVALID_ARGUMENT);
    assert_int_equal(sl_token_key_list_get(NULL, &list, NULL), SL_INVALID_HANDLE);
}

static void others_platforms_have_none(void **state)
{
    struct platform *p = *state;
    sl_token_key_list *list;
    sl_error error = {0};
    p->extended = false;
    assert_int_equal(sl_token_key_list_get(p->client, &list, &error), SL_UNSUPPORTED);
    assert_non_null(strstr(error.text, "streamlayer.gateway.extensions"));
    assert_int_equal(sl_token_key_revoke(p->client, "x", NULL), SL_UNSUPPORTED);
    assert_string_equal(p->asked, "");
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(keys_are_listed, setup, teardown),
    cmocka_unit_test_setup_teardown(a_rotation_answers_the_next_key, setup, teardown),
    cmocka_unit_test_setup_teardown(keys_are_revoked_by_name, setup, teardown),
    cmocka_unit_test_setup_teardown(strange_answers_are_refused, setup, teardown),
    cmocka_unit_test_setup_teardown(others_platforms_have_none, setup, teardown))
