/* Whether brokers go by what was changed: each answers what it has itself. */
#include "base/error.h"
#include "base/time.h"
#include "gateway/broker/control.h"

#include <stdlib.h>
#include <string.h>

#define SEE_MS       10000 /* for all brokers of a cluster */
#define CONNECT_MS   1000  /* to one: each change waits for one that drops packets */
#define PAUSE_MIN_MS 2
#define PAUSE_MAX_MS 100
#define PLACES_MAX   1048576

static sl_status ask(struct gw_control *control, const struct gw_acl *acl, int64_t until_ms, bool *found,
                     sl_error *error)
{
    static const struct gw_control_words words = {"look at access control lists", "Alter"};
    struct gw_acl_set set = {0};
    struct gw_wire_reader reader;
    sl_status status = gw_control_begin(control, until_ms, error);
    if (!status) {
        gw_wire_ask_acl(gw_wire_ask(&control->link, gw_wire_describe_acls), acl);
        status = gw_wire_send(&control->link, &reader, error);
    }
    if (!status)
        status = gw_control_judge(control, &reader, gw_wire_read_acls(&reader, &set), &words, error);
    gw_acl_set_finish(&set);
    *found = gw_acl_set_has(&set, acl);
    if (!status && set.failed)
        status = sl_error_oom(error);
    gw_acl_set_free(&set);
    gw_control_end(control, status);
    return status;
}

/* Of one broker. */
static sl_status await(struct gw_control *control, const struct gw_acl *acl, bool there, int64_t until_ms,
                       sl_error *error)
{
    for (long pause_ms = PAUSE_MIN_MS;; pause_ms = pause_ms < PAUSE_MAX_MS ? 2 * pause_ms : PAUSE_MAX_MS) {
        bool found;
        sl_status status = ask(control, acl, until_ms, &found, error);
        if (status || found == there)
            return status;
        if (!sl_remaining_ms(until_ms) || atomic_load(&control->broker->acls_cancelled))
            return sl_error_set_retriable(
                error, SL_TIMED_OUT,
                "the broker %s of the Kafka cluster %s does not go by the access control lists yet",
                control->link.place, control->broker->cluster);
        nanosleep(&(struct timespec){.tv_nsec = pause_ms * 1000000}, NULL);
    }
}

/* Of a broker that may be away, or be reached by clients only: it is to be reached until connect_ms. */
static sl_status await_at(struct gw_broker *broker, const char *place, const struct gw_acl *acl, bool there,
                          int64_t connect_ms, int64_t until_ms, sl_error *error)
{
    struct gw_control control = {.broker = broker, .brokers = place};
    sl_status status = gw_control_begin(&control, connect_ms, error);
    bool reached = !status;
    gw_control_end(&control, status);
    if (reached)
        status = await(&control, acl, there, until_ms, error);
    gw_control_hang_up(&control);
    if (status == SL_UNAVAILABLE || (status && !reached && status != SL_OUT_OF_MEMORY)) {
        SL_DEBUG(&broker->log, "kafka %s: whether a broker has the access control lists is not known: %s",
                 broker->cluster, error->text);
        return SL_OK;
    }
    return status;
}

/* Those that cannot be reached leave the others their part of the time. It is one time for what they wait
 * for: while the first is waited for, all hear of it. */
static sl_status await_each(struct gw_broker *broker, char *places, int count, const struct gw_acl *acl,
                            bool there, int64_t until_ms, sl_error *error)
{
    sl_status status = SL_OK;
    char *rest = places;
    for (char *place; !status && count > 0 && (place = strsep(&rest, ",")); count--) {
        int share_ms = sl_remaining_ms(until_ms) / count;
        int64_t connect_ms = sl_deadline_ms(share_ms < CONNECT_MS ? share_ms : CONNECT_MS);
        status = await_at(broker, place, acl, there, connect_ms, until_ms, error);
    }
    return status;
}

struct cluster {
    struct sl_buffer places;
    int count;
};

static struct gw_wire_verdict read_cluster(struct gw_wire_reader *reader, void *out)
{
    struct cluster *cluster = out;
    return gw_wire_read_brokers(reader, &cluster->places, &cluster->count);
}

sl_status gw_broker_await_acl(struct gw_control *control, const struct gw_acl *acl, bool there,
                              int64_t until_ms, sl_error *error)
{
    static const struct gw_control_question question = {
        &gw_wire_metadata, gw_wire_ask_brokers, read_cluster, {"name its brokers", "Describe"}};
    struct cluster cluster = {0};
    int64_t bound_ms = sl_mono_ms() + gw_kafka_remaining_ms(until_ms, SEE_MS);
    sl_buffer_init(&cluster.places, PLACES_MAX);
    sl_status status = gw_control_ask(control, bound_ms, &question, &cluster, error);
    if (!status && cluster.places.failed)
        status = sl_error_oom(error);
    if (!status && cluster.count > 1) {
        gw_control_hang_up(control); /* it is one of them, and not known which */
        status = await_each(control->broker, cluster.places.data, cluster.count, acl, there, bound_ms, error);
    } else if (!status) {
        status = await(control, acl, there, bound_ms, error);
    }
    sl_buffer_free(&cluster.places);
    return status;
}
