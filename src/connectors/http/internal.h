/* Inside the http-connector. */
#ifndef SL_CONNECTORS_HTTP_INTERNAL_H
#define SL_CONNECTORS_HTTP_INTERNAL_H

#include "base/buffer.h"
#include "client/client.h"
#include "wire/record.h"
#include <pthread.h>

/* connector.c */

/* "{base}/layers/{layer}{tail}", released with free. */
char *sl_hc_layer_url(const char *base, const char *layer, const char *tail);

/* How long to wait before trying again: grows with the failures in a row, and has chance in it. */
struct sl_hc_backoff {
    int64_t first_ms, most_ms;
    uint64_t random;
};
sl_status sl_hc_backoff_init(struct sl_hc_backoff *backoff, const sl_config *config, sl_error *error);
int64_t sl_hc_backoff_ms(struct sl_hc_backoff *backoff, unsigned failures, int retry_after_ms);

/* Until signalled, or until deadline_ms (INT64_MAX: for ever). */
void sl_hc_cond_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t deadline_ms);

/* batch.c: messages of one request, on their way. Not locked: its owner is. */

struct sl_hc_entry {
    void *ticket;
    size_t start;        /* of its record in the body */
    size_t payload_size; /* what the queue counts */
    int64_t deadline_ms;
    uint64_t key;   /* a hash; equal for equal partition ids */
    uint64_t trace; /* a hash of the trace id sent */
};

/* What a request's body is. */
enum sl_hc_kind {
    SL_HC_RECORDS,  /* a batch (our extension) */
    SL_HC_PAYLOAD,  /* one message's payload */
    SL_HC_PARTITION /* one message's metadata, for the publish API: its payload is a blob */
};

struct sl_hc_field {
    char *name, *value;
};

struct sl_hc_batch {
    struct sl_hc_batch *next;
    struct sl_buffer body;
    struct sl_hc_entry *entries;
    size_t first, count, capacity; /* entries before first are done with */
    bool closed;                   /* takes no more */
    enum sl_hc_kind kind;
    struct sl_hc_field *fields; /* of one message alone: what the body does not say, as headers */
    size_t field_count;
};

uint64_t sl_hc_hash(const void *data, size_t size);
struct sl_hc_batch *sl_hc_batch_create(void);
void sl_hc_batch_free(struct sl_hc_batch *batch);
/* Ready for new messages; its memory is kept. */
void sl_hc_batch_reset(struct sl_hc_batch *batch);
/* Appends one record; false, and the batch as before, when memory is out. */
bool sl_hc_batch_add(struct sl_hc_batch *batch, const struct sl_message *message,
                     const struct sl_hc_entry *entry);
/* Makes it the batch of this one message. false: out of memory. */
bool sl_hc_batch_set_payload(struct sl_hc_batch *batch, const struct sl_message *message,
                             const struct sl_hc_entry *entry);
bool sl_hc_batch_set_partition(struct sl_hc_batch *batch, const struct sl_message *message,
                               const struct sl_hc_entry *entry);
/* The bytes of what is not done with. */
const char *sl_hc_batch_body(const struct sl_hc_batch *batch, size_t *size);
/* Keeps those of the entries from first on for which keep (counted from first) says so. */
void sl_hc_batch_keep(struct sl_hc_batch *batch, const bool *keep);
/* Moves the latter half into a batch of its own; NULL: out of memory. */
struct sl_hc_batch *sl_hc_batch_split(struct sl_hc_batch *batch);

/* answer.c: what the platform answered to a batch of several. */

struct sl_hc_answer {
    struct sl_arena *arena;    /* of the results' texts */
    struct sl_result *results; /* of the batch's entries from first on */
    size_t count;              /* fewer than entries: the answer ended early */
    bool *again;               /* as long as entries: to be sent again */
    bool any_again;
    bool stopped; /* the platform has looked at the first ones only; the rest may go at once */
};
/* SL_PROTOCOL when the answer cannot be read to its end (what came before is in it), SL_OUT_OF_MEMORY. */
sl_status sl_hc_answer_read(struct sl_hc_answer *answer, const struct sl_hc_batch *batch, const void *data,
                            size_t size, sl_error *error);
void sl_hc_answer_free(struct sl_hc_answer *answer);
/* The error that a result means; SL_OK when the message was written. */
sl_status sl_hc_result_error(const struct sl_result *result, sl_error *error);

/* outage.c: trouble told once, then at most every 30 s with the count, and once that it is over. One thread
 * at a time. */

struct sl_hc_outage {
    int64_t said_ms;   /* 0: never */
    unsigned failures; /* since then */
    bool told;         /* and not that it is over */
};
/* what: "sending messages". */
void sl_hc_outage_note(struct sl_hc_outage *outage, const struct sl_log *log, const char *what,
                       const sl_error *error);
void sl_hc_outage_over(struct sl_hc_outage *outage, const struct sl_log *log, const char *what);

/* producer.c */

#define SL_HC_LARGEST 20971520 /* bytes of payload that one call of ingest takes */
sl_status sl_hc_producer_open(const struct sl_host *host, const struct sl_target *target,
                              const struct sl_producer_settings *settings, void **opened, sl_error *error);
bool sl_hc_producer_carries(const void *opaque, const struct sl_message *message);
sl_status sl_hc_producer_send(void *opaque, const struct sl_message *message, void *ticket, sl_error *error);
bool sl_hc_producer_statistics(void *producer, struct sl_buffer *json);
void sl_hc_producer_close(void *opaque);

/* chunk.c: the messages of one answer to a poll, handed out piece by piece. */

struct sl_hc_member;

struct sl_hc_chunk {
    struct sl_hc_chunk *next;
    struct sl_hc_member *member; /* whose poll brought it */
    int references;              /* atomic: the queue's, each piece's, and each part's */
    struct sl_hc_chunk *origin;  /* of a part: the chunk whose memory its messages point into */
    char *body;                  /* what the messages point into; NULL: all in the arena */
    struct sl_arena *arena;
    struct sl_message *messages;
    size_t count, capacity;
    size_t handed; /* messages before it are with the application */
    size_t bytes;  /* that those take which are not: weight, keys, headers and the messages themselves */
};
/* Reads an answer; takes its bytes. *chunk is NULL when it has no message. */
sl_status sl_hc_chunk_read(struct sl_http_response *response, bool cbor, struct sl_hc_chunk **made,
                           sl_error *error);
void sl_hc_chunk_unlink(struct sl_hc_chunk *chunk); /* NULL is allowed */
/* The next piece as a batch that shares the chunk's memory. NULL: out of memory. */
struct sl_batch *sl_hc_chunk_hand(struct sl_hc_chunk *chunk, size_t max_messages, size_t max_bytes);
/* Chooses messages by their Kafka partition. */
typedef bool sl_hc_choice(const void *opaque, int32_t partition);
/* Forgets the chosen ones of what is not handed out; whether anything is left. */
bool sl_hc_chunk_drop(struct sl_hc_chunk *chunk, sl_hc_choice *chosen, const void *opaque);
/* Moves the chosen ones of what is not handed out to a chunk of their own; *part is NULL when there are none.
 * false: out of memory, and the chunk as it was. */
bool sl_hc_chunk_part(struct sl_hc_chunk *chunk, sl_hc_choice *chosen, const void *opaque,
                      struct sl_hc_chunk **part);
/* The offset of the first message of a Kafka partition that is not handed out; -1: none. */
int64_t sl_hc_chunk_next(const struct sl_hc_chunk *chunk, int32_t partition);

/* statistics.c */

struct sl_hc_traffic {
    unsigned long long requests, retries, sent_bytes, received_bytes;
    unsigned long long statuses[6]; /* by class; 0: no answer */
    char correlation[128];          /* the last answer's that had one */
};
/* Counts one exchange. The owner's lock is held. */
void sl_hc_traffic_count(struct sl_hc_traffic *traffic, const struct sl_http_response *response);
/* Appends the members "requests":…, to an object that is open. */
bool sl_hc_traffic_json(const struct sl_hc_traffic *traffic, struct sl_buffer *json);

#endif
