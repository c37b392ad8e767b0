/* A Kafka broker in the test's process, on a port of 127.0.0.1, for the gateway's own client: it keeps access
 * control lists and client quotas as it is told, and lets everybody in. */
#ifndef TESTS_UNIT_FAKE_KAFKA_H
#define TESTS_UNIT_FAKE_KAFKA_H

#include "gateway/broker/acls.h"
#include "gateway/broker/internal.h"
#include "gateway/broker/quotas.h"

#include <pthread.h>
#include <stdatomic.h>

struct fake_kafka {
    /* As the test says; to be set before it begins, or between two calls of its client. */
    bool silent;                 /* it accepts connections, and never says a word */
    atomic_bool too_long;        /* its lists are said to be more than the gateway takes */
    atomic_bool forbids_looking; /* at lists */
    atomic_bool forbids_quotas;  /* to look at, or to change */
    atomic_int behind;           /* so often it says of one list what was before */
    struct fake_kafka
        *first; /* it is another broker of that one's cluster, whose lists it has; NULL: of none */
    struct fake_kafka *second; /* such a one, of this one's; NULL: none */
    int also, also_port;       /* that many more are named before all others, all at that port */

    int listener, port;
    pthread_t thread;
    atomic_int connections; /* that it has served */
    /* To be looked at between two calls. */
    pthread_mutex_t lock;
    struct gw_acl_set acls;
    struct gw_quota_set quotas;
};

void fake_kafka_start(struct fake_kafka *kafka);
void fake_kafka_stop(struct fake_kafka *kafka);
size_t fake_kafka_acls(struct fake_kafka *kafka);   /* how many there are */
size_t fake_kafka_quotas(struct fake_kafka *kafka); /* likewise */

/* A broker of the gateway's that is this one, by these settings (the caller's); it has no producer. */
void fake_kafka_broker(const struct fake_kafka *kafka, sl_config *config, struct gw_broker *broker);
void fake_kafka_broker_free(struct gw_broker *broker);

#endif
