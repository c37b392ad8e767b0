#include "support/cases.h"

#include <stdlib.h>
#include <string.h>

#include "wire/endpoint.h"

static sl_status parse(const char *json, struct sl_endpoint *endpoint, sl_error *error)
{
    json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    sl_status status = sl_endpoint_parse(value, endpoint, error);
    json_decref(value);
    return status;
}

#define SERVERS "\"bootstrapServers\":[{\"hostname\":\"a.b\",\"port\":9092}]"

static void an_official_endpoint(void **state)
{
    (void)state;
    struct sl_endpoint endpoint;
    assert_int_equal(
        parse("{\"kafkaProtocolVersion\":[\"0.10.0.1\"],\"topic\":\"t.1\",\"clientId\":\"c\","
              "\"consumerGroupPrefix\":\"p.\",\"bootstrapServers\":[{\"hostname\":\"a.b\",\"port\":"
              "9092},{\"hostname\":\"::1\",\"port\":1}]}",
              &endpoint, NULL),
        SL_OK);
    assert_string_equal(endpoint.topic, "t.1");
    assert_string_equal(endpoint.client_id, "c");
    assert_string_equal(endpoint.group_prefix, "p.");
    assert_string_equal(endpoint.brokers, "a.b:9092,[::1]:1");
    assert_null(endpoint.security_protocol);
    assert_null(endpoint.sasl_mechanism);
    assert_null(endpoint.ca_pem);
    sl_endpoint_free(&endpoint);
}

static void it_comes_back_as_it_was_given(void **state)
{
    (void)state;
    struct sl_endpoint given = {.topic = (char[]){"t"},
                                .client_id = (char[]){"c"},
                                .group_prefix = (char[]){"p."},
                                .brokers = (char[]){"h1:1,[::1]:2,h3"},
                                .security_protocol = (char[]){"sasl_ssl"},
                                .sasl_mechanism = (char[]){"SCRAM-SHA-512"},
                                .ca_pem = (char[]){"-----BEGIN\n"}};
    struct sl_endpoint back;
    json_t *value = sl_endpoint_json(&given);
    assert_non_null(value);
    assert_int_equal(sl_endpoint_parse(value, &back, NULL), SL_OK);
    assert_string_equal(back.topic, "t");
    assert_string_equal(back.client_id, "c");
    assert_string_equal(back.group_prefix, "p.");
    assert_string_equal(back.brokers, "h1:1,[::1]:2,h3:9092");
    assert_string_equal(back.security_protocol, "sasl_ssl");
    assert_string_equal(back.sasl_mechanism, "SCRAM-SHA-512");
    assert_string_equal(back.ca_pem, "-----BEGIN\n");
    sl_endpoint_free(&back);
    json_decref(value);
    given.security_protocol = given.sasl_mechanism = given.ca_pem = NULL;
    value = sl_endpoint_json(&given);
    assert_null(json_object_get(value, "security"));
    json_decref(value);
    given.brokers = (char[]){"h1:99999"};
    assert_null(sl_endpoint_json(&given));
    given.brokers = (char[]){"h1:1,,h2"};
    assert_null(sl_endpoint_json(&given));
    given.brokers = (char[]){"[::1"};
    assert_null(sl_endpoint_json(&given));
}

static void missing_texts_are_empty(void **state)
{
    (void)state;
    struct sl_endpoint endpoint;
    assert_int_equal(
        parse("{\"topic\":\"t\"," SERVERS ",\"security\":{\"protocol\":\"SASL_SSL\"}}", &endpoint, NULL),
        SL_OK);
    assert_string_equal(endpoint.client_id, "");
    assert_string_equal(endpoint.group_prefix, "");
    assert_string_equal(endpoint.security_protocol, "sasl_ssl");
    sl_endpoint_free(&endpoint);
}

static void broken_endpoints_say_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *json, *part;
    } bad[] = {
        {"[]", "not a JSON object"},
        {"{" SERVERS "}", "topic"},
        {"{\"topic\":\"\"," SERVERS "}", "topic"},
        {"{\"topic\":\"a/b\"," SERVERS "}", "topic"},
        {"{\"topic\":\"..\"," SERVERS "}", "topic"},
        {"{\"topic\":7," SERVERS "}", "topic"},
        {"{\"topic\":\"t\",\"clientId\":7," SERVERS "}", "clientId"},
        {"{\"topic\":\"t\"}", "bootstrapServers"},
        {"{\"topic\":\"t\",\"bootstrapServers\":[]}", "bootstrapServers"},
        {"{\"topic\":\"t\",\"bootstrapServers\":[{\"hostname\":\"a,b\",\"port\":1}]}", "bootstrapServers[0]"},
        {"{\"topic\":\"t\",\"bootstrapServers\":[{\"hostname\":\"a\",\"port\":0}]}", "port"},
        {"{\"topic\":\"t\",\"bootstrapServers\":[{\"hostname\":\"a\",\"port\":\"1\"}]}", "port"},
        {"{\"topic\":\"t\"," SERVERS ",\"security\":1}", "security"},
        {"{\"topic\":\"t\"," SERVERS ",\"security\":{\"protocol\":\"tls\"}}", "\"tls\""},
        {"{\"topic\":\"t\"," SERVERS ",\"security\":{\"mechanism\":\"a b\"}}", "mechanism"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct sl_endpoint endpoint;
        sl_error error = {0};
        assert_int_equal(parse(bad[i].json, &endpoint, &error), SL_PROTOCOL);
        assert_null(endpoint.topic);
        if (!strstr(error.text, bad[i].part))
            fail_msg("\"%s\" does not say \"%s\"", error.text, bad[i].part);
    }
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test(an_official_endpoint),
    cmocka_unit_test(it_comes_back_as_it_was_given),
    cmocka_unit_test(missing_texts_are_empty),
    cmocka_unit_test(broken_endpoints_say_what_is_wrong))
