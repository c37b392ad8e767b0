/*
 * The requests of Kafka's that the gateway speaks itself, since librdkafka 2.0.2 does not: client quotas, and
 * access control lists of transactional ids, too. Bodies only; wire_link.h carries them. Answers are read as
 * a stranger's.
 */
#ifndef GW_BROKER_WIRE_REQUESTS_H
#define GW_BROKER_WIRE_REQUESTS_H

#include "gateway/broker/acls.h"
#include "gateway/broker/quotas.h"
#include "gateway/broker/wire_codec.h"

/* Versions that Kafka has from 2.6 on and still has in 4. */
struct gw_wire_api {
    int16_t key, version;
};
extern const struct gw_wire_api gw_wire_metadata, gw_wire_sasl_handshake, gw_wire_sasl_authenticate,
    gw_wire_describe_acls, gw_wire_create_acls, gw_wire_delete_acls, gw_wire_describe_quotas,
    gw_wire_alter_quotas;

/* What Kafka says of a request: the first error in its answer. */
struct gw_wire_verdict {
    int16_t code;     /* Kafka's; 0: none */
    const char *text; /* in the answer's bytes; NULL: it says no more */
};

/* Bodies. Failures are latched in the buffer. */
void gw_wire_ask_brokers(struct sl_buffer *out);
void gw_wire_ask_acls(struct sl_buffer *out);
/* For that one alone. */
void gw_wire_ask_acl(struct sl_buffer *out, const struct gw_acl *acl);
void gw_wire_make_acls(struct sl_buffer *out, const struct gw_acl *list, size_t count);
void gw_wire_take_acls(struct sl_buffer *out, const struct gw_acl *list, size_t count);
void gw_wire_ask_quotas(struct sl_buffer *out);
void gw_wire_set_quotas(struct sl_buffer *out, const struct gw_quota *list, size_t count);
void gw_wire_ask_handshake(struct sl_buffer *out, const char *mechanism);
void gw_wire_ask_authenticate(struct sl_buffer *out, const struct sl_buffer *message);

/* Answers: to be looked at when the reader has not failed. */
/* places: where they are is appended, as settings have it: HOST:PORT[,…], as many as count says; NULL: that
 * is not wanted. */
struct gw_wire_verdict gw_wire_read_brokers(struct gw_wire_reader *reader, struct sl_buffer *places,
                                            int *count);
/* Adds to the set, which is not finished; so does gw_wire_read_quotas. */
struct gw_wire_verdict gw_wire_read_acls(struct gw_wire_reader *reader, struct gw_acl_set *set);
struct gw_wire_verdict gw_wire_read_made(struct gw_wire_reader *reader);
struct gw_wire_verdict gw_wire_read_taken(struct gw_wire_reader *reader);
struct gw_wire_verdict gw_wire_read_quotas(struct gw_wire_reader *reader, struct gw_quota_set *set);
struct gw_wire_verdict gw_wire_read_quotas_set(struct gw_wire_reader *reader);
/* offered: the mechanisms that the broker has, separated by commas. */
struct gw_wire_verdict gw_wire_read_handshake(struct gw_wire_reader *reader, struct sl_buffer *offered);
struct gw_wire_verdict gw_wire_read_authenticate(struct gw_wire_reader *reader, const void **said,
                                                 size_t *size);

#endif
