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
    bool too_much;    /* producer_carries says no */
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
    size_t commits_now;       /* those that are not to hold up a poll */
    size_t refused_commits;
    sl_offset sought[64];
    size_t sought_count;
    size_t polls;
    struct { /* of the messages in next; NULL: they have a payload */
        const char *handle, *checksum;
        int64_t size;
    } blobs[64];
    size_t together; /* how many messages a poll hands out; 0: one */
    bool lost;       /* revoke says so */
    bool assign;     /* the next poll gives partitions, after a revocation; so does opening */
    int32_t share[8];
    size_t share_count;
    bool revoke_at_close;
    struct { /* what was paused and resumed; -1: all */
        int32_t partition;
        bool paused;
    } pauses[64];
    size_t pause_count;
    bool all_paused; /* polls hand out nothing */
    int64_t sought_time;
    sl_status refuse_seeks; /* what seeks are answered, SL_OK: done */
    sl_partition_position positions[8];
    size_t position_count;
    const char *statistics;     /* the connector's own; NULL: none */
    struct sl_connector *table; /* its functions, to take some away; whole again with fake_get() */
    char group[300];
    sl_start start;
    bool consumer_closed;
};

#endif
