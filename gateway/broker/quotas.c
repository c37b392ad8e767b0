#include "gateway/broker/quotas.h"

#include "base/error.h"
#include "gateway/broker/control.h"

static struct gw_wire_verdict read_quotas(struct gw_wire_reader *reader, void *out)
{
    return gw_wire_read_quotas(reader, out);
}

sl_status gw_broker_quotas(struct gw_control *control, int64_t until_ms, struct gw_quota_set *out,
                           sl_error *error)
{
    static const struct gw_control_question question = {&gw_wire_describe_quotas,
                                                        gw_wire_ask_quotas,
                                                        read_quotas,
                                                        {"look at the client quotas", "AlterConfigs"}};
    *out = (struct gw_quota_set){0};
    sl_status status = gw_control_ask(control, until_ms, &question, out, error);
    gw_quota_set_finish(out);
    if (!status && out->failed)
        status = sl_error_oom(error);
    if (status)
        gw_quota_set_free(out);
    return status;
}

sl_status gw_broker_change_quotas(struct gw_control *control, int64_t until_ms,
                                  const struct gw_quota_set *change, sl_error *error)
{
    static const struct gw_control_words words = {"set client quotas", "AlterConfigs"};
    if (!change->count)
        return SL_OK;
    sl_status status = gw_control_begin(control, until_ms, error);
    for (size_t i = 0; i < change->count && !status; i += GW_CONTROL_PORTION) {
        size_t count = change->count - i < GW_CONTROL_PORTION ? change->count - i : GW_CONTROL_PORTION;
        struct gw_wire_reader reader;
        gw_wire_set_quotas(gw_wire_ask(&control->link, gw_wire_alter_quotas), change->list + i, count);
        status = gw_wire_send(&control->link, &reader, error);
        if (!status)
            status = gw_control_judge(control, &reader, gw_wire_read_quotas_set(&reader), &words, error);
    }
    gw_control_end(control, status);
    return status;
}

static struct gw_wire_verdict read_size(struct gw_wire_reader *reader, void *out)
{
    int *brokers = out;
    struct gw_wire_verdict verdict = gw_wire_read_brokers(reader, NULL, brokers);
    reader->failed |= *brokers < 1;
    return verdict;
}

sl_status gw_broker_size(struct gw_control *control, int64_t until_ms, int *brokers, sl_error *error)
{
    static const struct gw_control_question question = {
        &gw_wire_metadata, gw_wire_ask_brokers, read_size, {"count the brokers", "Describe"}};
    return gw_control_ask(control, until_ms, &question, brokers, error);
}

bool gw_broker_keeps_quotas(const struct gw_broker *broker, int *share, double *least_out)
{
    *share = broker->direct_share;
    int64_t window_ms = broker->quota_window_ms;
    int64_t least = (GW_MESSAGE_MAX * (int64_t)1000 + window_ms - 1) / window_ms; /* rounded up */
    *least_out = (double)least;
    return broker->direct_share > 0;
}
