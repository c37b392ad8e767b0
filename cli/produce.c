/* streamlayer produce */
#include "format.h"
#include "lines.h"
#include "position.h"
#include "progress.h"
#include "rate.h"
#include "record.h"

#include "base/text.h"
#include "base/time.h"
#include "config/settings.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SIGNAL_CHECK_MS     200
#define INTERRUPTED_WAIT_MS 2000 /* for what is under way when Ctrl-C comes: a blob may take minutes */
#define DELIMITER_MAX       65536
#define MAX_SIZE            "here.platform.data-client.stream.blob.max-size"

static const struct cli_option produce_options[] = {
    {'k', "key", "KEY", "the partition id of every message: those that share it keep their order"},
    {'K', "key-delimiter", "TEXT", "a line is KEY TEXT PAYLOAD; \\n \\t \\r \\0 \\xHH stand for bytes"},
    {'H', "header", "NAME=VALUE", "a header of every message (repeatable)"},
    {0, "timestamp", "TIME",
     "the event time of every message: ms since 1970, 2026-01-31T12:30 or -10m; else the time of sending"},
    {'d', "delimiter", "TEXT", "what ends a message, instead of a newline; escapes as with --key-delimiter"},
    {0, "crlf", NULL, "lines may end in CR LF: the CR is then no part of the message"},
    {0, "ndjson", NULL, "each line is a message as `consume --json` writes it; blank lines are passed over"},
    {'F', "file-per-message", NULL, "each FILE is one message"},
    {0, "compressed", NULL,
     "the payloads are gzip already: they go as they are to a layer whose content encoding is gzip"},
    {0, "rate", "RATE", "so many messages (100, 0.5) or bytes (5MB/s) a second, evenly"},
    {'q', "quiet", NULL, "no progress and no summary"},
    {0, NULL, NULL, NULL},
};

struct header {
    char *name; /* the value lies behind it */
    const char *value;
};

struct produce {
    struct cli *cli;
    sl_producer *producer;
    sl_message *message;
    struct sl_buffer key_delimiter, delimiter;
    struct header *headers;
    size_t header_count;
    int64_t timestamp_ms; /* -1: none */
    bool keyed, ndjson, whole;
    size_t max; /* bytes of a payload */
    struct cli_record record;
    struct cli_rate rate;
    struct cli_progress progress;
    pthread_mutex_t lock;
    /* Under lock: written by the library's thread. */
    uint64_t delivered, delivered_bytes, failed;
    sl_error first_error; /* of the layer's refusal, where there is one */
    atomic_bool
        refused; /* the application may not write there, or there is no such layer: nor is the rest taken */
    /* Where an early end was: nothing from there on is sent. NULL: there was none. Line 0: the whole file. */
    const char *stopped_in;
    uint64_t stopped_at;
};

/* Whether it is the layer's refusal and not one message's. */
static bool is_of_layer(const sl_error *error)
{
    return error->status == SL_UNAUTHENTICATED || error->status == SL_FORBIDDEN ||
           error->status == SL_NOT_FOUND;
}

/* The payload's size travels as the message's opaque, so that only what was delivered is counted. */
static void on_delivery(void *opaque, void *message_opaque, const sl_delivery *delivery)
{
    struct produce *produce = opaque;
    pthread_mutex_lock(&produce->lock);
    if (sl_delivery_status(delivery) == SL_OK) {
        produce->delivered++;
        produce->delivered_bytes += (uintptr_t)message_opaque;
    } else {
        const sl_error *error = sl_delivery_error(delivery);
        bool refuses = error && is_of_layer(error) && !atomic_load(&produce->refused);
        if ((!produce->failed++ && error) || refuses)
            produce->first_error = *error;
        if (refuses)
            atomic_store(&produce->refused, true);
    }
    pthread_mutex_unlock(&produce->lock);
}

/* Reads the options that all messages share, and checks them once. */
static int read_header(struct produce *produce, const char *text)
{
    const char *equals = strchr(text, '=');
    struct header *grown = realloc(produce->headers, (produce->header_count + 1) * sizeof *grown);
    if (grown)
        produce->headers = grown;
    char *name = strdup(text);
    if (!grown || !name) {
        free(name);
        return cli_out_of_memory(produce->cli);
    }
    name[equals ? equals - text : 0] = 0;
    grown[produce->header_count++] = (struct header){name, equals ? name + (equals - text) + 1 : ""};
    if (!equals || equals == text)
        return cli_usage_error(produce->cli, "--header %s: NAME=VALUE is needed", text);
    return CLI_OK;
}

static int read_timestamp(struct produce *produce)
{
    const char *text = cli_value(produce->cli, "timestamp");
    produce->timestamp_ms = -1;
    if (!text)
        return CLI_OK;
    /* A number is of milliseconds, as in what consume --json writes. */
    bool number = *text && strspn(text, "0123456789") == strlen(text);
    if (number ? cli_number(produce->cli, "timestamp", 1, INT64_MAX, &produce->timestamp_ms)
               : cli_time_parse(text, sl_wall_ms(), &produce->timestamp_ms) && produce->timestamp_ms > 0)
        return CLI_OK;
    return number ? CLI_USAGE
                  : cli_usage_error(produce->cli,
                                    "--timestamp %s: needed are milliseconds since 1970, a time such as "
                                    "2026-01-31T12:30 or 2026-01-31T12:30:15Z, or -10m",
                                    text);
}

/* Fills the message's parts that are the same for all, and forgets the others. */
static int set_common_parts(struct produce *produce)
{
    struct cli *cli = produce->cli;
    const char *key = cli_value(cli, "key");
    sl_message_clear(produce->message);
    if (key && sl_message_set_partition_id(produce->message, key, strlen(key)))
        return cli_usage_error(cli, "--key: a partition id is UTF-8 text of 1 to %d characters",
                               SL_PARTITION_ID_MAX);
    if (produce->timestamp_ms >= 0 && sl_message_set_timestamp_ms(produce->message, produce->timestamp_ms))
        return cli_usage_error(cli, "--timestamp %lld: not a time", (long long)produce->timestamp_ms);
    for (size_t i = 0; i < produce->header_count; i++) {
        const struct header *header = &produce->headers[i];
        if (sl_message_add_header(produce->message, header->name, header->value, strlen(header->value)))
            return cli_usage_error(
                cli,
                "--header %s: a name is 1 to 128 letters, digits and !#$%%&'*+-.^_`|~ (RFC 9110) and does "
                "not begin with \"sl-\"",
                header->name);
    }
    return CLI_OK;
}

static void show_progress(struct produce *produce)
{
    if (!produce->progress.on)
        return;
    struct cli_amount amount = {.queued = sl_producer_queued(produce->producer, NULL)};
    pthread_mutex_lock(&produce->lock);
    amount.messages = produce->delivered;
    amount.bytes = produce->delivered_bytes;
    amount.failed = produce->failed;
    pthread_mutex_unlock(&produce->lock);
    cli_progress_show(&produce->progress, &amount);
}

/* "FILE:LINE: " of what is being read. */
static int refuse_as(const struct produce *produce, const struct cli_lines *lines, sl_status status,
                     const char *why)
{
    if (lines->number)
        return cli_error_as(produce->cli, status, "%s:%llu: %s", lines->name,
                            (unsigned long long)lines->number, why);
    return cli_error_as(produce->cli, status, "%s: %s", lines->name, why);
}

/* The same of what is wrong with the text: that is no mistake on the command line. */
static int refuse(const struct produce *produce, const struct cli_lines *lines, const char *why)
{
    (void)refuse_as(produce, lines, SL_INVALID_ARGUMENT, why);
    return CLI_FAILED;
}

/* Waits until --rate allows the next message. */
static int wait_for_turn(struct produce *produce)
{
    int64_t wait_ms;
    while ((wait_ms = cli_rate_wait_ms(&produce->rate, cli_mono_ms())) > 0) {
        if (cli_interrupted())
            return CLI_INTERRUPTED;
        if (atomic_load(&produce->refused))
            return CLI_FAILED;
        cli_sleep_ms(wait_ms < SIGNAL_CHECK_MS ? (int)wait_ms : SIGNAL_CHECK_MS);
        show_progress(produce);
    }
    return CLI_OK;
}

/* Sends what the message now has, waiting for its turn and for room in the queue. */
static int send_message(struct produce *produce, const struct cli_lines *lines)
{
    sl_error error = {0};
    sl_status status;
    size_t size;
    (void)sl_message_payload(produce->message, &size);
    if (cli_flag(produce->cli, "compressed"))
        (void)sl_message_set_compressed(produce->message, true);
    int code = wait_for_turn(produce);
    if (code)
        return code;
    do {
        status = sl_producer_send(produce->producer, produce->message, (void *)(uintptr_t)size,
                                  SIGNAL_CHECK_MS, &error);
        show_progress(produce);
    } while (status == SL_QUEUE_FULL && !cli_interrupted() && !atomic_load(&produce->refused));
    cli_rate_count(&produce->rate, cli_mono_ms(), size);
    if (!status)
        return CLI_OK;
    if (status == SL_QUEUE_FULL)
        return cli_interrupted() ? CLI_INTERRUPTED : CLI_FAILED;
    return refuse_as(produce, lines, status, error.text);
}

/* A line with key and delimiter. An empty key is none: the trace id then serves as the partition id. */
static int cut_key(struct produce *produce, const char **line, size_t *size, const struct cli_lines *lines)
{
    const struct sl_buffer *delimiter = &produce->key_delimiter;
    const char *found = memmem(*line, *size, delimiter->data, delimiter->size);
    char why[100];
    if (!found)
        return refuse(produce, lines, "the line has no key delimiter");
    size_t key = (size_t)(found - *line);
    if (sl_message_set_partition_id(produce->message, key ? *line : NULL, key)) {
        snprintf(why, sizeof why, "the key is not UTF-8 text of at most %d characters", SL_PARTITION_ID_MAX);
        return refuse(produce, lines, why);
    }
    *line += key + delimiter->size;
    *size -= key + delimiter->size;
    return CLI_OK;
}

/* Of JSON's white space, if of anything. */
static bool is_blank(const char *line, size_t size)
{
    while (size && strchr(" \t\r\n", line[size - 1]) && line[size - 1])
        size--;
    return !size;
}

static int send_line(struct produce *produce, const char *line, size_t size, const struct cli_lines *lines)
{
    if (produce->ndjson) {
        if (is_blank(line, size))
            return CLI_OK;
        char why[CLI_RECORD_WHY];
        int code = set_common_parts(produce);
        if (code)
            return code;
        if (!cli_record_read(&produce->record, line, size, produce->message, why))
            return refuse(produce, lines, why);
        return send_message(produce, lines);
    }
    if (produce->keyed) {
        int code = cut_key(produce, &line, &size, lines);
        if (code)
            return code;
    }
    sl_status status = sl_message_set_payload(produce->message, line, size);
    return status ? refuse_as(produce, lines, status, sl_status_text(status)) : send_message(produce, lines);
}

/* The longest line there may be. The library checks the payload itself. */
static size_t longest_line(const struct produce *produce)
{
    if (produce->ndjson) /* a byte takes up to six: \u0000 */
        return produce->max < SIZE_MAX / 12 ? 6 * produce->max + DELIMITER_MAX : SIZE_MAX / 2;
    return produce->max +
           (produce->keyed ? (size_t)4 * SL_PARTITION_ID_MAX + produce->key_delimiter.size : 0);
}

static int send_file(struct produce *produce, const char *path)
{
    struct cli_lines lines;
    if (!cli_lines_open(&lines, produce->cli, path, longest_line(produce))) {
        produce->stopped_in = lines.name;
        return errno == ENOENT ? CLI_NOT_FOUND : CLI_FAILED;
    }
    lines.crlf = cli_flag(produce->cli, "crlf");
    lines.delimiter = produce->delimiter.data;
    lines.delimiter_size = produce->delimiter.size;
    lines.stop = &produce->refused;
    int code = CLI_OK;
    const char *data;
    size_t size;
    enum cli_line outcome;
    if (produce->whole) {
        outcome = cli_lines_rest(&lines, produce->cli, &data, &size);
        if (outcome == CLI_LINE &&
            !(code = sl_message_set_payload(produce->message, data, size) ? CLI_FAILED : CLI_OK))
            code = send_message(produce, &lines);
    } else {
        while (!code && (outcome = cli_lines_next(&lines, produce->cli, &data, &size)) == CLI_LINE)
            code = cli_interrupted()                ? CLI_INTERRUPTED
                   : atomic_load(&produce->refused) ? CLI_FAILED
                                                    : send_line(produce, data, size, &lines);
    }
    cli_lines_close(&lines);
    if (!code && outcome == CLI_LINE_FAILED)
        code = CLI_FAILED;
    if (!code && outcome == CLI_LINE_INTERRUPTED)
        code = cli_interrupted() ? CLI_INTERRUPTED : CLI_FAILED;
    if (code) {
        produce->stopped_in = lines.name;
        produce->stopped_at = lines.number;
    }
    return code;
}

static int send_all(struct produce *produce)
{
    struct cli *cli = produce->cli;
    int code = CLI_OK;
    if (cli->operand_count <= 2)
        return send_file(produce, NULL);
    for (size_t i = 2; i < cli->operand_count && !code; i++) {
        code = send_file(produce, cli->operands[i]);
        if (!code && cli_interrupted() && i + 1 < cli->operand_count) {
            produce->stopped_in = cli->operands[i + 1];
            code = CLI_INTERRUPTED;
        }
    }
    return code;
}

/* Waits for the reports of what was sent; gives up only after an interruption. */
static void wait_for_deliveries(struct produce *produce)
{
    int64_t interrupted_ms = 0;
    while (sl_producer_flush(produce->producer, SIGNAL_CHECK_MS, NULL) == SL_TIMED_OUT) {
        show_progress(produce);
        if (cli_interrupted() && !interrupted_ms)
            interrupted_ms = cli_mono_ms();
        if (interrupted_ms && cli_mono_ms() - interrupted_ms > INTERRUPTED_WAIT_MS)
            break;
    }
}

/* A script must know what to send again. */
static void say_where_it_stopped(const struct produce *produce, bool interrupted)
{
    const struct cli *cli = produce->cli;
    char line[32] = "", rest[PATH_MAX + 64] = "";
    unsigned long long delivered = produce->delivered, failed = produce->failed;
    if (produce->stopped_at)
        snprintf(line, sizeof line, ":%llu", (unsigned long long)produce->stopped_at);
    if (produce->stopped_in)
        snprintf(rest, sizeof rest, "; what is from %s%s on was not sent", produce->stopped_in, line);
    const char *were = sl_plural(delivered, "message was", "messages were");
    if (!interrupted)
        cli_error(cli, "stopped early: %llu %s delivered%s", delivered, were, rest);
    else if (!failed)
        (void)cli_error_interrupted(cli, "interrupted: %llu %s delivered%s", delivered, were, rest);
    else
        (void)cli_error_interrupted(cli,
                                    "interrupted: %llu %s delivered, %llu %s not, or not that is known (the "
                                    "first: %s)%s",
                                    delivered, were, failed, sl_plural(failed, "was", "were"),
                                    produce->first_error.text[0]
                                        ? produce->first_error.text
                                        : sl_status_text(produce->first_error.status),
                                    rest);
}

static int fail_deliveries(const struct produce *produce)
{
    const sl_error *first = &produce->first_error;
    int reason =
        cli_fail_as(produce->cli, first, "%llu %s not delivered%s: %s", (unsigned long long)produce->failed,
                    sl_plural(produce->failed, "message was", "messages were"),
                    produce->failed == 1 ? "" : "; the first because",
                    first->text[0] ? first->text : sl_status_text(first->status));
    return reason ? reason : CLI_FAILED;
}

static int run(struct produce *produce)
{
    struct cli *cli = produce->cli;
    sl_producer_options *options = NULL;
    sl_error error = {0};
    if (sl_producer_options_create(&options) ||
        sl_producer_options_set_delivery(options, on_delivery, produce)) {
        sl_producer_options_destroy(&options);
        return cli_out_of_memory(cli);
    }
    sl_status status = sl_producer_create(cli->client, cli->operands[0], cli->operands[1], options,
                                          &produce->producer, &error);
    sl_producer_options_destroy(&options);
    if (status)
        return cli_fail(cli, &error);
    struct cli_summary summary = {.to = sl_producer_connector(produce->producer)};
    int64_t began_ms = cli_mono_ms();
    cli_progress_begin(&produce->progress, cli, "produced", true);
    int code = send_all(produce);
    wait_for_deliveries(produce);
    cli_progress_end(&produce->progress, cli);
    summary.elapsed_ms = cli_mono_ms() - began_ms;
    /* Whatever is left is reported by close, so the counts are final behind it. */
    sl_producer_close(&produce->producer, 0, NULL);
    summary.messages = produce->delivered;
    summary.bytes = produce->delivered_bytes;
    summary.failed = produce->failed;
    cli_print_summary(cli, "produced", &summary);
    /* The signal may have come when all was read already. */
    if (!code && produce->failed && cli_interrupted())
        code = CLI_INTERRUPTED;
    if (produce->stopped_in || code == CLI_INTERRUPTED)
        say_where_it_stopped(produce, code == CLI_INTERRUPTED);
    if (produce->failed && code != CLI_INTERRUPTED) {
        int reason = fail_deliveries(produce);
        /* Reading ended because of it. */
        code = code && !atomic_load(&produce->refused) ? code : reason;
    }
    return code ? code : cli_flush_output(cli);
}

static int read_text(const struct cli *cli, const char *name, struct sl_buffer *out, const char *standard)
{
    const char *text = cli_value(cli, name);
    sl_buffer_init(out, DELIMITER_MAX);
    if (cli_unescape(out, text ? text : standard) && out->size)
        return CLI_OK;
    return cli_usage_error(
        cli, "--%s %s: text is needed, in which \\n \\t \\r \\a \\e \\0 \\\\ and \\xHH stand for bytes", name,
        text);
}

/* What excludes what. */
static int check_options(const struct produce *produce)
{
    static const char *const pairs[][2] = {
        {"key-delimiter", "key"},     {"key-delimiter", "file-per-message"},
        {"ndjson", "key-delimiter"},  {"ndjson", "file-per-message"},
        {"ndjson", "delimiter"},      {"delimiter", "file-per-message"},
        {"crlf", "file-per-message"}, {"crlf", "delimiter"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (cli_flag(produce->cli, pairs[i][0]) && cli_flag(produce->cli, pairs[i][1]))
            return cli_usage_error(produce->cli, "--%s does not go with --%s", pairs[i][0], pairs[i][1]);
    return CLI_OK;
}

static int read_options(struct produce *produce)
{
    struct cli *cli = produce->cli;
    const char *rate = cli_value(cli, "rate"), *header;
    produce->keyed = cli_flag(cli, "key-delimiter");
    produce->ndjson = cli_flag(cli, "ndjson");
    produce->whole = cli_flag(cli, "file-per-message");
    int code = check_options(produce);
    if (!code)
        code = read_text(cli, "key-delimiter", &produce->key_delimiter, "\t");
    if (!code)
        code = read_text(cli, "delimiter", &produce->delimiter, "\n");
    if (!code && rate && !cli_rate_parse(&produce->rate, rate))
        code = cli_usage_error(cli,
                               "--rate %s: messages or bytes a second are needed, such as 100, 0.5, 5MB/s, "
                               "512KiB/s",
                               rate);
    for (size_t at = 0; !code && (header = cli_next_value(cli, "header", &at)) != NULL;)
        code = read_header(produce, header);
    if (!code)
        code = read_timestamp(produce);
    return code ? code : set_common_parts(produce);
}

/* What only the configuration tells. */
static int prepare(struct produce *produce)
{
    int64_t max = SL_PAYLOAD_INLINE_MAX;
    sl_error error = {0};
    if (sl_config_bytes(produce->cli->config, MAX_SIZE, &max, &error))
        return cli_fail(produce->cli, &error);
    produce->max = (uint64_t)max < SIZE_MAX / 4 ? (size_t)max : SIZE_MAX / 4;
    return CLI_OK;
}

static int produce(struct cli *cli)
{
    struct produce produce = {.cli = cli, .lock = PTHREAD_MUTEX_INITIALIZER};
    if (sl_message_create(&produce.message)) {
        return cli_out_of_memory(cli);
    }
    int code = read_options(&produce);
    if (!code)
        code = cli_connect(cli);
    if (!code)
        code = prepare(&produce);
    if (!code)
        code = run(&produce);
    sl_message_destroy(&produce.message);
    cli_record_free(&produce.record);
    sl_buffer_free(&produce.key_delimiter);
    sl_buffer_free(&produce.delimiter);
    for (size_t i = 0; i < produce.header_count; i++)
        free(produce.headers[i].name);
    free(produce.headers);
    return code;
}

const struct cli_command cli_produce_command = {
    .name = "produce",
    .operands = "HRN LAYER [FILE…]",
    .min_operands = 2,
    .max_operands = -1,
    .summary = "write lines or files to a layer, each a message",
    .details =
        "Each line of the files, or of standard input without any (- names it too), is one message; "
        "the newline "
        "is not part of it, a carriage return before it is (unless --crlf is given), an empty line is "
        "an empty "
        "message. Payloads over 1 MiB are stored as blobs and resolved by consumers; "
        "stream.blob.max-size bounds them (256 MiB). Of a layer whose content encoding is gzip they are "
        "compressed on the way, unless they are --compressed.\n"
        "\n"
        "Returns when each message is delivered or has failed; when one failed, or was refused, the "
        "exit code is "
        "not 0. Ctrl-C stops reading, gives what is under way two seconds, tells how "
        "many messages were delivered and how many were not, and exits with 130.\n"
        "\n"
        "It stops at the first line that cannot be a message, file that cannot be read, or answer that the "
        "layer "
        "is gone or may not be written to: what is "
        "before it is "
        "sent, what is from there on is not, and standard error says how many messages were delivered "
        "and where "
        "it stopped (FILE:LINE), so that the rest can be sent later. On a terminal it shows its "
        "progress and a "
        "summary; --verbose shows the summary everywhere, --json prints it as JSON.\n"
        "\n"
        "With --ndjson each line is an object with payload or payloadBase64 and, as wanted, key, "
        "headers (a list "
        "of name and value or valueBase64), timestamp (ms since 1970), traceId, checksum (SHA-256) "
        "and crc; a "
        "payload that is an object or a list is sent as its JSON. --key and --timestamp are for lines "
        "that have "
        "none, --header adds to those of the line. Blank lines are passed over. What `consume --json` "
        "writes beyond that "
        "(partition, offset, "
        "dataHandle, dataSize) is left alone.",
    .examples =
        "  streamlayer produce hrn:here:data::local:traffic cars positions.ndjson --key car-17\n"
        "  printf 'car-17\\t{\"speed\":50}\\n' | streamlayer produce HRN LAYER --key-delimiter '\\t'\n"
        "  streamlayer consume HRN A --json | streamlayer produce HRN B --ndjson\n"
        "  find . -name '*.xml' -print0 | streamlayer produce HRN LAYER --delimiter '\\0'\n"
        "  streamlayer produce HRN LAYER --file-per-message tiles/*.bin\n"
        "  streamlayer produce HRN LAYER replay.ndjson --ndjson --rate 100\n"
        "  streamlayer produce HRN LAYER -D "
        "here.platform.data-client.stream.connector.producer=http-connector\n",
    .options = produce_options,
    .changes = true,
    .related = "consume,pipe,blob put,layer create",
    .run = produce,
};
