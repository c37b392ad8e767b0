/* CREATE TABLE of Flink SQL for a stream layer. Nothing here asks the platform or prints. */
#include "base/text.h"
#include "flink.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KAFKA_CLASSES "org.apache.kafka.common.security.oauthbearer."
#define SHADED        "org.apache.flink.kafka.shaded."

static void append_quoted(struct sl_buffer *sql, char quote, const char *text, size_t size)
{
    sl_buffer_append(sql, &quote, 1);
    for (size_t i = 0; i < size; i++) {
        if (text[i] == quote)
            sl_buffer_append(sql, &quote, 1);
        sl_buffer_append(sql, text + i, 1);
    }
    sl_buffer_append(sql, &quote, 1);
}

void cli_flink_append_name(struct sl_buffer *sql, const char *name, size_t size)
{
    append_quoted(sql, '`', name, size);
}

void cli_flink_append_text(struct sl_buffer *sql, const char *text)
{
    append_quoted(sql, '\'', text, strlen(text));
}

/* One of WITH's. All but the first have a comma before them. */
static void option(struct sl_buffer *sql, const char *name, const char *value)
{
    sl_buffer_append_text(sql, ",\n  ");
    cli_flink_append_text(sql, name);
    sl_buffer_append_text(sql, " = ");
    cli_flink_append_text(sql, value);
}

/* The same with a value of two parts. */
static void option_joined(struct sl_buffer *sql, const char *name, const char *first, const char *second)
{
    char *value = sl_printf("%s%s", first ? first : "", second);
    if (value)
        option(sql, name, value);
    else
        sql->failed = true;
    free(value);
}

static void option_ms(struct sl_buffer *sql, const char *name, int64_t ms)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)ms);
    option(sql, name, text);
}

/* Flink takes two digits of seconds, and of days. */
static void append_interval(struct sl_buffer *sql, int64_t ms)
{
    int64_t seconds = ms / 1000;
    if (ms % 1000 == 0 && seconds < 100)
        sl_buffer_printf(sql, "INTERVAL '%d' SECOND", (int)seconds);
    else
        sl_buffer_printf(sql, "INTERVAL '%d %02d:%02d:%02d.%03d' DAY TO SECOND(3)", (int)(seconds / 86400),
                         (int)(seconds / 3600 % 24), (int)(seconds / 60 % 60), (int)(seconds % 60),
                         (int)(ms % 1000));
}

/* Milliseconds since 1970, as recordings mostly have them, make a column of their own. */
static bool counts_ms(const struct cli_flink_wish *wish)
{
    for (size_t i = 0; wish->event_time && i < wish->column_count; i++)
        if (!strncmp(wish->columns[i].name, wish->event_time, wish->columns[i].name_size) &&
            !wish->event_time[wish->columns[i].name_size])
            return !strncasecmp(wish->columns[i].type, "BIGINT", 6);
    return false;
}

static void append_event_time(struct sl_buffer *sql, const struct cli_flink_wish *wish)
{
    const char *time = wish->event_time ? wish->event_time : "sl_timestamp";
    if (counts_ms(wish)) {
        sl_buffer_append_text(sql, ",\n  `sl_event_time` AS TO_TIMESTAMP_LTZ(");
        cli_flink_append_name(sql, time, strlen(time));
        sl_buffer_append_text(sql, ", 3)");
        time = "sl_event_time";
    }
    sl_buffer_append_text(sql, ",\n  WATERMARK FOR ");
    cli_flink_append_name(sql, time, strlen(time));
    sl_buffer_append_text(sql, " AS ");
    cli_flink_append_name(sql, time, strlen(time));
    sl_buffer_append_text(sql, " - ");
    append_interval(sql, wish->late_ms);
}

static void append_columns(struct sl_buffer *sql, const struct cli_flink_table *table)
{
    const struct cli_flink_wish *wish = table->wish;
    for (size_t i = 0; i < wish->column_count; i++) {
        sl_buffer_append_text(sql, "  ");
        cli_flink_append_name(sql, wish->columns[i].name, wish->columns[i].name_size);
        sl_buffer_printf(sql, " %s,\n", wish->columns[i].type);
    }
    if (!wish->column_count)
        sl_buffer_printf(sql, "  `payload` %s,\n", table->text ? "STRING" : "BYTES");
    sl_buffer_append_text(sql, "  `sl_partition_id` STRING,\n"
                               "  `sl_timestamp` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp',\n"
                               "  `sl_headers` MAP<STRING, BYTES> METADATA FROM 'headers'");
    if (table->use == CLI_FLINK_SINK)
        return;
    sl_buffer_append_text(sql, ",\n  `sl_kafka_partition` INT METADATA FROM 'partition' VIRTUAL,\n"
                               "  `sl_offset` BIGINT METADATA FROM 'offset' VIRTUAL,\n"
                               "  `sl_trace_id` AS DECODE(`sl_headers`['sl-trace-id'], 'UTF-8'),\n"
                               "  `sl_checksum` AS DECODE(`sl_headers`['sl-checksum'], 'UTF-8'),\n"
                               "  `sl_data_handle` AS DECODE(`sl_headers`['sl-data-handle'], 'UTF-8')");
    append_event_time(sql, wish);
}

static void append_format(struct sl_buffer *sql, const struct cli_flink_table *table)
{
    option(sql, "key.format", "raw");
    option(sql, "key.fields", "sl_partition_id");
    option(sql, "value.format", table->format);
    option(sql, "value.fields-include", "EXCEPT_KEY");
    if (!strcmp(table->format, "protobuf"))
        option(sql, "value.protobuf.message-class-name", table->wish->message_class);
    /* Times as JSON mostly has them: 2026-01-31T12:30:15Z. */
    if (!strcmp(table->format, "json"))
        option(sql, "value.json.timestamp-format.standard", "ISO-8601");
}

bool cli_flink_wants_token(const struct cli_flink_table *table)
{
    const char *mechanism = sl_layer_endpoint_mechanism(table->layer->endpoint);
    return mechanism && !strcmp(mechanism, "OAUTHBEARER");
}

bool cli_flink_needs_secret(const struct cli_flink_table *table)
{
    return sl_layer_endpoint_mechanism(table->layer->endpoint) && !cli_flink_wants_token(table);
}

void cli_flink_append_file_url(struct sl_buffer *url, const char *path)
{
    sl_buffer_append_text(url, "file://");
    for (; *path; path++)
        if (*path == '/')
            sl_buffer_append(url, path, 1);
        else
            sl_percent_encode(url, path, 1);
}

/* Each option of the login module in double quotes, as JAAS reads them. */
static void append_jaas(struct sl_buffer *jaas, const struct cli_flink_wish *wish)
{
    sl_buffer_printf(jaas, "%s" KAFKA_CLASSES "OAuthBearerLoginModule required", wish->shaded ? SHADED : "");
    if (!wish->token_file && wish->credentials) {
        sl_buffer_append_text(jaas, " credentials=\"");
        for (const char *c = wish->credentials; *c; c++) {
            if (*c == '"' || *c == '\\')
                sl_buffer_append(jaas, "\\", 1);
            sl_buffer_append(jaas, c, 1);
        }
        sl_buffer_append_text(jaas, "\"");
    }
    sl_buffer_append_text(jaas, ";");
}

static void append_login(struct sl_buffer *sql, const struct cli_flink_wish *wish)
{
    struct sl_buffer text;
    sl_buffer_init(&text, 16384);
    if (wish->token_file) {
        option_joined(sql, "properties.sasl.login.callback.handler.class", wish->shaded ? SHADED : "",
                      KAFKA_CLASSES "OAuthBearerLoginCallbackHandler");
        cli_flink_append_file_url(&text, wish->token_file);
        option(sql, "properties.sasl.oauthbearer.token.endpoint.url", text.data ? text.data : "");
        sql->failed |= text.failed;
        sl_buffer_reset(&text);
    } else {
        option(sql, "properties.sasl.login.callback.handler.class", "streamlayer.flink.TokenLogin");
    }
    append_jaas(&text, wish);
    option(sql, "properties.sasl.jaas.config", text.data ? text.data : "");
    sql->failed |= text.failed;
    sl_buffer_free(&text);
}

static void append_security(struct sl_buffer *sql, const struct cli_flink_table *table)
{
    const sl_layer_endpoint *endpoint = table->layer->endpoint;
    const char *security = sl_layer_endpoint_security(endpoint);
    const char *mechanism = sl_layer_endpoint_mechanism(endpoint), *ca = sl_layer_endpoint_ca(endpoint);
    if (!strcmp(security, "plaintext"))
        return;
    option(sql, "properties.security.protocol",
           !strcmp(security, "sasl_ssl") ? "SASL_SSL"
           : !strcmp(security, "ssl")    ? "SSL"
                                         : "SASL_PLAINTEXT");
    if (mechanism)
        option(sql, "properties.sasl.mechanism", mechanism);
    if (cli_flink_wants_token(table))
        append_login(sql, table->wish);
    if (ca) {
        option(sql, "properties.ssl.truststore.type", "PEM");
        option(sql, "properties.ssl.truststore.certificates", ca);
    }
}

static void append_source(struct sl_buffer *sql, const struct cli_flink_table *table)
{
    const struct cli_flink_wish *wish = table->wish;
    const char *client = sl_layer_endpoint_client_id(table->layer->endpoint);
    if (*client)
        option(sql, "properties.client.id.prefix", client);
    option_joined(sql, "properties.group.id", sl_layer_endpoint_group_prefix(table->layer->endpoint),
                  wish->job);
    option(sql, "properties.isolation.level", "read_committed");
    option(sql, "scan.startup.mode", wish->start);
    if (!strcmp(wish->start, "timestamp"))
        option_ms(sql, "scan.startup.timestamp-millis", wish->start_ms);
    if (wish->reset)
        option(sql, "properties.auto.offset.reset", wish->reset);
    if (wish->until)
        option(sql, "scan.bounded.mode", wish->until);
    if (wish->until && !strcmp(wish->until, "timestamp"))
        option_ms(sql, "scan.bounded.timestamp-millis", wish->until_ms);
}

static void append_sink(struct sl_buffer *sql, const struct cli_flink_table *table)
{
    const char *client = sl_layer_endpoint_client_id(table->layer->endpoint);
    if (*client)
        option(sql, "properties.client.id", client);
    option(sql, "properties.max.request.size",
           "2097152"); /* as the topic's own limit: 1 MiB fits with its frame */
    option(sql, "sink.delivery-guarantee", table->wish->exactly_once ? "exactly-once" : "at-least-once");
    if (!table->wish->exactly_once)
        return;
    char *own = sl_printf("%s:%s:%s", table->wish->job, table->layer->hrn, table->layer->id);
    if (own)
        option_joined(sql, "sink.transactional-id-prefix",
                      sl_layer_endpoint_group_prefix(table->layer->endpoint), own);
    else
        sql->failed = true;
    free(own);
    option(sql, "properties.transaction.timeout.ms", "900000"); /* what brokers allow at most, by default */
}

/* The client id is the layer's own, by which Kafka knows what of its throughput the client has. */
static bool is_throttled(const struct cli_flink_table *table)
{
    const char *client = sl_layer_endpoint_client_id(table->layer->endpoint);
    return !strncmp(client, "sl-", 3) && !strcmp(client + 3, sl_layer_endpoint_topic(table->layer->endpoint));
}

static void append_remarks(struct sl_buffer *sql, const struct cli_flink_table *table)
{
    const struct cli_flink_wish *wish = table->wish;
    sl_buffer_printf(sql, "-- Layer %s of %s%s%s%s\n", table->layer->id, table->layer->hrn,
                     table->layer->content_type ? ", " : "",
                     table->layer->content_type ? table->layer->content_type : "",
                     table->layer->gzip ? ", gzip" : "");
    if (table->layer->gzip)
        sl_buffer_append_text(sql,
                              "-- Payloads are gzip: GUNZIP(payload) of `streamlayer flink init` says what "
                              "they hold.\n");
    if (cli_flink_wants_token(table) && wish->token_file) {
        sl_buffer_append_text(sql,
                              "-- Flink's processes need -Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=");
        cli_flink_append_file_url(sql, wish->token_file);
        sl_buffer_append_text(sql,
                              "\n-- and read the file once: when its token ends, a job goes on from its last "
                              "checkpoint.\n");
    } else if (cli_flink_wants_token(table)) {
        sl_buffer_append_text(
            sql, "-- TokenLogin is in the jar that a project of `streamlayer flink init` makes.\n");
    }
    if (table->use != CLI_FLINK_SINK && is_throttled(table))
        sl_buffer_append_text(
            sql,
            "-- Where Kafka keeps this layer's throughput it goes by client id, and Flink's source makes "
            "ids of its own, which are slow:\n-- docs/flink.md, \"Throughput\".\n");
    if (cli_flink_needs_secret(table))
        sl_buffer_append_text(sql,
                              "-- Add 'properties.sasl.jaas.config', with the user and the password that the "
                              "brokers know.\n");
}

void cli_flink_append_table(struct sl_buffer *sql, const struct cli_flink_table *table)
{
    append_remarks(sql, table);
    sl_buffer_append_text(sql, "CREATE TABLE ");
    cli_flink_append_name(sql, table->name, strlen(table->name));
    sl_buffer_append_text(sql, " (\n");
    append_columns(sql, table);
    sl_buffer_append_text(sql, "\n) WITH (\n  'connector' = 'kafka'");
    option(sql, "topic", sl_layer_endpoint_topic(table->layer->endpoint));
    option(sql, "properties.bootstrap.servers", sl_layer_endpoint_brokers(table->layer->endpoint));
    append_security(sql, table);
    append_format(sql, table);
    if (table->use != CLI_FLINK_SINK)
        append_source(sql, table);
    if (table->use != CLI_FLINK_SOURCE)
        append_sink(sql, table);
    sl_buffer_append_text(sql, "\n);\n");
}
