/*
 * A conversation about a cluster's access control lists and quotas (acls.h), by the gateway's own Kafka
 * client, and what Kafka's verdicts mean.
 */
#ifndef GW_BROKER_CONTROL_H
#define GW_BROKER_CONTROL_H

#include "gateway/broker/acls.h"
#include "gateway/broker/wire_link.h"

struct gw_control {
    struct gw_broker *broker;
    const char *brokers; /* one of these is asked: HOST:PORT[,…]; NULL: of those that the settings name */
    struct gw_wire_link link;
    bool open;
};

/* What is asked from now on: until then (sl_mono_ms), and not for long in any case. To be ended, by what came
 * of it, whether it begins or not. error: not NULL. Errors: of gw_wire_open. */
sl_status gw_control_begin(struct gw_control *control, int64_t until_ms, sl_error *error);
/* One that failed ends the connection, too: what comes on it next is not known. */
void gw_control_end(struct gw_control *control, sl_status status);
void gw_control_hang_up(struct gw_control *control);

/* For errors: what was asked for ("make access control lists"), and the right on the cluster that it takes.
 */
struct gw_control_words {
    const char *what, *right;
};
/* What an answer comes to: SL_OK, or SL_UNSUPPORTED (the cluster has no authorizer, or does not know the
 * request), SL_FORBIDDEN (the gateway's principal lacks the right), SL_UNAVAILABLE, SL_TIMED_OUT, SL_KAFKA.
 */
sl_status gw_control_judge(const struct gw_control *control, const struct gw_wire_reader *reader,
                           struct gw_wire_verdict verdict, const struct gw_control_words *words,
                           sl_error *error);

/* One that says all by itself, and what its answer gives. */
struct gw_control_question {
    const struct gw_wire_api *api;
    void (*put)(struct sl_buffer *out);
    struct gw_wire_verdict (*read)(struct gw_wire_reader *reader, void *out);
    struct gw_control_words words;
};
/* Begins, asks that one question, whose answer is read into out, and ends. error: not NULL. Errors: of
 * gw_control_begin and gw_control_judge. */
sl_status gw_control_ask(struct gw_control *control, int64_t until_ms,
                         const struct gw_control_question *question, void *out, sl_error *error);

#define GW_CONTROL_PORTION 1000 /* changes in one request */

#endif
