/*
 * A platform in the test's process, as far as the http-connector sees one: lookup, config, tokens, ingest and
 * stream with one Kafka partition, and the faults that a test asks for. With or without our extensions.
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
};

struct platform {
    struct web *web;
    bool extended;
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
    int garbage_polls; /* the next polls are answered with what is no CBOR */

    /* What it has seen. */
    struct stored log[30000];
    size_t count;
    int requests, batches, running, most_running, tokens, refused;
    size_t largest_batch;
    int subscribes, deletes, polls, polling, seeks, commits;
    char subscription[64]; /* "": none */
    char subscribe_body[500], commit_body[500], seek_body[500], content_type[100], last_key[200];
    int64_t position, committed; /* -1: none */
    int64_t given_from;          /* where the last answer began */
    int answers;                 /* with messages, of this subscription */
    int valid_token;             /* tokens before it are refused */
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
/* Forgets its subscription, as after a restart. */
void platform_restart(struct platform *platform);

#endif
