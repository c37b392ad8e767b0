/*
 * What the integration suite's programs share. The suite uses the public API only, against the platform that
 * CTest started (STREAMLAYER_TEST_PLATFORM names its directory), with the connectors that SL_TEST_PRODUCER
 * and SL_TEST_CONSUMER name. Every helper here fails the running case when something is not as it must be.
 */
#ifndef TESTS_INTEGRATION_SUITE_H
#define TESTS_INTEGRATION_SUITE_H

#include "support/cases.h"
#include <pthread.h>
#include <stdlib.h>
#include <streamlayer/streamlayer.h>

#define WAIT_MS 60000 /* longer than anything takes; what is waited for is a condition */

/* Fails with the error's text unless the call's status is SL_OK. */
#define must(call, error) must_(call, error, #call, __FILE__, __LINE__)
void must_(sl_status status, const sl_error *error, const char *what, const char *file, int line);

/* Fails unless the call's status is the one wanted and the error says so and has a text. */
#define must_fail(call, wanted, error) must_fail_(call, wanted, error, #call, __FILE__, __LINE__)
void must_fail_(sl_status status, sl_status wanted, const sl_error *error, const char *what, const char *file,
                int line);

/* Fails unless the text holds the piece. */
#define assert_says(text, piece) assert_says_(text, piece, __FILE__, __LINE__)
void assert_says_(const char *text, const char *piece, const char *file, int line);

const char *producer_connector(void);
const char *consumer_connector(void);
/* A value of the platform's env file: "URL", "BROKERS", "CONFIG", "BIN". */
const char *platform_value(const char *name);

/* The platform's configuration with the connectors under test; the caller destroys it. */
sl_config *config_make(void);
sl_client *client_make(void);
sl_client *client_make_with(const char *path, const char *value);
/* With several settings: path, value, …, NULL. */
sl_client *client_make_of(const char *path, ...);
#define SETTING(name) "here.platform.data-client." name

/* The last warning that any client logged, or "". */
const char *last_warning(void);

/* A catalog and layer of the case's own. */
struct layer {
    char hrn[SL_ERROR_TEXT_SIZE];
    char topic[256]; /* "" where the platform does not say */
    /* Names of groups, the case's own too: a group is Kafka's and the application's, whatever it reads. */
    char group[80], other_group[80];
};
#define LAYER "layer-1"
void layer_make(sl_client *client, int partitions, struct layer *layer);
/* One whose content encoding is gzip. */
void layer_make_gzip(sl_client *client, int partitions, struct layer *layer);

/* Counts what a producer reports. Zero-initialised with tally_init. */
struct tally {
    pthread_mutex_t lock;
    unsigned char *reports; /* by the message's number, or NULL */
    size_t delivered, failed, timed_out;
    sl_error error; /* the last */
    sl_offset offset;
};
void tally_init(struct tally *tally, size_t messages);
void tally_free(struct tally *tally);
void tally_count(void *opaque, void *message_opaque, const sl_delivery *delivery);
size_t tally_total(struct tally *tally);

sl_producer *producer_make(sl_client *client, const struct layer *layer, struct tally *tally);
/* Flushes, closes, and fails unless all messages were delivered. */
void producer_finish(sl_producer **producer, struct tally *tally, size_t messages);

void send_message(sl_producer *producer, const sl_message *message);
/* key NULL: none. */
void send_text(sl_producer *producer, const char *key, const char *text);
/* Messages whose payloads are the numbers from first, with partition ids "key-0" … "key-(keys-1)" in turn. */
void send_numbers(sl_producer *producer, int first, int count, int keys);
/* Opens a producer, sends, closes. */
void produce_numbers(sl_client *client, const struct layer *layer, int first, int count, int keys);

/* Without auto commit. group NULL: the default group. */
sl_consumer *consumer_make(sl_client *client, const struct layer *layer, const char *group, sl_start start);
sl_consumer *consumer_make_by(const char *connector, sl_client *client, const struct layer *layer,
                              const char *group, sl_start start);
void consumer_close(sl_consumer **consumer);

/* What was received: the batches are kept, so the messages live. */
struct inbox {
    sl_batch **batches;
    size_t batch_count;
    const sl_message **messages;
    size_t count;
};
/* Polls until the inbox has so many messages in all. */
void receive(sl_consumer *consumer, struct inbox *inbox, size_t count);
/* One poll of up to max messages; false when nothing came. */
bool receive_once(sl_consumer *consumer, struct inbox *inbox, int timeout_ms, size_t max);
/* Fails if anything comes within the time. */
void receive_nothing(sl_consumer *consumer, int timeout_ms);
void inbox_free(struct inbox *inbox);

/* Bytes that differ with seed; the caller frees them. */
unsigned char *bytes_make(size_t size, unsigned seed);
/* SHA-256 in hex, text. */
void sha256_of(const void *data, size_t size, char out[65]);
void send_bytes(sl_producer *producer, const char *key, const void *bytes, size_t size);
/* Fails unless these are the payload's bytes. */
void assert_payload(const sl_message *message, const void *bytes, size_t size);

/* The payload as text; as a number. */
const char *text_of(const sl_message *message, char *buffer, size_t size);
int number_of(const sl_message *message);
/* Fails unless the inbox has each number of first … first + count - 1 exactly once. */
void assert_numbers(const struct inbox *inbox, int first, int count);

/* A consumer that is polled by a thread of its own. Members behind lock. */
struct reader {
    pthread_t thread;
    pthread_mutex_t lock;
    sl_consumer *consumer;
    int *numbers; /* the payloads' */
    size_t count;
    bool stop, commits;
    sl_error error;
    bool failed;
};
void reader_start(struct reader *reader, sl_consumer *consumer);
/* One that commits each batch. */
void reader_start_committing(struct reader *reader, sl_consumer *consumer);
/* How many numbers ≥ from it has received. */
size_t reader_count(struct reader *reader, int from);
/* Stops polling; closes the consumer if told to. */
void reader_stop(struct reader *reader, bool close);
void reader_free(struct reader *reader);
/* Writes probes (negative numbers, to all partitions) until every reader receives some in one round: then the
 * group's partitions are shared out among them. */
void readers_settle(sl_producer *producer, struct reader *const *readers, size_t count);
/* Waits until the readers together have so many numbers ≥ 0. */
void readers_wait(struct reader *const *readers, size_t count, size_t numbers);
/* Fails unless the readers together have each of 0 … count - 1 exactly once. */
void assert_shared(struct reader *const *readers, size_t readers_count, int count);

int64_t now_ms(void);
/* The pause between two looks at a condition. */
void breathe(void);

#endif
