#include "support/cases.h"

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

/* The status of checking text laid over the defaults; the text of the error is in failure. */
static sl_status check(const char *text)
{
    sl_config *laid = NULL;
    memset(&failure, 0, sizeof failure);
    assert_int_equal(sl_config_clone(config, &laid, NULL), SL_OK);
    assert_int_equal(sl_config_parse(laid, text, strlen(text), "app.conf", &failure), SL_OK);
    sl_status status = sl_config_check(laid, &failure);
    sl_config_destroy(&laid);
    return status;
}

static void refuses(const char *text, const char *message)
{
    assert_int_equal(check(text), SL_BAD_CONFIG);
    assert_string_equal(failure.text, message);
}

static void accepts(const char *text)
{
    if (check(text) != SL_OK)
        fail_msg("%s: %s", text, failure.text);
}

static void an_unknown_connector_names_the_known(void **state)
{
    (void)state;
    refuses("\nhere.platform.data-client.stream.connector.producer = \"foo\"",
            "app.conf:2: here.platform.data-client.stream.connector.producer = \"foo\": unknown connector; "
            "allowed: kafka-connector, http-connector");
    refuses("here.platform.data-client.stream.connector {\n consumer = htp-connector\n}",
            "app.conf:2: here.platform.data-client.stream.connector.consumer = \"htp-connector\": unknown "
            "connector; allowed: kafka-connector, http-connector (did you mean http-connector?)");
    accepts("here.platform.data-client.stream.connector { producer = \"http-connector\", consumer: "
            "kafka-connector }");
}

static void numbers_have_ranges(void **state)
{
    (void)state;
    refuses(SL_ROOT "stream.producer.queue.max-messages = 0",
            "app.conf:1: here.platform.data-client.stream.producer.queue.max-messages = 0: out of range; "
            "allowed: a whole number from 1 to 10000000");
    refuses(
        SL_ROOT "stream.producer.queue.max-messages = many",
        "app.conf:1: here.platform.data-client.stream.producer.queue.max-messages = \"many\": not a whole "
        "number; allowed: a whole number from 1 to 10000000");
    refuses(SL_ROOT "stream.producer.queue.max-messages = 1.5",
            "app.conf:1: here.platform.data-client.stream.producer.queue.max-messages = 1.5: not a whole "
            "number; allowed: a whole number from 1 to 10000000");
    accepts(SL_ROOT "stream.producer.queue.max-messages = 1");
    accepts(SL_ROOT "stream.producer.queue.max-messages = \"10000000\"");
    refuses("streamlayer.gateway.listen.port = 65536",
            "app.conf:1: streamlayer.gateway.listen.port = 65536: out of range; allowed: a whole number from "
            "0 to 65535");
}

static void durations_and_sizes_have_ranges(void **state)
{
    (void)state;
    refuses(SL_ROOT "stream.producer.delivery-timeout = 2 days",
            "app.conf:1: here.platform.data-client.stream.producer.delivery-timeout = \"2 days\": out of "
            "range; allowed: a duration from 100 ms to 1 day, such as \"120 s\"");
    refuses(SL_ROOT "stream.producer.delivery-timeout = soon",
            "app.conf:1: here.platform.data-client.stream.producer.delivery-timeout = \"soon\": not a "
            "duration; allowed: a duration from 100 ms to 1 day, such as \"120 s\"");
    accepts(SL_ROOT "stream.producer.delivery-timeout = 2 minutes");
    accepts(SL_ROOT "stream.producer.delivery-timeout = 250");
    refuses(
        SL_ROOT "stream.producer.queue.max-bytes = 1 TiB",
        "app.conf:1: here.platform.data-client.stream.producer.queue.max-bytes = \"1 TiB\": out of range; "
        "allowed: a size from 1 MiB to 64 GiB, such as \"64 MiB\"");
    accepts(SL_ROOT "stream.producer.queue.max-bytes = 128 MiB");
}

static void booleans_texts_and_urls(void **state)
{
    (void)state;
    accepts(SL_ROOT "stream.consumer.auto-commit.enabled = off");
    refuses(SL_ROOT "stream.consumer.auto-commit.enabled = maybe",
            "app.conf:1: here.platform.data-client.stream.consumer.auto-commit.enabled = \"maybe\": neither "
            "true nor false; allowed: true or false");
    refuses(SL_ROOT "stream.consumer.group = [a, b]",
            "app.conf:1: here.platform.data-client.stream.consumer.group = [a list]: not one value; allowed: "
            "text");
    accepts(SL_ROOT "stream.consumer.group = 5");
    accepts(SL_ROOT "stream.consumer.group = null");
    accepts("streamlayer.gateway.public-url = \"https://gateway.example\"");
    accepts("streamlayer.gateway.public-url = \"\"");
    refuses(
        "streamlayer.gateway.public-url = gateway.example",
        "app.conf:1: streamlayer.gateway.public-url = \"gateway.example\": not a URL; allowed: a URL that "
        "begins with http:// or https://");
}

static void secrets_are_not_repeated(void **state)
{
    (void)state;
    assert_int_equal(check(SL_ROOT "request-signer.credentials.here-token = [hush]"), SL_BAD_CONFIG);
    assert_null(strstr(failure.text, "hush"));
}

static void long_values_are_cut_at_characters(void **state)
{
    (void)state;
    char text[400] = SL_ROOT "log.level = \"x";
    for (int i = 0; i < 100; i++)
        strcat(text, "\xc3\xa9");
    strcat(text, "\"");
    assert_int_equal(check(text), SL_BAD_CONFIG);
    assert_non_null(strstr(failure.text, "\xc3\xa9...\": unknown level"));
}

static void unknown_settings_are_errors(void **state)
{
    (void)state;
    refuses(SL_ROOT "stream.connector.producr = http-connector",
            "app.conf:1: unknown setting here.platform.data-client.stream.connector.producr (did you mean "
            "producer?)");
    refuses(SL_ROOT "stream.producer.group = x",
            "app.conf:1: unknown setting here.platform.data-client.stream.producer.group (did you mean "
            "here.platform.data-client.stream.consumer.group?)");
    refuses(SL_ROOT "stream.connector.zzzzzzzzzzzzzz = x",
            "app.conf:1: unknown setting here.platform.data-client.stream.connector.zzzzzzzzzzzzzz; known "
            "there: producer, consumer");
    refuses("streamlayer.gatway.threads = 2",
            "app.conf:1: unknown setting streamlayer.gatway (did you mean gateway?)");
    /* The beginning of a name counts before what is near. */
    refuses(SL_ROOT "stream.connector.prod = x",
            "app.conf:1: unknown setting here.platform.data-client.stream.connector.prod (did you mean "
            "producer?)");
    refuses(SL_ROOT "stream.connector.producer = http",
            "app.conf:1: here.platform.data-client.stream.connector.producer = \"http\": unknown connector; "
            "allowed: kafka-connector, http-connector (did you mean http-connector?)");
    /* Where the Data Client Library has no settings of its own, nothing is let be. */
    refuses(SL_ROOT "stream.http.zzzzzzzzzzzzzz = x",
            "app.conf:1: unknown setting here.platform.data-client.stream.http.zzzzzzzzzzzzzz; known there: "
            "requests-in-flight, batch, polls, poll");
    refuses("streamlayer.zzzzzzzzzzzzzz = x",
            "app.conf:1: unknown setting streamlayer.zzzzzzzzzzzzzz; known there: gateway");
    refuses(SL_ROOT "proxy.passwort = x",
            "app.conf:1: unknown setting here.platform.data-client.proxy.passwort (did you mean password?)");
    refuses("here.platform.data-client {\n steam.connector.producer = http-connector }",
            "app.conf:2: unknown setting here.platform.data-client.steam (did you mean stream?)");
}

static void a_section_like_ours_is_a_slip(void **state)
{
    (void)state;
    refuses("here.platform {\n data-clent.stream.consumer.group = mine }",
            "app.conf:2: unknown section here.platform.data-clent (did you mean here.platform.data-client?)");
    refuses("here.platform.data_client = null",
            "app.conf:1: unknown section here.platform.data_client (did you mean "
            "here.platform.data-client?)");
    accepts("here.platform.data-service.a = 1\nhere.platform.client.b = 2\nhere.platfrom.data-clent.c = 3");
}

/* Sets path in a copy of the defaults with text laid over them, as -D does. */
static sl_status set(const char *text, const char *path)
{
    sl_config *laid = NULL;
    memset(&failure, 0, sizeof failure);
    assert_int_equal(sl_config_clone(config, &laid, NULL), SL_OK);
    assert_int_equal(sl_config_parse(laid, text, strlen(text), "app.conf", &failure), SL_OK);
    sl_status status = sl_config_set(laid, path, "mine", &failure);
    const char *value = status ? NULL : sl_config_get(laid, path);
    assert_true(status ? sl_config_get(laid, path) == NULL : value && strcmp(value, "mine") == 0);
    sl_config_destroy(&laid);
    return status;
}

static void a_path_set_that_nothing_reads_is_refused(void **state)
{
    (void)state;
    static const char *const slips[][2] = {
        {"here.platform.data-clent.stream.consumer.group",
         "API: unknown setting here.platform.data-clent.stream.consumer.group (did you mean "
         "here.platform.data-client.stream.consumer.group?)"},
        {"here.platfrom.\"data-client\".stream.consumer.group",
         "API: unknown setting here.platfrom.data-client.stream.consumer.group (did you mean "
         "here.platform.data-client.stream.consumer.group?)"},
        {"stream.consumer.group", "API: unknown setting stream.consumer.group (did you mean "
                                  "here.platform.data-client.stream.consumer.group?)"},
        {"steamlayer.gateway.listen.port",
         "API: unknown setting steamlayer.gateway.listen.port (did you mean "
         "streamlayer.gateway.listen.port?)"},
        {"here.data-client.stream.consumer.grp",
         "API: unknown setting here.data-client.stream.consumer.grp (did you mean "
         "here.platform.data-client.stream.consumer.group?)"},
        {"\"here.platform.data-client.stream.consumer.group\"",
         "API: unknown setting \"here.platform.data-client.stream.consumer.group\" (did you mean "
         "here.platform.data-client.stream.consumer.group?)"},
        {"group", "API: unknown setting group: settings begin with here.platform.data-client or streamlayer, "
                  "and no file refers to it; \"streamlayer config show\" lists them"},
    };
    for (size_t i = 0; i < sizeof slips / sizeof *slips; i++) {
        assert_int_equal(set("akka.loglevel = DEBUG", slips[i][0]), SL_BAD_CONFIG);
        assert_string_equal(failure.text, slips[i][1]);
    }
    sl_config *laid = NULL;
    assert_int_equal(sl_config_clone(config, &laid, NULL), SL_OK);
    assert_int_equal(sl_config_set(laid, "here.platform", "x", &failure), SL_BAD_CONFIG);
    assert_string_equal(failure.text, "API: here.platform is a section, and is given one value");
    assert_int_equal(sl_config_check(laid, &failure), SL_OK); /* and is as before */
    sl_config_destroy(&laid);
}

static void what_files_refer_to_may_be_set(void **state)
{
    (void)state;
    static const char text[] =
        "name = fleet\n" SL_ROOT "stream.consumer.group = ${name}${?suffix}\nakka.loglevel = DEBUG";
    assert_int_equal(set(text, "name"), SL_OK);
    assert_int_equal(set(text, "suffix"), SL_OK);
    assert_int_equal(set(text, "akka.loglevel"), SL_OK);
    assert_int_equal(set(text, "sufix"), SL_BAD_CONFIG);
    assert_int_equal(set(text, SL_ROOT "stream.kafka.consumer.fetch.min.bytes"), SL_OK);
}

static void others_sections_are_let_be(void **state)
{
    (void)state;
    accepts("here.platform.data-client.publication-settings { a = 1, b = [2] }");
    accepts("here.platform.data-client.request-signer.billing-tag = x");
    accepts("here.platform.pipeline.anything = 1\nakka.loglevel = DEBUG\nmine = [1]");
}

static void a_section_is_no_value(void **state)
{
    (void)state;
    refuses(SL_ROOT "stream.connector = http-connector",
            "app.conf:1: here.platform.data-client.stream.connector is a section, and is given one value; "
            "write here.platform.data-client.stream.connector { ... }");
    refuses(SL_ROOT "stream.kafka.producer = fast",
            "app.conf:1: here.platform.data-client.stream.kafka.producer = \"fast\": not a section; allowed: "
            "a section, { name = value ... }");
    refuses(SL_ROOT "stream.kafka.producer { a = [{}] }",
            "app.conf:1: in here.platform.data-client.stream.kafka.producer: the list a holds a list or an "
            "object; allowed: texts and numbers, which are joined with commas");
    accepts(SL_ROOT "stream.kafka.producer { linger.ms = 5, \"batch.size\" = 1000, brokers = [a, b] }");
}

static void what_hides_our_root_is_told(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"here = x", "app.conf:1: here = \"x\" hides here.platform.data-client; write here { ... }"},
        {"here = null", "app.conf:1: here = null hides here.platform.data-client; write here { ... }"},
        {"here = [1]", "app.conf:1: here = [a list] hides here.platform.data-client; write here { ... }"},
        {"here.platform = 5",
         "app.conf:1: here.platform = 5 hides here.platform.data-client; write here.platform { ... }"},
        {"here.platform.data-client = 5",
         "app.conf:1: here.platform.data-client is a section, and is given one value; write "
         "here.platform.data-client { ... }"},
        {"here.platform.data-client = null",
         "app.conf:1: here.platform.data-client is a section, and is given null; leave the line out"},
        {"streamlayer = 5",
         "app.conf:1: streamlayer is a section, and is given one value; write streamlayer { ... }"},
        {"streamlayer = null", "app.conf:1: streamlayer is a section, and is given null; leave the line out"},
        {"here = 1\nhere.platform.data-client.log.level = debug",
         "app.conf:2: here.platform.data-client.stream.connector.producer has lost its default, "
         "kafka-connector: "
         "what it lies in was given one value before, which hides it; leave that out"},
        {"\nstreamlayer.gateway = null\nstreamlayer.gateway.log.level = debug",
         "app.conf:3: streamlayer.gateway.listen.address has lost its default, 127.0.0.1: what it lies in "
         "was given "
         "one value before, which hides it; leave that out"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        refuses(rows[i][0], rows[i][1]);
}

static void null_takes_no_default_away(void **state)
{
    (void)state;
    refuses(
        "streamlayer.gateway.listen.address = null",
        "app.conf:1: streamlayer.gateway.listen.address = null: it needs a value; allowed: text; without the "
        "line it is 127.0.0.1");
    refuses(
        SL_ROOT "stream.connector = null",
        "app.conf:1: here.platform.data-client.stream.connector is a section, and is given null; leave the "
        "line out");
    accepts(SL_ROOT "stream.consumer.group = null");
    accepts(SL_ROOT "stream.kafka.producer = null");
}

static void quoted_paths_are_pointed_out(void **state)
{
    (void)state;
    refuses("{ \"here.platform.data-client.stream.connector.producer\": \"http-connector\" }",
            "app.conf:1: \"here.platform.data-client.stream.connector.producer\" in quotes is one name with "
            "dots in it, not a path: leave the quotes out");
    refuses("here.platform.data-client { \"stream.connector.producer\" = http-connector }",
            "app.conf:1: \"stream.connector.producer\" in quotes is one name with dots in it, not a path: "
            "leave the quotes out");
}

static void a_custom_platform_needs_its_url(void **state)
{
    (void)state;
    refuses(SL_ROOT "endpoint-locator.discovery-service-env = custom",
            "app.conf:1: here.platform.data-client.endpoint-locator.discovery-service-env = custom needs "
            "here.platform.data-client.endpoint-locator.discovery-service-url");
    refuses(
        SL_ROOT "proxy.host = \"http://proxy\"",
        "app.conf:1: here.platform.data-client.proxy.host is not a host: write its name or address alone, "
        "and the port as proxy.port");
}

static void every_choice_has_its_noun_and_every_default_passes(void **state)
{
    (void)state;
    const struct sl_setting *setting;
    for (size_t i = 0; (setting = sl_setting_at(i)); i++) {
        assert_int_equal(setting->type == SL_CHOICE, setting->choices != NULL);
        assert_int_equal(setting->type == SL_CHOICE, setting->noun != NULL);
        assert_non_null(setting->meaning);
        assert_ptr_equal(sl_setting_find(setting->path), setting);
    }
    assert_int_equal(sl_config_check(config, &failure), SL_OK);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(an_unknown_connector_names_the_known, setup, teardown),
    cmocka_unit_test_setup_teardown(numbers_have_ranges, setup, teardown),
    cmocka_unit_test_setup_teardown(durations_and_sizes_have_ranges, setup, teardown),
    cmocka_unit_test_setup_teardown(booleans_texts_and_urls, setup, teardown),
    cmocka_unit_test_setup_teardown(secrets_are_not_repeated, setup, teardown),
    cmocka_unit_test_setup_teardown(long_values_are_cut_at_characters, setup, teardown),
    cmocka_unit_test_setup_teardown(unknown_settings_are_errors, setup, teardown),
    cmocka_unit_test_setup_teardown(a_section_like_ours_is_a_slip, setup, teardown),
    cmocka_unit_test_setup_teardown(a_path_set_that_nothing_reads_is_refused, setup, teardown),
    cmocka_unit_test_setup_teardown(what_files_refer_to_may_be_set, setup, teardown),
    cmocka_unit_test_setup_teardown(others_sections_are_let_be, setup, teardown),
    cmocka_unit_test_setup_teardown(what_hides_our_root_is_told, setup, teardown),
    cmocka_unit_test_setup_teardown(a_section_is_no_value, setup, teardown),
    cmocka_unit_test_setup_teardown(null_takes_no_default_away, setup, teardown),
    cmocka_unit_test_setup_teardown(quoted_paths_are_pointed_out, setup, teardown),
    cmocka_unit_test_setup_teardown(a_custom_platform_needs_its_url, setup, teardown),
    cmocka_unit_test_setup_teardown(every_choice_has_its_noun_and_every_default_passes, setup, teardown))
