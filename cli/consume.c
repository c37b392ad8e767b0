/* streamlayer consume */
#include "source.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIGNAL_CHECK_MS     200
#define INTERRUPTED_WAIT_MS 2000 /* for a reader that does not read, after Ctrl-C */

static const struct cli_option consume_options[] = {
    CLI_SOURCE_OPTIONS,
    {0, "no-commit", NULL, "commit nothing: the next run reads the same messages"},
    {'K', "key-delimiter", "CHAR", "write KEY CHAR PAYLOAD; \\t and \\xHH are understood"},
    {0, NULL, NULL, NULL},
};

/* What a batch is turned into before it is written, so that it is written whole or known not to be. */
struct text {
    char *data;
    size_t size, capacity;
    bool failed;
};

struct consume {
    struct cli_source source;
    struct text text;
    int delimiter; /* -1: payloads only */
    uint64_t bytes;
};

static bool append(struct text *text, const void *data, size_t size)
{
    if (size > text->capacity - text->size) {
        size_t capacity = 2 * (text->size + size) + 4096;
        char *grown = capacity > size ? realloc(text->data, capacity) : NULL;
        if (!grown) {
            text->failed = true;
            return false;
        }
        text->data = grown;
        text->capacity = capacity;
    }
    if (size)
        memcpy(text->data + text->size, data, size);
    text->size += size;
    return true;
}

static int append_json(const char *data, size_t size, void *text)
{
    return append(text, data, size) ? 0 : -1;
}

/* Text as it is where it is UTF-8, and otherwise as base64 under the name with Base64 behind it. */
static void set_bytes(json_t *object, const char *name, const void *data, size_t size)
{
    json_t *value = data ? json_stringn(data, size) : json_null();
    if (value) {
        json_object_set_new(object, name, value);
        return;
    }
    char other[64];
    snprintf(other, sizeof other, "%sBase64", name);
    unsigned char *base64 = size < INT32_MAX / 2 ? malloc(4 * (size / 3 + 1) + 1) : NULL;
    if (base64) {
        int length = EVP_EncodeBlock(base64, data, (int)size);
        json_object_set_new(object, other, json_stringn((char *)base64, (size_t)length));
    }
    free(base64);
}

static void set_text(json_t *object, const char *name, const char *value)
{
    if (value)
        json_object_set_new(object, name, json_string(value));
}

static void set_number(json_t *object, const char *name, int64_t value)
{
    if (value >= 0)
        json_object_set_new(object, name, json_integer(value));
}

static json_t *headers_json(const sl_message *message)
{
    json_t *headers = json_array();
    const char *name;
    const void *value;
    size_t size;
    for (size_t i = 0; sl_message_header_at(message, i, &name, &value, &size); i++) {
        json_t *header = json_object();
        set_bytes(header, "name", name, strlen(name));
        set_bytes(header, "value", value, size);
        json_array_append_new(headers, header);
    }
    return headers;
}

static void format_json(struct text *text, const sl_message *message)
{
    json_t *object = json_object();
    size_t size;
    const char *key = sl_message_partition_id(message, &size);
    if (key)
        set_bytes(object, "key", key, size);
    const char *handle = sl_message_data_handle(message);
    const void *payload = sl_message_payload(message, &size);
    if (payload || !handle)
        set_bytes(object, "payload", payload, size);
    set_text(object, "dataHandle", handle);
    set_number(object, "dataSize", sl_message_data_size(message));
    set_number(object, "timestamp", sl_message_timestamp_ms(message));
    set_text(object, "traceId", sl_message_trace_id(message));
    set_text(object, "checksum", sl_message_checksum(message));
    set_text(object, "crc", sl_message_crc(message));
    if (sl_message_header_count(message))
        json_object_set_new(object, "headers", headers_json(message));
    sl_offset offset = sl_message_offset(message);
    set_number(object, "partition", offset.partition);
    set_number(object, "offset", offset.offset);
    if (!object || json_dump_callback(object, append_json, text, JSON_COMPACT | JSON_PRESERVE_ORDER))
        text->failed = true;
    json_decref(object);
    append(text, "\n", 1);
}

static void format_text(struct consume *consume, const sl_message *message)
{
    size_t size;
    const void *key = sl_message_partition_id(message, &size);
    if (consume->delimiter >= 0) {
        char delimiter = (char)consume->delimiter;
        append(&consume->text, key, size);
        append(&consume->text, &delimiter, 1);
    }
    const void *payload = sl_message_payload(message, &size);
    if (!payload && sl_message_data_handle(message))
        cli_warning(consume->source.cli,
                    "a payload is stored apart, under the data handle %s: --json shows it",
                    sl_message_data_handle(message));
    append(&consume->text, payload, size);
    append(&consume->text, "\n", 1);
}

/* Writes the text out. A reader that is slow is waited for; after Ctrl-C, only for a while. */
static int write_out(struct consume *consume)
{
    const struct cli *cli = consume->source.cli;
    int64_t interrupted_ms = 0;
    for (size_t written = 0; written < consume->text.size;) {
        if (cli_interrupted() && !interrupted_ms)
            interrupted_ms = cli_mono_ms();
        if (interrupted_ms && cli_mono_ms() - interrupted_ms > INTERRUPTED_WAIT_MS)
            return CLI_INTERRUPTED;
        struct pollfd output = {.fd = STDOUT_FILENO, .events = POLLOUT};
        if (poll(&output, 1, SIGNAL_CHECK_MS) <= 0)
            continue;
        ssize_t count = write(STDOUT_FILENO, consume->text.data + written, consume->text.size - written);
        if (count < 0 && errno != EINTR && errno != EAGAIN)
            return cli_output_failed(cli, errno);
        written += count > 0 ? (size_t)count : 0;
    }
    consume->text.size = 0;
    return CLI_OK;
}

static int write_batch(struct consume *consume, const sl_batch *batch)
{
    struct cli_source *source = &consume->source;
    for (size_t i = 0; i < sl_batch_count(batch); i++) {
        const sl_message *message = sl_batch_message(batch, i);
        size_t size;
        sl_message_payload(message, &size);
        consume->bytes += size;
        if (source->cli->json)
            format_json(&consume->text, message);
        else
            format_text(consume, message);
    }
    if (consume->text.failed) {
        cli_error(source->cli, "out of memory");
        return CLI_FAILED;
    }
    int code = write_out(consume);
    if (code)
        return code;
    for (size_t i = 0; i < sl_batch_count(batch); i++)
        if (!cli_offsets_put(&source->done, sl_message_offset(sl_batch_message(batch, i))))
            return CLI_FAILED;
    return cli_source_commit(source, false);
}

static void print_summary(const struct consume *consume, int64_t began_ms)
{
    const struct cli_source *source = &consume->source;
    struct cli_summary summary = {
        .messages = (uint64_t)source->taken,
        .bytes = consume->bytes,
        .elapsed_ms = source->last_message_ms - began_ms,
        .from = sl_consumer_connector(source->consumer),
    };
    /* Standard output is the messages' own. */
    struct cli quiet = *source->cli;
    quiet.json = false;
    cli_print_summary(&quiet, "consumed", &summary);
}

static int run(struct consume *consume)
{
    struct cli_source *source = &consume->source;
    int64_t began_ms = cli_mono_ms();
    int code = CLI_OK;
    sl_batch *batch;
    enum cli_next next;
    while ((next = cli_source_next(source, &batch, &code)) == CLI_NEXT_BATCH || next == CLI_NEXT_NOTHING) {
        code = batch ? write_batch(consume, batch) : cli_source_commit(source, true);
        sl_batch_destroy(&batch);
        if (code)
            break;
    }
    int committed = cli_source_commit(source, true);
    print_summary(consume, began_ms);
    return code ? code : committed;
}

static int consume(struct cli *cli)
{
    struct consume consume = {.delimiter = -1};
    const char *delimiter = cli_value(cli, "key-delimiter");
    if (delimiter && cli->json)
        return cli_usage_error(cli, "--key-delimiter does not go with --json, which has the keys");
    if (delimiter && (consume.delimiter = cli_character(delimiter)) < 0)
        return cli_usage_error(cli, "--key-delimiter %s: one character is needed, or \\t or \\xHH",
                               delimiter);
    int code = cli_source_prepare(&consume.source, cli);
    if (!code)
        code = cli_connect(cli);
    if (!code)
        code = cli_source_open(&consume.source, NULL);
    if (!code) {
        code = run(&consume);
        int closed = cli_source_close(&consume.source);
        code = code ? code : closed;
    }
    free(consume.text.data);
    return code;
}

const struct cli_command cli_consume_command = {
    .name = "consume",
    .operands = "HRN LAYER",
    .min_operands = 2,
    .max_operands = 2,
    .summary = "read a layer's messages",
    .details =
        "Goes on where its group ended; a new group starts at the begin. Ends when nothing more has come for "
        "a\n"
        "while (--idle), after --count messages, or with --follow not at all. What was written to standard "
        "output\n"
        "is committed, about once a second and at the end: two runs of one group together read each message, "
        "and\n"
        "after a crash the messages of the last second may come twice. Members of a group share its "
        "messages.\n"
        "Ctrl-C commits, leaves the group and exits with 130.\n"
        "\n"
        "To have a look, add --no-commit: --offset alone moves the group, also back, for all who share it.\n"
        "\n"
        "--json writes an object a line, with the fields that the message has: key, payload, dataHandle, "
        "dataSize,\n"
        "timestamp (ms since 1970), traceId, checksum, crc, headers (a list of name and value), partition, "
        "offset.\n"
        "What is not UTF-8 comes in base64, with Base64 behind the field's name: payloadBase64, valueBase64.",
    .examples = "  streamlayer consume hrn:here:data::local:traffic cars --follow\n"
                "  streamlayer consume HRN LAYER --offset begin --count 10 --no-commit --json\n"
                "  streamlayer consume HRN LAYER --offset 0:1500 --no-commit\n"
                "  streamlayer consume HRN LAYER --group my-application --key-delimiter '\\t'\n",
    .options = consume_options,
    .run = consume,
};
