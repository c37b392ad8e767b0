#include "support/cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/settings.h"

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

static void lay(const char *text)
{
    if (sl_config_parse(config, text, strlen(text), "t", &failure) != SL_OK)
        fail_msg("%s", failure.text);
}

static void getters_convert(void **state)
{
    (void)state;
    int64_t number = 0;
    bool flag = true;
    const char *choice = NULL;
    lay(SL_ROOT "stream.consumer.auto-commit { enabled = no, interval = 1.5 s }\n" SL_ROOT
                "stream.http.requests-in-flight = 7\nstreamlayer.gateway.limits.body = 2 MiB\n");
    assert_int_equal(
        sl_config_boolean(config, SL_ROOT "stream.consumer.auto-commit.enabled", &flag, &failure), SL_OK);
    assert_false(flag);
    assert_int_equal(
        sl_config_duration_ms(config, SL_ROOT "stream.consumer.auto-commit.interval", &number, &failure),
        SL_OK);
    assert_int_equal(number, 1500);
    assert_int_equal(sl_config_integer(config, SL_ROOT "stream.http.requests-in-flight", &number, &failure),
                     SL_OK);
    assert_int_equal(number, 7);
    assert_int_equal(sl_config_bytes(config, "streamlayer.gateway.limits.body", &number, &failure), SL_OK);
    assert_int_equal(number, 2 * 1024 * 1024);
    assert_int_equal(sl_config_choice(config, SL_ROOT "stream.connector.producer", &choice, &failure), SL_OK);
    assert_string_equal(choice, "kafka-connector");
    assert_int_equal(sl_config_integer(config, "streamlayer.gateway.kafka.replication-factor", &number, NULL),
                     SL_OK);
    assert_int_equal(number, -1);
}

static void getters_check(void **state)
{
    (void)state;
    int64_t number = 42;
    const char *choice = NULL;
    lay(SL_ROOT
        "stream { http.requests-in-flight = 0, connector.producer = x, consumer.join-timeout = null }");
    assert_int_equal(sl_config_integer(config, SL_ROOT "stream.http.requests-in-flight", &number, &failure),
                     SL_BAD_CONFIG);
    assert_string_equal(failure.text,
                        "t:1: here.platform.data-client.stream.http.requests-in-flight = 0: out of range; "
                        "allowed: a whole number from 1 to 256");
    assert_int_equal(sl_config_choice(config, SL_ROOT "stream.connector.producer", &choice, &failure),
                     SL_BAD_CONFIG);
    assert_int_equal(sl_config_duration_ms(config, SL_ROOT "stream.consumer.join-timeout", &number, &failure),
                     SL_BAD_CONFIG);
    assert_string_equal(failure.text,
                        "here.platform.data-client.stream.consumer.join-timeout is not set, or null; "
                        "allowed: a duration from 100 ms to 1 hour, such as \"60 s\"");
    assert_int_equal(sl_config_integer(config, "no.such", &number, &failure), SL_INTERNAL);
    assert_int_equal(sl_config_integer(config, SL_ROOT "log.level", &number, &failure), SL_INTERNAL);
    assert_int_equal(number, 42);
}

static void every_getter_reads_its_defaults(void **state)
{
    (void)state;
    const struct sl_setting *setting;
    for (size_t i = 0; (setting = sl_setting_at(i)); i++) {
        int64_t number;
        bool flag;
        sl_status status = SL_OK;
        if (!setting->value || sl_setting_is_named(setting))
            continue;
        if (setting->type == SL_INTEGER)
            status = sl_config_integer(config, setting->path, &number, &failure);
        else if (setting->type == SL_DURATION_MS)
            status = sl_config_duration_ms(config, setting->path, &number, &failure);
        else if (setting->type == SL_SIZE_BYTES)
            status = sl_config_bytes(config, setting->path, &number, &failure);
        else if (setting->type == SL_BOOLEAN)
            status = sl_config_boolean(config, setting->path, &flag, &failure);
        assert_int_equal(status, SL_OK);
    }
}

struct seen {
    char text[2000];
    size_t stop_after;
};

static bool note(void *opaque, const char *path, const char *value, const char *origin)
{
    struct seen *seen = opaque;
    size_t length = strlen(seen->text);
    snprintf(seen->text + length, sizeof seen->text - length, "%s=%s (%s)\n", path, value, origin);
    return seen->stop_after == 0 || --seen->stop_after > 0;
}

static void each_goes_in_order_and_masks(void **state)
{
    (void)state;
    struct seen seen = {{0}, 0};
    lay("z { b = [1, \"x\"], a = true, n = null, \"q.r\" { password = p1 } }\n" SL_ROOT
        "stream.kafka.producer { sasl { password = p2, username = u }, ssl.key.pem = p3 }\n" SL_ROOT
        "request-signer.credentials { here-token = p4\n here-account.here-access-key-secret = p5 }\n");
    assert_int_equal(sl_config_each(config, "z", note, &seen), SL_OK);
    assert_string_equal(seen.text, "z.a=true (t:1)\nz.b=[1,\"x\"] (t:1)\nz.n=null (t:1)\n"
                                   "z.\"q.r\".password=******** (t:1)\n");
    memset(&seen, 0, sizeof seen);
    assert_int_equal(sl_config_each(config, SL_ROOT "stream.kafka", note, &seen), SL_OK);
    assert_string_equal(seen.text, SL_ROOT "stream.kafka.connect-timeout=15 s (default)\n" SL_ROOT
                                           "stream.kafka.producer.sasl.password=******** (t:2)\n" SL_ROOT
                                           "stream.kafka.producer.sasl.username=u (t:2)\n" SL_ROOT
                                           "stream.kafka.producer.ssl.key.pem=******** (t:2)\n");
    memset(&seen, 0, sizeof seen);
    assert_int_equal(sl_config_each(config, SL_ROOT "request-signer", note, &seen), SL_OK);
    assert_string_equal(
        seen.text,
        SL_ROOT "request-signer.credentials.here-account.here-access-key-secret=******** (t:4)\n" SL_ROOT
                "request-signer.credentials.here-token=******** (t:3)\n");
    memset(&seen, 0, sizeof seen);
    assert_int_equal(
        sl_config_walk(config, SL_ROOT "request-signer.credentials.here-token", true, note, &seen), SL_OK);
    assert_string_equal(seen.text, SL_ROOT "request-signer.credentials.here-token=p4 (t:3)\n");
}

static void each_covers_everything_and_can_stop(void **state)
{
    (void)state;
    struct seen seen = {{0}, 0};
    seen.stop_after = 2;
    assert_int_equal(sl_config_each(config, NULL, note, &seen), SL_OK);
    assert_string_equal(seen.text, SL_ROOT "endpoint-locator.discovery-service-env=here (default)\n" SL_ROOT
                                           "http.connect-timeout=5 s (default)\n");
    memset(&seen, 0, sizeof seen);
    assert_int_equal(sl_config_each(config, "nothing.here", note, &seen), SL_OK);
    assert_string_equal(seen.text, "");
}

static void sections_pass_through(void **state)
{
    (void)state;
    struct seen seen = {{0}, 0};
    assert_int_equal(sl_config_section(config, SL_ROOT "stream.kafka.producer", note, &seen), SL_OK);
    assert_string_equal(seen.text, "");
    lay(SL_ROOT "stream.kafka.producer {\n linger.ms = 5\n \"batch.size\" = \"1000\"\n enable.idempotence = "
                "true\n bootstrap.servers = [\"a:1\", \"b:2\"]\n gone = null\n}\n");
    assert_int_equal(sl_config_set(config, SL_ROOT "stream.kafka.producer.acks", "all", NULL), SL_OK);
    assert_int_equal(sl_config_section(config, SL_ROOT "stream.kafka.producer", note, &seen), SL_OK);
    assert_non_null(strstr(seen.text, "linger.ms=5 (t:2)\n"));
    assert_non_null(strstr(seen.text, "batch.size=1000 (t:3)\n"));
    assert_non_null(strstr(seen.text, "enable.idempotence=true (t:4)\n"));
    assert_non_null(strstr(seen.text, "bootstrap.servers=a:1,b:2 (t:5)\n"));
    assert_non_null(strstr(seen.text, "acks=all (API)\n"));
    assert_null(strstr(seen.text, "gone"));
    lay("x { a = [{}] }\ny = 1");
    assert_int_equal(sl_config_section(config, "x", note, &seen), SL_BAD_CONFIG);
    assert_int_equal(sl_config_section(config, "y", note, &seen), SL_BAD_CONFIG);
    assert_int_equal(sl_config_section(NULL, "y", note, &seen), SL_INVALID_HANDLE);
}

static void expect_lookup(const char *url)
{
    char *found = NULL;
    assert_int_equal(sl_config_lookup_url(config, &found, &failure), SL_OK);
    assert_string_equal(found, url);
    free(found);
}

static void lookup_is_where_the_environment_says(void **state)
{
    (void)state;
    expect_lookup("https://api-lookup.data.api.platform.here.com/lookup/v1");
    assert_string_equal(sl_config_default_token_url(config), "https://account.api.here.com/oauth2/token");
    lay(SL_ROOT "endpoint-locator.discovery-service-env = here-cn");
    expect_lookup("https://api-lookup.data.api.platform.hereolp.cn/lookup/v1");
    assert_string_equal(sl_config_default_token_url(config), "https://account.hereapi.cn/oauth2/token");
    lay(SL_ROOT "endpoint-locator.discovery-service-url = \"http://127.0.0.1:1/lookup/v1/\"");
    expect_lookup("https://api-lookup.data.api.platform.hereolp.cn/lookup/v1");
    lay(SL_ROOT "endpoint-locator.discovery-service-env = custom");
    expect_lookup("http://127.0.0.1:1/lookup/v1");
    assert_null(sl_config_default_token_url(config));
}

static void a_url_alone_means_custom(void **state)
{
    (void)state;
    lay(SL_ROOT "endpoint-locator.discovery-service-url = \"http://127.0.0.1:1\"");
    expect_lookup("http://127.0.0.1:1/lookup/v1");
    lay(SL_ROOT "endpoint-locator.discovery-service-url = \"http://127.0.0.1:1//\"");
    expect_lookup("http://127.0.0.1:1/lookup/v1");
    lay(SL_ROOT "endpoint-locator.discovery-service-url = \"http://127.0.0.1:1/a\"");
    expect_lookup("http://127.0.0.1:1/a");
}

static void durations_and_sizes_read_well(void **state)
{
    (void)state;
    char out[32];
    assert_string_equal(sl_duration_text(0, out), "0 ms");
    assert_string_equal(sl_duration_text(1500, out), "1500 ms");
    assert_string_equal(sl_duration_text(90000, out), "90 s");
    assert_string_equal(sl_duration_text(60000, out), "1 minute");
    assert_string_equal(sl_duration_text(2 * 86400000, out), "2 days");
    assert_string_equal(sl_size_text(1, out), "1 byte");
    assert_string_equal(sl_size_text(20 << 20, out), "20 MiB");
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(getters_convert, setup, teardown),
    cmocka_unit_test_setup_teardown(getters_check, setup, teardown),
    cmocka_unit_test_setup_teardown(every_getter_reads_its_defaults, setup, teardown),
    cmocka_unit_test_setup_teardown(each_goes_in_order_and_masks, setup, teardown),
    cmocka_unit_test_setup_teardown(each_covers_everything_and_can_stop, setup, teardown),
    cmocka_unit_test_setup_teardown(sections_pass_through, setup, teardown),
    cmocka_unit_test_setup_teardown(lookup_is_where_the_environment_says, setup, teardown),
    cmocka_unit_test_setup_teardown(a_url_alone_means_custom, setup, teardown),
    cmocka_unit_test_setup_teardown(durations_and_sizes_read_well, setup, teardown))
