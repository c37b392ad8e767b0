/* The gateway's own connection to Kafka, with brokers that are as a test says. With a Kafka:
 * tests/integration/secure_test.py. */
#include "support/cases.h"

#include "base/time.h"
#include "config/settings.h"
#include "fake_kafka.h"
#include "gateway/broker/control.h"
#include "gw_scratch.h"

#include <netdb.h>
#include <stdlib.h>

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
    struct fake_kafka kafka;
    struct gw_broker broker; /* that one */
    sl_config *config;
};

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    *state = place;
    fake_kafka_start(&place->kafka);
    assert_int_equal(sl_config_create(&place->config, NULL), SL_OK);
    fake_kafka_broker(&place->kafka, place->config, &place->broker);
    ports[0] = ports[1] = look_ups = 0;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    fake_kafka_broker_free(&place->broker);
    sl_config_destroy(&place->config);
    fake_kafka_stop(&place->kafka);
    free(place);
    return 0;
}

static void set(struct place *place, const char *name, const char *value)
{
    char path[200];
    sl_error error;
    snprintf(path, sizeof path, SL_GATEWAY_ROOT "kafka.client.%s", name);
    if (sl_config_set(place->config, path, value, &error))
        fail_msg("%s", error.text);
}

/* Makes a connection, and ends it. */
static sl_status connect_until(struct place *place, int64_t until_ms, sl_error *error)
{
    struct gw_wire_link link;
    sl_status status = gw_wire_open(&link, &place->broker, place->broker.own.brokers, until_ms, error);
    gw_wire_close(&link);
    return status;
}

static void a_silent_address_leaves_the_next_its_time(void **state)
{
    struct place *place = *state;
    struct fake_kafka silent = {.silent = true};
    sl_error error = {0};
    fake_kafka_start(&silent);
    set(place, "security.protocol", "sasl_plaintext");
    set(place, "sasl.mechanism", "PLAIN");
    set(place, "sasl.username", "gateway");
    set(place, "sasl.password", "secret");
    ports[0] = silent.port;
    ports[1] = place->kafka.port;
    if (connect_until(place, sl_mono_ms() + WAIT_MS, &error))
        fail_msg("%s", error.text);
    assert_int_equal(place->kafka.connections, 1);
    fake_kafka_stop(&silent);
}

/* Nothing would end it. */
static void no_name_is_looked_up_for_nobody(void **state)
{
    struct place *place = *state;
    sl_error error = {0};
    assert_int_equal(connect_until(place, sl_mono_ms() - 1, &error), SL_TIMED_OUT);
    assert_non_null(strstr(error.text, "no answer in time"));
    atomic_store(&place->broker.acls_cancelled, true);
    assert_int_equal(connect_until(place, sl_mono_ms() + WAIT_MS, &error), SL_TIMED_OUT);
    assert_non_null(strstr(error.text, "the gateway is stopping"));
    assert_int_equal(look_ups, 0);
}

/* Asks for lists, for which there is such an answer, and then how many brokers there are. */
static void ask(struct place *place, sl_status wanted, sl_error *error)
{
    struct gw_acl_set acls;
    int brokers = 0;
    struct gw_control *control = gw_control_create(&place->broker);
    assert_int_equal(gw_broker_acls(control, INT64_MAX, &acls, error), wanted);
    gw_acl_set_free(&acls);
    assert_int_equal(gw_broker_size(control, INT64_MAX, &brokers, error), SL_OK);
    assert_int_equal(brokers, 1);
    gw_control_destroy(&control);
}

static void one_connection_is_enough(void **state)
{
    struct place *place = *state;
    sl_error error = {0};
    ask(place, SL_OK, &error);
    assert_int_equal(place->kafka.connections, 1);
}

static void what_failed_is_asked_on_another_connection(void **state)
{
    struct place *place = *state;
    sl_error error = {0};
    place->kafka.forbids_looking = true;
    ask(place, SL_FORBIDDEN, &error);
    assert_int_equal(place->kafka.connections, 2);
}

static void too_much_is_called_so(void **state)
{
    struct place *place = *state;
    sl_error error = {0};
    place->kafka.too_long = true;
    ask(place, SL_KAFKA, &error);
    assert_non_null(strstr(error.text, "67108865 bytes"));
    assert_non_null(strstr(error.text, "too many access control lists"));
}

static void a_wrong_authority_is_named(void **state)
{
    struct place *place = *state;
    char directory[SCRATCH_SIZE], file[SCRATCH_SIZE + 16];
    sl_error error = {0};
    scratch_make(directory, "wire");
    snprintf(file, sizeof file, "%s/ca.pem", directory);
    set(place, "security.protocol", "ssl");
    set(place, "ssl.ca.location", file);
    static const char *const reasons[] = {"No such file or directory", "no certificate"};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        assert_int_equal(connect_until(place, sl_mono_ms() + WAIT_MS, &error), SL_BAD_CONFIG);
        if (!strstr(error.text, "ssl.ca.location") || !strstr(error.text, file) ||
            !strstr(error.text, reasons[i]))
            fail_msg("%s", error.text);
        FILE *out = fopen(file, "we");
        assert_non_null(out);
        (void)fputs("no certificate\n", out);
        (void)fclose(out);
    }
    scratch_remove(directory);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(a_silent_address_leaves_the_next_its_time, setup, teardown),
    cmocka_unit_test_setup_teardown(no_name_is_looked_up_for_nobody, setup, teardown),
    cmocka_unit_test_setup_teardown(one_connection_is_enough, setup, teardown),
    cmocka_unit_test_setup_teardown(what_failed_is_asked_on_another_connection, setup, teardown),
    cmocka_unit_test_setup_teardown(too_much_is_called_so, setup, teardown),
    cmocka_unit_test_setup_teardown(a_wrong_authority_is_named, setup, teardown))
