/* Which connector a producer or consumer is opened on: the program's, the layer's, its catalog's, or that for
 * all. The platform is the test's own, kafka-connector the fake. */
#include "support/cases.h"

#include "fake/support.h"
#include "platform.h"

#include <stdio.h>

#define KAFKA   "kafka-connector"
#define HTTP    "http-connector"
#define STREAM  "here.platform.data-client.stream."
#define ENTRY   STREAM "layers.\"" PLATFORM_HRN "\"."
#define PLUGIN  STREAM "kafka.plugin-directory = \"" FAKE_DIR "\"\n"
#define NOWHERE STREAM "kafka.plugin-directory = /nonexistent\n"

static int start(void **state)
{
    fake_get();
    *state = platform_start(true);
    return 0;
}

static int stop(void **state)
{
    platform_stop(*state);
    return 0;
}

static sl_producer *open_producer(sl_client *client, const char *layer, const char *connector)
{
    sl_producer *producer = NULL;
    sl_error error = {.text = ""};
    if (sl_producer_create(client, PLATFORM_HRN, layer, NULL, &producer, &error))
        fail_msg("%s", error.text);
    assert_string_equal(sl_producer_connector(producer), connector);
    return producer;
}

static void send_one(sl_producer *producer)
{
    sl_message *message = NULL;
    sl_error error = {.text = ""};
    assert_int_equal(sl_message_create(&message), SL_OK);
    assert_int_equal(sl_message_set_payload(message, "x", 1), SL_OK);
    if (sl_producer_send(producer, message, NULL, 0, &error))
        fail_msg("%s", error.text);
    sl_message_destroy(&message);
}

static void one_client_writes_both_ways(void **state)
{
    struct platform *platform = *state;
    struct fake *fake = fake_get();
    sl_error error;
    sl_client *client =
        web_client(platform->web, PLUGIN ENTRY PLATFORM_LAYER ".connector.producer = http-connector\n");
    sl_producer *direct = open_producer(client, "other", KAFKA);
    sl_producer *http = open_producer(client, PLATFORM_LAYER, HTTP);
    send_one(direct);
    send_one(http);
    assert_int_equal(sl_producer_flush(http, 60000, &error), SL_OK);
    assert_int_equal(platform_get(platform, &platform->requests), 1);
    assert_int_equal(fake->ticket_count, 1);
    assert_true(fake_report_one(fake, NULL));
    assert_int_equal(sl_producer_close(&direct, 0, &error), SL_OK);
    assert_int_equal(sl_producer_close(&http, 0, &error), SL_OK);
    sl_client_destroy(&client);
}

static void every_layer_of_a_catalog(void **state)
{
    struct platform *platform = *state;
    sl_consumer *consumer = NULL;
    sl_error error = {.text = ""};
    sl_client *client = web_client(platform->web, PLUGIN ENTRY "\"*\".connector.consumer = http-connector\n");
    if (sl_consumer_create(client, PLATFORM_HRN, PLATFORM_LAYER, NULL, &consumer, &error))
        fail_msg("%s", error.text);
    assert_string_equal(sl_consumer_connector(consumer), HTTP);
    assert_int_equal(platform_get(platform, &platform->subscribes), 1);
    assert_int_equal(sl_consumer_close(&consumer, &error), SL_OK);
    if (sl_consumer_create(client, "hrn:here:data::local:another", PLATFORM_LAYER, NULL, &consumer, &error))
        fail_msg("%s", error.text);
    assert_string_equal(sl_consumer_connector(consumer), KAFKA);
    assert_int_equal(sl_consumer_close(&consumer, &error), SL_OK);
    sl_producer *producer = open_producer(client, PLATFORM_LAYER, KAFKA);
    assert_int_equal(sl_producer_close(&producer, 0, &error), SL_OK);
    sl_client_destroy(&client);
}

static void the_programs_choice_wins(void **state)
{
    struct platform *platform = *state;
    sl_producer_options *options = NULL;
    sl_producer *producer = NULL;
    sl_error error = {.text = ""};
    sl_client *client =
        web_client(platform->web, PLUGIN ENTRY PLATFORM_LAYER ".connector.producer = http-connector\n");
    assert_int_equal(sl_producer_options_create(&options), SL_OK);
    assert_int_equal(sl_producer_options_set_connector(options, KAFKA), SL_OK);
    if (sl_producer_create(client, PLATFORM_HRN, PLATFORM_LAYER, options, &producer, &error))
        fail_msg("%s", error.text);
    assert_string_equal(sl_producer_connector(producer), KAFKA);
    assert_int_equal(sl_producer_close(&producer, 0, &error), SL_OK);
    sl_producer_options_destroy(&options);
    sl_client_destroy(&client);
}

/* What has chosen the connector that is not there is what the error says to change. */
static void a_missing_connector_names_what_chose_it(void **state)
{
    struct platform *platform = *state;
    static const char where[] = " (looked for kafka-connector.so in /nonexistent)";
    static const struct {
        const char *settings, *named;
    } cases[] = {
        {ENTRY PLATFORM_LAYER ".connector.producer = kafka-connector",
         "choose HTTP with " ENTRY PLATFORM_LAYER ".connector.producer = \"http-connector\""},
        {ENTRY "\"*\".connector.producer = kafka-connector",
         "choose HTTP with " ENTRY "\"*\".connector.producer = \"http-connector\""},
        {STREAM "connector.producer = kafka-connector\n" ENTRY "b.connector.producer = http-connector",
         "choose HTTP with " STREAM "connector.producer = \"http-connector\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char settings[600], wanted[600];
        sl_producer *producer = NULL;
        sl_error error = {.text = ""};
        snprintf(settings, sizeof settings, "%s" STREAM "connector.producer = http-connector\n%s\n", NOWHERE,
                 cases[i].settings);
        sl_client *client = web_client(platform->web, settings);
        assert_int_equal(sl_producer_create(client, PLATFORM_HRN, PLATFORM_LAYER, NULL, &producer, &error),
                         SL_CONNECTOR_MISSING);
        snprintf(wanted, sizeof wanted, "%s%s", cases[i].named, where);
        assert_non_null(strstr(error.text, wanted));
        sl_client_destroy(&client);
    }
    sl_producer_options *options = NULL;
    sl_producer *producer = NULL;
    sl_error error = {.text = ""};
    sl_client *client = web_client(platform->web, NOWHERE STREAM "connector.producer = http-connector\n");
    assert_int_equal(sl_producer_options_create(&options), SL_OK);
    assert_int_equal(sl_producer_options_set_connector(options, KAFKA), SL_OK);
    assert_int_equal(sl_producer_create(client, PLATFORM_HRN, PLATFORM_LAYER, options, &producer, &error),
                     SL_CONNECTOR_MISSING);
    assert_non_null(
        strstr(error.text, "choose HTTP with the program's option that names the connector (looked"));
    sl_producer_options_destroy(&options);
    sl_client_destroy(&client);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(one_client_writes_both_ways, start, stop),
    cmocka_unit_test_setup_teardown(every_layer_of_a_catalog, start, stop),
    cmocka_unit_test_setup_teardown(the_programs_choice_wins, start, stop),
    cmocka_unit_test_setup_teardown(a_missing_connector_names_what_chose_it, start, stop))
