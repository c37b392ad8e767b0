/* The SQL of `streamlayer flink ddl`, line by line. The endpoint is the test's own. */
#include "support/cases.h"

#include "cli/flink.h"

struct sl_layer_endpoint {
    const char *topic, *brokers, *client_id, *prefix, *security, *mechanism, *ca;
};

const char *sl_layer_endpoint_topic(const sl_layer_endpoint *endpoint)
{
    return endpoint->topic;
}
const char *sl_layer_endpoint_brokers(const sl_layer_endpoint *endpoint)
{
    return endpoint->brokers;
}
const char *sl_layer_endpoint_client_id(const sl_layer_endpoint *endpoint)
{
    return endpoint->client_id;
}
const char *sl_layer_endpoint_group_prefix(const sl_layer_endpoint *endpoint)
{
    return endpoint->prefix;
}
const char *sl_layer_endpoint_security(const sl_layer_endpoint *endpoint)
{
    return endpoint->security;
}
const char *sl_layer_endpoint_mechanism(const sl_layer_endpoint *endpoint)
{
    return endpoint->mechanism;
}
const char *sl_layer_endpoint_ca(const sl_layer_endpoint *endpoint)
{
    return endpoint->ca;
}

/* A layer, how it is wanted, and the table of both. */
struct fixture {
    struct sl_layer_endpoint endpoint;
    struct cli_flink_layer layer;
    struct cli_flink_wish wish;
    struct cli_flink_table table;
};

static void prepare(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    f->endpoint = (struct sl_layer_endpoint){.topic = "sl.cat.cars.1",
                                             .brokers = "k1:9092,k2:9092",
                                             .client_id = "sl-app",
                                             .prefix = "app.",
                                             .security = "plaintext"};
    f->layer = (struct cli_flink_layer){.hrn = "hrn:here:data::local:cat",
                                        .id = "cars",
                                        .content_type = "application/octet-stream",
                                        .endpoint = &f->endpoint};
    f->wish.job = "flink";
    f->wish.start = "group-offsets";
    f->wish.reset = "latest";
    f->wish.late_ms = 5000;
    f->table = (struct cli_flink_table){
        .layer = &f->layer, .wish = &f->wish, .use = CLI_FLINK_SOURCE, .name = "cars", .format = "raw"};
}

static void add_column(struct fixture *f, const char *name, const char *type)
{
    f->wish.columns[f->wish.column_count++] =
        (struct cli_flink_column){.name = name, .name_size = strlen(name), .type = type};
}

static void check(const struct fixture *f, const char *expected)
{
    struct sl_buffer sql;
    sl_buffer_init(&sql, 65536);
    cli_flink_append_table(&sql, &f->table);
    assert_false(sql.failed);
    assert_string_equal(sql.data, expected);
    sl_buffer_free(&sql);
}

static void check_has(const struct fixture *f, const char *const *expected)
{
    struct sl_buffer sql;
    sl_buffer_init(&sql, 65536);
    cli_flink_append_table(&sql, &f->table);
    assert_false(sql.failed);
    for (; *expected; expected++)
        if (!strstr(sql.data, *expected))
            fail_msg("%s\nis not in\n%s", *expected, sql.data);
    sl_buffer_free(&sql);
}

static void check_lacks(const struct fixture *f, const char *text)
{
    struct sl_buffer sql;
    sl_buffer_init(&sql, 65536);
    cli_flink_append_table(&sql, &f->table);
    if (strstr(sql.data, text))
        fail_msg("%s is in\n%s", text, sql.data);
    sl_buffer_free(&sql);
}

#define OWN_COLUMNS                                                                                          \
    "  `sl_partition_id` STRING,\n"                                                                          \
    "  `sl_timestamp` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp',\n"                                         \
    "  `sl_headers` MAP<STRING, BYTES> METADATA FROM 'headers'"
#define READ_COLUMNS                                                                                         \
    "  `sl_kafka_partition` INT METADATA FROM 'partition' VIRTUAL,\n"                                        \
    "  `sl_offset` BIGINT METADATA FROM 'offset' VIRTUAL,\n"                                                 \
    "  `sl_trace_id` AS DECODE(`sl_headers`['sl-trace-id'], 'UTF-8'),\n"                                     \
    "  `sl_checksum` AS DECODE(`sl_headers`['sl-checksum'], 'UTF-8'),\n"                                     \
    "  `sl_data_handle` AS DECODE(`sl_headers`['sl-data-handle'], 'UTF-8'),\n"
#define CONNECTOR                                                                                            \
    "\n) WITH (\n  'connector' = 'kafka',\n  'topic' = 'sl.cat.cars.1',\n"                                   \
    "  'properties.bootstrap.servers' = 'k1:9092,k2:9092',\n"
#define KEY "  'key.format' = 'raw',\n  'key.fields' = 'sl_partition_id',\n"
#define READING                                                                                              \
    "  'properties.client.id.prefix' = 'sl-app',\n"                                                          \
    "  'properties.group.id' = 'app.flink',\n"                                                               \
    "  'properties.isolation.level' = 'read_committed',\n"                                                   \
    "  'scan.startup.mode' = 'group-offsets',\n"                                                             \
    "  'properties.auto.offset.reset' = 'latest'"
#define WRITING                                                                                              \
    "  'properties.client.id' = 'sl-app',\n"                                                                 \
    "  'properties.max.request.size' = '2097152',\n"                                                         \
    "  'sink.delivery-guarantee' = 'at-least-once'"

static void source_of_bytes(void **state)
{
    (void)state;
    struct fixture f;
    prepare(&f);
    check(&f, "-- Layer cars of hrn:here:data::local:cat, application/octet-stream\n"
              "CREATE TABLE `cars` (\n  `payload` BYTES,\n" OWN_COLUMNS ",\n" READ_COLUMNS
              "  WATERMARK FOR `sl_timestamp` AS `sl_timestamp` - INTERVAL '5' SECOND" CONNECTOR KEY
              "  'value.format' = 'raw',\n  'value.fields-include' = 'EXCEPT_KEY',\n" READING "\n);\n");
}

static void sink_of_fields(void **state)
{
    (void)state;
    struct fixture f;
    prepare(&f);
    f.layer.content_type = "application/json";
    f.table.format = "json";
    f.table.use = CLI_FLINK_SINK;
    add_column(&f, "id", "STRING");
    add_column(&f, "o`clock", "TIMESTAMP_LTZ(3)");
    check(&f,
          "-- Layer cars of hrn:here:data::local:cat, application/json\n"
          "CREATE TABLE `cars` (\n  `id` STRING,\n  `o``clock` TIMESTAMP_LTZ(3),\n" OWN_COLUMNS CONNECTOR KEY
          "  'value.format' = 'json',\n  'value.fields-include' = 'EXCEPT_KEY',\n"
          "  'value.json.timestamp-format.standard' = 'ISO-8601',\n" WRITING "\n);\n");
}

static void both_ways(void **state)
{
    (void)state;
    struct fixture f;
    prepare(&f);
    f.layer.content_type = "text/plain";
    f.table.use = CLI_FLINK_BOTH;
    f.table.text = true;
    f.table.name = "my `table`";
    check(&f, "-- Layer cars of hrn:here:data::local:cat, text/plain\n"
              "CREATE TABLE `my ``table``` (\n  `payload` STRING,\n" OWN_COLUMNS ",\n" READ_COLUMNS
              "  WATERMARK FOR `sl_timestamp` AS `sl_timestamp` - INTERVAL '5' SECOND" CONNECTOR KEY
              "  'value.format' = 'raw',\n  'value.fields-include' = 'EXCEPT_KEY',\n" READING ",\n" WRITING
              "\n);\n");
}

static void event_time_and_lateness(void **state)
{
    (void)state;
    struct fixture f;
    prepare(&f);
    f.table.format = "csv";
    add_column(&f, "at", "TIMESTAMP(3)");
    f.wish.event_time = "at";
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {{0, "INTERVAL '0' SECOND\n"},
                {99000, "INTERVAL '99' SECOND\n"},
                {100000, "INTERVAL '0 00:01:40.000' DAY TO SECOND(3)\n"},
                {1500, "INTERVAL '0 00:00:01.500' DAY TO SECOND(3)\n"},
                {86400000, "INTERVAL '1 00:00:00.000' DAY TO SECOND(3)\n"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char expected[120];
        snprintf(expected, sizeof expected, "  WATERMARK FOR `at` AS `at` - %s", rows[i].text);
        f.wish.late_ms = rows[i].ms;
        check_has(&f, (const char *const[]){expected, "'value.format' = 'csv'", NULL});
    }
    check_lacks(&f, "sl_event_time");
    f.wish.columns[0].type = "BIGINT NOT NULL";
    f.wish.late_ms = 1000;
    check_has(&f, (const char *const[]){
                      "'UTF-8'),\n  `sl_event_time` AS TO_TIMESTAMP_LTZ(`at`, 3),\n"
                      "  WATERMARK FOR `sl_event_time` AS `sl_event_time` - INTERVAL '1' SECOND\n)",
                      NULL});
}

static void formats(void **state)
{
    (void)state;
    struct fixture f;
    prepare(&f);
    add_column(&f, "id", "STRING");
    f.table.format = "avro";
    check_has(&f, (const char *const[]){"  'value.format' = 'avro',\n", NULL});
    f.table.format = "protobuf";
    f.wish.message_class = "com.example.Car$It's";
    check_has(&f,
              (const char *const[]){"  'value.format' = 'protobuf',\n",
                                    "  'value.protobuf.message-class-name' = 'com.example.Car$It''s'", NULL});
    f.layer.gzip = true;
    check_has(
        &f, (const char *const[]){"application/octet-stream, gzip\n-- Payloads are gzip: GUNZIP(payload) of "
                                  "`streamlayer flink init` says what they hold.\n",
                                  NULL});
    f.layer.content_type = NULL;
    check_has(&f, (const char *const[]){"-- Layer cars of hrn:here:data::local:cat, gzip\n", NULL});
}

static void start_and_end(void **state)
{
    (void)state;
    struct fixture f;
    prepare(&f);
    f.wish.job = "means";
    f.wish.start = "timestamp";
    f.wish.start_ms = 1700000000123;
    f.wish.reset = NULL;
    f.wish.until = "timestamp";
    f.wish.until_ms = 1800000000123;
    f.endpoint.client_id = "";
    f.endpoint.prefix = "";
    check_has(&f, (const char *const[]){"  'properties.group.id' = 'means',\n"
                                        "  'properties.isolation.level' = 'read_committed',\n"
                                        "  'scan.startup.mode' = 'timestamp',\n"
                                        "  'scan.startup.timestamp-millis' = '1700000000123',\n"
                                        "  'scan.bounded.mode' = 'timestamp',\n"
                                        "  'scan.bounded.timestamp-millis' = '1800000000123'\n);",
                                        NULL});
    check_lacks(&f, "client.id");
    check_lacks(&f, "auto.offset.reset");
    f.wish.start = "earliest-offset";
    f.wish.until = "latest-offset";
    check_has(&f, (const char *const[]){"  'scan.startup.mode' = 'earliest-offset',\n"
                                        "  'scan.bounded.mode' = 'latest-offset'\n);",
                                        NULL});
    check_lacks(&f, "-millis");
}

static void exactly_once(void **state)
{
    (void)state;
    struct fixture f;
    prepare(&f);
    f.table.use = CLI_FLINK_SINK;
    f.wish.job = "means";
    f.wish.exactly_once = true;
    check_has(&f, (const char *const[]){
                      "  'sink.delivery-guarantee' = 'exactly-once',\n"
                      "  'sink.transactional-id-prefix' = 'app.means:hrn:here:data::local:cat:cars',\n"
                      "  'properties.transaction.timeout.ms' = '900000'\n);",
                      NULL});
}

static void token_by_credentials(void **state)
{
    (void)state;
    struct fixture f;
    char credentials[] = "/home/it's/a \"file\\";
    prepare(&f);
    f.endpoint.security = "sasl_ssl";
    f.endpoint.mechanism = "OAUTHBEARER";
    f.endpoint.ca = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n";
    f.wish.credentials = credentials;
    check_has(&f,
              (const char *const[]){
                  "-- TokenLogin is in the jar that a project of `streamlayer flink init` makes.\nCREATE",
                  CONNECTOR
                  "  'properties.security.protocol' = 'SASL_SSL',\n"
                  "  'properties.sasl.mechanism' = 'OAUTHBEARER',\n"
                  "  'properties.sasl.login.callback.handler.class' = 'streamlayer.flink.TokenLogin',\n"
                  "  'properties.sasl.jaas.config' = 'org.apache.kafka.common.security.oauthbearer."
                  "OAuthBearerLoginModule required credentials=\"/home/it''s/a \\\"file\\\\\";',\n"
                  "  'properties.ssl.truststore.type' = 'PEM',\n"
                  "  'properties.ssl.truststore.certificates' = '-----BEGIN CERTIFICATE-----\nQUJD\n-----END "
                  "CERTIFICATE-----\n',\n" KEY,
                  NULL});
    assert_false(cli_flink_needs_secret(&f.table));
    f.wish.credentials = NULL;
    check_has(&f, (const char *const[]){"OAuthBearerLoginModule required;',\n", NULL});
}

static void token_by_file(void **state)
{
    (void)state;
    struct fixture f;
    char credentials[] = "/not/of/interest";
    prepare(&f);
    f.endpoint.security = "sasl_plaintext";
    f.endpoint.mechanism = "OAUTHBEARER";
    f.wish.credentials = credentials;
    f.wish.token_file = "/run/my token";
    f.wish.shaded = true;
    check_has(
        &f,
        (const char *const[]){
            "-- Flink's processes need -Dorg.apache.kafka.sasl.oauthbearer.allowed.urls="
            "file:///run/my%20token\n-- and read the file once: when its token ends, a job goes on from its "
            "last checkpoint.\nCREATE",
            CONNECTOR
            "  'properties.security.protocol' = 'SASL_PLAINTEXT',\n"
            "  'properties.sasl.mechanism' = 'OAUTHBEARER',\n"
            "  'properties.sasl.login.callback.handler.class' = 'org.apache.flink.kafka.shaded.org.apache."
            "kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler',\n"
            "  'properties.sasl.oauthbearer.token.endpoint.url' = 'file:///run/my%20token',\n"
            "  'properties.sasl.jaas.config' = 'org.apache.flink.kafka.shaded.org.apache.kafka.common."
            "security.oauthbearer.OAuthBearerLoginModule required;',\n" KEY,
            NULL});
    check_lacks(&f, "interest");
    check_lacks(&f, "TokenLogin");
    f.wish.shaded = false;
    check_has(&f, (const char *const[]){"= 'org.apache.kafka.common.security.oauthbearer."
                                        "OAuthBearerLoginCallbackHandler'",
                                        NULL});
}

/* The layer's own client id is one that Kafka keeps its throughput by; the source cannot show it. */
static void throughput_kept_by_kafka(void **state)
{
    static const char remark[] = "-- Where Kafka keeps this layer's throughput";
    (void)state;
    struct fixture f;
    prepare(&f);
    check_lacks(&f, remark);
    f.endpoint.client_id = "sl-sl.cat.cars.1";
    check_has(&f, (const char *const[]){remark, NULL});
    f.table.use = CLI_FLINK_SINK;
    check_lacks(&f, remark);
    check_has(&f, (const char *const[]){"  'properties.client.id' = 'sl-sl.cat.cars.1',\n", NULL});
}

static void other_security(void **state)
{
    (void)state;
    struct fixture f;
    prepare(&f);
    f.endpoint.security = "ssl";
    f.endpoint.ca = "PEM";
    check_has(&f, (const char *const[]){CONNECTOR "  'properties.security.protocol' = 'SSL',\n"
                                                  "  'properties.ssl.truststore.type' = 'PEM',\n",
                                        NULL});
    assert_false(cli_flink_needs_secret(&f.table));
    f.endpoint.security = "sasl_ssl";
    f.endpoint.mechanism = "SCRAM-SHA-512";
    assert_true(cli_flink_needs_secret(&f.table));
    check_has(
        &f, (const char *const[]){"-- Add 'properties.sasl.jaas.config', with the user and the password that "
                                  "the brokers know.\nCREATE",
                                  "  'properties.sasl.mechanism' = 'SCRAM-SHA-512',\n"
                                  "  'properties.ssl.truststore.type' = 'PEM',\n",
                                  NULL});
}

CASES_MAIN(cmocka_unit_test(source_of_bytes), cmocka_unit_test(sink_of_fields), cmocka_unit_test(both_ways),
           cmocka_unit_test(event_time_and_lateness), cmocka_unit_test(formats),
           cmocka_unit_test(start_and_end), cmocka_unit_test(exactly_once),
           cmocka_unit_test(token_by_credentials), cmocka_unit_test(token_by_file),
           cmocka_unit_test(throughput_kept_by_kafka), cmocka_unit_test(other_security))
