/*
 * A consumer over HTTP, inside.
 *
 * One thread a consumer, the fetcher (fetch.c), keeps a poll under way and what it brings in a queue;
 * it subscribes anew when the platform has lost the subscription (subscription.c). The application's threads
 * take from the queue, commit, seek and close (consumer.c).
 */
#ifndef SL_CONNECTORS_HTTP_CONSUMER_H
#define SL_CONNECTORS_HTTP_CONSUMER_H

#include "connectors/http/internal.h"

struct sl_hc_consumer {
    /* Fixed once it is open. */
    struct sl_host host;
    struct sl_client *client;
    char *base, *layer, *hrn;
    bool extended;
    char *named_group; /* the application's, or NULL */
    char wish[33];     /* the subscription's id, where we may choose: subscribing again replaces it */
    sl_start start;
    size_t prefetch_bytes;
    int64_t max_wait_ms, join_timeout_ms, request_timeout_ms;
    pthread_t fetcher;
    /* The fetcher's own (before it runs: the opening thread's). */
    struct sl_hc_backoff backoff;
    unsigned empties;            /* polls without a message in a row */
    struct sl_hc_outage outage;  /* as the log has it */
    bool trusted;                /* the subscription has answered a poll */
    unsigned long long received; /* answers with messages, of this subscription */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under the lock. */
    char *node, *subscription; /* NULL: none */
    char *group;               /* the first answer's; fixed from then on */
    char correlation[128];     /* the last answer's */
    unsigned generation;       /* how many subscriptions there were */
    bool lost;                 /* the subscription is to be made anew */
    bool closing, stopped;     /* stopped: the fetcher is at its end */
    bool subscribing, polling; /* what the fetcher is about */
    unsigned pauses;           /* who wants no poll begun */
    struct sl_hc_chunk *first, *last;
    size_t queued_bytes; /* that wait for consumer_poll, as the chunks count them */
    int64_t next_poll_ms;
    sl_error failure; /* the latest; status SL_OK: none */
    int64_t failing_since_ms;
    unsigned failures;
    bool answered; /* to the fetcher's request */
    struct sl_http_response response;
};

/* fetch.c */

/* A signed request of the fetcher's, which sl_http_cancel(http, consumer) ends. SL_OK whenever there is an
 * HTTP status. */
sl_status sl_hc_exchange(struct sl_hc_consumer *consumer, struct sl_http_request *request,
                         struct sl_http_response *response, sl_error *error);
/* The fetcher's thread. */
void *sl_hc_fetch(void *consumer);
/* Drops what waits in the queue of these Kafka partitions (count 0: of all). Under the lock. */
void sl_hc_drop_queue(struct sl_hc_consumer *consumer, const sl_offset *partitions, size_t count);

/* subscription.c */

/* Subscribes, and notes the subscription. One try. */
sl_status sl_hc_subscribe(struct sl_hc_consumer *consumer, sl_error *error);
/* Ends the subscription, if there is one that is not lost. It is forgotten in any case. */
sl_status sl_hc_unsubscribe(struct sl_hc_consumer *consumer, sl_error *error);
/* A signed PUT with JSON to …/layers/{layer}/{what} of the subscription; waits while it is made anew, and
 * tries once more when it was gone. */
sl_status sl_hc_put(struct sl_hc_consumer *consumer, const char *what, const json_t *body, sl_error *error);
/* "{node}/layers/{layer}/{what}?subscriptionId=…&mode=serial", released with free. Under the lock. */
char *sl_hc_subscription_url(const struct sl_hc_consumer *consumer, const char *what);
void sl_hc_note_correlation(struct sl_hc_consumer *consumer, const struct sl_http_response *response);

/* consumer.c */
sl_status sl_hc_consumer_open(const struct sl_host *host, const struct sl_target *target,
                              const struct sl_consumer_settings *settings, void **consumer, sl_error *error);
sl_status sl_hc_consumer_poll(void *consumer, int timeout_ms, size_t max_messages, size_t max_bytes,
                              struct sl_batch **batch, sl_error *error);
sl_status sl_hc_consumer_commit(void *consumer, const sl_offset *offsets, size_t count, sl_error *error);
sl_status sl_hc_consumer_seek(void *consumer, const sl_offset *offsets, size_t count, sl_error *error);
sl_status sl_hc_consumer_seek_to(void *consumer, sl_start where, sl_error *error);
const char *sl_hc_consumer_group(const void *consumer);
sl_status sl_hc_consumer_close(void *consumer, sl_error *error);

#endif
