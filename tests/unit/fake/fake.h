/*
 * A connector that does as a test says: loaded by the core as the kafka-connector plug-in, steered through
 * the struct that fake_control() returns. It keeps accepted tickets until the test reports them.
 */
#ifndef TESTS_FAKE_H
#define TESTS_FAKE_H

#include "client/connector.h"
#include <pthread.h>

#define FAKE_TICKETS 1000

struct fake {
    pthread_mutex_t lock;
    /* producer */
    struct sl_host host;
    void *tickets[FAKE_TICKETS];
    size_t ticket_count;
    char last_trace[200], last_partition[200];
    sl_status refuse; /* what producer_send answers, SL_OK: accepts */
    size_t refusals;  /* how often it still does; 0 with refuse set: always */
    bool producer_closed;
    struct { /* what was accepted, the first of it, in order */
        char partition[64], handle[64], checksum[65];
        int64_t data_size;
        bool payload;
    } sent[64];
    size_t sent_count;
    /* consumer */
    sl_offset next[64]; /* what polls hand out, one message each */
    size_t next_count, handed;
    bool revoke; /* the next poll takes all partitions away first */
    sl_offset committed[64];
    size_t committed_count;
    sl_status refuse_commits; /* what commits are answered, SL_OK: taken */
    size_t refused_commits;
    sl_offset sought[64];
    size_t sought_count;
    size_t polls;
    char group[300];
    sl_start start;
    bool consumer_closed;
};

#endif
