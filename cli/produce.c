/* streamlayer produce */
#include "cli.h"
#include "lines.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#define SIGNAL_CHECK_MS     200
#define INTERRUPTED_WAIT_MS 10000 /* for what is under way when Ctrl-C comes */

static const struct cli_option produce_options[] = {
    {'k', "key", "KEY", "the partition id of every message: those that share it keep their order"},
    {'K', "key-delimiter", "CHAR", "a line is KEY CHAR PAYLOAD; \\t and \\xHH are understood"},
    {'H', "header", "NAME=VALUE", "a header of every message (repeatable)"},
    {0, "timestamp", "MS", "the event time of every message, ms since 1970; else the time of sending"},
    {'F', "file-per-message", NULL, "each FILE is one message"},
    {0, NULL, NULL, NULL},
};

struct produce {
    struct cli *cli;
    sl_producer *producer;
    sl_message *message;
    int delimiter; /* -1: none */
    pthread_mutex_t lock;
    /* Under lock: written by the library's thread. */
    uint64_t delivered, delivered_bytes, failed;
    sl_error first_error;
    /* Where an early end was: nothing from there on is sent. NULL: there was none. Line 0: the whole file. */
    const char *stopped_in;
    uint64_t stopped_at;
};

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
        if (!produce->failed++ && error)
            produce->first_error = *error;
    }
    pthread_mutex_unlock(&produce->lock);
}

/* Fills the message's parts that are the same for all. */
static int set_common_parts(struct produce *produce)
{
    struct cli *cli = produce->cli;
    const char *key = cli_value(cli, "key"), *header;
    int64_t timestamp_ms = -1;
    if (!cli_number(cli, "timestamp", 1, INT64_MAX, &timestamp_ms))
        return CLI_USAGE;
    if (key && sl_message_set_partition_id(produce->message, key, strlen(key)))
        return cli_usage_error(cli, "--key: a partition id is UTF-8 text of 1 to %d characters",
                               SL_PARTITION_ID_MAX);
    if (timestamp_ms >= 0 && sl_message_set_timestamp_ms(produce->message, timestamp_ms))
        return cli_usage_error(cli, "--timestamp %lld: not a time", (long long)timestamp_ms);
    for (size_t at = 0; (header = cli_next_value(cli, "header", &at)) != NULL;) {
        const char *equals = strchr(header, '=');
        char name[129];
        size_t length = equals ? (size_t)(equals - header) : 0;
        if (!length || length >= sizeof name)
            return cli_usage_error(cli, "--header %s: NAME=VALUE is needed", header);
        memcpy(name, header, length);
        name[length] = 0;
        /* Messages borrow: the name must be the command line's own text, cut in place. */
        ((char *)(uintptr_t)header)[length] = 0;
        if (sl_message_add_header(produce->message, header, equals + 1, strlen(equals + 1)))
            return cli_usage_error(
                cli,
                "--header %s: a name is 1 to 128 letters, digits and -_.~ and does not begin with \"sl-\"",
                name);
    }
    return CLI_OK;
}

/* Sends what the message now has, waiting for room in the queue. */
static int send_message(struct produce *produce, size_t size, const struct cli_lines *lines)
{
    sl_error error = {0};
    sl_status status;
    do {
        status = sl_producer_send(produce->producer, produce->message, (void *)(uintptr_t)size,
                                  SIGNAL_CHECK_MS, &error);
    } while (status == SL_QUEUE_FULL && !cli_interrupted());
    if (!status)
        return CLI_OK;
    if (status == SL_QUEUE_FULL)
        return CLI_INTERRUPTED;
    if (lines->number)
        cli_error(produce->cli, "%s:%llu: %s", lines->name, (unsigned long long)lines->number, error.text);
    else
        cli_error(produce->cli, "%s: %s", lines->name, error.text);
    return cli_exit_code(status);
}

static int send_line(struct produce *produce, const char *line, size_t size, const struct cli_lines *lines)
{
    if (produce->delimiter >= 0) {
        const char *delimiter = memchr(line, produce->delimiter, size);
        if (!delimiter) {
            cli_error(produce->cli, "%s:%llu: the line has no key delimiter", lines->name,
                      (unsigned long long)lines->number);
            return CLI_FAILED;
        }
        size_t key = (size_t)(delimiter - line);
        /* An empty key is none: the trace id then serves as the partition id. */
        if (sl_message_set_partition_id(produce->message, key ? line : NULL, key)) {
            cli_error(produce->cli, "%s:%llu: the key is not UTF-8 text of at most %d characters",
                      lines->name, (unsigned long long)lines->number, SL_PARTITION_ID_MAX);
            return CLI_FAILED;
        }
        line += key + 1;
        size -= key + 1;
    }
    sl_status status = sl_message_set_payload(produce->message, line, size);
    if (status) {
        cli_error(produce->cli, "%s:%llu: %s", lines->name, (unsigned long long)lines->number,
                  sl_status_text(status));
        return CLI_FAILED;
    }
    return send_message(produce, size, lines);
}

static int send_file(struct produce *produce, const char *path, bool whole)
{
    struct cli_lines lines;
    /* With a key in the line, the line may be longer than the payload; the library checks the payload. */
    size_t room = produce->delimiter >= 0 ? 4 * SL_PARTITION_ID_MAX + 1 : 0;
    if (!cli_lines_open(&lines, produce->cli, path, SL_PAYLOAD_INLINE_MAX + room)) {
        produce->stopped_in = lines.name;
        return errno == ENOENT ? CLI_NOT_FOUND : CLI_FAILED;
    }
    int code = CLI_OK;
    const char *data;
    size_t size;
    enum cli_line outcome;
    if (whole) {
        outcome = cli_lines_rest(&lines, produce->cli, &data, &size);
        if (outcome == CLI_LINE &&
            !(code = sl_message_set_payload(produce->message, data, size) ? CLI_FAILED : CLI_OK))
            code = send_message(produce, size, &lines);
    } else {
        while (!code && (outcome = cli_lines_next(&lines, produce->cli, &data, &size)) == CLI_LINE)
            code = cli_interrupted() ? CLI_INTERRUPTED : send_line(produce, data, size, &lines);
    }
    cli_lines_close(&lines);
    if (!code && outcome == CLI_LINE_FAILED)
        code = CLI_FAILED;
    if (!code && outcome == CLI_LINE_INTERRUPTED)
        code = CLI_INTERRUPTED;
    if (code) {
        produce->stopped_in = lines.name;
        produce->stopped_at = lines.number;
    }
    return code;
}

static int send_all(struct produce *produce)
{
    struct cli *cli = produce->cli;
    bool whole = cli_flag(cli, "file-per-message");
    int code = CLI_OK;
    if (cli->operand_count <= 2)
        return send_file(produce, NULL, whole);
    for (size_t i = 2; i < cli->operand_count && !code; i++) {
        code = send_file(produce, cli->operands[i], whole);
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
        if (cli_interrupted() && !interrupted_ms)
            interrupted_ms = cli_mono_ms();
        if (interrupted_ms && cli_mono_ms() - interrupted_ms > INTERRUPTED_WAIT_MS)
            break;
    }
}

/* A script must know what to send again. */
static void say_where_it_stopped(const struct produce *produce)
{
    char line[32] = "";
    if (produce->stopped_at)
        snprintf(line, sizeof line, ":%llu", (unsigned long long)produce->stopped_at);
    cli_error(produce->cli, "stopped early: %llu messages were delivered; what is from %s%s on was not sent",
              (unsigned long long)produce->delivered, produce->stopped_in, line);
}

static int run(struct produce *produce)
{
    struct cli *cli = produce->cli;
    sl_producer_options *options = NULL;
    sl_error error = {0};
    if (sl_producer_options_create(&options) ||
        sl_producer_options_set_delivery(options, on_delivery, produce)) {
        sl_producer_options_destroy(&options);
        cli_error(cli, "out of memory");
        return CLI_FAILED;
    }
    sl_status status = sl_producer_create(cli->client, cli->operands[0], cli->operands[1], options,
                                          &produce->producer, &error);
    sl_producer_options_destroy(&options);
    if (status)
        return cli_fail(cli, &error);
    struct cli_summary summary = {.to = sl_producer_connector(produce->producer)};
    int64_t began_ms = cli_mono_ms();
    int code = send_all(produce);
    wait_for_deliveries(produce);
    summary.elapsed_ms = cli_mono_ms() - began_ms;
    /* Whatever is left is reported by close, so the counts are final behind it. */
    sl_producer_close(&produce->producer, 0, NULL);
    summary.messages = produce->delivered;
    summary.bytes = produce->delivered_bytes;
    summary.failed = produce->failed;
    cli_print_summary(cli, "produced", &summary);
    if (produce->stopped_in)
        say_where_it_stopped(produce);
    if (produce->failed) {
        cli_error(cli, "%llu messages were not delivered; the first because: %s",
                  (unsigned long long)produce->failed,
                  produce->first_error.text[0] ? produce->first_error.text
                                               : sl_status_text(produce->first_error.status));
        if (!code)
            code = CLI_FAILED;
    }
    return code ? code : cli_flush_output(cli);
}

static int produce(struct cli *cli)
{
    struct produce produce = {.cli = cli, .delimiter = -1, .lock = PTHREAD_MUTEX_INITIALIZER};
    const char *delimiter = cli_value(cli, "key-delimiter");
    if (delimiter) {
        if (cli_value(cli, "key") || cli_flag(cli, "file-per-message"))
            return cli_usage_error(cli,
                                   "--key-delimiter goes neither with --key nor with --file-per-message");
        produce.delimiter = cli_character(delimiter);
        if (produce.delimiter < 0)
            return cli_usage_error(cli, "--key-delimiter %s: one character is needed, or \\t or \\xHH",
                                   delimiter);
    }
    if (sl_message_create(&produce.message)) {
        cli_error(cli, "out of memory");
        return CLI_FAILED;
    }
    int code = set_common_parts(&produce);
    if (!code)
        code = cli_connect(cli);
    if (!code)
        code = run(&produce);
    sl_message_destroy(&produce.message);
    return code;
}

const struct cli_command cli_produce_command = {
    .name = "produce",
    .operands = "HRN LAYER [FILE…]",
    .min_operands = 2,
    .max_operands = -1,
    .summary = "write lines or files to a layer, each a message",
    .details =
        "Each line of the files, or of standard input without any (- names it too), is one message; the "
        "newline "
        "is\n"
        "not part of it, an empty line is an empty message. A message has at most 1 MiB. Returns when each "
        "message\n"
        "is delivered or has failed; when one failed, or was refused, the exit code is not 0. Ctrl-C stops "
        "reading\n"
        "and waits for what is under way.\n"
        "It stops at the first line that cannot be a message, or file that cannot be read: what is before it "
        "is "
        "sent,\n"
        "what is from there on is not, and standard error says how many messages were delivered and where "
        "it\n"
        "stopped (FILE:LINE), so that the rest can be sent later. --verbose shows the summary everywhere.",
    .examples =
        "  streamlayer produce hrn:here:data::local:traffic cars positions.ndjson --key car-17\n"
        "  printf 'car-17\\t{\"speed\":50}\\n' | streamlayer produce HRN LAYER --key-delimiter '\\t'\n"
        "  streamlayer produce HRN LAYER --file-per-message tiles/*.bin\n"
        "  streamlayer produce HRN LAYER -D "
        "here.platform.data-client.stream.connector.producer=http-connector\n",
    .options = produce_options,
    .run = produce,
};
