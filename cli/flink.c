/* What is asked of the user and of the platform for a table of Flink SQL. */
#include "flink.h"
#include "base/text.h"
#include "config/settings.h"
#include "flink_type.h"
#include "position.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static const char *const formats[] = {"raw", "json", "csv", "avro", "protobuf", NULL};

/* Where the column of a name is; column_count: there is none. */
static size_t column_at(const struct cli_flink_wish *wish, const char *name, size_t size)
{
    size_t at = 0;
    while (at < wish->column_count &&
           (wish->columns[at].name_size != size || memcmp(wish->columns[at].name, name, size) != 0))
        at++;
    return at;
}

/* Where the type begins in NAME:TYPE, at the colon: the last one that is not in backticks, in which the type
 * may have names with colons. A name of before it may have colons, and backticks. NULL: there is none. */
static const char *type_colon(const char *given)
{
    bool quoted = false;
    for (const char *at = given + strlen(given); at-- > given;) {
        if (*at == '`')
            quoted = !quoted;
        else if (*at == ':' && !quoted)
            return at;
    }
    return strrchr(given, ':'); /* of a backtick that is missing the type's check tells */
}

static int read_columns(struct cli_flink_wish *wish, const struct cli *cli)
{
    const char *given;
    for (size_t at = 0; (given = cli_next_value(cli, "column", &at)) != NULL;) {
        const char *colon = type_colon(given);
        char why[CLI_FLINK_WHY] = "";
        if (!colon || colon == given || !cli_flink_type_ok(colon + 1, why))
            return cli_usage_error(
                cli, "--column %s: NAME:TYPE is needed%s%s; a TYPE of Flink SQL is one of " CLI_FLINK_TYPES,
                given, *why ? ": " : "", why);
        size_t size = (size_t)(colon - given);
        if (sl_utf8_length(given, size) < 0)
            return cli_usage_error(cli, "--column: a name is not UTF-8");
        if (!strncmp(given, "sl_", 3))
            return cli_usage_error(
                cli, "--column %s: names that begin with sl_ are those of the table's own columns", given);
        if (column_at(wish, given, size) < wish->column_count)
            return cli_usage_error(cli, "--column %s: there is a column of that name already", given);
        if (wish->column_count == CLI_FLINK_COLUMNS_MAX)
            return cli_usage_error(cli, "--column: a table has at most %d", CLI_FLINK_COLUMNS_MAX);
        wish->columns[wish->column_count++] =
            (struct cli_flink_column){.name = given, .name_size = size, .type = colon + 1};
    }
    return CLI_OK;
}

static int read_format(struct cli_flink_wish *wish, const struct cli *cli)
{
    wish->format = cli_value(cli, "format");
    wish->message_class = cli_value(cli, "message-class");
    size_t at = 0;
    while (wish->format && formats[at] && strcmp(formats[at], wish->format) != 0)
        at++;
    if (wish->format && !formats[at])
        return cli_usage_error(cli, "--format %s: raw, json, csv, avro or protobuf is needed", wish->format);
    if (wish->format && !strcmp(wish->format, "raw") && wish->column_count)
        return cli_usage_error(cli,
                               "--column: the format raw has no columns but the payload; take json, csv, "
                               "avro or protobuf");
    if (wish->format && strcmp(wish->format, "raw") != 0 && !wish->column_count)
        return cli_usage_error(cli, "--format %s needs the payload's fields: --column NAME:TYPE",
                               wish->format);
    return CLI_OK;
}

static int read_start(struct cli_flink_wish *wish, const struct cli *cli, int64_t now_ms)
{
    const char *given = cli_value(cli, "start");
    struct cli_position position;
    char why[CLI_POSITION_WHY];
    if (!given || !strcmp(given, "group")) {
        wish->start = "group-offsets";
        return CLI_OK;
    }
    if (!cli_position_parse(given, now_ms, &position, why))
        return cli_usage_error(cli, "--start %s: group, begin, end or @TIME is needed%s%s", given,
                               *given == '@' ? "; " : "", *given == '@' ? why : "");
    if (position.place != CLI_AT_BEGIN && position.place != CLI_AT_END && position.place != CLI_AT_TIME)
        return cli_usage_error(cli, "--start %s: group, begin, end or @TIME is needed", given);
    wish->start = position.place == CLI_AT_BEGIN ? "earliest-offset"
                  : position.place == CLI_AT_END ? "latest-offset"
                                                 : "timestamp";
    wish->start_ms = position.value;
    return CLI_OK;
}

static int read_until(struct cli_flink_wish *wish, const struct cli *cli, int64_t now_ms)
{
    const char *given = cli_value(cli, "until");
    struct cli_position position;
    char why[CLI_POSITION_WHY];
    if (!given)
        return CLI_OK;
    if (!cli_position_parse(given, now_ms, &position, why))
        return cli_usage_error(cli, "--until %s: end or @TIME is needed%s%s", given,
                               *given == '@' ? "; " : "", *given == '@' ? why : "");
    if (position.place != CLI_AT_END && position.place != CLI_AT_TIME)
        return cli_usage_error(cli, "--until %s: end or @TIME is needed", given);
    wish->until = position.place == CLI_AT_END ? "latest-offset" : "timestamp";
    wish->until_ms = position.value;
    return CLI_OK;
}

static int read_security(struct cli_flink_wish *wish, const struct cli *cli)
{
    wish->token_file = cli_value(cli, "token-file");
    wish->shaded = cli_flag(cli, "shaded");
    if (wish->token_file && *wish->token_file != '/')
        return cli_usage_error(
            cli, "--token-file %s: an absolute name is needed, since Flink's processes run elsewhere",
            wish->token_file);
    return CLI_OK;
}

static int read_event_time(struct cli_flink_wish *wish, const struct cli *cli)
{
    const char *column = wish->event_time = cli_value(cli, "event-time");
    if (!column)
        return CLI_OK;
    size_t at = column_at(wish, column, strlen(column));
    if (at == wish->column_count)
        return cli_usage_error(cli, "--event-time %s: --column gives no column of that name", column);
    const char *type = wish->columns[at].type + strspn(wish->columns[at].type, " ");
    if (strncasecmp(type, "TIMESTAMP", 9) != 0 && strncasecmp(type, "BIGINT", 6) != 0)
        return cli_usage_error(
            cli, "--event-time %s: its type is %s, and TIMESTAMP(3), TIMESTAMP_LTZ(3) or BIGINT is needed",
            column, type);
    return CLI_OK;
}

bool cli_flink_is_job(const char *job)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t size = strlen(job);
    return size && size <= CLI_FLINK_JOB_MAX && strspn(job, allowed) == size && *job != '.' && *job != '-';
}

int cli_flink_check_job(const struct cli *cli, const char *job)
{
    if (cli_flink_is_job(job))
        return CLI_OK;
    return cli_usage_error(
        cli,
        "--job %s: 1 to %d characters of A-Z a-z 0-9 . _ - are needed, and a letter, digit or _ "
        "first",
        job, CLI_FLINK_JOB_MAX);
}

int cli_flink_wish_read(struct cli_flink_wish *wish, struct cli *cli)
{
    int64_t now_ms = (int64_t)time(NULL) * 1000;
    wish->job = "flink";
    wish->late_ms = 5000;
    int code = read_columns(wish, cli);
    if (!code)
        code = read_format(wish, cli);
    if (!code)
        code = read_start(wish, cli, now_ms);
    if (!code)
        code = read_until(wish, cli, now_ms);
    if (!code)
        code = read_security(wish, cli);
    if (code)
        return code;
    if (!cli_duration_ms(cli, "late", 0, 86400000, &wish->late_ms))
        return CLI_USAGE;
    return read_event_time(wish, cli);
}

void cli_flink_wish_free(struct cli_flink_wish *wish)
{
    free(wish->credentials);
    wish->credentials = NULL;
}

/* What the configuration says, now that it is read. */
static void complete(struct cli_flink_wish *wish, const struct cli *cli)
{
    const char *start = sl_config_get(cli->config, SL_ROOT "stream.consumer.start");
    if (!strcmp(wish->start, "group-offsets"))
        wish->reset = start && !strcmp(start, "begin") ? "earliest" : "latest";
    const char *file = cli_credentials_file(cli);
    char place[PATH_MAX];
    if (file)
        wish->credentials = realpath(cli_home_path(file, place), NULL);
}

/* Kafka is closed to readers of the Marketplace. */
static int refuse_marketplace(const struct cli *cli, const char *hrn, const char *layer)
{
    int code =
        cli_error_as(cli, SL_FORBIDDEN,
                     "catalog %s is on the Marketplace: its consumption is counted, so it is read "
                     "through the http-connector only, and Flink reads Kafka. Copy the layer into one "
                     "of your own with `streamlayer pipe`, and have Flink read that one (--sink, a table to "
                     "write only, is for who may write it)",
                     hrn);
    cli_hint(cli,
             "For example, where hrn:…:MINE is a catalog of your own:\n"
             "  streamlayer layer create hrn:…:MINE %s --content-type TYPE\n"
             "  streamlayer pipe %s %s hrn:…:MINE %s --from-connector http-connector --follow\n"
             "  streamlayer flink ddl hrn:…:MINE %s --source",
             layer, hrn, layer, layer, layer);
    return code;
}

static bool is_clean(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ')
            return false;
    return true;
}

int cli_flink_layer_get(struct cli_flink_layer *layer, struct cli *cli, const char *hrn, const char *id,
                        enum cli_flink_use use)
{
    sl_error error = {0};
    sl_layer_spec spec = {.struct_size = sizeof spec};
    layer->hrn = hrn;
    layer->id = id;
    if (sl_catalog_get(cli->client, hrn, &layer->catalog, &error))
        return cli_fail(cli, &error);
    size_t at = 0;
    while (sl_catalog_layer_at(layer->catalog, at, &spec) && strcmp(spec.id, id) != 0)
        at++;
    if (!sl_catalog_layer_at(layer->catalog, at, &spec))
        return cli_error_as(cli, SL_NOT_FOUND, "catalog %s has no layer \"%s\"", hrn, id);
    if (sl_catalog_marketplace(layer->catalog) && use != CLI_FLINK_SINK)
        return refuse_marketplace(cli, hrn, id);
    layer->content_type = is_clean(spec.content_type) ? spec.content_type : NULL;
    layer->gzip = spec.content_encoding && !strcmp(spec.content_encoding, "gzip");
    static const sl_layer_use uses[] = {
        [CLI_FLINK_BOTH] = SL_USE_ANY, [CLI_FLINK_SOURCE] = SL_USE_READ, [CLI_FLINK_SINK] = SL_USE_WRITE};
    if (sl_layer_endpoint_get(cli->client, hrn, id, uses[use], &layer->endpoint, &error))
        return cli_fail(cli, &error);
    return CLI_OK;
}

void cli_flink_layer_free(struct cli_flink_layer *layer)
{
    sl_catalog_destroy(&layer->catalog);
    sl_layer_endpoint_destroy(&layer->endpoint);
}

/* A media type without its parameters is one of these, or ends so. */
static bool media_is(const char *type, const char *const *names, const char *ending)
{
    size_t size = strcspn(type, "; ");
    for (; *names; names++)
        if (strlen(*names) == size && !strncasecmp(*names, type, size))
            return true;
    size_t end = ending ? strlen(ending) : 0;
    return end && size > end && !strncasecmp(type + size - end, ending, end);
}

static const char *format_of(const char *type)
{
    static const char *const json[] = {"application/json", "text/json", NULL},
                             *const csv[] = {"text/csv", NULL},
                             *const avro[] = {"application/avro", "avro/binary",
                                              "application/vnd.apache.avro", NULL},
                             *const protobuf[] = {"application/x-protobuf", "application/protobuf",
                                                  "application/vnd.google.protobuf", NULL};
    if (media_is(type, json, "+json"))
        return "json";
    if (media_is(type, csv, NULL))
        return "csv";
    if (media_is(type, avro, "+avro"))
        return "avro";
    return media_is(type, protobuf, "+protobuf") ? "protobuf" : "raw";
}

int cli_flink_table_prepare(struct cli_flink_table *table, const struct cli *cli,
                            const struct cli_flink_layer *layer, const struct cli_flink_wish *wish,
                            enum cli_flink_use use)
{
    const char *by_type = layer->content_type ? format_of(layer->content_type) : "raw";
    *table = (struct cli_flink_table){.layer = layer, .wish = wish, .use = use};
    table->name = wish->name ? wish->name : layer->id;
    table->format = wish->format ? wish->format : wish->column_count ? by_type : "raw";
    table->text = !layer->gzip && layer->content_type &&
                  (!strcmp(by_type, "json") || !strncasecmp(layer->content_type, "text/", 5));
    if (wish->column_count && layer->gzip)
        return cli_usage_error(
            cli,
            "--column: payloads of the layer %s are gzip, which Flink's formats do not read; "
            "leave it out, and use GUNZIP(payload), of `streamlayer flink init`",
            layer->id);
    if (wish->column_count && !strcmp(table->format, "raw"))
        return cli_usage_error(
            cli,
            "--column: Flink has no format for the content type %s of the layer %s; --format "
            "json, csv, avro or protobuf says what the payloads are",
            layer->content_type ? layer->content_type : "(none)", layer->id);
    if (!strcmp(table->format, "protobuf") && !wish->message_class)
        return cli_usage_error(
            cli, "--message-class is needed for protobuf: the message's Java class, which the job "
                 "has");
    if (wish->shaded && !wish->token_file && cli_flink_wants_token(table))
        return cli_usage_error(cli,
                               "--shaded: these brokers want a token, and flink-sql-connector-kafka can only "
                               "take one from a file: add --token-file FILE, or leave --shaded out");
    if (cli_flink_needs_secret(table))
        cli_warning(cli,
                    "the brokers of the layer %s want a user and a password (%s), which are not printed: add "
                    "'properties.sasl.jaas.config' to the table",
                    layer->id, sl_layer_endpoint_mechanism(layer->endpoint));
    return CLI_OK;
}

int cli_flink_connect(struct cli_flink_wish *wish, struct cli *cli)
{
    int code = cli_connect(cli);
    if (!code)
        complete(wish, cli);
    return code;
}
