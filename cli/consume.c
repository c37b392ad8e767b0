/* streamlayer consume */
#include "base/text.h"
#include "format.h"
#include "progress.h"
#include "record.h"
#include "sink.h"
#include "source.h"

#include <stdlib.h>
#include <string.h>

#define WRITE_SIZE   ((size_t)1024 * 1024) /* bytes formatted before they are written out */
#define DEFAULT_NAME "%p-%o"

static const struct cli_option consume_options[] = {
    CLI_SOURCE_OPTIONS,
    {0, "no-commit", NULL, "commit nothing: the next run reads the same messages"},
    {'d', "delimiter", "TEXT",
     "write it after each message, instead of a newline; \\n \\t \\r \\0 \\xHH stand for bytes"},
    {'K', "key-delimiter", "TEXT", "write the key and TEXT before each payload"},
    {'r', "raw", NULL, "write the payloads' bytes and nothing else"},
    {0, "format", "FORMAT", "write each message so, as kcat's -f does; see above"},
    {0, "output", "FILE|DIR",
     "write to FILE, or with --file-per-message into DIR, instead of standard output"},
    {0, "append", NULL, "add to FILE when it has something in it already"},
    {'F', "file-per-message", NULL, "write each message to a file of its own in DIR"},
    {0, "name", "FORMAT", "the names of those files (default %p-%o); one that is there is replaced"},
    {0, "no-resolve", NULL, "do not fetch payloads over 1 MiB: such a message has its data handle only"},
    {0, "compressed", NULL, "payloads of a layer whose content encoding is gzip come as they were sent"},
    {'q', "quiet", NULL, "no progress and no summary"},
    {0, NULL, NULL, NULL},
};

struct consume {
    struct cli_source source;
    struct cli_sink sink;
    struct sl_buffer text; /* what a batch is turned into before it is written */
    struct sl_buffer delimiter, key_delimiter, name_text;
    struct cli_format format, name;
    bool keys, formatted, per_message, apart;
    uint64_t bytes;
    struct cli_progress progress;
};

static void format_text(struct consume *consume, const sl_message *message)
{
    size_t size;
    if (consume->keys) {
        const void *key = sl_message_partition_id(message, &size);
        sl_buffer_append(&consume->text, key, size);
        sl_buffer_append(&consume->text, consume->key_delimiter.data, consume->key_delimiter.size);
    }
    const void *payload = sl_message_payload(message, &size);
    if (!payload && sl_message_data_handle(message) && !consume->apart) {
        consume->apart = true;
        cli_warning(consume->source.cli,
                    "payloads are stored apart, the first one under the data handle %s, and are left out: "
                    "--json shows the handles, `streamlayer blob get` fetches one",
                    sl_message_data_handle(message));
    }
    sl_buffer_append(&consume->text, payload, size);
    sl_buffer_append(&consume->text, consume->delimiter.data, consume->delimiter.size);
}

static void format_message(struct consume *consume, const sl_message *message)
{
    const struct cli *cli = consume->source.cli;
    if (cli->json)
        cli_record_write(&consume->text, message);
    else if (consume->formatted)
        cli_format_write(&consume->format, &consume->text, message, cli->operands[1]);
    else
        format_text(consume, message);
}

static int out_of_memory(const struct consume *consume)
{
    cli_out_of_memory(consume->source.cli);
    return CLI_FAILED;
}

/* Writes out what is formatted: all of it is then done with, or it is known not to be. */
static int write_out(struct consume *consume, const sl_message *message)
{
    int code;
    if (consume->text.failed)
        return out_of_memory(consume);
    if (consume->per_message) {
        cli_format_name(&consume->name, &consume->name_text, message, consume->source.cli->operands[1]);
        if (consume->name_text.failed)
            return out_of_memory(consume);
        code = cli_sink_file(&consume->sink, consume->name_text.data, consume->text.data, consume->text.size);
    } else {
        code = cli_sink_write(&consume->sink, consume->text.data, consume->text.size);
    }
    sl_buffer_reset(&consume->text);
    return code;
}

static void show_progress(struct consume *consume)
{
    struct cli_amount amount = {.messages = (uint64_t)consume->source.taken, .bytes = consume->bytes};
    cli_progress_show(&consume->progress, &amount);
}

static int write_batch(struct consume *consume, const sl_batch *batch)
{
    struct cli_source *source = &consume->source;
    struct cli_offsets formatted = {0};
    int code = CLI_OK;
    size_t count = sl_batch_count(batch);
    for (size_t i = 0; i < count && !code; i++) {
        const sl_message *message = sl_batch_message(batch, i);
        bool taken = cli_source_takes(source, message);
        if (taken) {
            size_t size;
            sl_message_payload(message, &size);
            consume->bytes += size;
            format_message(consume, message);
            if (!cli_offsets_put(&formatted, sl_message_offset(message)))
                code = out_of_memory(consume);
        }
        if (code || (consume->per_message ? !taken : i + 1 < count && consume->text.size < WRITE_SIZE))
            continue;
        code = write_out(consume, message);
        for (size_t j = 0; j < formatted.count && !code; j++)
            if (!cli_offsets_put(&source->done, formatted.items[j]))
                code = out_of_memory(consume);
        formatted.count = 0;
        if (!code && cli_interrupted())
            break;
    }
    free(formatted.items);
    show_progress(consume);
    return code ? code : cli_source_commit(source, false);
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
    cli_progress_begin(&consume->progress, source->cli, "consumed", consume->sink.regular);
    while ((next = cli_source_next(source, &batch, &code)) == CLI_NEXT_BATCH || next == CLI_NEXT_NOTHING) {
        code = batch ? write_batch(consume, batch) : cli_source_commit(source, true);
        sl_batch_destroy(&batch);
        if (code)
            break;
        show_progress(consume);
    }
    int closed = cli_sink_close(&consume->sink);
    int committed = closed ? closed : cli_source_commit(source, true);
    cli_progress_end(&consume->progress, source->cli);
    print_summary(consume, began_ms);
    /* To a person, Ctrl-C is the usual end of --follow, and no news. */
    if (code == CLI_INTERRUPTED && source->cli->json)
        (void)cli_error_interrupted(source->cli, "interrupted: %lld %s read", (long long)source->taken,
                                    sl_plural((uint64_t)source->taken, "message was", "messages were"));
    return code ? code : committed;
}

static int read_text(const struct cli *cli, const char *name, struct sl_buffer *out, const char *standard)
{
    const char *text = cli_value(cli, name);
    sl_buffer_init(out, 65536);
    if (cli_unescape(out, text ? text : standard))
        return CLI_OK;
    return cli_usage_error(
        cli, "--%s %s: text is needed, in which \\n \\t \\r \\a \\e \\0 \\\\ and \\xHH stand for bytes", name,
        text);
}

static int read_format(const struct cli *cli, const char *name, struct cli_format *format,
                       const char *standard)
{
    const char *text = cli_value(cli, name);
    char why[CLI_FORMAT_WHY];
    if (cli_format_compile(format, text ? text : standard, why))
        return CLI_OK;
    return cli_usage_error(cli, "--%s %s: %s", name, text, why);
}

/* Options that say how a message is written exclude each other. */
static int check_forms(const struct cli *cli)
{
    static const char *const forms[] = {"json", "format", "raw", "delimiter", "key-delimiter"};
    const char *first = NULL;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (!cli_flag(cli, forms[i]) || (first && !strcmp(first, "delimiter")))
            continue;
        if (first)
            return cli_usage_error(cli, "--%s does not go with --%s", forms[i], first);
        first = forms[i];
    }
    if (cli_flag(cli, "file-per-message") && !cli_value(cli, "output"))
        return cli_usage_error(cli, "--file-per-message needs --output DIR");
    if (cli_flag(cli, "name") && !cli_flag(cli, "file-per-message"))
        return cli_usage_error(cli, "--name is for --file-per-message");
    if (cli_flag(cli, "append") && (cli_flag(cli, "file-per-message") || !cli_value(cli, "output")))
        return cli_usage_error(cli, "--append is for --output FILE");
    return CLI_OK;
}

static int read_options(struct consume *consume, struct cli *cli)
{
    consume->keys = cli_flag(cli, "key-delimiter");
    consume->formatted = cli_flag(cli, "format");
    consume->per_message = cli_flag(cli, "file-per-message");
    bool bare = cli_flag(cli, "raw") || consume->per_message;
    sl_buffer_init(&consume->text, SIZE_MAX / 2);
    sl_buffer_init(&consume->name_text, SIZE_MAX / 2);
    int code = check_forms(cli);
    if (!code)
        code = read_text(cli, "delimiter", &consume->delimiter, bare ? "" : "\n");
    if (!code)
        code = read_text(cli, "key-delimiter", &consume->key_delimiter, "");
    if (!code)
        code = read_format(cli, "format", &consume->format, "");
    if (!code)
        code = read_format(cli, "name", &consume->name, DEFAULT_NAME);
    if (!code && cli_format_has_slash(&consume->name))
        code =
            cli_usage_error(cli, "--name %s: a file's name has no slash and no NUL", cli_value(cli, "name"));
    return code ? code : cli_source_prepare(&consume->source, cli);
}

static int open_sink(struct consume *consume, const struct cli *cli)
{
    const char *path = cli_value(cli, "output");
    return consume->per_message ? cli_sink_open_directory(&consume->sink, cli, path)
                                : cli_sink_open(&consume->sink, cli, path, cli_flag(cli, "append"));
}

static int consume(struct cli *cli)
{
    struct consume consume = {.source = {.cli = cli}, .sink = {.cli = cli, .fd = -1}};
    int code = read_options(&consume, cli);
    if (cli_flag(cli, "no-resolve"))
        consume.source.resolve = 0;
    if (cli_flag(cli, "compressed"))
        consume.source.inflate = 0;
    if (!code)
        code = open_sink(&consume, cli);
    if (!code)
        code = cli_source_connect(&consume.source);
    if (!code)
        code = cli_source_open(&consume.source, NULL);
    if (!code)
        code = run(&consume);
    int closed = cli_source_close(&consume.source);
    code = code ? code : closed;
    (void)cli_sink_close(&consume.sink);
    sl_buffer_free(&consume.text);
    sl_buffer_free(&consume.delimiter);
    sl_buffer_free(&consume.key_delimiter);
    sl_buffer_free(&consume.name_text);
    cli_format_free(&consume.format);
    cli_format_free(&consume.name);
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
        "a "
        "while (--idle), after --count messages, at the end of a range, or with --follow not at all. What "
        "was "
        "written is committed, about once a second and at the end: two runs of one group together read each "
        "message, and after a crash the messages of the last second may come twice. Members of a group share "
        "its messages. Ctrl-C commits, leaves the group and exits with 130.\n"
        "\n"
        "To have a look, add --no-commit: --offset alone moves the group, also back, for all who share it.\n"
        "\n" CLI_SOURCE_DETAILS "\n"
        "\n"
        "--json writes an object a line, with the fields that the message has: key, payload, dataHandle, "
        "dataSize, timestamp (ms since 1970), traceId, checksum, crc, headers (a list of name and value), "
        "partition, offset. What is not UTF-8 comes in base64, with Base64 behind the field's name: "
        "payloadBase64, valueBase64. `streamlayer produce --ndjson` reads such lines.\n"
        "\n"
        "In FORMAT stand for parts of a message:\n"
        "\n"
        "  %s payload      %S its size in bytes (-1: a null value)   %R the same in 4 bytes, big-endian\n"
        "  %k key          %K its size in bytes (-1: none)           %h headers, name=value,name=value\n"
        "  %T timestamp in ms since 1970                             %D timestamp as "
        "2026-01-31T12:30:15.250Z\n"
        "  %o offset       %p Kafka partition                        %t layer\n"
        "  %i trace id     %d data handle                            %% a percent sign\n"
        "  \\n \\t \\r \\a \\e \\0 \\\\ \\xHH bytes\n"
        "\n"
        "Nothing is added, so that a FORMAT for lines ends in \\n. In the names of --file-per-message all "
        "that "
        "comes from a message is percent-encoded but for letters, digits and - . _ ~, so a key cannot lead "
        "out of DIR.",
    .examples = "  streamlayer consume hrn:here:data::local:traffic cars --follow\n"
                "  streamlayer consume HRN LAYER --offset begin --count 10 --no-commit --json\n"
                "  streamlayer consume HRN LAYER --offset -10 --no-commit\n"
                "  streamlayer consume HRN LAYER --offset @-1h:@-30m --no-commit\n"
                "  streamlayer consume HRN LAYER --offset :end --output cars.txt --append\n"
                "  streamlayer consume HRN LAYER --partition 0 --offset 1500 --no-commit\n"
                "  streamlayer consume HRN LAYER --format '%D %k: %s\\n'\n"
                "  streamlayer consume HRN LAYER --file-per-message --output tiles --name '%k.bin'\n"
                "  streamlayer consume HRN LAYER --group my-application --key-delimiter '\\t'\n",
    .options = consume_options,
    .related = "produce,pipe,group describe,group reset,blob get",
    .run = consume,
};
