/* The gateway's own connection to Kafka, with brokers that are as a test says. With a Kafka:
 * tests/integration/secure_test.py. */
#include "support/cases.h"

#include "base/time.h"
#include "config/settings.h"
#include "fake_kafka.h"
#include "gateway/broker/control.h"
#include "gw_scratch.h"

#include <netdb.h>

#define WAIT_MS 4000

/* The addresses of every name: these ports' of 127.0.0.1. */
static int ports[2], look_ups;

int __real_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out);
int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out);

int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out)
{
    look_ups++;
    if (!ports[0])
        return __real_getaddrinfo(node, service, hints, out);
    for (size_t i = 0; i < 2 && ports[i]; i++) {
        char port[16];
        snprintf(port, sizeof port, "%d", ports[i]);
        int code = __real_getaddrinfo("127.0.0.1", port, hints, out);
        if (code)
            return code;
        while (*out)
            out = &(*out)->ai_next;
    }
    return 0;
}

struct place {
    struct gw_broker broker;
    sl_config *config;
};

static void set(struct place *place, const char *name, const char *value)
{
    char path[200];
    sl_error error;
    snprintf(path, sizeof path, SL_GATEWAY_ROOT "kafka.client.%s", name);
    if (sl_config_set(place->config, path, value, &error))
        fail_msg("%s", error.text);
}

static void open_place(struct place *place, const struct fake_kafka *kafka)
{
    assert_int_equal(sl_config_create(&place->config, NULL), SL_OK);
    fake_kafka_broker(kafka, place->config, &place->broker);
    ports[0] = ports[1] = look_ups = 0;
}

static void close_place(struct place *place)
{
    fake_kafka_broker_free(&place->broker);
    sl_config_destroy(&place->config);
}

static void ask_for_login(struct place *place)
{
    set(place, "security.protocol", "sasl_plaintext");
    set(place, "sasl.mechanism", "PLAIN");
    set(place, "sasl.username", "gateway");
    set(place, "sasl.password", "secret");
}

static void a_silent_address_leaves_the_next_its_time(void **state)
{
    (void)state;
    struct fake_kafka silent = {.silent = true}, good = {.silent = false};
    struct place place;
    struct gw_wire_link link;
    sl_error error = {0};
    fake_kafka_start(&silent);
    fake_kafka_start(&good);
    open_place(&place, &good);
    ask_for_login(&place);
    ports[0] = silent.port;
    ports[1] = good.port;
    if (gw_wire_open(&link, &place.broker, sl_mono_ms() + WAIT_MS, &error))
        fail_msg("%s", error.text);
    gw_wire_close(&link);
    fake_kafka_stop(&silent);
    fake_kafka_stop(&good);
    assert_int_equal(good.connections, 1);
    close_place(&place);
}

/* Nothing would end it. */
static void no_name_is_looked_up_for_nobody(void **state)
{
    (void)state;
    struct fake_kafka kafka = {.silent = true};
    struct place place;
    struct gw_wire_link link;
    sl_error error = {0};
    fake_kafka_start(&kafka);
    open_place(&place, &kafka);
    assert_int_equal(gw_wire_open(&link, &place.broker, sl_mono_ms() - 1, &error), SL_TIMED_OUT);
    gw_wire_close(&link);
    assert_non_null(strstr(error.text, "no answer in time"));
    atomic_store(&place.broker.acls_cancelled, true);
    assert_int_equal(gw_wire_open(&link, &place.broker, sl_mono_ms() + WAIT_MS, &error), SL_TIMED_OUT);
    gw_wire_close(&link);
    assert_non_null(strstr(error.text, "the gateway is stopping"));
    assert_int_equal(look_ups, 0);
    fake_kafka_stop(&kafka);
    close_place(&place);
}

static void one_connection_is_enough(void **state)
{
    (void)state;
    struct fake_kafka kafka = {.silent = false};
    struct place place;
    struct gw_acl_set acls;
    struct gw_quota_set quotas;
    sl_error error = {0};
    int brokers = 0;
    fake_kafka_start(&kafka);
    open_place(&place, &kafka);
    struct gw_control *control = gw_control_create(&place.broker);
    assert_int_equal(gw_broker_acls(control, INT64_MAX, &acls, &error), SL_OK);
    assert_int_equal(gw_broker_size(control, INT64_MAX, &brokers, &error), SL_OK);
    assert_int_equal(brokers, 1);
    assert_int_equal(gw_broker_quotas(control, INT64_MAX, &quotas, &error), SL_OK);
    gw_acl_set_free(&acls);
    gw_quota_set_free(&quotas);
    gw_control_destroy(&control);
    fake_kafka_stop(&kafka);
    assert_int_equal(kafka.connections, 1);
    close_place(&place);
}

static void what_failed_is_asked_on_another_connection(void **state)
{
    (void)state;
    struct fake_kafka kafka = {.forbids_looking = true};
    struct place place;
    struct gw_acl_set acls;
    sl_error error = {0};
    int brokers = 0;
    fake_kafka_start(&kafka);
    open_place(&place, &kafka);
    struct gw_control *control = gw_control_create(&place.broker);
    assert_int_equal(gw_broker_acls(control, INT64_MAX, &acls, &error), SL_FORBIDDEN);
    assert_int_equal(gw_broker_size(control, INT64_MAX, &brokers, &error), SL_OK);
    gw_control_destroy(&control);
    fake_kafka_stop(&kafka);
    assert_int_equal(kafka.connections, 2);
    close_place(&place);
}

static void too_much_is_called_so(void **state)
{
    (void)state;
    struct fake_kafka kafka = {.too_long = true};
    struct place place;
    struct gw_acl_set acls;
    sl_error error = {0};
    fake_kafka_start(&kafka);
    open_place(&place, &kafka);
    struct gw_control *control = gw_control_create(&place.broker);
    assert_int_equal(gw_broker_acls(control, INT64_MAX, &acls, &error), SL_KAFKA);
    assert_non_null(strstr(error.text, "67108865 bytes"));
    assert_non_null(strstr(error.text, "too many access control lists"));
    gw_control_destroy(&control);
    fake_kafka_stop(&kafka);
    close_place(&place);
}

static void a_wrong_authority_is_named(void **state)
{
    (void)state;
    char directory[SCRATCH_SIZE], file[SCRATCH_SIZE + 16];
    scratch_make(directory, "wire");
    snprintf(file, sizeof file, "%s/ca.pem", directory);
    struct fake_kafka kafka = {.silent = true};
    struct place place;
    struct gw_wire_link link;
    sl_error error = {0};
    fake_kafka_start(&kafka);
    open_place(&place, &kafka);
    set(&place, "security.protocol", "ssl");
    set(&place, "ssl.ca.location", file);
    static const char *const reasons[] = {"No such file or directory", "no certificate"};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        assert_int_equal(gw_wire_open(&link, &place.broker, sl_mono_ms() + WAIT_MS, &error), SL_BAD_CONFIG);
        gw_wire_close(&link);
        if (!strstr(error.text, "ssl.ca.location") || !strstr(error.text, file) ||
            !strstr(error.text, reasons[i]))
            fail_msg("%s", error.text);
        FILE *out = fopen(file, "we");
        assert_non_null(out);
        (void)fputs("no certificate\n", out);
        (void)fclose(out);
    }
    scratch_remove(directory);
    fake_kafka_stop(&kafka);
    close_place(&place);
}

CASES_MAIN(cmocka_unit_test(a_silent_address_leaves_the_next_its_time),
           cmocka_unit_test(no_name_is_looked_up_for_nobody), cmocka_unit_test(one_connection_is_enough),
           cmocka_unit_test(what_failed_is_asked_on_another_connection),
           cmocka_unit_test(too_much_is_called_so), cmocka_unit_test(a_wrong_authority_is_named))
