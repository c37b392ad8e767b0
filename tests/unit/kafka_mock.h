/* For the kafka-connector's tests: the plug-in as the library loads it, and librdkafka's mock cluster. */
#ifndef TESTS_UNIT_KAFKA_MOCK_H
#define TESTS_UNIT_KAFKA_MOCK_H

#include "client/connector.h"
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <pthread.h>

enum { MOST_OUTCOMES = 256 };

struct kafka_mock {
    void *library;
    const struct sl_connector *connector;
    rd_kafka_t *rk; /* carries the cluster */
    rd_kafka_mock_cluster_t *cluster;
    struct sl_endpoint endpoint;
    struct sl_target target;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char text[400];  /* the last failure's */
    size_t outcomes; /* how many reports came; the first so many are kept */
    struct {
        void *ticket;
        sl_status status;
        bool retriable;
        char text[200]; /* the error's, cut */
        sl_offset offset;
    } outcome[MOST_OUTCOMES];
    int revocations, assignments;
    int32_t assigned[8]; /* with the last assignment */
    size_t assigned_count;
    void (*on_revoked)(struct kafka_mock *mock, bool lost);     /* called from within; may be NULL */
    char warning[2048];                                         /* the last warning */
    void (*on_told)(struct kafka_mock *mock, const char *text); /* each line of its log; may be NULL */
};

/* For cmocka: *state is the struct. */
int kafka_mock_setup(void **state);
int kafka_mock_teardown(void **state);

struct sl_host kafka_mock_host(struct kafka_mock *mock);
/* Ticket for kafka_mock_host's delivered; waits until so many reports have come. */
void *kafka_mock_ticket(struct kafka_mock *mock, size_t number);
size_t kafka_mock_number(struct kafka_mock *mock, const void *ticket);
void kafka_mock_wait(struct kafka_mock *mock, size_t outcomes);

#endif
