/* Passes over a cluster's access control lists and client quotas, some of which Kafka refuses. With a Kafka:
 * tests/integration/secure_test.py. */
#include "support/cases.h"

#include "base/time.h"
#include "config/settings.h"
#include "fake_kafka.h"
#include "gateway/acl_keeper_internal.h"
#include "gw_scratch.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <unistd.h>

#define ISSUER "https://login.example.com"
#define HRN    GW_HRN_PREFIX "c"

struct place {
    struct fake_kafka kafka;
    sl_config *config;
    struct gw_broker broker;
    struct gateway gateway;
    struct gw_acl_keeper *keeper;
    char directory[SCRATCH_SIZE];
};

static void must(sl_status status, const sl_error *error)
{
    if (status)
        fail_msg("%s", error->text);
}

/* As the gateway is started: it knows nothing of Kafka. */
static void begin_keeper(struct place *place)
{
    place->keeper = calloc(1, sizeof *place->keeper + sizeof *place->keeper->clusters);
    assert_non_null(place->keeper);
    place->keeper->gateway = &place->gateway;
    place->keeper->count = 1;
    pthread_mutex_init(&place->keeper->lock, NULL);
    sl_cond_init(&place->keeper->changed);
    sl_cond_init(&place->keeper->settled);
    struct gw_acl_cluster *cluster = &place->keeper->clusters[0];
    cluster->keeper = place->keeper;
    cluster->broker = &place->broker;
    gw_quotas_init(&cluster->quotas, &place->gateway, &place->broker);
}

/* The application car-7, of the issuer whose tokens Kafka takes, may read and write a layer. */
static int setup(void **state)
{
    static const struct gw_layer_spec layer = {.id = "l",
                                               .name = "l",
                                               .content_type = "text/plain",
                                               .parallelization = 1,
                                               .in_kbps = 1000,
                                               .out_kbps = 4000,
                                               .ttl_ms = 3600000};
    static const struct gw_application_spec spec = {.name = "fleet", .issuer = ISSUER, .subject = "car-7"};
    struct place *place = calloc(1, sizeof *place);
    struct gw_application made;
    struct gw_layer *linked;
    sl_error error;
    assert_non_null(place);
    *state = place;
    fake_kafka_start(&place->kafka);
    scratch_make(place->directory, "keeper");
    must(sl_config_create(&place->config, &error), &error);
    must(sl_config_set(place->config, SL_GATEWAY_ROOT "kafka.acls.issuer", ISSUER, &error), &error);
    fake_kafka_broker(&place->kafka, place->config, &place->broker);
    place->broker.direct_share = 50;
    place->broker.quota_window_ms = 10000;
    struct gateway *gateway = &place->gateway;
    must(gw_throttler_create(NULL, sl_mono_us, &gateway->throttler, &error), &error);
    must(gw_catalogs_open(place->directory, &gateway->catalogs, &error), &error);
    must(gw_catalogs_create(gateway->catalogs, "c", "c", false, NULL, &error), &error);
    must(gw_catalogs_begin_layer(gateway->catalogs, HRN, &layer, &linked, &error), &error);
    must(gw_catalogs_publish_layer(gateway->catalogs, linked, &error), &error);
    gw_layer_unlink(linked);
    must(gw_applications_open(place->directory, &gateway->applications, &error), &error);
    must(gw_applications_create(gateway->applications, &spec, &made, &error), &error);
    must(gw_applications_grant(gateway->applications, "fleet", HRN, SL_RIGHT_READ | SL_RIGHT_WRITE, 0, NULL,
                               &error),
         &error);
    must(gw_access_open(gateway->applications, NULL, NULL, &gateway->access, &error), &error);
    begin_keeper(place);
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    gw_acl_keeper_free(&place->keeper);
    gw_access_close(&place->gateway.access);
    gw_applications_close(&place->gateway.applications);
    gw_catalogs_close(&place->gateway.catalogs);
    gw_throttler_destroy(&place->gateway.throttler);
    fake_kafka_broker_free(&place->broker);
    sl_config_destroy(&place->config);
    fake_kafka_stop(&place->kafka);
    scratch_remove(place->directory);
    free(place);
    return 0;
}

/* Compares, asking Kafka or not, and puts right, for so long at most. */
static sl_status pass_within(struct place *place, bool ask, int64_t ms, sl_error *error)
{
    struct gw_acl_cluster *cluster = &place->keeper->clusters[0];
    struct gw_acl_comparison comparison;
    sl_status status = gw_acl_compare(cluster, ask, INT64_MAX, &comparison, error);
    if (status)
        return status;
    status = gw_acl_put_right(cluster, &comparison, ms < 0 ? INT64_MAX : sl_mono_ms() + ms, error);
    gw_acl_comparison_free(&comparison);
    return status;
}

static sl_status pass(struct place *place, bool ask)
{
    sl_error error = {0};
    return pass_within(place, ask, -1, &error);
}

static void remove_application(struct place *place)
{
    sl_error error;
    must(gw_applications_delete(place->gateway.applications, "fleet", &error), &error);
    must(gw_access_refresh(place->gateway.access, false, &error), &error);
}

static void start_anew(struct place *place)
{
    gw_acl_keeper_free(&place->keeper);
    atomic_store(&place->broker.acls_cancelled, false);
    begin_keeper(place);
}

/* The topic to read and to write, groups and transactions; what it has under any client id. */
static void assert_written(struct place *place)
{
    assert_int_equal(fake_kafka_acls(&place->kafka), 4);
    assert_int_equal(fake_kafka_quotas(&place->kafka), 1);
}

static void assert_nothing_left(struct place *place)
{
    assert_int_equal(fake_kafka_acls(&place->kafka), 0);
    assert_int_equal(fake_kafka_quotas(&place->kafka), 0);
}

static void a_pass_takes_one_connection(void **state)
{
    struct place *place = *state;
    assert_int_equal(pass(place, true), SL_OK);
    assert_written(place);
    assert_int_equal(place->kafka.connections, 1);
    remove_application(place);
    assert_int_equal(pass(place, false), SL_OK);
    assert_nothing_left(place);
    assert_int_equal(place->kafka.connections, 2);
}

/* Kafka's controller has a change before its brokers go by it. */
static void a_change_is_made_when_the_broker_has_it(void **state)
{
    struct place *place = *state;
    place->kafka.behind = 3;
    assert_int_equal(pass(place, true), SL_OK);
    assert_int_equal(place->kafka.behind, 0);
    assert_written(place);
    remove_application(place);
    place->kafka.behind = 3;
    assert_int_equal(pass(place, false), SL_OK);
    assert_int_equal(place->kafka.behind, 0);
    assert_nothing_left(place);
    place->kafka.behind = 3; /* nothing changes, so nobody is asked */
    assert_int_equal(pass(place, false), SL_OK);
    assert_int_equal(place->kafka.behind, 3);
}

static void each_broker_is_waited_for(void **state)
{
    struct place *place = *state;
    struct fake_kafka second = {.first = &place->kafka};
    fake_kafka_start(&second);
    place->kafka.second = &second;
    second.behind = 3;
    assert_int_equal(pass(place, true), SL_OK);
    assert_int_equal(second.behind, 0);
    fake_kafka_stop(&second);
}

/* By every pass, until it goes by the change: by others nothing is missing any more. */
static void a_broker_that_stays_behind_is_told_of(void **state)
{
    struct place *place = *state;
    struct fake_kafka second = {.first = &place->kafka};
    fake_kafka_start(&second);
    place->kafka.second = &second;
    assert_int_equal(pass(place, true), SL_OK);
    remove_application(place);
    second.behind = INT_MAX;
    char name[40];
    snprintf(name, sizeof name, "the broker localhost:%d", second.port);
    sl_error error = {0};
    for (int told = 0, bound_ms = 50; told < 2; bound_ms *= 2) { /* the other changes take what they take */
        assert_int_equal(pass_within(place, true, bound_ms, &error), SL_TIMED_OUT);
        told += strstr(error.text, name) != NULL;
    }
    assert_nothing_left(place);
    second.behind = 3;
    assert_int_equal(pass(place, true), SL_OK);
    assert_int_equal(second.behind, 0);
    second.behind = 3; /* it was seen: nobody waits for it any more */
    assert_int_equal(pass(place, true), SL_OK);
    assert_int_equal(second.behind, 3);
    fake_kafka_stop(&second);
}

/* Longer than a part of ten seconds: it is asked for the twelfth time after 654 ms at the earliest (pauses:
 * 2, 4, ... 128, 100 ms), and a sixteenth is 625. */
static void one_of_many_brokers_has_all_the_time(void **state)
{
    struct place *place = *state;
    place->kafka.also = 15;
    place->kafka.also_port = place->kafka.port;
    place->kafka.behind = 12;
    assert_int_equal(pass(place, true), SL_OK);
    assert_int_equal(place->kafka.behind, 0);
    assert_written(place);
}

static int loopback(int port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(made >= 0);
    const struct sockaddr *at = (const struct sockaddr *)&address;
    assert_int_equal(port ? connect(made, at, sizeof address) : bind(made, at, sizeof address), 0);
    return made;
}

/* Nobody accepts, and there is room for one connection, which is taken: what comes is dropped, as by a
 * firewall. Three parts of what time there is would leave the last one less than it takes. */
static void a_broker_that_drops_packets_costs_little(void **state)
{
    struct place *place = *state;
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int listener = loopback(0);
    assert_int_equal(listen(listener, 0), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    int taken = loopback(ntohs(address.sin_port));
    place->kafka.also = 3;
    place->kafka.also_port = ntohs(address.sin_port);
    place->kafka.behind = 32; /* for 2654 ms at least; a quarter of ten seconds is 2500 */
    assert_int_equal(pass(place, true), SL_OK);
    assert_int_equal(place->kafka.behind, 0);
    assert_written(place);
    close(taken);
    close(listener);
}

/* It catches up before it serves again. */
static void a_broker_that_is_away_is_not_waited_for(void **state)
{
    struct place *place = *state;
    struct fake_kafka second = {.first = &place->kafka};
    fake_kafka_start(&second);
    place->kafka.second = &second;
    fake_kafka_stop(&second);
    assert_int_equal(pass(place, true), SL_OK);
    assert_written(place);
}

/* The rights go at once; by what stays its quotas are known as ours, also to a gateway that starts then. */
static void quotas_that_cannot_be_set_are_not_forgotten(void **state)
{
    struct place *place = *state;
    assert_int_equal(pass(place, true), SL_OK);
    remove_application(place);
    place->kafka.forbids_quotas = true;
    assert_int_equal(pass(place, true), SL_FORBIDDEN);
    assert_int_equal(fake_kafka_acls(&place->kafka), 1);
    assert_int_equal(place->kafka.acls.list[0].resource, GW_ACL_GROUP);
    start_anew(place);
    assert_int_equal(pass(place, true), SL_FORBIDDEN);
    place->kafka.forbids_quotas = false;
    assert_int_equal(pass(place, true), SL_OK);
    assert_nothing_left(place);
}

/* Somebody looks (acl check) while quotas cannot be asked for, and a change follows. */
static void what_is_known_of_one_is_known_of_both(void **state)
{
    struct place *place = *state;
    struct gw_acl_comparison comparison;
    sl_error error = {0};
    assert_int_equal(pass(place, true), SL_OK);
    remove_application(place);
    start_anew(place);
    place->kafka.forbids_quotas = true;
    must(gw_acl_compare(&place->keeper->clusters[0], true, INT64_MAX, &comparison, &error), &error);
    assert_int_equal(comparison.quotas_failure.status, SL_FORBIDDEN);
    gw_acl_comparison_free(&comparison);
    place->kafka.forbids_quotas = false;
    assert_int_equal(pass(place, false), SL_OK);
    assert_nothing_left(place);
}

/* Another issuer's subject is somebody else, and so is an application of the gateway's own. */
static void who_is_not_known_to_kafka_has_no_part(void **state)
{
    struct place *place = *state;
    const struct {
        const char *issuer, *subject;
        bool known;
    } rows[] = {{"https://other", "car-7", false},
                {NULL, "car-7", false},
                {ISSUER, "CN=car-7", false},
                {ISSUER, "car-7", true}};
    bool exists;
    struct gw_layer *layer = gw_catalogs_find(place->gateway.catalogs, HRN, "l", &exists);
    assert_int_equal(pass(place, true), SL_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct gw_account account = {.issuer = rows[i].issuer, .principal = rows[i].subject};
        assert_int_equal(gw_acl_ask(place->keeper, layer, &account, true, false), rows[i].known);
    }
    assert_int_equal(pass(place, false), SL_OK);
    assert_int_equal(fake_kafka_quotas(&place->kafka), 2);
    gw_layer_unlink(layer);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(a_pass_takes_one_connection, setup, teardown),
    cmocka_unit_test_setup_teardown(a_change_is_made_when_the_broker_has_it, setup, teardown),
    cmocka_unit_test_setup_teardown(each_broker_is_waited_for, setup, teardown),
    cmocka_unit_test_setup_teardown(a_broker_that_stays_behind_is_told_of, setup, teardown),
    cmocka_unit_test_setup_teardown(one_of_many_brokers_has_all_the_time, setup, teardown),
    cmocka_unit_test_setup_teardown(a_broker_that_drops_packets_costs_little, setup, teardown),
    cmocka_unit_test_setup_teardown(a_broker_that_is_away_is_not_waited_for, setup, teardown),
    cmocka_unit_test_setup_teardown(quotas_that_cannot_be_set_are_not_forgotten, setup, teardown),
    cmocka_unit_test_setup_teardown(what_is_known_of_one_is_known_of_both, setup, teardown),
    cmocka_unit_test_setup_teardown(who_is_not_known_to_kafka_has_no_part, setup, teardown))
