/*
 * A connection to a Kafka cluster for the requests that librdkafka has not (wire_requests.h): any broker will
 * do, which hands on what is the controller's. Blocks, until a deadline at most, and a little longer where a
 * name has to be resolved.
 */
#ifndef GW_BROKER_WIRE_LINK_H
#define GW_BROKER_WIRE_LINK_H

#include "gateway/broker/wire_requests.h"
#include "gateway/broker/wire_settings.h"

#include <openssl/ssl.h>

#define GW_WIRE_ANSWER_MAX 67108864 /* bytes: access control lists come all at once */

struct gw_wire_link {
    struct gw_broker *broker;
    int64_t until_ms; /* sl_mono_ms() */
    struct gw_wire_settings settings;
    char place[300]; /* the broker that it speaks with, as the settings name it */
    int fd;
    SSL_CTX *context;
    SSL *tls;
    int32_t calls;
    struct sl_buffer question, answer;
};

/* brokers: to one of these, HOST:PORT[,…]. To be closed whether it succeeds or not. Ends early when the
 * broker's acls_cancelled becomes true. Errors: SL_BAD_CONFIG, SL_UNAVAILABLE, SL_TIMED_OUT, SL_KAFKA (it
 * does not let the gateway in), SL_OUT_OF_MEMORY.
 */
sl_status gw_wire_open(struct gw_wire_link *link, struct gw_broker *broker, const char *brokers,
                       int64_t until_ms, sl_error *error);
void gw_wire_close(struct gw_wire_link *link);

/* Begins a question: its body follows into the buffer. */
struct sl_buffer *gw_wire_ask(struct gw_wire_link *link, struct gw_wire_api api);
/* Sends it and reads the answer, over whose body reader then goes, until the next question. Errors: likewise.
 */
sl_status gw_wire_send(struct gw_wire_link *link, struct gw_wire_reader *reader, sl_error *error);

#endif
