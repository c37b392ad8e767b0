#include "source.h"

#include "base/text.h"
#include "base/time.h"
#include "config/settings.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define POLL_MS         200
#define COMMIT_EVERY_MS 1000
#define DEFAULT_IDLE_MS 3000
#define RANGE_IDLE_MS   30000 /* what a range has is there already: only an outage keeps it away so long */
#define LOOK_EVERY_MS   1000
#define OUTAGE_MS       60000 /* so long an outage is waited out by what would end by itself */
#define SOUND_MS        15000 /* kafka-connector tells of an outage every ten seconds */
#define PREFETCH        SL_ROOT "stream.consumer.prefetch.max-bytes"
#define START_SETTING   SL_ROOT "stream.consumer.start"

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

/* WHERE or P/WHERE. */
static int add_where(struct cli_source *source, const char *text)
{
    struct cli_where where = {.partition = -1};
    char why[CLI_POSITION_WHY], *end;
    const char *range = text;
    if (*text >= '0' && *text <= '9') {
        long partition = strtol(text, &end, 10);
        if (*end == '/') {
            where.partition = partition > INT32_MAX ? INT32_MAX : (int32_t)partition;
            range = end + 1;
        }
    }
    if (!cli_range_parse(range, sl_wall_ms(), &where.range, why))
        return cli_usage_error(source->cli, "--offset %s: %s", text, why);
    struct cli_where *grown = realloc(source->wheres, (source->where_count + 1) * sizeof *grown);
    if (!grown) {
        cli_out_of_memory(source->cli);
        return CLI_FAILED;
    }
    grown[source->where_count++] = where;
    source->wheres = grown;
    source->ranged |= where.range.to.place != CLI_AT_NONE;
    enum cli_place from = where.range.from.place;
    /* All that a plain seek cannot do. */
    source->placed |= source->ranged || from == CLI_AT_LAST ||
                      (where.partition >= 0 && from != CLI_AT_OFFSET && from != CLI_AT_NONE);
    return CLI_OK;
}

static int add_only(struct cli_source *source, const char *text)
{
    char *end;
    long partition = strtol(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || partition > INT32_MAX)
        return cli_usage_error(source->cli, "--partition %s: the number of a Kafka partition is needed",
                               text);
    int32_t *grown = realloc(source->only, (source->only_count + 1) * sizeof *grown);
    if (!grown) {
        cli_out_of_memory(source->cli);
        return CLI_FAILED;
    }
    grown[source->only_count++] = (int32_t)partition;
    source->only = grown;
    return CLI_OK;
}

int cli_source_prepare(struct cli_source *source, struct cli *cli)
{
    *source = (struct cli_source){.cli = cli,
                                  .commits = !cli_flag(cli, "no-commit"),
                                  .follow = cli_flag(cli, "follow"),
                                  .resolve = -1,
                                  .inflate = -1,
                                  .count = -1};
    int code = CLI_OK;
    const char *text;
    for (size_t at = 0; !code && (text = cli_next_value(cli, "offset", &at)) != NULL;)
        code = add_where(source, text);
    for (size_t at = 0; !code && (text = cli_next_value(cli, "partition", &at)) != NULL;)
        code = add_only(source, text);
    if (code)
        return code;
    source->idle_ms = source->follow || cli_flag(cli, "count") ? -1
                      : source->ranged                         ? RANGE_IDLE_MS
                                                               : DEFAULT_IDLE_MS;
    if (!cli_number(cli, "count", 1, INT64_MAX, &source->count) ||
        !cli_duration_ms(cli, "idle", 1, 24 * 3600000LL, &source->idle_ms))
        return CLI_USAGE;
    return CLI_OK;
}

/* How much is wanted is known: no more is fetched. On the Marketplace all that is fetched is counted. */
static void want_no_more(struct cli_source *source)
{
    const char *origin = sl_config_origin(source->cli->config, PREFETCH);
    if ((source->count >= 0 || source->ranged) && (!origin || !strcmp(origin, "default")))
        (void)sl_config_set_from(source->cli->config, PREFETCH, "0",
                                 source->count >= 0 ? "--count" : "--offset", NULL);
}

int cli_source_connect(struct cli_source *source)
{
    int code = source->cli->config ? CLI_OK : cli_load_config(source->cli);
    if (!code) {
        want_no_more(source);
        code = cli_connect(source->cli);
    }
    return code;
}

/* A command should show what is there: unless the configuration says otherwise, new groups start at the
 * begin. */
static sl_start start_of(const struct cli_source *source)
{
    for (size_t i = source->where_count; i-- > 0;)
        if (source->wheres[i].range.from.place != CLI_AT_NONE)
            /* A new group that starts at the end has that committed; --no-commit goes there by seeking only.
             */
            return source->commits && source->wheres[i].range.from.place == CLI_AT_END ? SL_START_END
                                                                                       : SL_START_BEGIN;
    const char *origin = sl_config_origin(source->cli->config, START_SETTING);
    return !origin || !strcmp(origin, "default") ? SL_START_BEGIN : SL_START_DEFAULT;
}

static void on_rebalance(void *opaque, sl_rebalance what, const int32_t *partitions, size_t count)
{
    struct cli_source *source = opaque;
    (void)what;
    (void)partitions;
    (void)count;
    source->rebalanced = true;
}

int cli_source_open(struct cli_source *source, const char *connector)
{
    struct cli *cli = source->cli;
    sl_error error = {0};
    sl_consumer_options *options = NULL;
    const char *group = cli_value(cli, "group");
    int code = CLI_OK;
    if (sl_consumer_options_create(&options) || sl_consumer_options_set_auto_commit(options, false, 1000) ||
        sl_consumer_options_set_start(options, start_of(source)) ||
        (source->resolve >= 0 && sl_consumer_options_set_resolve(options, source->resolve)) ||
        (source->inflate >= 0 && sl_consumer_options_set_inflate(options, source->inflate)) ||
        (source->placed && sl_consumer_options_set_rebalance(options, on_rebalance, source))) {
        cli_out_of_memory(cli);
        code = CLI_FAILED;
    } else if (group && sl_consumer_options_set_group(options, group)) {
        code = cli_usage_error(cli, "--group %s: 1 to 200 of the characters A-Z a-z 0-9 . _ - : are needed",
                               group);
    } else if (connector && sl_consumer_options_set_connector(options, connector)) {
        code = cli_usage_error(cli, "\"%s\" is no connector: kafka-connector or http-connector is needed",
                               connector);
    } else if (sl_consumer_create(cli->client, cli->operands[0], cli->operands[1], options, &source->consumer,
                                  &error) ||
               cli_source_place(source, &error)) {
        code = cli_fail(cli, &error);
    }
    sl_consumer_options_destroy(&options);
    if (code)
        sl_consumer_close(&source->consumer, NULL);
    source->last_ms = source->committed_ms = source->last_message_ms = source->looked_ms = cli_mono_ms();
    return code;
}

/* Nothing has come for too long. What was asked for and is not there is told. */
static enum cli_next end(const struct cli_source *source, int *code)
{
    if (source->count >= 0 && source->taken < source->count) {
        *code =
            cli_error_as(source->cli, SL_TIMED_OUT, "only %lld of %lld %s came", (long long)source->taken,
                         (long long)source->count, sl_plural((uint64_t)source->count, "message", "messages"));
    } else if (cli_source_is_short(source)) {
        *code = cli_error_as(source->cli, SL_TIMED_OUT,
                             "nothing has come for %lld s, and the end of the range is not reached%s",
                             (long long)source->idle_ms / 1000,
                             source->part_count
                                 ? ""
                                 : ": every Kafka partition is with other members of the group, so name "
                                   "another --group");
    }
    return CLI_NEXT_END;
}

/* Which partitions are ours, and which are at their end, where that matters. */
static int look_again(struct cli_source *source)
{
    int64_t now_ms = cli_mono_ms();
    bool silent = source->ranged && now_ms - source->last_ms >= LOOK_EVERY_MS &&
                  now_ms - source->looked_ms >= LOOK_EVERY_MS;
    if (!source->placed || !(source->rebalanced || silent))
        return CLI_OK;
    sl_error error = {0};
    source->looked_ms = now_ms;
    if (!cli_source_look_again(source, &error))
        return CLI_OK;
    if (!error.retriable || error.fatal)
        return cli_fail(source->cli, &error);
    cli_warning(source->cli, "%s", error.text);
    return CLI_OK;
}

/* How long to wait for messages, at most. */
static int wait_of(const struct cli_source *source)
{
    int64_t left_ms = source->last_ms + source->idle_ms - cli_mono_ms();
    if (source->idle_ms < 0 || left_ms >= POLL_MS)
        return POLL_MS;
    return left_ms > 0 ? (int)left_ms : 0;
}

/* Whether nothing comes although there may be something: what the platform gives a second is used up, or it
 * does not answer, which a poll will tell. The library has warned of either. */
static bool is_held_up(const struct cli_source *source)
{
    char *text = NULL;
    if (sl_consumer_statistics(source->consumer, &text, NULL))
        return false;
    json_t *all = json_loads(text, 0, NULL);
    const json_t *connector = json_object_get(all, "connectorStatistics");
    bool held_up = json_is_true(json_object_get(connector, "throttled")) ||
                   json_is_true(json_object_get(connector, "failing"));
    json_decref(all);
    sl_free(text);
    return held_up;
}

/* Whether a failure is one to be waited out: for as long as it lasts where nothing but the messages, or
 * somebody, is to end the run. */
static bool is_waited_out(struct cli_source *source, const sl_error *error)
{
    int64_t now_ms = cli_mono_ms();
    if (!error->retriable || error->fatal)
        return false;
    if (!source->failing_ms)
        source->failing_ms = now_ms;
    source->failed_ms = now_ms;
    return source->follow || source->idle_ms < 0 || now_ms - source->failing_ms < OUTAGE_MS;
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
    *code = look_again(source);
    if (*code)
        return CLI_NEXT_FAILED;
    if (source->ranged && cli_source_is_done(source))
        return source->count >= 0 ? end(source, code) : CLI_NEXT_END;
    sl_error error = {0};
    size_t wanted = source->batch_max;
    if (source->count >= 0 && (!wanted || (int64_t)wanted > source->count - source->taken))
        wanted = (size_t)(source->count - source->taken);
    size_t left = cli_source_left(source);
    if (left && (!wanted || wanted > left))
        wanted = left;
    sl_status status = sl_consumer_poll(source->consumer, wait_of(source), wanted, batch, &error);
    if (status && is_waited_out(source, &error)) {
        cli_warning(source->cli, "%s", error.text);
        cli_sleep_ms(1000);
        source->last_ms = cli_mono_ms();
        return CLI_NEXT_NOTHING;
    }
    if (status) {
        *code = cli_fail(source->cli, &error);
        source->told = true;
        return CLI_NEXT_FAILED;
    }
    if (*batch || cli_mono_ms() - source->failed_ms > SOUND_MS)
        source->failing_ms = 0;
    if (*batch)
        return CLI_NEXT_BATCH;
    if (source->idle_ms < 0 || cli_mono_ms() - source->last_ms < source->idle_ms)
        return CLI_NEXT_NOTHING;
    if (!is_held_up(source))
        return end(source, code);
    source->last_ms = cli_mono_ms();
    return CLI_NEXT_NOTHING;
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
    if (!status || source->told)
        return CLI_OK;
    if (error.fatal) {
        source->told = true;
        return cli_fail(source->cli, &error);
    }
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
    if (source->consumer && sl_consumer_close(&source->consumer, &error) && !source->told)
        code = cli_fail(source->cli, &error);
    free(source->done.items);
    free(source->wheres);
    free(source->only);
    free(source->parts);
    *source = (struct cli_source){.cli = source->cli};
    return code;
}
