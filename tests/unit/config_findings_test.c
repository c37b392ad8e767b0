/* Everything that is wrong with a configuration, and how bad it is. */
#include "support/cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/settings.h"
#include <streamlayer/client.h>

#define SIGNER SL_ROOT "request-signer.credentials."

static sl_config *config;
static sl_error failure;
static char directory[64];

static int setup(void **state)
{
    (void)state;
    static const char *const proxies[] = {"https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy",
                                          "ALL_PROXY"};
    for (size_t i = 0; i < sizeof proxies / sizeof *proxies; i++)
        unsetenv(proxies[i]);
    strcpy(directory, "/tmp/sl-findings-XXXXXX");
    assert_non_null(mkdtemp(directory));
    assert_int_equal(chdir(directory), 0);
    setenv("HOME", directory, 1);
    return sl_config_create(&config, NULL) == SL_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    sl_config_destroy(&config);
    assert_int_equal(chdir("/"), 0);
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    return system(command);
}

struct seen {
    char text[4000];
    size_t stop_after;
};

static bool note(void *opaque, sl_finding_level level, const char *path, const char *origin, const char *text)
{
    struct seen *seen = opaque;
    size_t length = strlen(seen->text);
    /* The text begins with the origin, so that it can stand alone. */
    if (*origin) {
        assert_memory_equal(text, origin, strlen(origin));
        assert_memory_equal(text + strlen(origin), ": ", 2);
    }
    assert_true(!*path || strstr(text, strrchr(path, '.') ? strrchr(path, '.') + 1 : path));
    snprintf(seen->text + length, sizeof seen->text - length, "%s %s\n",
             level == SL_FINDING_NOTE ? "note" : "error", text);
    return !seen->stop_after || --seen->stop_after;
}

/* What is found in text, laid over the defaults. */
static void finds(const char *text, const char *expected)
{
    struct seen seen = {{0}, 0};
    sl_config *laid = NULL;
    assert_int_equal(sl_config_clone(config, &laid, NULL), SL_OK);
    if (sl_config_parse(laid, text, strlen(text), "t", &failure) != SL_OK)
        fail_msg("%s", failure.text);
    assert_int_equal(sl_config_findings(laid, note, &seen, &failure), SL_OK);
    assert_string_equal(seen.text, expected);
    sl_config_destroy(&laid);
}

static void the_defaults_are_right(void **state)
{
    (void)state;
    finds("", "");
}

static void all_of_them_are_told(void **state)
{
    (void)state;
    static const char text[] =
        SL_ROOT "stream.connector.producer = foo\n" SL_ROOT "stream.connector.consumr = x\n" SL_ROOT
                "http.retry.attempts = -1\n" SL_ROOT "mine = 1\nhere.platform.data-clent.a = 1\n";
    static const char expected[] =
        "error t:1: " SL_ROOT
        "stream.connector.producer = \"foo\": unknown connector; allowed: kafka-connector, "
        "http-connector\n"
        "error t:2: unknown setting " SL_ROOT "stream.connector.consumr (did you mean consumer?)\n"
        "error t:3: " SL_ROOT
        "http.retry.attempts = -1: out of range; allowed: a whole number from 0 to 100\n"
        "note t:4: " SL_ROOT "mine: no setting of streamlayer's: it has no effect here\n"
        "error t:5: unknown section here.platform.data-clent (did you mean here.platform.data-client?)\n";
    finds(text, expected);
    /* The visitor may have enough; and check stops at the first error, which no note is. */
    struct seen seen = {{0}, 1};
    assert_int_equal(sl_config_parse(config, text, strlen(text), "t", NULL), SL_OK);
    assert_int_equal(sl_config_findings(config, note, &seen, &failure), SL_OK);
    assert_memory_equal(expected, seen.text, strlen(seen.text));
    assert_int_equal(strcspn(expected, "\n") + 1, strlen(seen.text));
    assert_int_equal(sl_config_check(config, &failure), SL_BAD_CONFIG);
    assert_memory_equal(failure.text, expected + strlen("error "), strlen(failure.text));
}

/* One row a section: what the Data Client Library may have there too is only noted. */
static void names_in_shared_sections_have_no_effect(void **state)
{
    (void)state;
    static const char *const shared[] = {
        "zzzzzzzzzzzz",
        "stream.reconnect-timeout",
        "stream.zzzzzzzzzzzz.deeper",
        "stream.consumer.zzzzzzzzzzzz",
        "endpoint-locator.zzzzzzzzzzzz",
        "request-signer.billing-tag",
        "request-signer.credentials.zzzzzzzzzzzz",
        "request-signer.credentials.here-account.zzzzzzzzzzzz",
        "proxy.zzzzzzzzzzzz",
    };
    static const char *const own[] = {
        "stream.producer",
        "stream.producer.queue",
        "stream.consumer.auto-commit",
        "stream.http",
        "stream.http.batch",
        "stream.blob",
        "stream.kafka",
        "stream.connector",
        "http",
        "http.retry",
        "tls",
        "log",
        "proxy.credentials",
        "stream.consumer.poll",
    };
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++) {
        char text[200], expected[300], path[100];
        snprintf(text, sizeof text, SL_ROOT "%s = x", shared[i]);
        snprintf(path, sizeof path, "%s", shared[i]);
        if (strstr(path, ".deeper")) /* the section itself is what is unknown */
            *strstr(path, ".deeper") = '\0';
        snprintf(expected, sizeof expected,
                 "note t:1: " SL_ROOT "%s: no setting of streamlayer's: it has no effect here\n", path);
        finds(text, expected);
    }
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        char text[200], expected[300];
        snprintf(text, sizeof text, SL_ROOT "%s.zzzzzzzzzzzz = x", own[i]);
        snprintf(expected, sizeof expected,
                 "t:1: unknown setting " SL_ROOT "%s.zzzzzzzzzzzz; known there: ", own[i]);
        sl_config *laid = NULL;
        assert_int_equal(sl_config_clone(config, &laid, NULL), SL_OK);
        assert_int_equal(sl_config_parse(laid, text, strlen(text), "t", NULL), SL_OK);
        assert_int_equal(sl_config_check(laid, &failure), SL_BAD_CONFIG);
        assert_memory_equal(failure.text, expected, strlen(expected));
        sl_config_destroy(&laid);
    }
}

static void slips_in_shared_sections_are_errors(void **state)
{
    (void)state;
    finds(SL_ROOT "proxi.host = x",
          "error t:1: unknown setting here.platform.data-client.proxi (did you mean proxy?)\n");
    finds(SL_ROOT "proxy.exclde = x",
          "error t:1: unknown setting here.platform.data-client.proxy.exclde (did you mean exclude?)\n");
    finds(SL_ROOT "stream.file-path = x",
          "error t:1: unknown setting here.platform.data-client.stream.file-path (did you mean "
          "here.platform.data-client.request-signer.credentials.file-path?)\n");
    /* What only the gateway has is not meant there. */
    finds(SL_ROOT "stream.shutdown-grace = x", "note t:1: here.platform.data-client.stream.shutdown-grace: "
                                               "no setting of streamlayer's: it has no effect "
                                               "here\n");
    finds("streamlayer.gateway.join-timeout = x",
          "error t:1: unknown setting streamlayer.gateway.join-timeout (did you mean "
          "streamlayer.gateway.limits.join-timeout?)\n");
}

static void short_names_are_told(void **state)
{
    (void)state;
    finds(
        "stream.consumer.group = mine\nstream.connector.consumer = http-connector\n"
        "request-signer.credentials.here-token = hush\nstream.kafka.producer { linger.ms = 5 }",
        "error t:2: unknown setting stream.connector.consumer (did you mean " SL_ROOT
        "stream.connector.consumer?)\n"
        "error t:1: unknown setting stream.consumer.group (did you mean " SL_ROOT "stream.consumer.group?)\n"
        "error t:4: unknown setting stream.kafka.producer (did you mean " SL_ROOT "stream.kafka.producer?)\n"
        "error t:3: unknown setting request-signer.credentials.here-token (did you mean " SL_ROOT
        "request-signer.credentials.here-token?)\n");
    /* These may be somebody else's. */
    finds("proxy.host = x\nlisten.port = 1",
          "note t:1: proxy.host has no effect here: streamlayer reads " SL_ROOT "proxy.host\n"
          "note t:2: listen.port has no effect here: streamlayer reads streamlayer.gateway.listen.port\n");
    finds("stream { other = 1, consumer { group { a = 1 } } }\nproxy = x\nakka.stream.consumer.group = x\n"
          "stream.connector.consumer = null",
          "");
    /* The file's own words for it. */
    finds("stream.consumer.group = mine\n" SL_ROOT "stream.consumer.group = ${stream.consumer.group}", "");
}

static void what_is_meant_is_told(void **state)
{
    (void)state;
    finds(SL_ROOT "consumer.group = x", "error t:1: unknown setting " SL_ROOT
                                        "consumer (did you mean " SL_ROOT "stream.consumer.group?)\n");
    finds(SL_ROOT "consumer = http-connector",
          "error t:1: unknown setting " SL_ROOT "consumer (did you mean " SL_ROOT
          "stream.connector.consumer?)\n");
    finds(SL_ROOT "proxy.hostname = x",
          "error t:1: unknown setting " SL_ROOT "proxy.hostname (did you mean host?)\n");
}

static void the_base_librarys_section_has_no_effect(void **state)
{
    (void)state;
    finds("com.here.platform.data.client { proxy.host = x\n request-signer { a = 1 }, other = 1 }",
          "note t:1: com.here.platform.data.client.proxy has no effect here: streamlayer reads "
          "here.platform.data-client.proxy\n"
          "note t:1: com.here.platform.data.client.request-signer has no effect here: streamlayer reads "
          "here.platform.data-client.request-signer\n");
    finds("com.here.platform.data.client = 1\ncom.here.platform.data = [1]", "");
}

static void settings_keep_to_one_another(void **state)
{
    (void)state;
    finds(SL_ROOT "http { connect-timeout = 31 s }",
          "error t:1: " SL_ROOT "http.connect-timeout = 31 s: longer than " SL_ROOT
          "http.request-timeout, which is 30 s (default)\n");
    finds(SL_ROOT "http { connect-timeout = 3 s\n request-timeout = 2 s\n retry { backoff = 1 s, max-backoff "
                  "= 500 ms } }",
          "error t:1: " SL_ROOT "http.connect-timeout = 3 s: longer than " SL_ROOT
          "http.request-timeout, which is 2 s (t:2)\n"
          "error t:3: " SL_ROOT "http.retry.backoff = 1 s: longer than " SL_ROOT
          "http.retry.max-backoff, which is 500 ms (t:3)\n");
    finds(SL_ROOT "http { connect-timeout = 2 s, request-timeout = 2 s }", "");
    /* Defaults give way. */
    finds(SL_ROOT "http { request-timeout = 2 s\n retry.max-backoff = 10 ms }",
          "note t:1: " SL_ROOT "http.request-timeout = 2 s: shorter than " SL_ROOT
          "http.connect-timeout, which is 5 s (default) and gives way\n"
          "note t:2: " SL_ROOT "http.retry.max-backoff = 10 ms: shorter than " SL_ROOT
          "http.retry.backoff, which is 200 ms (default) and gives way\n");
    finds(SL_ROOT "endpoint-locator.discovery-service-env = custom",
          "error t:1: " SL_ROOT "endpoint-locator.discovery-service-env = custom needs " SL_ROOT
          "endpoint-locator.discovery-service-url\n");
    /* A wrong URL is told once. */
    finds(SL_ROOT "endpoint-locator { discovery-service-env = custom, discovery-service-url = x }",
          "error t:1: " SL_ROOT
          "endpoint-locator.discovery-service-url = \"x\": not a URL; allowed: a URL that "
          "begins with http:// or https://\n");
    finds(SL_ROOT "endpoint-locator = 5",
          "error t:1: " SL_ROOT "endpoint-locator is a section, and is given one value; write " SL_ROOT
          "endpoint-locator { ... }\n");
}

static void proxy_credentials_need_a_proxy(void **state)
{
    (void)state;
    static const char text[] = SL_ROOT "proxy.credentials { username = u, password = hush }";
    static const char expected[] =
        "note t:1: " SL_ROOT "proxy.credentials.username has no effect: there is no " SL_ROOT
        "proxy.host, and no proxy in the environment\n";
    finds(text, expected);
    setenv("https_proxy", "", 1);
    finds(text, expected);
    setenv("https_proxy", "http://p:1", 1);
    finds(text, "");
    unsetenv("https_proxy");
    finds(SL_ROOT "proxy { host = p, credentials.username = u }", "");
    finds(SL_ROOT "proxy.credentials { username = \"\", password = \"\" }", "");
    finds(SL_ROOT "proxy.host = \"a/b\"",
          "error t:1: " SL_ROOT "proxy.host is not a host: write its name or address alone, and the port as "
          "proxy.port\n");
}

static void files_are_there_and_can_be_read(void **state)
{
    (void)state;
    finds(SL_ROOT "tls.ca-file = missing.pem\n" SIGNER "file-path = \"~/none.properties\"",
          "error t:2: " SIGNER
          "file-path = \"~/none.properties\": cannot be read: No such file or directory\n"
          "error t:1: " SL_ROOT "tls.ca-file = \"missing.pem\": cannot be read: No such file or directory\n");
    finds(SL_ROOT "tls.ca-file = \".\"",
          "error t:1: " SL_ROOT "tls.ca-file = \".\": cannot be read: Is a directory\n");
    FILE *file = fopen("there.pem", "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    finds(SL_ROOT "tls.ca-file = there.pem\n" SIGNER "file-path = \"~/there.pem\"", "");
    /* Whoever uses one finds out: check looks at no file. */
    assert_int_equal(sl_config_set(config, SL_ROOT "tls.ca-file", "missing.pem", NULL), SL_OK);
    assert_int_equal(sl_config_check(config, &failure), SL_OK);
}

static void variables_that_are_nearly_ours(void **state)
{
    (void)state;
    struct seen seen = {{0}, 0};
    setenv("STREAMLAYER_CONECTOR_PRODUCER", "http-connector", 1);
    setenv("STREAMLAYER_TEST_PLATFORM", "x", 1);
    setenv("STREAMLAYER_SOMETHING", "x", 1);
    setenv("STREAMLAYERGROUP", "x", 1);
    static const char expected[] =
        "error environment STREAMLAYER_CONECTOR_PRODUCER: unknown variable (did you mean "
        "STREAMLAYER_CONNECTOR_PRODUCER?)\n";
    finds("", ""); /* the environment was not asked */
    assert_int_equal(sl_config_load(config, NULL, &failure), SL_OK);
    finds("", expected);
    assert_int_equal(sl_config_check(config, &failure), SL_OK);
    /* Clients are made all the same, and say so. */
    assert_int_equal(sl_config_find(config, false, note, &seen, &failure), SL_OK);
    assert_memory_equal(seen.text, "note", 4);
    assert_string_equal(seen.text + 4, expected + 5);
    unsetenv("STREAMLAYER_CONECTOR_PRODUCER");
    setenv("STREAMLAYER_LOG", "x", 1);
    finds("", "error environment STREAMLAYER_LOG: unknown variable (did you mean STREAMLAYER_LOG_LEVEL?)\n");
    unsetenv("STREAMLAYER_LOG");
    finds("", "");
}

static void a_wrong_value_is_told_once_by_either_name(void **state)
{
    (void)state;
    finds(SL_ROOT "proxy { host = h, user = [a] }",
          "error t:1: " SL_ROOT "proxy.credentials.username = [a list]: not one value; allowed: "
          "text\n");
    finds(SL_ROOT "proxy { host = h, user = u, password = hush }", "");
    finds(SL_ROOT "proxy { user = null, password = null }", "");
}

static void log_line(void *opaque, sl_log_level level, const char *text)
{
    struct seen *seen = opaque;
    size_t length = strlen(seen->text);
    snprintf(seen->text + length, sizeof seen->text - length, "%d %s\n", (int)level, text);
}

static void clients_warn_of_what_has_no_effect(void **state)
{
    (void)state;
    struct seen seen = {{0}, 0};
    sl_client *client = NULL;
    static const char text[] = SL_ROOT "stream.mine = 1\n" SL_ROOT "mine = 2";
    assert_int_equal(sl_config_parse(config, text, strlen(text), "t", NULL), SL_OK);
    assert_int_equal(sl_client_create(config, log_line, &seen, &client, &failure), SL_OK);
    sl_client_destroy(&client);
    char expected[400];
    snprintf(expected, sizeof expected,
             "%d t:1: " SL_ROOT
             "stream.mine: no setting of streamlayer's: it has no effect here\n%d t:2: " SL_ROOT
             "mine: no setting of streamlayer's: it has no effect here\n",
             (int)SL_LOG_WARNING, (int)SL_LOG_WARNING);
    assert_string_equal(seen.text, expected);
    assert_int_equal(sl_config_set(config, SL_ROOT "log.level", "error", NULL), SL_OK);
    memset(&seen, 0, sizeof seen);
    assert_int_equal(sl_client_create(config, log_line, &seen, &client, &failure), SL_OK);
    sl_client_destroy(&client);
    assert_string_equal(seen.text, "");
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(short_names_are_told, setup, teardown),
    cmocka_unit_test_setup_teardown(what_is_meant_is_told, setup, teardown),
    cmocka_unit_test_setup_teardown(the_defaults_are_right, setup, teardown),
    cmocka_unit_test_setup_teardown(all_of_them_are_told, setup, teardown),
    cmocka_unit_test_setup_teardown(names_in_shared_sections_have_no_effect, setup, teardown),
    cmocka_unit_test_setup_teardown(slips_in_shared_sections_are_errors, setup, teardown),
    cmocka_unit_test_setup_teardown(the_base_librarys_section_has_no_effect, setup, teardown),
    cmocka_unit_test_setup_teardown(settings_keep_to_one_another, setup, teardown),
    cmocka_unit_test_setup_teardown(proxy_credentials_need_a_proxy, setup, teardown),
    cmocka_unit_test_setup_teardown(files_are_there_and_can_be_read, setup, teardown),
    cmocka_unit_test_setup_teardown(variables_that_are_nearly_ours, setup, teardown),
    cmocka_unit_test_setup_teardown(a_wrong_value_is_told_once_by_either_name, setup, teardown),
    cmocka_unit_test_setup_teardown(clients_warn_of_what_has_no_effect, setup, teardown))
