/*
 * A pipeline in one process: reads a layer, makes upper case of each payload, and writes another layer.
 *
 * At least once (over any connectors): what was read is committed when its results are delivered. A pipeline
 * that is killed does the last batch again.
 *
 * Exactly once (with TRANSACTIONS, a name of the pipeline's own, and the kafka-connector on both sides):
 * results and commit are one transaction of Kafka's, and who reads the results sees all of them or none.
 *
 * It runs until SIGTERM or SIGINT, and goes on where the platform or Kafka cannot be reached for a while.
 * Configuration: application.conf, STREAMLAYER_CONFIG, or the current
 * context.
 */
#define _POSIX_C_SOURCE 200809L /* nanosleep */

#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <streamlayer/streamlayer.h>
#include <time.h>

enum { BATCH = 100, POLL_MS = 500, WAIT_MS = 30000, PAUSE_S = 1 };

struct pipeline {
    sl_client *client;
    sl_consumer *consumer;
    sl_producer *producer;
    const char *hrn, *in, *out, *group, *transactions;
    size_t failed;    /* results not delivered, counted by a thread of the library's until a flush returns */
    sl_error failure; /* the first of them */
};

static volatile sig_atomic_t stopping;

static void stop(int number)
{
    (void)number;
    stopping = 1;
}

static void delivered(void *opaque, void *message_opaque, const sl_delivery *delivery)
{
    struct pipeline *pipeline = opaque;
    (void)message_opaque;
    if (sl_delivery_status(delivery) && !pipeline->failed++)
        pipeline->failure = *sl_delivery_error(delivery);
}

/* For calls that fill no error object. What is wrong with the arguments or the memory stays so: fatal. */
static sl_status refuse(sl_status status, const char *what, sl_error *error)
{
    *error = (sl_error){.status = status, .fatal = true};
    snprintf(error->text, sizeof error->text, "%s: %s", what, sl_status_text(status));
    return status;
}

static sl_status open_consumer(struct pipeline *pipeline, sl_error *error)
{
    sl_consumer_options *options = NULL;
    sl_status status = sl_consumer_options_create(&options);
    if (!status)
        status = sl_consumer_options_set_group(options, pipeline->group);
    if (!status)
        status = sl_consumer_options_set_start(options, SL_START_BEGIN);
    if (!status)
        status = sl_consumer_options_set_auto_commit(options, false, 0);
    status = status ? refuse(status, pipeline->group, error)
                    : sl_consumer_create(pipeline->client, pipeline->hrn, pipeline->in, options,
                                         &pipeline->consumer, error);
    sl_consumer_options_destroy(&options);
    return status;
}

static sl_status open_producer(struct pipeline *pipeline, sl_error *error)
{
    sl_producer_options *options = NULL;
    sl_status status = sl_producer_options_create(&options);
    if (!status)
        status = sl_producer_options_set_delivery(options, delivered, pipeline);
    if (!status)
        status = sl_producer_options_set_transactions(options, pipeline->transactions);
    status = status ? refuse(status, pipeline->transactions ? pipeline->transactions : "the producer", error)
                    : sl_producer_create(pipeline->client, pipeline->hrn, pipeline->out, options,
                                         &pipeline->producer, error);
    sl_producer_options_destroy(&options);
    return status;
}

/* The work itself: one message's result. */
static sl_status send_result(struct pipeline *pipeline, const sl_message *message, sl_error *error)
{
    size_t key_size, size;
    const char *key = sl_message_partition_id(message, &key_size);
    const char *payload = sl_message_payload(message, &size);
    char *upper = malloc(size ? size : 1);
    sl_message *result = NULL;
    sl_status status = upper ? sl_message_create(&result) : SL_OUT_OF_MEMORY;
    for (size_t i = 0; i < size && !status; i++)
        upper[i] = (char)toupper((unsigned char)payload[i]);
    if (!status && key_size)
        status = sl_message_set_partition_id(result, key, key_size);
    if (!status)
        status = sl_message_set_payload(result, upper, size);
    status = status ? refuse(status, "a result", error)
                    : sl_producer_send(pipeline->producer, result, NULL, WAIT_MS, error);
    sl_message_destroy(&result);
    free(upper);
    return status;
}

static sl_status send_results(struct pipeline *pipeline, const sl_batch *batch, sl_error *error)
{
    sl_status status = SL_OK;
    for (size_t i = 0; i < sl_batch_count(batch) && !status; i++)
        status = send_result(pipeline, sl_batch_message(batch, i), error);
    return status;
}

/* Commits behind the deliveries: a crash in between has the batch done again. The flush also where not all
 * could be sent, so that all reports of this batch have come before the next one's are counted. */
static sl_status at_least_once(struct pipeline *pipeline, const sl_batch *batch, sl_error *error)
{
    sl_error late;
    sl_status status = send_results(pipeline, batch, error);
    sl_status flushed = sl_producer_flush(pipeline->producer, -1, &late);
    if (!flushed && pipeline->failed) {
        flushed = pipeline->failure.status;
        late = pipeline->failure;
        pipeline->failed = 0;
    }
    if (!status && flushed) {
        status = flushed;
        *error = late;
    }
    return status ? status : sl_consumer_commit(pipeline->consumer, batch, error);
}

/* What cannot be aborted goes on from what is committed when it is started again. */
static void give_up(struct pipeline *pipeline, sl_error *error)
{
    sl_error why = {0};
    sl_status status;
    while ((status = sl_producer_abort(pipeline->producer, WAIT_MS, &why)) && why.retriable && !stopping)
        ;
    error->fatal = status != SL_OK;
}

/* Commits with the results. What is retriable is asked for again; what is not aborts. */
static sl_status exactly_once(struct pipeline *pipeline, const sl_batch *batch, sl_error *error)
{
    sl_status status = sl_producer_begin(pipeline->producer, error);
    if (status)
        return status;
    status = send_results(pipeline, batch, error);
    while (!status &&
           (status = sl_producer_add_batch(pipeline->producer, pipeline->consumer, batch, WAIT_MS, error)) &&
           error->retriable && !stopping)
        status = SL_OK;
    while (!status && (status = sl_producer_commit(pipeline->producer, WAIT_MS, error)) && error->retriable &&
           !stopping)
        status = SL_OK;
    if (status && !error->fatal)
        give_up(pipeline, error);
    return status;
}

/* Polls, does the work, commits. *again: the consumer is to be opened anew, since its group says where to go
 * on. */
static sl_status turn(struct pipeline *pipeline, bool *again, sl_error *error)
{
    sl_batch *batch = NULL;
    sl_status status = sl_consumer_poll(pipeline->consumer, POLL_MS, BATCH, &batch, error);
    *again = batch || !error->retriable;
    if (batch)
        status = pipeline->transactions ? exactly_once(pipeline, batch, error)
                                        : at_least_once(pipeline, batch, error);
    sl_batch_destroy(&batch);
    return status;
}

/* One turn, or one try to open the consumer. What fails and is not fatal is tried again. */
static sl_status run(struct pipeline *pipeline, sl_error *error)
{
    static const struct timespec pause = {.tv_sec = PAUSE_S};
    bool again = false;
    sl_status status;
    *error = (sl_error){0};
    if (pipeline->consumer) {
        status = turn(pipeline, &again, error);
    } else {
        status = open_consumer(pipeline, error);
        error->fatal = !error->retriable;
    }
    if (!status || error->fatal)
        return status;
    if (again)
        sl_consumer_close(&pipeline->consumer, NULL);
    fprintf(stderr, "%s; %s\n", error->text,
            pipeline->consumer ? "going on" : "going on from what is committed");
    nanosleep(&pause, NULL); /* a signal ends it */
    return SL_OK;
}

int main(int argc, char **argv)
{
    sl_error error = {.text = "usage: pipeline HRN IN OUT GROUP [TRANSACTIONS]"};
    bool wrong = argc < 5 || argc > 6;
    struct pipeline pipeline = {0};
    signal(SIGTERM, stop);
    signal(SIGINT, stop);
    if (!wrong) {
        pipeline = (struct pipeline){.hrn = argv[1],
                                     .in = argv[2],
                                     .out = argv[3],
                                     .group = argv[4],
                                     .transactions = argc == 6 ? argv[5] : NULL};
        /* The producer first: it ends the transaction that one before it left open. */
        wrong = sl_client_create(NULL, NULL, NULL, &pipeline.client, &error) ||
                open_producer(&pipeline, &error) || open_consumer(&pipeline, &error);
    }
    while (!wrong && !stopping)
        wrong = run(&pipeline, &error) != SL_OK;
    if (wrong)
        fprintf(stderr, "%s\n", error.text);
    sl_consumer_close(&pipeline.consumer, NULL);
    sl_producer_close(&pipeline.producer, WAIT_MS, NULL);
    sl_client_destroy(&pipeline.client);
    return wrong;
}
