/*
 * A platform in the test's process that has nothing but blobs: lookup, tokens and blob v1, with the faults
 * that a test asks for.
 */
#ifndef TESTS_UNIT_BLOBS_H
#define TESTS_UNIT_BLOBS_H

#include "support/cases.h"

#include <pthread.h>
#include <streamlayer/streamlayer.h>

#include "web.h"

#define BLOBS_HRN   "hrn:here:data::local:test"
#define BLOBS_LAYER "layer-1"
#define BLOBS_MOST  64

struct blob {
    char handle[130];
    char *data;
    size_t size;
};

struct blobs {
    struct web *web;
    pthread_mutex_t lock;
    pthread_cond_t changed;

    /* What the test asks for. */
    bool missing;    /* lookup does not know blob v1 */
    bool held;       /* requests on blobs wait */
    int fail[8];     /* the next ones are answered so; -1: cut; 0: no more */
    int always;      /* not 0: all of them are */
    int valid_token; /* tokens before it are refused */
    bool whole;      /* ranges are not understood */

    /* What it has seen. */
    struct blob list[BLOBS_MOST];
    int count, requests, running, most_running, tokens, refused;
};

struct blobs *blobs_start(void);
void blobs_stop(struct blobs *blobs);
/* A client of it. more: HOCON laid over the settings that find it. */
sl_client *blobs_client(struct blobs *blobs, const char *more);
void blobs_wait(struct blobs *blobs, const int *what, int at_least);
int blobs_get(struct blobs *blobs, const int *what);
void blobs_release(struct blobs *blobs);
void blobs_add(struct blobs *blobs, const char *handle, const char *data, size_t size);

#endif
