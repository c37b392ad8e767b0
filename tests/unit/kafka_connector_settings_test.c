#include "support/cases.h"

#include <dlfcn.h>
#include <string.h>

#include "kafka_mock.h"

static const struct sl_producer_settings for_producer = {
    .delivery_timeout_ms = 10000, .queue_messages = 1000, .queue_bytes = 1 << 20};
static const struct sl_consumer_settings for_consumer = {
    .group = "group", .start = SL_START_BEGIN, .prefetch_bytes = 1 << 20, .join_timeout_ms = 60000};

static void assert_refused(struct kafka_mock *mock, bool producer, const char *name, const char *value,
                           const char *part)
{
    const struct sl_property property = {name, value, "application.conf:7"};
    struct sl_target target = mock->target;
    target.properties = &property;
    target.property_count = 1;
    struct sl_host host = kafka_mock_host(mock);
    void *made = NULL;
    sl_error error = {0};
    sl_status status = producer
                           ? mock->connector->producer_open(&host, &target, &for_producer, &made, &error)
                           : mock->connector->consumer_open(&host, &target, &for_consumer, &made, &error);
    assert_int_equal(status, SL_BAD_CONFIG);
    assert_int_equal(error.status, SL_BAD_CONFIG);
    assert_null(made);
    char path[200];
    snprintf(path, sizeof path, "application.conf:7: here.platform.data-client.stream.kafka.%s.%s: ",
             producer ? "producer" : "consumer", name);
    if (!strstr(error.text, path) || !strstr(error.text, part))
        fail_msg("\"%s\" does not say \"%s\" and \"%s\"", error.text, path, part);
}

static void the_table_is_all_that_is_exported(void **state)
{
    struct kafka_mock *mock = *state;
    assert_int_equal(mock->connector->magic, SL_CONNECTOR_MAGIC);
    assert_int_equal(mock->connector->abi, SL_CONNECTOR_ABI);
    assert_int_equal(mock->connector->size, sizeof(struct sl_connector));
    assert_string_equal(mock->connector->name, "kafka-connector");
    assert_true(mock->connector->direct);
    assert_null(dlsym(mock->library, "sl_status_text"));
    assert_null(dlsym(mock->library, "sl_kafka_producer_open"));
}

static void unknown_properties_are_refused_by_name(void **state)
{
    assert_refused(*state, true, "linger.mss", "5", "did you mean \"linger.ms\"?");
    assert_refused(*state, false, "fetch.wait.maxms", "5", "did you mean \"fetch.wait.max.ms\"?");
    assert_refused(*state, false, "ssl.ca.locations", "x", "did you mean \"ssl.ca.location\"?");
    assert_refused(*state, true, "entirely.different.from.all.of.them", "5",
                   "No such configuration property");
}

/* However many brokers there are, what mends it is said, and of this side only. */
static void brokers_out_of_reach_name_the_way_out(void **state)
{
    struct kafka_mock *mock = *state;
    char brokers[2000] = "127.0.0.1:1";
    for (int i = 0; i < 120; i++)
        strcat(brokers, ",127.0.0.1:1");
    struct sl_endpoint endpoint = mock->endpoint;
    endpoint.brokers = brokers;
    struct sl_target target = mock->target;
    target.endpoint = &endpoint;
    target.connect_timeout_ms = 1500;
    struct sl_host host = kafka_mock_host(mock);
    for (int producer = 0; producer < 2; producer++) {
        void *made = NULL;
        sl_error error = {0};
        sl_status status = producer
                               ? mock->connector->producer_open(&host, &target, &for_producer, &made, &error)
                               : mock->connector->consumer_open(&host, &target, &for_consumer, &made, &error);
        assert_int_equal(status, SL_UNAVAILABLE);
        assert_true(error.retriable);
        assert_null(made);
        char start[400], end[200];
        snprintf(start, sizeof start,
                 "the Kafka brokers %.200s... cannot be reached (tried for 1500 ms): ", brokers);
        snprintf(end, sizeof end,
                 "; where only HTTP gets through, set here.platform.data-client.stream.connector.%s to "
                 "http-connector (of single layers: in here.platform.data-client.stream.layers)",
                 producer ? "producer" : "consumer");
        if (strncmp(error.text, start, strlen(start)) || strlen(error.text) < strlen(end) ||
            strcmp(error.text + strlen(error.text) - strlen(end), end))
            fail_msg("%s", error.text);
        assert_non_null(strstr(error.text, "Connection refused"));
    }
}

static void wrong_values_are_refused_with_the_reason(void **state)
{
    assert_refused(*state, true, "linger.ms", "soon", "linger.ms");
    assert_refused(*state, true, "compression.type", "zip", "zip");
    assert_refused(*state, false, "session.timeout.ms", "0", "range");
}

static void what_the_library_governs_names_the_right_setting(void **state)
{
    assert_refused(*state, true, "bootstrap.servers", "a:1", "endpoint");
    assert_refused(*state, true, "acks", "1", "all in-sync replicas");
    assert_refused(*state, true, "delivery.timeout.ms", "1", "stream.producer.delivery-timeout");
    assert_refused(*state, true, "enable.idempotence", "false", "order");
    assert_refused(*state, false, "group.id", "g", "stream.consumer.group");
    assert_refused(*state, false, "group.instance.id", "i", "a static member does not leave its group");
    assert_refused(*state, false, "enable.auto.commit", "true", "stream.consumer.auto-commit.enabled");
    assert_refused(*state, false, "auto.offset.reset", "latest", "stream.consumer.start");
    assert_refused(*state, false, "partition.assignment.strategy", "cooperative-sticky", "eager");
    assert_refused(*state, false, "rebalance_cb", "x", "");
}

static void settings_that_contradict_each_other_are_refused(void **state)
{
    struct kafka_mock *mock = *state;
    const struct sl_property property = {"max.in.flight", "100", "application.conf:7"};
    struct sl_target target = mock->target;
    target.properties = &property;
    target.property_count = 1;
    struct sl_host host = kafka_mock_host(mock);
    void *made = NULL;
    sl_error error = {0};
    assert_int_equal(mock->connector->producer_open(&host, &target, &for_producer, &made, &error),
                     SL_BAD_CONFIG);
    assert_non_null(strstr(error.text, "stream.kafka.producer"));
    assert_non_null(strstr(error.text, "max.in.flight"));
}

static void a_broken_endpoint_is_told(void **state)
{
    struct kafka_mock *mock = *state;
    struct sl_endpoint endpoint = mock->endpoint;
    endpoint.security_protocol = (char[]){"carrier-pigeon"};
    struct sl_target target = mock->target;
    target.endpoint = &endpoint;
    struct sl_host host = kafka_mock_host(mock);
    void *made = NULL;
    sl_error error = {0};
    assert_int_equal(mock->connector->producer_open(&host, &target, &for_producer, &made, &error),
                     SL_BAD_CONFIG);
    assert_non_null(strstr(error.text, "security.protocol"));
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(the_table_is_all_that_is_exported, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(unknown_properties_are_refused_by_name, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(brokers_out_of_reach_name_the_way_out, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(wrong_values_are_refused_with_the_reason, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(what_the_library_governs_names_the_right_setting, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(settings_that_contradict_each_other_are_refused, kafka_mock_setup, kafka_mock_teardown),
    cmocka_unit_test_setup_teardown(a_broken_endpoint_is_told, kafka_mock_setup, kafka_mock_teardown))
