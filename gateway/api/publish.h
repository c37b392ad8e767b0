/* What publish v2's files share: messages read from JSON, publications, and the writing of both. */
#ifndef GW_API_PUBLISH_H
#define GW_API_PUBLISH_H

#include "gateway/gateway_internal.h"
#include "wire/record.h"

/* The messages of one request, for one layer. Where message.offset is set Kafka has it. */
struct gw_partitions {
    struct gw_partitions *next;
    struct gateway *gateway;
    struct gw_layer *layer; /* linked */
    struct sl_arena *arena; /* what the messages are made of */
    struct sl_message *list;
    size_t count, reserved;
    /* Where repeats are to be known (broker/repeats.h): whose messages they are, a text that must stay until
     * they are written, and the payloads' SHA-256, hex. hashes NULL: each is written, whatever was before. */
    const char *application;
    char (*hashes)[65];
};

/* Empty, with bytes reserved for what will be in it. Takes the layer's link. NULL: no memory, or too much of
 * it is in flight. */
struct gw_partitions *gw_partitions_new(struct gateway *gateway, struct gw_layer *layer, size_t bytes);

/*
 * partitions.c: reads {"partitions":[…]}, all of it or nothing, and looks for the blobs that it names. The
 * layer's link is taken. NULL: the request is answered. Blocks: on a worker.
 */
struct gw_partitions *gw_partitions_read(struct gw_request *request, struct gw_layer *layer);
void gw_partitions_free(struct gw_partitions *partitions); /* and those that follow */

/* publish_write.c: writes what is not written yet, in order (one that waits for its repeat comes later). done
 * is called on the loop, once; partitions must stay until then. The application pays at the layers'
 * throttles, for each request's messages at once, before the first of them is written; where that would make
 * it wait for too long in all, the status is SL_THROTTLED. Loop's thread. */
struct gw_publishing {
    void (*done)(struct gw_publishing *publishing);
    struct gw_meter *meter; /* counts what is written; the caller's, or NULL */
    sl_status status;       /* results */
    bool retriable;
    int after_s; /* SL_THROTTLED: when to come again */
    char text[256];
    size_t written;
    struct writing *writing; /* its own: NULL when it has ended */
};
sl_status gw_publish_write(struct gateway *gateway, struct gw_loop *loop, const char *application,
                           struct gw_partitions *partitions, struct gw_publishing *publishing);
/* Answers what a publishing that failed came to; count: of all messages that were to be written. */
void gw_publish_respond_failure(struct gw_request *request, const struct gw_publishing *publishing,
                                size_t count);
/* The loop is about to end: does not wait for room in Kafka's queue any more. done may be called from within.
 * Loop's thread. */
void gw_publish_give_up(struct gw_publishing *publishing);

/* publications.c: publications, by their ids, in memory. Any thread. */
struct gw_publications;
struct gw_publication; /* counted by references */

enum gw_publication_state { GW_PUBLICATION_OPEN, GW_PUBLICATION_SUBMITTING, GW_PUBLICATION_DONE };
#define GW_PUBLICATION_MAX_MS 3600000

/* max_of_one: of one application. */
sl_status gw_publications_create(size_t max, size_t max_of_one, struct gw_budget *budget,
                                 struct gw_publications **out, sl_error *error);
/* From now on; what is there stays. Any thread. */
void gw_publications_set_max(struct gw_publications *publications, size_t max, size_t max_of_one);
void gw_publications_destroy(struct gw_publications **out);
/* layer_ids is taken, an array of texts. Errors: SL_THROTTLED (the application has as many as it may),
 * SL_QUEUE_FULL (there are as many as there may be), SL_OUT_OF_MEMORY. */
sl_status gw_publications_begin(struct gw_publications *publications, const char *application,
                                const char *hrn, json_t *layer_ids, int64_t now_ms,
                                struct gw_publication **out, sl_error *error);
/* Linked; NULL: there is none of that application and catalog. */
struct gw_publication *gw_publications_find(struct gw_publications *publications, const char *id,
                                            const char *application, const char *hrn, int64_t now_ms);
void gw_publications_remove(struct gw_publications *publications, struct gw_publication *publication);
/* Gives up those of an application on catalogs that it does not keep. What is just being submitted is
 * written. */
void gw_publications_end(struct gw_publications *publications, const char *application,
                         bool (*keeps)(const void *opaque, const char *hrn), const void *opaque);
void gw_publications_expire(struct gw_publications *publications, int64_t now_ms);
void gw_publication_unlink(struct gw_publications *publications, struct gw_publication *publication);

/* As the API shows it: a new reference; NULL: no memory. */
json_t *gw_publication_json(struct gw_publications *publications, struct gw_publication *publication);
/* Its layers' ids, from 0; NULL: no more. */
const char *gw_publication_layer(const struct gw_publication *publication, size_t index);
bool gw_publication_has_layer(const struct gw_publication *publication, const char *layer);
/* Takes the partitions. Errors (nothing is taken): SL_CONFLICT (it is submitted), SL_THROTTLED (the
 * application's share of all publications' memory), SL_QUEUE_FULL (all of it). */
sl_status gw_publication_add(struct gw_publications *publications, struct gw_publication *publication,
                             struct gw_partitions *partitions, sl_error *error);
/* OPEN becomes SUBMITTING, and what is to be written is the caller's until gw_publication_submitted. The
 * state that it had. */
enum gw_publication_state gw_publication_submit(struct gw_publications *publications,
                                                struct gw_publication *publication,
                                                struct gw_partitions **partitions);
/* Another submit of one that is being submitted: waits for the same outcome. False: it has just ended. */
struct gw_submitter {
    struct gw_submitter *next;
    struct gw_request *request;
};
bool gw_publication_join(struct gw_publications *publications, struct gw_publication *publication,
                         struct gw_submitter *submitter);
/* Ends the submit: DONE, or OPEN again with the partitions in it. Those who joined are handed over. */
void gw_publication_submitted(struct gw_publications *publications, struct gw_publication *publication,
                              struct gw_partitions *partitions, bool whole, struct gw_submitter **joined);

#endif
