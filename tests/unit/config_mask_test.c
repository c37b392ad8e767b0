/* What sl_config_each shows, and what errors do: no secret, whatever its name and place. */
#include "support/cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/mask.h"
#include "config/settings.h"

#define KAFKA  SL_ROOT "stream.kafka.producer"
#define SIGNER SL_ROOT "request-signer.credentials"

static sl_config *config;
static sl_error failure;

static int setup(void **state)
{
    (void)state;
    return sl_config_create(&config, NULL) == SL_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    sl_config_destroy(&config);
    return 0;
}

struct seen {
    char text[4000];
};

static bool note(void *opaque, const char *path, const char *value, const char *origin)
{
    struct seen *seen = opaque;
    size_t length = strlen(seen->text);
    (void)origin;
    snprintf(seen->text + length, sizeof seen->text - length, "%s=%s\n", path, value);
    return true;
}

/* What is shown below a path, of the text alone laid over the defaults. */
static void shows(const char *text, const char *below, const char *expected)
{
    struct seen seen = {{0}};
    sl_config *laid = NULL;
    assert_int_equal(sl_config_clone(config, &laid, NULL), SL_OK);
    if (sl_config_parse(laid, text, strlen(text), "t", &failure) != SL_OK)
        fail_msg("%s", failure.text);
    assert_int_equal(sl_config_each(laid, below, note, &seen), SL_OK);
    assert_string_equal(seen.text, expected);
    sl_config_destroy(&laid);
}

static void names_of_secrets(void **state)
{
    (void)state;
    static const char *const secret[] = {
        "password",
        "sasl.password",
        "ssl.keystore.password",
        "\"ssl.keystore.password\"",
        "ssl.key.password",
        "passwd",
        "db-passwd",
        "passphrase",
        "key_passphrase",
        "secret",
        "clientSecret",
        "client-secret",
        "here-access-key-secrets",
        "token",
        "auth.token",
        "access_token",
        "accessToken",
        "ssl.key.pem",
        "\"ssl.certificate.pem\"",
        "sasl.jaas.config",
        "\"sasl.jaas.config\"",
        "sasl.oauthbearer.config",
        "\"sasl.oauthbearer.client.secret\"",
        "apikey",
        "api-key",
        "apiKey",
        "api.key",
        "ssl.keystore.key",
        "\"ssl.keystore.key\"",
        "private.key",
        "privateKey",
        "passwort",
        "pasword",
        "tokn",
        "secrt",
        "PASSWORD",
        "KeyStorePassword",
    };
    static const char *const open[] = {
        "user",
        "username",
        "sasl.username",
        "sasl.mechanism",
        "security.protocol",
        "linger.ms",
        "max.in.flight.requests.per.connection",
        "ssl.ca.location",
        "ssl.keystore.location",
        "group.id",
        "bootstrap.servers",
        "topic.metadata.refresh.interval.ms",
        "key",
        "keys",
        "here-access-key-id",
        "compression.codec",
        "broker.address.family",
        "passive",
        "sector",
        "enable.ssl.certificate.verification",
    };
    for (size_t i = 0; i < sizeof secret / sizeof *secret; i++) {
        char text[200], path[200], expected[300];
        snprintf(text, sizeof text, KAFKA ".%s = hush", secret[i]);
        snprintf(path, sizeof path, KAFKA ".%s", secret[i]);
        snprintf(expected, sizeof expected, "%s=********\n", path);
        shows(text, path, expected);
    }
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        char text[200], path[200], expected[300];
        snprintf(text, sizeof text, KAFKA ".%s = seen", open[i]);
        snprintf(path, sizeof path, KAFKA ".%s", open[i]);
        snprintf(expected, sizeof expected, "%s=seen\n", path);
        shows(text, path, expected);
    }
}

static void the_tables_own_names_are_what_it_says(void **state)
{
    (void)state;
    const struct sl_setting *setting;
    for (size_t i = 0; (setting = sl_setting_at(i)); i++) {
        assert_int_equal(sl_is_secret(setting->path, strrchr(setting->path, '.') + 1),
                         setting->type == SL_SECRET);
        for (const char *const *also = setting->also; also && *also; also++)
            assert_int_equal(sl_is_secret(*also, strrchr(*also, '.') + 1), setting->type == SL_SECRET);
    }
    shows(SIGNER ".here-account { here-token-scope = project, here-token-endpoint-url = \"http://a/b\" }",
          SIGNER,
          SIGNER ".here-account.here-token-endpoint-url=http://a/b\n" SIGNER
                 ".here-account.here-token-scope=project\n");
    shows("", SL_GATEWAY_ROOT "token.lifetime", SL_GATEWAY_ROOT "token.lifetime=1 h\n");
}

static void all_that_lies_below_a_secret(void **state)
{
    (void)state;
    shows(SIGNER ".here-account.here-access-key-secret = { x = hush, y.z = [hush] }", SIGNER,
          SIGNER ".here-account.here-access-key-secret.x=********\n" SIGNER
                 ".here-account.here-access-key-secret.y.z=********\n");
    shows(SIGNER ".here-account.here-access-key-secret.x = hush",
          SIGNER ".here-account.here-access-key-secret.x",
          SIGNER ".here-account.here-access-key-secret.x=********\n");
    shows("db.password { mine = hush, user = hush }", "db",
          "db.password.mine=********\ndb.password.user=********\n");
    shows("db.password { mine = hush }", "db.password.mine", "db.password.mine=********\n");
    shows(SIGNER ".here-token = [hush, hush]", SIGNER, SIGNER ".here-token=********\n");
    shows(SIGNER ".here-token = 12345678\nx.id = 12345678", "x", "x.id=********\n");
}

static void lists_element_by_element(void **state)
{
    (void)state;
    shows("db.list = [1, one, { name = n, password = hush }, [\"http://u:shh@h/\"], true, null]", "db",
          "db.list=[1,\"one\",{\"name\":\"n\",\"password\":\"********\"},[\"http://u:********@h/"
          "\"],true,null]\n");
    shows("db.tokens = 1\ndb.secrets = [hush, hush]", "db.secrets", "db.secrets=********\n");
}

static void passwords_in_urls(void **state)
{
    (void)state;
    static const char *const urls[][2] = {
        {"http://u:hush@h:1/p?q", "http://u:********@h:1/p?q"},
        {"https://u:hu@sh@h", "https://u:********@h"},
        {"socks5h://:hush@h", "socks5h://:********@h"},
        {"http://u:hu/sh@h", "http://u:********@h"},
        {"http://u:hush@h,http://v:hush@i", "http://u:********@h,http://v:********@i"},
        {"see http://u:hush@h and u:p@h", "see http://u:********@h and u:p@h"},
        {"http://h:80/a@b", "http://h:80/a@b"},
        {"http://u@h/", "http://u@h/"},
        {"http://h:80", "http://h:80"},
        {"http://h/a:b@c", "http://h/a:b@c"},
        {"://", "://"},
    };
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        char text[200], expected[200];
        snprintf(text, sizeof text, "x.y = \"%s\"", urls[i][0]);
        snprintf(expected, sizeof expected, "x.y=%s\n", urls[i][1]);
        shows(text, "x", expected);
    }
}

static void copies_of_secrets(void **state)
{
    (void)state;
    /* Where a substitution takes it from, what it is part of, and a piece of it. */
    shows("x { v = s3cret, w = \"<\"${x.v}\">\", z = s3c, list = [a, ${x.v}] }\n" SIGNER
          ".here-token = ${x.v}",
          "x", "x.list=[\"a\",\"********\"]\nx.v=********\nx.w=********\nx.z=s3c\n");
    shows("x { v = 12345678, w = 1234567 }\n" SIGNER ".here-token = ${x.v}-and-more", "x",
          "x.v=********\nx.w=1234567\n");
    shows("x.v = hushed\n" KAFKA ".sasl.password = ${x.v}", "x", "x.v=********\n");
    /* Three characters occur anywhere; and what is true is no secret. */
    shows("x.v = abc\ny.token = true\n" SIGNER ".here-token = ${x.v}", "x", "x.v=abc\n");
    shows("x.v = true\ny.token = true", "x", "x.v=true\n");
    /* A word of the table's is shown, whatever it is equal to. */
    shows(SIGNER ".here-token = warning", SL_ROOT "log", SL_ROOT "log.level=warning\n");
    shows(SIGNER ".here-token = debug\n" SL_ROOT "log.level = debug", SL_ROOT "log",
          SL_ROOT "log.level=debug\n");
}

static void secrets_as_they_are_for_who_asks(void **state)
{
    (void)state;
    struct seen seen = {{0}};
    static const char text[] = "x { password = p1, list = [p2], url = \"http://u:p3@h\" }";
    assert_int_equal(sl_config_parse(config, text, strlen(text), "t", NULL), SL_OK);
    assert_int_equal(sl_config_walk(config, "x", true, note, &seen), SL_OK);
    assert_string_equal(seen.text, "x.list=[\"p2\"]\nx.password=p1\nx.url=http://u:p3@h\n");
}

static void refuses(const char *text, const char *message)
{
    sl_config *laid = NULL;
    assert_int_equal(sl_config_clone(config, &laid, NULL), SL_OK);
    assert_int_equal(sl_config_parse(laid, text, strlen(text), "t", &failure), SL_OK);
    assert_int_equal(sl_config_check(laid, &failure), SL_BAD_CONFIG);
    assert_string_equal(failure.text, message);
    sl_config_destroy(&laid);
}

static void errors_show_no_secret(void **state)
{
    (void)state;
    refuses(SIGNER ".here-token = s3cret\n" SL_ROOT "http.retry.attempts = ${" SIGNER ".here-token}",
            "t:1: " SL_ROOT
            "http.retry.attempts = \"********\": not a whole number; allowed: a whole number from "
            "0 to 100");
    refuses(SL_ROOT "log.level = \"http://u:hush@h\"",
            "t:1: " SL_ROOT
            "log.level = \"http://u:********@h\": unknown level; allowed: error, warning, info, "
            "debug");
    refuses(SL_GATEWAY_ROOT "public-url = \"http://u:hush@h\"",
            "t:1: " SL_GATEWAY_ROOT
            "public-url = \"http://u:********@h\": a URL with a user's name in it; write "
            "that, and a password, as settings; allowed: a URL that begins with http:// or https://");
    refuses(SL_GATEWAY_ROOT "public-url = \"http://u@h\"",
            "t:1: " SL_GATEWAY_ROOT
            "public-url = \"http://u@h\": a URL with a user's name in it; write that, and "
            "a password, as settings; allowed: a URL that begins with http:// or https://");
    refuses("x.password = s3cret\nhere.platform = ${x.password}",
            "t:1: here.platform = \"********\" hides here.platform.data-client; write here.platform { ... }");
    /* Not even the part of one that fits in. */
    char text[400] = "x.password = \"", expected[] = "\"********\": unknown level";
    memset(text + strlen(text), 'p', 200);
    strcat(text, "\"\n" SL_ROOT "log.level = ${x.password}");
    assert_int_equal(sl_config_parse(config, text, strlen(text), "t", &failure), SL_OK);
    assert_int_equal(sl_config_check(config, &failure), SL_BAD_CONFIG);
    assert_non_null(strstr(failure.text, expected));
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(names_of_secrets, setup, teardown),
    cmocka_unit_test_setup_teardown(the_tables_own_names_are_what_it_says, setup, teardown),
    cmocka_unit_test_setup_teardown(all_that_lies_below_a_secret, setup, teardown),
    cmocka_unit_test_setup_teardown(lists_element_by_element, setup, teardown),
    cmocka_unit_test_setup_teardown(passwords_in_urls, setup, teardown),
    cmocka_unit_test_setup_teardown(copies_of_secrets, setup, teardown),
    cmocka_unit_test_setup_teardown(secrets_as_they_are_for_who_asks, setup, teardown),
    cmocka_unit_test_setup_teardown(errors_show_no_secret, setup, teardown))
