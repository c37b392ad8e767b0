/* streamlayer pipe */
#include "base/text.h"
#include "progress.h"
#include "rate.h"
#include "source.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SIGNAL_CHECK_MS     200
#define INTERRUPTED_WAIT_MS 2000 /* for what is under way when Ctrl-C comes: a blob may take minutes */
/* Messages read and not yet committable: one that is slow to arrive must not let the rest pile up. */
#define MAX_UNDER_WAY 200000

static const struct cli_option pipe_options[] = {
    CLI_SOURCE_OPTIONS,
    {0, "from-connector", "CONNECTOR", "kafka-connector or http-connector, to read with"},
    {0, "to-connector", "CONNECTOR", "kafka-connector or http-connector, to write with"},
    {0, "rate", "RATE", "so many messages (100, 0.5) or bytes (5MB/s) a second, evenly"},
    {'q', "quiet", NULL, "no progress and no summary"},
    {0, NULL, NULL, NULL},
};

/* A message under way: in its lane from being read until all before it, and it, are delivered. */
struct flight {
    struct flight *next;
    int64_t offset;
    size_t size;
    bool delivered;
};

/* A Kafka partition of the reading side, in the order read. */
struct lane {
    int32_t partition;
    struct flight *first, *last;
};

struct pipe {
    struct cli_source source;
    sl_producer *producer;
    struct cli_rate rate;
    struct cli_progress progress;
    struct lane *lanes;
    size_t lane_count;
    struct flight *spare;
    size_t under_way;
    uint64_t read, read_bytes;
    pthread_mutex_t lock;
    /* Under lock: written by the library's thread, flights' delivered too. */
    uint64_t delivered, delivered_bytes, failed;
    sl_error first_error;
};

static void on_delivery(void *opaque, void *message_opaque, const sl_delivery *delivery)
{
    struct pipe *pipe = opaque;
    struct flight *flight = message_opaque;
    pthread_mutex_lock(&pipe->lock);
    if (sl_delivery_status(delivery) == SL_OK) {
        flight->delivered = true;
        pipe->delivered++;
        pipe->delivered_bytes += flight->size;
    } else {
        const sl_error *error = sl_delivery_error(delivery);
        if (!pipe->failed++ && error)
            pipe->first_error = *error;
    }
    pthread_mutex_unlock(&pipe->lock);
}

static uint64_t failed(struct pipe *pipe)
{
    pthread_mutex_lock(&pipe->lock);
    uint64_t count = pipe->failed;
    pthread_mutex_unlock(&pipe->lock);
    return count;
}

static struct lane *lane_of(struct pipe *pipe, int32_t partition)
{
    for (size_t i = 0; i < pipe->lane_count; i++)
        if (pipe->lanes[i].partition == partition)
            return &pipe->lanes[i];
    struct lane *grown = realloc(pipe->lanes, (pipe->lane_count + 1) * sizeof *grown);
    if (!grown)
        return NULL;
    pipe->lanes = grown;
    grown[pipe->lane_count] = (struct lane){.partition = partition};
    return &grown[pipe->lane_count++];
}

/* Puts a message at the end of its lane; NULL: out of memory. */
static struct flight *take_off(struct pipe *pipe, const sl_message *message)
{
    sl_offset offset = sl_message_offset(message);
    struct lane *lane = lane_of(pipe, offset.partition);
    struct flight *flight = pipe->spare;
    if (flight)
        pipe->spare = flight->next;
    else
        flight = malloc(sizeof *flight);
    if (!lane || !flight) {
        free(flight);
        return NULL;
    }
    *flight = (struct flight){.offset = offset.offset};
    sl_message_payload(message, &flight->size);
    if (lane->last)
        lane->last->next = flight;
    else
        lane->first = flight;
    lane->last = flight;
    pipe->under_way++;
    return flight;
}

/* Moves what is delivered, with all before it, from the lanes to what may be committed. */
static int land(struct pipe *pipe)
{
    bool ok = true;
    pthread_mutex_lock(&pipe->lock);
    for (size_t i = 0; i < pipe->lane_count; i++) {
        struct lane *lane = &pipe->lanes[i];
        int64_t last = -1;
        while (lane->first && lane->first->delivered) {
            struct flight *flight = lane->first;
            last = flight->offset;
            lane->first = flight->next;
            flight->next = pipe->spare;
            pipe->spare = flight;
            pipe->under_way--;
        }
        if (!lane->first)
            lane->last = NULL;
        if (last >= 0)
            ok &= cli_offsets_put(&pipe->source.done, (sl_offset){lane->partition, last});
    }
    pthread_mutex_unlock(&pipe->lock);
    return ok ? CLI_OK : CLI_FAILED;
}

static void free_lanes(struct pipe *pipe)
{
    for (size_t i = 0; i < pipe->lane_count; i++) {
        struct lane *lane = &pipe->lanes[i];
        if (lane->last) {
            lane->last->next = pipe->spare;
            pipe->spare = lane->first;
        }
    }
    while (pipe->spare) {
        struct flight *flight = pipe->spare;
        pipe->spare = flight->next;
        free(flight);
    }
    free(pipe->lanes);
}

static void show_progress(struct pipe *pipe)
{
    if (!pipe->progress.on)
        return;
    struct cli_amount amount = {.queued = sl_producer_queued(pipe->producer, NULL)};
    pthread_mutex_lock(&pipe->lock);
    amount.messages = pipe->delivered;
    amount.bytes = pipe->delivered_bytes;
    amount.failed = pipe->failed;
    pthread_mutex_unlock(&pipe->lock);
    cli_progress_show(&pipe->progress, &amount);
}

/* Waits until --rate allows the next message; what is delivered meanwhile is committed. */
static int wait_for_turn(struct pipe *pipe)
{
    int code = CLI_OK;
    int64_t wait_ms;
    while (!code && (wait_ms = cli_rate_wait_ms(&pipe->rate, cli_mono_ms())) > 0) {
        if (cli_interrupted())
            return CLI_INTERRUPTED;
        if (failed(pipe))
            return CLI_FAILED;
        cli_sleep_ms(wait_ms < SIGNAL_CHECK_MS ? (int)wait_ms : SIGNAL_CHECK_MS);
        show_progress(pipe);
        code = land(pipe);
        if (!code)
            code = cli_source_commit(&pipe->source, false);
    }
    return code;
}

/* No more is read than goes out in about a second: what a poll has is held in memory, and Kafka takes who
 * does not poll for minutes for dead. */
static void bound_batch(struct pipe *pipe)
{
    if (pipe->rate.per_ms <= 0)
        return;
    double messages = pipe->rate.per_ms * 1000;
    if (pipe->rate.bytes)
        messages = pipe->read ? messages * (double)pipe->read / (double)(pipe->read_bytes + 1) : 1;
    pipe->source.batch_max = messages < 1 ? 1 : messages < 100000 ? (size_t)messages : 100000;
}

static int send_message(struct pipe *pipe, const sl_message *message)
{
    int code = wait_for_turn(pipe);
    if (code)
        return code;
    sl_offset offset = sl_message_offset(message);
    if (sl_message_compressed(message) && !sl_producer_content_encoding(pipe->producer))
        return cli_error_as(
            pipe->source.cli, SL_PROTOCOL,
            "the message at %d:%lld cannot be written: its payload could not be inflated, and "
            "the layer that it goes to has no content encoding",
            offset.partition, (long long)offset.offset);
    struct flight *flight = take_off(pipe, message);
    if (!flight) {
        cli_out_of_memory(pipe->source.cli);
        return CLI_FAILED;
    }
    sl_error error = {0};
    sl_status status;
    size_t size = flight->size; /* the flight may end while we look */
    do {
        /* A message as it was received can be sent as it is: nothing of it is lost on the way. */
        status = sl_producer_send(pipe->producer, message, flight, SIGNAL_CHECK_MS, &error);
        show_progress(pipe);
    } while (status == SL_QUEUE_FULL && !cli_interrupted() && !failed(pipe));
    pipe->read++;
    pipe->read_bytes += size;
    cli_rate_count(&pipe->rate, cli_mono_ms(), size);
    if (!status)
        return CLI_OK;
    if (status == SL_QUEUE_FULL)
        return cli_interrupted() ? CLI_INTERRUPTED : CLI_FAILED;
    return cli_error_as(pipe->source.cli, status, "the message at %d:%lld cannot be written: %s",
                        offset.partition, (long long)offset.offset, error.text);
}

/* Waits while too much is under way. */
static int make_room(struct pipe *pipe)
{
    int code = land(pipe);
    while (!code && pipe->under_way >= MAX_UNDER_WAY && !failed(pipe)) {
        if (cli_interrupted())
            return CLI_INTERRUPTED;
        (void)sl_producer_flush(pipe->producer, SIGNAL_CHECK_MS, NULL);
        code = land(pipe);
        if (!code)
            code = cli_source_commit(&pipe->source, false);
    }
    return code;
}

static int send_batch(struct pipe *pipe, const sl_batch *batch)
{
    int code = make_room(pipe);
    for (size_t i = 0; i < sl_batch_count(batch) && !code; i++) {
        const sl_message *message = sl_batch_message(batch, i);
        if (!cli_source_takes(&pipe->source, message))
            continue;
        code = send_message(pipe, message);
        if (!code && failed(pipe))
            code = CLI_FAILED;
    }
    return code;
}

static int copy(struct pipe *pipe)
{
    int code = CLI_OK;
    sl_batch *batch;
    enum cli_next next;
    bound_batch(pipe);
    while ((next = cli_source_next(&pipe->source, &batch, &code)) == CLI_NEXT_BATCH ||
           next == CLI_NEXT_NOTHING) {
        if (batch)
            code = send_batch(pipe, batch);
        sl_batch_destroy(&batch);
        bound_batch(pipe);
        show_progress(pipe);
        if (!code && failed(pipe))
            code = CLI_FAILED;
        if (!code)
            code = land(pipe);
        if (!code)
            code = cli_source_commit(&pipe->source, false);
        if (code)
            break;
    }
    return code;
}

/* Waits for the deliveries still out, then commits what they allow. */
static int settle(struct pipe *pipe)
{
    int64_t interrupted_ms = 0;
    int code = CLI_OK;
    while (!code && sl_producer_flush(pipe->producer, SIGNAL_CHECK_MS, NULL) == SL_TIMED_OUT) {
        if (cli_interrupted() && !interrupted_ms)
            interrupted_ms = cli_mono_ms();
        if (interrupted_ms && cli_mono_ms() - interrupted_ms > INTERRUPTED_WAIT_MS)
            break;
        show_progress(pipe);
        code = land(pipe);
        if (!code)
            code = cli_source_commit(&pipe->source, false);
    }
    sl_producer_close(&pipe->producer, 0, NULL);
    if (!code)
        code = land(pipe);
    int committed = cli_source_commit(&pipe->source, true);
    return code ? code : committed;
}

static int open_producer(struct pipe *pipe)
{
    struct cli *cli = pipe->source.cli;
    sl_error error = {0};
    sl_producer_options *options = NULL;
    const char *connector = cli_value(cli, "to-connector");
    int code = CLI_OK;
    if (sl_producer_options_create(&options) ||
        sl_producer_options_set_delivery(options, on_delivery, pipe)) {
        cli_out_of_memory(cli);
        code = CLI_FAILED;
    } else if (connector && sl_producer_options_set_connector(options, connector)) {
        code = cli_usage_error(cli, "\"%s\" is no connector: kafka-connector or http-connector is needed",
                               connector);
    } else if (sl_producer_options_set_compress(options, true)) { /* what is no gzip yet */
        code = CLI_FAILED;
    } else if (sl_producer_create(cli->client, cli->operands[2], cli->operands[3], options, &pipe->producer,
                                  &error)) {
        code = cli_fail(cli, &error);
    }
    sl_producer_options_destroy(&options);
    return code;
}

static void say_interrupted(const struct pipe *pipe)
{
    const struct cli *cli = pipe->source.cli;
    const char *why =
        pipe->first_error.text[0] ? pipe->first_error.text : sl_status_text(pipe->first_error.status);
    unsigned long long delivered = pipe->delivered, failed = pipe->failed;
    const char *were = sl_plural(delivered, "message was", "messages were");
    if (!failed)
        (void)cli_error_interrupted(cli, "interrupted: %llu %s delivered", delivered, were);
    else
        (void)cli_error_interrupted(cli,
                                    "interrupted: %llu %s delivered, %llu %s not, or not that is known (the "
                                    "first: %s)",
                                    delivered, were, failed, sl_plural(failed, "was", "were"), why);
}

static int run(struct pipe *pipe)
{
    struct cli *cli = pipe->source.cli;
    /* The writing side first: nothing is read that has nowhere to go. */
    int code = open_producer(pipe);
    /* From gzip to gzip payloads go as they are; else they are what they were before they were compressed. */
    pipe->source.inflate = !sl_producer_content_encoding(pipe->producer);
    if (!code)
        code = cli_source_open(&pipe->source, cli_value(cli, "from-connector"));
    if (code) {
        sl_producer_close(&pipe->producer, 0, NULL);
        return code;
    }
    struct cli_summary summary = {.from = sl_consumer_connector(pipe->source.consumer),
                                  .to = sl_producer_connector(pipe->producer)};
    int64_t began_ms = cli_mono_ms();
    cli_progress_begin(&pipe->progress, cli, "piped", true);
    code = copy(pipe);
    /* The silence that ended it is no part of the work. */
    int64_t silence_ms = cli_mono_ms() - pipe->source.last_message_ms;
    if (pipe->source.idle_ms < 0 || silence_ms < pipe->source.idle_ms)
        silence_ms = 0;
    int settled = settle(pipe);
    cli_progress_end(&pipe->progress, cli);
    summary.elapsed_ms = cli_mono_ms() - began_ms - silence_ms;
    summary.messages = pipe->delivered;
    summary.bytes = pipe->delivered_bytes;
    summary.failed = pipe->failed;
    cli_print_summary(cli, "piped", &summary);
    /* The signal may have come when all was read already. */
    if (!code && pipe->failed && cli_interrupted())
        code = CLI_INTERRUPTED;
    if (code == CLI_INTERRUPTED) {
        say_interrupted(pipe);
    } else if (pipe->failed) {
        const sl_error *first = &pipe->first_error;
        int reason = cli_fail_as(cli, first, "%llu %s not delivered%s: %s", (unsigned long long)pipe->failed,
                                 sl_plural(pipe->failed, "message was", "messages were"),
                                 pipe->failed == 1 ? "" : "; the first because",
                                 first->text[0] ? first->text : sl_status_text(first->status));
        code = reason ? reason : CLI_FAILED;
    }
    return code ? code : settled;
}

static int pipe(struct cli *cli)
{
    struct pipe pipe = {.source = {.cli = cli}, .lock = PTHREAD_MUTEX_INITIALIZER};
    const char *rate = cli_value(cli, "rate");
    if (!strcmp(cli->operands[0], cli->operands[2]) && !strcmp(cli->operands[1], cli->operands[3]))
        return cli_usage_error(cli, "a layer piped into itself would never end");
    if (rate && !cli_rate_parse(&pipe.rate, rate))
        return cli_usage_error(
            cli, "--rate %s: messages or bytes a second are needed, such as 100, 0.5, 5MB/s, 512KiB/s", rate);
    int code = cli_source_prepare(&pipe.source, cli);
    /* A payload that lies in a blob belongs to the first layer: the second gets it as one of its own. */
    pipe.source.resolve = 1;
    if (!code)
        code = cli_source_connect(&pipe.source);
    if (!code)
        code = run(&pipe);
    int closed = cli_source_close(&pipe.source);
    free_lanes(&pipe);
    code = code ? code : closed;
    return code ? code : cli_flush_output(cli);
}

const struct cli_command cli_pipe_command = {
    .name = "pipe",
    .operands = "HRN LAYER HRN LAYER",
    .min_operands = 4,
    .max_operands = 4,
    .summary = "copy messages from one layer to another",
    .details =
        "Reads the first layer with the consumer's connector and writes the second with the producer's; each "
        "is "
        "configured by itself (here.platform.data-client.stream.connector). Messages keep partition id, "
        "payload, "
        "timestamp, headers, trace id, checksum and CRC; a payload over 1 MiB is fetched from its blob and "
        "stored in a new one, of the second layer. Payloads go as they are between layers of the same "
        "content "
        "encoding; between others they are compressed (gzip) or inflated.\n"
        "\n"
        "A message is committed on the reading side once it and all before it in its partition are "
        "delivered, so "
        "nothing is lost when a pipe is stopped, crashes or fails; the next run may write the last ones "
        "again. "
        "Ends as consume does. On a terminal it shows its progress and a summary; --verbose shows the "
        "summary "
        "everywhere, --json prints it as JSON.\n"
        "\n" CLI_SOURCE_DETAILS,
    .examples =
        "  streamlayer pipe HRN raw HRN clean --follow\n"
        "  streamlayer pipe HRN raw HRN trial --offset @-1h:@-30m --group trial --rate 100\n"
        "  streamlayer pipe HRN A HRN B --from-connector kafka-connector --to-connector http-connector\n",
    .options = pipe_options,
    .changes = true,
    .related = "produce,consume,group describe",
    .run = pipe,
};
