/* The gateway's own connection to Kafka, with brokers that are as a test says. With a Kafka:
 * tests/integration/secure_test.py. */
#include "support/cases.h"

#include "base/time.h"
#include "config/settings.h"
#include "gateway/broker/control.h"
#include "gateway/broker/quotas.h"
#include "gw_scratch.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <unistd.h>

#define WAIT_MS 4000

enum { METADATA = 3, SASL_HANDSHAKE = 17, DESCRIBE_ACLS = 29, SASL_AUTHENTICATE = 36, DESCRIBE_QUOTAS = 48 };

struct kafka {
    int listener, port;
    bool silent;     /* it lets in, and says nothing */
    bool long_acls;  /* it says that its lists are more than the gateway takes */
    bool forbids;    /* it does not tell its lists */
    int connections; /* that it has served; to be looked at when it has stopped */
    pthread_t thread;
};

static bool read_all(int connection, void *to, size_t size)
{
    size_t got = 0;
    for (ssize_t count; got < size; got += (size_t)count)
        if ((count = read(connection, (char *)to + got, size - got)) <= 0)
            return false;
    return true;
}

static void put_answer(const struct kafka *kafka, int16_t api, struct sl_buffer *out)
{
    switch (api) {
    case METADATA:
        gw_wire_put_int32(out, 1);
        gw_wire_put_int32(out, 0);
        gw_wire_put_text(out, "localhost");
        gw_wire_put_int32(out, kafka->port);
        gw_wire_put_text(out, NULL);
        break;
    case SASL_HANDSHAKE:
        gw_wire_put_int16(out, 0);
        gw_wire_put_int32(out, 0);
        break;
    case SASL_AUTHENTICATE:
        gw_wire_put_int16(out, 0);
        gw_wire_put_text(out, NULL);
        gw_wire_put_bytes(out, "", 0);
        break;
    default: /* lists and quotas: none */
        gw_wire_put_int32(out, 0);
        gw_wire_put_int16(out, kafka->forbids ? 31 : 0);
        gw_wire_put_text(out, NULL);
        gw_wire_put_int32(out, 0);
    }
}

static bool answer_one(struct kafka *kafka, int connection)
{
    unsigned char head[12], body[1024];
    if (!read_all(connection, head, sizeof head))
        return false;
    struct gw_wire_reader reader = {head, head + sizeof head, false};
    size_t left = (size_t)gw_wire_int32(&reader) - 8;
    int16_t api = gw_wire_int16(&reader);
    gw_wire_int16(&reader);
    int32_t call = gw_wire_int32(&reader);
    if (left > sizeof body || !read_all(connection, body, left))
        return false;
    struct sl_buffer answer, out;
    sl_buffer_init(&answer, 4096);
    sl_buffer_init(&out, 4096);
    put_answer(kafka, api, &answer);
    bool cheats = api == DESCRIBE_ACLS && kafka->long_acls;
    gw_wire_put_int32(&out, cheats ? GW_WIRE_ANSWER_MAX + 1 : (int32_t)answer.size + 4);
    gw_wire_put_int32(&out, call);
    sl_buffer_append(&out, answer.data, answer.size);
    bool good = write(connection, out.data, out.size) == (ssize_t)out.size;
    sl_buffer_free(&answer);
    sl_buffer_free(&out);
    return good;
}

static void *run(void *opaque)
{
    struct kafka *kafka = opaque;
    for (int connection; (connection = accept(kafka->listener, NULL, NULL)) >= 0; close(connection)) {
        kafka->connections++;
        while (answer_one(kafka, connection))
            continue;
    }
    return NULL;
}

static void start(struct kafka *kafka)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    kafka->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(kafka->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(kafka->listener, 10), 0);
    assert_int_equal(getsockname(kafka->listener, (struct sockaddr *)&address, &size), 0);
    kafka->port = ntohs(address.sin_port);
    if (!kafka->silent)
        assert_int_equal(pthread_create(&kafka->thread, NULL, run, kafka), 0);
}

static void stop(struct kafka *kafka)
{
    shutdown(kafka->listener, SHUT_RDWR);
    if (!kafka->silent)
        pthread_join(kafka->thread, NULL);
    close(kafka->listener);
}

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
    char brokers[64];
};

static void set(struct place *place, const char *name, const char *value)
{
    char path[200];
    sl_error error;
    snprintf(path, sizeof path, SL_GATEWAY_ROOT "kafka.client.%s", name);
    if (sl_config_set(place->config, path, value, &error))
        fail_msg("%s", error.text);
}

static void open_place(struct place *place, const struct kafka *kafka)
{
    *place = (struct place){.broker = {.cluster = (char *)(uintptr_t) "default",
                                       .root = (char *)(uintptr_t) "streamlayer.gateway.kafka"}};
    assert_int_equal(sl_config_create(&place->config, NULL), SL_OK);
    snprintf(place->brokers, sizeof place->brokers, "127.0.0.1:%d", kafka->port);
    place->broker.config = place->config;
    place->broker.own.brokers = place->brokers;
    pthread_mutex_init(&place->broker.trouble_lock, NULL);
    ports[0] = ports[1] = look_ups = 0;
}

static void close_place(struct place *place)
{
    pthread_mutex_destroy(&place->broker.trouble_lock);
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
    struct kafka silent = {.silent = true}, good = {.silent = false};
    struct place place;
    struct gw_wire_link link;
    sl_error error = {0};
    start(&silent);
    start(&good);
    open_place(&place, &good);
    ask_for_login(&place);
    ports[0] = silent.port;
    ports[1] = good.port;
    if (gw_wire_open(&link, &place.broker, sl_mono_ms() + WAIT_MS, &error))
        fail_msg("%s", error.text);
    gw_wire_close(&link);
    stop(&silent);
    stop(&good);
    assert_int_equal(good.connections, 1);
    close_place(&place);
}

/* Nothing would end it. */
static void no_name_is_looked_up_for_nobody(void **state)
{
    (void)state;
    struct kafka kafka = {.silent = true};
    struct place place;
    struct gw_wire_link link;
    sl_error error = {0};
    start(&kafka);
    open_place(&place, &kafka);
    assert_int_equal(gw_wire_open(&link, &place.broker, sl_mono_ms() - 1, &error), SL_TIMED_OUT);
    gw_wire_close(&link);
    assert_non_null(strstr(error.text, "no answer in time"));
    atomic_store(&place.broker.acls_cancelled, true);
    assert_int_equal(gw_wire_open(&link, &place.broker, sl_mono_ms() + WAIT_MS, &error), SL_TIMED_OUT);
    gw_wire_close(&link);
    assert_non_null(strstr(error.text, "the gateway is stopping"));
    assert_int_equal(look_ups, 0);
    stop(&kafka);
    close_place(&place);
}

static void one_connection_is_enough(void **state)
{
    (void)state;
    struct kafka kafka = {.silent = false};
    struct place place;
    struct gw_acl_set acls;
    struct gw_quota_set quotas;
    sl_error error = {0};
    int brokers = 0;
    start(&kafka);
    open_place(&place, &kafka);
    struct gw_control *control = gw_control_create(&place.broker);
    assert_int_equal(gw_broker_acls(control, INT64_MAX, &acls, &error), SL_OK);
    assert_int_equal(gw_broker_size(control, INT64_MAX, &brokers, &error), SL_OK);
    assert_int_equal(brokers, 1);
    assert_int_equal(gw_broker_quotas(control, INT64_MAX, &quotas, &error), SL_OK);
    gw_acl_set_free(&acls);
    gw_quota_set_free(&quotas);
    gw_control_destroy(&control);
    stop(&kafka);
    assert_int_equal(kafka.connections, 1);
    close_place(&place);
}

static void what_failed_is_asked_on_another_connection(void **state)
{
    (void)state;
    struct kafka kafka = {.forbids = true};
    struct place place;
    struct gw_acl_set acls;
    sl_error error = {0};
    int brokers = 0;
    start(&kafka);
    open_place(&place, &kafka);
    struct gw_control *control = gw_control_create(&place.broker);
    assert_int_equal(gw_broker_acls(control, INT64_MAX, &acls, &error), SL_FORBIDDEN);
    assert_int_equal(gw_broker_size(control, INT64_MAX, &brokers, &error), SL_OK);
    gw_control_destroy(&control);
    stop(&kafka);
    assert_int_equal(kafka.connections, 2);
    close_place(&place);
}

static void too_much_is_called_so(void **state)
{
    (void)state;
    struct kafka kafka = {.long_acls = true};
    struct place place;
    struct gw_acl_set acls;
    sl_error error = {0};
    start(&kafka);
    open_place(&place, &kafka);
    struct gw_control *control = gw_control_create(&place.broker);
    assert_int_equal(gw_broker_acls(control, INT64_MAX, &acls, &error), SL_KAFKA);
    assert_non_null(strstr(error.text, "67108865 bytes"));
    assert_non_null(strstr(error.text, "too many access control lists"));
    gw_control_destroy(&control);
    stop(&kafka);
    close_place(&place);
}

static void a_wrong_authority_is_named(void **state)
{
    (void)state;
    char directory[SCRATCH_SIZE], file[SCRATCH_SIZE + 16];
    scratch_make(directory, "wire");
    snprintf(file, sizeof file, "%s/ca.pem", directory);
    struct kafka kafka = {.silent = true};
    struct place place;
    struct gw_wire_link link;
    sl_error error = {0};
    start(&kafka);
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
    stop(&kafka);
    close_place(&place);
}

CASES_MAIN(cmocka_unit_test(a_silent_address_leaves_the_next_its_time),
           cmocka_unit_test(no_name_is_looked_up_for_nobody), cmocka_unit_test(one_connection_is_enough),
           cmocka_unit_test(what_failed_is_asked_on_another_connection),
           cmocka_unit_test(too_much_is_called_so), cmocka_unit_test(a_wrong_authority_is_named))
