#include "source.h"

#include <stdlib.h>
#include <string.h>

#define POLL_MS         200
#define COMMIT_EVERY_MS 1000
#define DEFAULT_IDLE_MS 3000
#define START_SETTING   "here.platform.data-client.stream.consumer.start"

bool cli_offsets_put(struct cli_offsets *offsets, sl_offset offset)
{
    offsets->changed = true;
    for (size_t i = 0; i < offsets->count; i++)
        if (offsets->items[i].partition == offset.partition) {
            offsets->items[i] = offset;
            return true;
        }
    sl_offset *grown = realloc(offsets->items, (offsets->count + 1) * sizeof *grown);
    if (!grown)
        return false;
    grown[offsets->count++] = offset;
    offsets->items = grown;
    return true;
}

/* "N" or "P:N"; partition -1 for the first form. */
static bool parse_offset(const char *text, sl_offset *offset)
{
    char *end;
    long long first = strtoll(text, &end, 10);
    if (end == text || first < 0 || *text == '+' || *text == ' ')
        return false;
    *offset = (sl_offset){-1, first};
    if (!*end)
        return true;
    const char *rest = end + 1;
    if (*end != ':' || first > INT32_MAX || *rest < '0' || *rest > '9')
        return false;
    long long second = strtoll(rest, &end, 10);
    *offset = (sl_offset){(int32_t)first, second};
    return !*end;
}

static bool is_place(const char *where)
{
    return !strcmp(where, "begin") || !strcmp(where, "end");
}

int cli_source_prepare(struct cli_source *source, struct cli *cli)
{
    *source = (struct cli_source){
        .cli = cli, .commits = !cli_flag(cli, "no-commit"), .follow = cli_flag(cli, "follow"), .count = -1};
    source->idle_ms = source->follow || cli_flag(cli, "count") ? -1 : DEFAULT_IDLE_MS;
    if (!cli_number(cli, "count", 1, INT64_MAX, &source->count) ||
        !cli_duration_ms(cli, "idle", 1, 24 * 3600000LL, &source->idle_ms))
        return CLI_USAGE;
    const char *where;
    sl_offset offset;
    for (size_t at = 0; (where = cli_next_value(cli, "offset", &at)) != NULL;)
        if (!is_place(where) && !parse_offset(where, &offset))
            return cli_usage_error(cli, "--offset %s: begin, end, N or PARTITION:N is needed", where);
    return CLI_OK;
}

/* To offset N in every partition. Which ones are this consumer's is for the group to know, so each of the
 * layer's is tried; one at least must be ours. */
static sl_status seek_all(struct cli_source *source, int64_t offset, sl_error *error)
{
    sl_catalog *catalog = NULL;
    sl_status status = sl_catalog_get(source->cli->client, source->cli->operands[0], &catalog, error);
    if (status)
        return status;
    sl_layer_spec layer = {.struct_size = sizeof layer};
    size_t at = 0;
    int partitions = 0;
    bool any = false;
    while (sl_catalog_layer_at(catalog, at++, &layer))
        if (!strcmp(layer.id, source->cli->operands[1]))
            partitions = layer.parallelization;
    sl_catalog_destroy(&catalog);
    for (int32_t i = 0; i < partitions; i++) {
        sl_offset wanted = {i, offset};
        status = sl_consumer_seek(source->consumer, &wanted, 1, error);
        any |= status == SL_OK;
        if (status && status != SL_INVALID_ARGUMENT && status != SL_CONFLICT)
            return status;
    }
    return any ? SL_OK : status;
}

static sl_status seek(struct cli_source *source, sl_error *error)
{
    const char *where;
    for (size_t at = 0; (where = cli_next_value(source->cli, "offset", &at)) != NULL;) {
        sl_offset offset;
        sl_status status;
        if (is_place(where))
            status =
                sl_consumer_seek_to(source->consumer, *where == 'b' ? SL_START_BEGIN : SL_START_END, error);
        else if (parse_offset(where, &offset) && offset.partition >= 0)
            status = sl_consumer_seek(source->consumer, &offset, 1, error);
        else
            status = seek_all(source, offset.offset, error);
        if (status)
            return status;
    }
    return SL_OK;
}

/* A command should show what is there: unless the configuration says otherwise, new groups start at the
 * begin. */
static sl_start start_of(const struct cli *cli)
{
    const char *where = cli_value(cli, "offset");
    if (where)
        return strcmp(where, "end") ? SL_START_BEGIN : SL_START_END;
    const char *origin = sl_config_origin(cli->config, START_SETTING);
    return !origin || !strcmp(origin, "default") ? SL_START_BEGIN : SL_START_DEFAULT;
}

int cli_source_open(struct cli_source *source, const char *connector)
{
    struct cli *cli = source->cli;
    sl_error error = {0};
    sl_consumer_options *options = NULL;
    const char *group = cli_value(cli, "group");
    int code = CLI_OK;
    if (sl_consumer_options_create(&options) || sl_consumer_options_set_auto_commit(options, false, 1000) ||
        sl_consumer_options_set_start(options, start_of(cli))) {
        cli_error(cli, "out of memory");
        code = CLI_FAILED;
    } else if (group && sl_consumer_options_set_group(options, group)) {
        code = cli_usage_error(cli, "--group %s: 1 to 200 of the characters A-Z a-z 0-9 . _ - : are needed",
                               group);
    } else if (connector && sl_consumer_options_set_connector(options, connector)) {
        code = cli_usage_error(cli, "\"%s\" is no connector: kafka-connector or http-connector is needed",
                               connector);
    } else if (sl_consumer_create(cli->client, cli->operands[0], cli->operands[1], options, &source->consumer,
                                  &error) ||
               seek(source, &error)) {
        code = cli_fail(cli, &error);
    }
    sl_consumer_options_destroy(&options);
    if (code)
        sl_consumer_close(&source->consumer, NULL);
    source->last_ms = source->committed_ms = source->last_message_ms = cli_mono_ms();
    return code;
}

static enum cli_next end(const struct cli_source *source, int *code)
{
    if (source->count >= 0 && source->taken < source->count) {
        cli_error(source->cli, "only %lld of %lld messages came", (long long)source->taken,
                  (long long)source->count);
        *code = CLI_UNAVAILABLE;
    }
    return CLI_NEXT_END;
}

enum cli_next cli_source_next(struct cli_source *source, sl_batch **batch, int *code)
{
    *batch = NULL;
    *code = CLI_OK;
    if (source->count >= 0 && source->taken >= source->count)
        return CLI_NEXT_END;
    if (cli_interrupted()) {
        *code = CLI_INTERRUPTED;
        return CLI_NEXT_END;
    }
    int wait_ms = POLL_MS;
    int64_t now_ms = cli_mono_ms();
    if (source->idle_ms >= 0 && source->last_ms + source->idle_ms - now_ms < wait_ms)
        wait_ms = source->last_ms + source->idle_ms > now_ms
                      ? (int)(source->last_ms + source->idle_ms - now_ms)
                      : 0;
    sl_error error = {0};
    size_t wanted = source->count >= 0 ? (size_t)(source->count - source->taken) : 0;
    sl_status status = sl_consumer_poll(source->consumer, wait_ms, wanted, batch, &error);
    if (status && source->follow && error.retriable && !error.fatal) {
        /* It follows until somebody ends it: an outage is waited out. */
        cli_warning(source->cli, "%s", error.text);
        cli_sleep_ms(1000);
        return CLI_NEXT_NOTHING;
    }
    if (status) {
        *code = cli_fail(source->cli, &error);
        return CLI_NEXT_FAILED;
    }
    now_ms = cli_mono_ms();
    if (*batch) {
        source->taken += (int64_t)sl_batch_count(*batch);
        source->last_ms = source->last_message_ms = now_ms;
        return CLI_NEXT_BATCH;
    }
    return source->idle_ms >= 0 && now_ms - source->last_ms >= source->idle_ms ? end(source, code)
                                                                               : CLI_NEXT_NOTHING;
}

int cli_source_commit(struct cli_source *source, bool now)
{
    int64_t now_ms = cli_mono_ms();
    if (!source->commits || !source->done.changed ||
        (!now && now_ms - source->committed_ms < COMMIT_EVERY_MS))
        return CLI_OK;
    sl_error error = {0};
    sl_status status =
        sl_consumer_commit_offsets(source->consumer, source->done.items, source->done.count, &error);
    source->committed_ms = now_ms;
    source->done.changed = false;
    if (!status)
        return CLI_OK;
    if (error.fatal)
        return cli_fail(source->cli, &error);
    /* The group has given a partition to another member, or Kafka is away: what is not committed comes again.
     */
    cli_warning(source->cli, "not committed, so these messages will come again: %s", error.text);
    source->done.changed = error.retriable;
    return CLI_OK;
}

int cli_source_close(struct cli_source *source)
{
    sl_error error = {0};
    int code = CLI_OK;
    if (source->consumer && sl_consumer_close(&source->consumer, &error))
        code = cli_fail(source->cli, &error);
    free(source->done.items);
    source->done = (struct cli_offsets){0};
    return code;
}
