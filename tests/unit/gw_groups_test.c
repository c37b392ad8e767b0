/* Consumer groups, asked of a Kafka that takes connections and never answers. */
#include "support/cases.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/time.h"
#include "config/settings.h"
#include "gateway/broker/groups.h"
#include "gateway/broker/internal.h"

struct place {
    int listener;
    pthread_mutex_t lock;
    char said[8000]; /* by the broker */
    sl_config *config;
    struct gw_broker *broker;
    struct gw_layer layer;
    char topic[8];
};

static void note_said(void *opaque, sl_log_level level, const char *text)
{
    struct place *place = opaque;
    pthread_mutex_lock(&place->lock);
    size_t size = strlen(place->said);
    if (level <= SL_LOG_WARNING)
        snprintf(place->said + size, sizeof place->said - size, "%s\n", text);
    pthread_mutex_unlock(&place->lock);
}

static bool was_said(struct place *place, const char *text)
{
    pthread_mutex_lock(&place->lock);
    bool said = strstr(place->said, text) != NULL;
    pthread_mutex_unlock(&place->lock);
    return said;
}

static void open_place(struct place *place)
{
    const struct sl_log log = {.callback = note_said, .opaque = place, .level = SL_LOG_WARNING};
    sl_error error;
    char brokers[40];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    memset(place, 0, sizeof *place);
    pthread_mutex_init(&place->lock, NULL);
    place->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(place->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(place->listener, 1000), 0);
    assert_int_equal(getsockname(place->listener, (struct sockaddr *)&address, &size), 0);
    snprintf(brokers, sizeof brokers, "127.0.0.1:%d", ntohs(address.sin_port));
    if (sl_config_create(&place->config, &error) ||
        sl_config_set(place->config, SL_GATEWAY_ROOT "kafka.brokers", brokers, &error) ||
        gw_broker_open(place->config, GW_CLUSTER_DEFAULT, &log, NULL, &place->broker, &error))
        fail_msg("%s", error.text);
    strcpy(place->topic, "t");
    place->layer.topic = place->topic;
    place->layer.parallelization = 2;
}

static void close_place(struct place *place)
{
    gw_broker_close(&place->broker, 100);
    sl_config_destroy(&place->config);
    close(place->listener);
    pthread_mutex_destroy(&place->lock);
}

struct call {
    struct place *place;
    pthread_t thread;
    int64_t until_ms;
    sl_status status;
    sl_error error;
};

static void *reset(void *opaque)
{
    struct call *call = opaque;
    const struct gw_reset to = {.to = GW_RESET_END, .all = true};
    struct gw_group group;
    call->status = gw_group_reset(call->place->broker, &call->place->layer, "a.g", &to, call->until_ms,
                                  &group, &call->error);
    gw_group_clear(&group);
    return NULL;
}

static void *list(void *opaque)
{
    struct call *call = opaque;
    struct gw_group *groups;
    size_t count;
    call->status = gw_groups_list(call->place->broker, &call->place->layer, "a.", call->until_ms, &groups,
                                  &count, &call->error);
    gw_groups_free(groups, count);
    return NULL;
}

/* The calls that Kafka does not answer end, with their handles; one too many is told at once. */
static void silent_kafka(void **state)
{
    (void)state;
    struct place place;
    struct call calls[GW_GROUP_CALLS_MAX], more = {.place = &place};
    struct gw_group group;
    memset(calls, 0, sizeof calls);
    open_place(&place);
    for (int i = 0; i < GW_GROUP_CALLS_MAX; i++) {
        calls[i].place = &place;
        calls[i].until_ms = sl_mono_ms() + 1000;
        assert_int_equal(pthread_create(&calls[i].thread, NULL, i % 2 ? list : reset, &calls[i]), 0);
    }
    for (int i = 0; i < GW_GROUP_CALLS_MAX; i++) {
        pthread_join(calls[i].thread, NULL);
        assert_int_equal(calls[i].status, SL_TIMED_OUT);
        assert_true(calls[i].error.retriable);
    }
    assert_int_equal(atomic_load(&place.broker->group_calls), 0);
    /* The last that may ask, and one more: as many as others have begun, whatever a call takes. */
    atomic_store(&place.broker->group_calls, GW_GROUP_CALLS_MAX - 1);
    more.until_ms = sl_mono_ms() + 1;
    list(&more);
    assert_int_equal(more.status, SL_TIMED_OUT);
    assert_int_equal(atomic_load(&place.broker->group_calls), GW_GROUP_CALLS_MAX - 1);
    atomic_store(&place.broker->group_calls, GW_GROUP_CALLS_MAX);
    list(&more);
    assert_int_equal(more.status, SL_QUEUE_FULL);
    assert_int_equal(gw_group_describe(place.broker, &place.layer, "a.g", INT64_MAX, &group, &more.error),
                     SL_QUEUE_FULL);
    assert_true(more.error.retriable);
    assert_string_equal(group.name, "a.g");
    gw_group_clear(&group);
    assert_int_equal(atomic_load(&place.broker->group_calls), GW_GROUP_CALLS_MAX);
    atomic_store(&place.broker->group_calls, 0);
    close_place(&place);
}

/* Who reads what is on the Marketplace may know neither the topic nor where Kafka is: the log does. Others
 * are told. */
static void what_is_on_the_marketplace_is_not_named(void **state)
{
    (void)state;
    struct place place;
    struct gw_group_partition bounds[GW_PARTITIONS_MAX];
    struct gw_group group;
    open_place(&place);
    strcpy(place.topic, "hidden");
    place.layer.id = "l";
    place.layer.hrn = "hrn:here:data::local:c";
    for (int marketplace = 0; marketplace < 2; marketplace++) {
        sl_error errors[2];
        place.layer.marketplace = marketplace;
        assert_int_not_equal(
            gw_layer_bounds(place.broker, &place.layer, sl_mono_ms() + 300, bounds, &errors[0]), SL_OK);
        assert_int_not_equal(
            gw_group_describe(place.broker, &place.layer, "a.g", sl_mono_ms() + 300, &group, &errors[1]),
            SL_OK);
        gw_group_clear(&group);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(!strstr(errors[i].text, "127.0.0.1"), marketplace);
            assert_int_equal(!strstr(errors[i].text, "the Kafka cluster"), marketplace);
            assert_non_null(strstr(errors[i].text, "does not answer: Kafka did not "));
            assert_true(errors[i].retriable);
        }
        assert_int_equal(!strstr(errors[0].text, "hidden"), marketplace);
        assert_int_equal(!strstr(errors[0].text, "layer l: "), !marketplace);
        assert_int_equal(was_said(&place,
                                  "layer l of hrn:here:data::local:c (topic hidden): the Kafka cluster "
                                  "\"default\" (127.0.0.1:"),
                         marketplace);
    }
    close_place(&place);
}

CASES_MAIN(cmocka_unit_test(silent_kafka), cmocka_unit_test(what_is_on_the_marketplace_is_not_named))
