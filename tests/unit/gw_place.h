/* The gateway's subscriptions on librdkafka's mock cluster, and calls on them that are waited for. */
#ifndef TESTS_UNIT_GW_PLACE_H
#define TESTS_UNIT_GW_PLACE_H

#include "support/cases.h"

#include <pthread.h>

#include "gateway/broker/subscription.h"

#include <librdkafka/rdkafka_mock.h> /* needs rdkafka.h before it */

#define WAIT_MS  60000
#define MESSAGES 40 /* that open_place writes, over both partitions */

struct place {
    rd_kafka_t *owner;
    rd_kafka_mock_cluster_t *cluster;
    sl_config *config;
    struct gw_server *server;
    struct gw_budget *budget;
    struct gw_brokers *brokers;
    struct gw_broker *broker; /* the default one */
    struct gw_workers *workers;
    struct gw_subscriptions *subscriptions;
    struct gw_layer_counters counters;
    struct gw_layer layer;
    struct gw_layer *layers[8]; /* others of its kind */
    size_t layer_count;
};

void tell(int *done); /* one more */
void await(const int *done, int count);

void open_place(struct place *place);
/* With a limit set, unless NULL. */
void open_place_with(struct place *place, const char *limit, const char *value);
void close_place(struct place *place);
sl_offset write_one(struct place *place, const char *key, const char *payload, size_t size);

struct subscribing {
    struct gw_subscribe ask; /* first */
    int done;
};

void subscribed(struct gw_subscribe *ask);
/* Of the application a in the group g. */
sl_status subscribe(struct place *place, struct gw_subscription **subscription);
sl_status subscribe_from(struct place *place, bool earliest, struct gw_subscription **subscription);

struct polling {
    struct gw_poll poll; /* first */
    int *seen;           /* by partition and offset: how often; of those that open_place wrote */
    int done, released;
};

bool add(struct gw_poll *poll, const struct sl_message *message);
void polled(struct gw_poll *poll);
void released(struct gw_poll *poll);
sl_status poll_once(struct gw_subscription *subscription, size_t max, int *seen, size_t *count);

struct changing {
    struct gw_change change; /* first */
    int done;
};

void changed_it(struct gw_change *change);
void let_go_of_it(struct gw_change *change);
sl_status change(struct gw_subscription *subscription, enum gw_change_kind kind);
sl_status seek_to_end(struct gw_subscription *subscription);
sl_status commit_one(struct gw_subscription *subscription, sl_offset offset);
int positions(struct gw_subscription *subscription, sl_partition_position list[GW_PARTITIONS_MAX]);
bool outlives_its_idle_time(struct gw_subscription *subscription);

#endif
