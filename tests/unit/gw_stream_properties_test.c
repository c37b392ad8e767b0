#include "support/cases.h"

#include <string.h>

#include "gateway/api/consumer_properties.h"

static sl_status parse(const char *json, struct gw_consumer_properties *properties, sl_error *error)
{
    json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    sl_status status = gw_consumer_properties_parse(value, properties, error);
    json_decref(value);
    return status;
}

static void properties_have_defaults(void **state)
{
    (void)state;
    struct gw_consumer_properties properties;
    sl_error error;
    assert_int_equal(gw_consumer_properties_parse(NULL, &properties, &error), SL_OK);
    assert_string_equal(properties.group, "");
    assert_false(properties.earliest);
    assert_false(properties.auto_commit);
    assert_int_equal(properties.auto_commit_ms, 5000);
    assert_int_equal(properties.count, 0);
}

static void properties_take_strings_numbers_and_booleans(void **state)
{
    (void)state;
    struct gw_consumer_properties properties;
    sl_error error;
    assert_int_equal(
        parse("{\"group.id\":\"g-1\",\"auto.offset.reset\":\"earliest\",\"enable.auto.commit\":\"1\","
              "\"auto.commit.interval.ms\":250,\"max.poll.records\":\"7\","
              "\"fetch.max.wait.ms\":\"50\",\"max.poll.interval.ms\":1000}",
              &properties, &error),
        SL_OK);
    assert_string_equal(properties.group, "g-1");
    assert_true(properties.earliest);
    assert_true(properties.auto_commit);
    assert_int_equal(properties.auto_commit_ms, 250);
    assert_int_equal(properties.poll_messages, 7);
    assert_int_equal(properties.count, 1); /* librdkafka has another name for it */
    assert_string_equal(properties.passed[0].name, "fetch.wait.max.ms");
    assert_string_equal(properties.passed[0].value, "50");
    assert_int_equal(parse("{\"enable.auto.commit\":true}", &properties, &error), SL_OK);
    assert_true(properties.auto_commit);
    assert_int_equal(parse("{\"enable.auto.commit\":\"false\"}", &properties, &error), SL_OK);
    assert_false(properties.auto_commit);
}

static void properties_may_be_null(void **state)
{
    (void)state;
    struct gw_consumer_properties properties;
    sl_error error;
    assert_int_equal(parse("{\"group.id\":null,\"enable.auto.commit\":null,\"auto.commit.interval.ms\":null,"
                           "\"max.poll.records\":5,\"client.id\":null}",
                           &properties, &error),
                     SL_OK);
    assert_string_equal(properties.group, "");
    assert_false(properties.auto_commit);
    assert_int_equal(properties.auto_commit_ms, 5000);
    assert_int_equal(properties.poll_messages, 5);
}

static void properties_refuse_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *json, *says;
    } wrong[] = {
        {"{\"auto.offset.rest\":\"earliest\"}", "auto.offset.reset"},
        {"{\"bootstrap.servers\":\"evil:9092\"}", "bootstrap.servers"},
        {"{\"auto.offset.reset\":\"none\"}", "auto.offset.reset"},
        {"{\"enable.auto.commit\":\"yes\"}", "enable.auto.commit"},
        {"{\"auto.commit.interval.ms\":1}", "auto.commit.interval.ms"},
        {"{\"auto.commit.interval.ms\":1.5}", "auto.commit.interval.ms"},
        {"{\"fetch.min.bytes\":9999999999999999999999}", "fetch.min.bytes"},
        {"{\"group.id\":\"\"}", "group.id"},
        {"{\"group.id\":\"a b\"}", "group.id"},
        {"{\"group.id\":\"a\\u0000b\"}", "group.id"},
        {"{\"group.id\":[]}", "group.id"},
        {"[]", "kafkaConsumerProperties"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct gw_consumer_properties properties;
        sl_error error;
        json_t *value = json_loads(wrong[i].json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        if (!value) /* a number that is too big for any reader */
            continue;
        assert_int_equal(gw_consumer_properties_parse(value, &properties, &error), SL_INVALID_ARGUMENT);
        assert_non_null(strstr(error.text, wrong[i].says));
        json_decref(value);
    }
}

CASES_MAIN(cmocka_unit_test(properties_have_defaults),
           cmocka_unit_test(properties_take_strings_numbers_and_booleans),
           cmocka_unit_test(properties_may_be_null), cmocka_unit_test(properties_refuse_by_name))
