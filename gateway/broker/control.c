#include "gateway/broker/control.h"

#include "base/error.h"
#include "base/time.h"

#include <stdlib.h>

#define TIMEOUT_MS 10000 /* for all that one call asks */

struct gw_control *gw_control_create(struct gw_broker *broker)
{
    struct gw_control *control = calloc(1, sizeof *control);
    if (control)
        control->broker = broker;
    return control;
}

void gw_control_hang_up(struct gw_control *control)
{
    if (control->open)
        gw_wire_close(&control->link);
    control->open = false;
}

void gw_control_destroy(struct gw_control **control)
{
    if (*control)
        gw_control_hang_up(*control);
    free(*control);
    *control = NULL;
}

sl_status gw_control_begin(struct gw_control *control, int64_t until_ms, sl_error *error)
{
    int64_t bound_ms = sl_mono_ms() + gw_kafka_remaining_ms(until_ms, TIMEOUT_MS);
    if (control->open) {
        control->link.until_ms = bound_ms;
        return SL_OK;
    }
    control->open = true;
    const char *brokers = control->brokers ? control->brokers : control->broker->own.brokers;
    return gw_wire_open(&control->link, control->broker, brokers, bound_ms, error)
               ? gw_broker_explain(control->broker, error)
               : SL_OK;
}

void gw_control_end(struct gw_control *control, sl_status status)
{
    if (status)
        gw_control_hang_up(control);
}

sl_status gw_control_judge(const struct gw_control *control, const struct gw_wire_reader *reader,
                           struct gw_wire_verdict verdict, const struct gw_control_words *words,
                           sl_error *error)
{
    const struct gw_broker *broker = control->broker;
    if (reader->failed)
        return sl_error_set(
            error, SL_KAFKA,
            "%s did not %s: its answer is cut short, or is none of Kafka's (look at %s.brokers)",
            control->link.place, words->what, broker->root);
    switch (verdict.code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return SL_OK;
    case RD_KAFKA_RESP_ERR_SECURITY_DISABLED:
        return sl_error_set(
            error, SL_UNSUPPORTED,
            "the Kafka cluster %s has no authorizer, so it keeps no access control lists: set "
            "authorizer.class.name on its brokers (streamlayer up --secure does), or %s.acls.enabled = false",
            broker->cluster, broker->root);
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION:
        return sl_error_set(error, SL_UNSUPPORTED,
                            "the Kafka cluster %s is too old to %s: Kafka 2.6 or later can, or set "
                            "%s.quotas.enabled = false",
                            broker->cluster, words->what, broker->root);
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
        return sl_error_set(error, SL_FORBIDDEN,
                            "the gateway may not %s of the Kafka cluster %s: its principal needs %s on the "
                            "cluster (kafka-acls --add --cluster --operation %s)",
                            words->what, broker->cluster, words->right, words->right);
    default:
        return gw_kafka_error((rd_kafka_resp_err_t)verdict.code, verdict.text, words->what, broker->cluster,
                              error);
    }
}

sl_status gw_control_ask(struct gw_control *control, int64_t until_ms,
                         const struct gw_control_question *question, void *out, sl_error *error)
{
    struct gw_wire_reader reader;
    sl_status status = gw_control_begin(control, until_ms, error);
    if (!status) {
        question->put(gw_wire_ask(&control->link, *question->api));
        status = gw_wire_send(&control->link, &reader, error);
    }
    if (!status) {
        struct gw_wire_verdict verdict = question->read(&reader, out);
        status = gw_control_judge(control, &reader, verdict, &question->words, error);
    }
    gw_control_end(control, status);
    return status;
}
