/*
 * A platform in the test's process, as far as the http-connector sees one: lookup, config, tokens, ingest,
 * publish and stream, and the faults that a test asks for. With or without our extensions. Message i lies in
 * Kafka partition i % partitions, at offset i / partitions.
 */
#ifndef TESTS_UNIT_PLATFORM_H
#define TESTS_UNIT_PLATFORM_H

#include "support/cases.h"

#include <pthread.h>
#include <stdlib.h>
#include <streamlayer/streamlayer.h>
#include <string.h>

#include "web.h"

#define PLATFORM_HRN   "hrn:here:data::local:test"
#define PLATFORM_LAYER "layer-1"

struct stored {
    char key[64], trace[64], checksum[80], payload[64];
    size_t size;
    int64_t timestamp_ms;
    size_t headers;
    char handle[64];
    int64_t data_size;
};

#define PLATFORM_PARTITIONS 8
#define PLATFORM_MEMBERS    8

struct subscriber {
    char node[64], id[64], consumer[64]; /* node "": none */
    unsigned has, paused;                /* Kafka partitions, a bit each */
    int assignment, answers;             /* answers with messages */
    int64_t given_from[PLATFORM_PARTITIONS];
    int polls; /* under way */
    int asked; /* polls so far */
};

struct platform {
    struct web *web;
    bool extended, down;
    int partitions; /* 1 unless the test says otherwise */
    pthread_mutex_t lock;
    pthread_cond_t changed;

    /* What the test asks for. */
    bool held;   /* requests to ingest wait */
    int fail[8]; /* the next requests to ingest are answered so; -1: cut; 0: no more */
    const char *retry_after;
    int busy_records;     /* so many of the next records are refused with 503, one by one */
    const char *busy_key; /* … of this key; NULL: of any */
    size_t most_records;  /* a larger batch is 413; 0: no bound */
    size_t most_results;  /* a larger batch is ended there, as the gateway does; 0: no bound */
    int lose_polls;       /* the next polls with messages are cut after their messages are taken */
    int drop_polls;       /* the next polls after an answer with messages are cut before they are looked at */
    int poll_status;      /* not 0: polls are answered so */
    bool refuse_seeks;
    const char *warning;  /* polls are answered with it; NULL: none */
    sl_log_callback told; /* of what clients log that are made from then on; opaque: the platform */
    int late;             /* not 0: what is answered to a subscribe of consumer "1" (serial: of any) waits */
    int garbage_polls;    /* the next polls are answered with what is no CBOR */
    bool names_user;      /* lookup's URLs have a user and a password */

    /* What it has seen. */
    struct stored log[30000];
    size_t count;
    int requests, batches, running, most_running, tokens, refused;
    size_t largest_batch;
    int subscribes, deletes, polls, polling, seeks, commits;
    struct subscriber subscribers[PLATFORM_MEMBERS];
    char subscribe_body[500], commit_body[500], seek_body[500], content_type[100], last_key[200];
    char publish_body[1000], pauses[500], correlation[100], large_headers[500];
    int publishes, position_calls, lookups, tokens_held;
    int hold_tokens; /* not 0: requests for a token wait */
    size_t large;
    int64_t position[PLATFORM_PARTITIONS], committed[PLATFORM_PARTITIONS]; /* -1: none */
    int most_subscribers; /* more are 409 group-full; 0: as many as partitions */
    const char *full;     /* … or 429 with this code, and retry_after */
    int busy_subscribes; /* so many of the next subscribes of consumer "1" (serial: of any) are 429 with … */
    const char *busy;    /* … this code, and retry_after */
    int valid_token;     /* tokens before it are refused */
    bool deleted;
};

struct platform *platform_start(bool extended);
void platform_stop(struct platform *platform);
/* A client of it. more: HOCON laid over the settings that find it. */
sl_client *platform_client(struct platform *platform, const char *more);

void platform_set(struct platform *platform, int *what, int value);
int platform_get(struct platform *platform, const int *what);
void platform_wait(struct platform *platform, const int *what, int at_least);
/* Whether it comes to that within timeout_ms. */
bool platform_comes(struct platform *platform, const int *what, int at_least, int timeout_ms);
void platform_release(struct platform *platform); /* what is held */
/* Adds messages "0", "1", … to the layer, from number first on. */
void platform_write(struct platform *platform, int first, int count);
/* Forgets its subscriptions, as after a restart. */
void platform_restart(struct platform *platform);
/* A copy of one of the bodies above, which the platform's thread may be writing. */
const char *platform_body(struct platform *platform, const char *body, char out[500]);
#define BODY(platform, member) platform_body((platform), (platform)->member, (char[500]){0})
/* Gone, with all connections and subscriptions; and back at the same address. */
void platform_kill(struct platform *platform);
void platform_revive(struct platform *platform);
/* Kafka's side of a rebalance: the only subscriber loses these partitions to another member, and gets them
 * back. */
void platform_take(struct platform *platform, unsigned partitions);
void platform_give(struct platform *platform, unsigned partitions);
/* Kafka's side of another: the consumer of that id has all partitions now, from where they are committed. */
void platform_give_all(struct platform *platform, const char *consumer);

#endif
