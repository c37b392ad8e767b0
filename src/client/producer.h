/* Inside a producer: shared by its options, its core (producer.c) and its transactions (transaction.c). */
#ifndef SL_CLIENT_PRODUCER_H
#define SL_CLIENT_PRODUCER_H

#include "client/client.h"
#include "client/histogram.h"
#include "client/large.h"
#include "client/statistics.h"
#include "client/tickets.h"
#include "client/trace.h"
#include "client/window.h"
#include "wire/gzip.h"
#include <pthread.h>
#include <stdatomic.h>
#include <streamlayer/producer.h>

struct sl_producer_options {
    sl_delivery_callback delivery;
    void *opaque;
    char *connector;     /* NULL: as configured */
    size_t max_messages; /* 0: as configured */
    size_t max_bytes;
    int compress;      /* -1: as configured, 0: off, 1: on */
    int statistics_ms; /* 0: none */
    sl_statistics_callback statistics;
    void *statistics_opaque;
    char *transactions; /* their name; NULL: none are made */
};

#define SL_PRODUCER_MAGIC 0x960d0ce5u

/* What was sent between two flushes, so that a flush need not wait for what came after it. */
struct sl_epoch {
    struct sl_epoch *next;
    unsigned long long number;
    size_t left; /* messages not reported yet */
};

struct sl_producer {
    unsigned magic;
    struct sl_client *client;
    const struct sl_connector *connector;
    void *state; /* the connector's */
    sl_delivery_callback delivery;
    void *opaque;
    size_t max_messages, max_bytes, max_payload;
    struct sl_trace_source traces;
    struct sl_large *large;
    bool compress; /* payloads that are not gzip yet */
    struct sl_gzip_pool gzips;
    struct sl_reporter *reporter; /* of statistics; NULL: none */
    char *hrn, *layer;
    int64_t opened_ms;

    pthread_mutex_t reporting; /* one delivery callback at a time */

    pthread_mutex_t lock;
    pthread_cond_t room;                      /* messages were reported, so there may be room */
    pthread_cond_t open;                      /* the window has room again */
    pthread_cond_t done;                      /* all of an epoch are reported */
    size_t wait_room, wait_window, wait_done; /* threads that wait for that */
    struct sl_epoch *epochs, *epoch; /* the oldest that is not done, and the one that messages are sent in */
    struct sl_tickets tickets;
    size_t queued, queued_bytes;
    struct sl_window window;
    unsigned long long traced; /* trace ids made */
    bool closing;
    size_t undelivered; /* reported as failed while closing; from 0 again when close gives up waiting */
    /* Statistics. */
    atomic_bool measuring; /* times: somebody wants to know them */
    unsigned long long sent, delivered, failed, bytes_delivered;
    /* transaction.c */
    bool transactional;
    atomic_int transaction;           /* enum sl_transaction_state */
    unsigned long long failed_before; /* failed, when it began */
    struct sl_histogram latency;
};

sl_status sl_producer_check(const struct sl_producer *producer, sl_error *error);

/* Where a producer of transactions stands. */
enum sl_transaction_state {
    SL_TRANSACTION_NONE,   /* messages are refused */
    SL_TRANSACTION_OPEN,   /* messages belong to it */
    SL_TRANSACTION_ABORTED /* Kafka has given it up; its messages are not all reported yet */
};
/* Whether a message may be sent now. */
sl_status sl_transaction_admits(const struct sl_producer *producer, sl_error *error);
/* Before closing: what is open is aborted. */
void sl_transaction_end(struct sl_producer *producer, int timeout_ms);

#endif
