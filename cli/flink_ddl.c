/* streamlayer flink ddl: a stream layer as a table of Flink SQL. */
#include "flink.h"

#include <jansson.h>
#include <stdlib.h>

#define SQL_MAX (4u << 20)

static int print_sql(const struct cli *cli, const struct cli_flink_table *table)
{
    struct sl_buffer sql;
    sl_buffer_init(&sql, SQL_MAX);
    cli_flink_append_table(&sql, table);
    int code = sql.failed || !sql.data ? cli_out_of_memory(cli) : CLI_OK;
    if (!code && cli->json) {
        json_t *object =
            json_pack("{s:s, s:s, s:s}", "table", table->name, "format", table->format, "sql", sql.data);
        char *text = object ? json_dumps(object, JSON_INDENT(2)) : NULL;
        if (text)
            puts(text);
        else
            code = cli_out_of_memory(cli);
        free(text);
        json_decref(object);
    } else if (!code) {
        fwrite(sql.data, 1, sql.size, stdout);
    }
    sl_buffer_free(&sql);
    return code ? code : cli_flush_output(cli);
}

static int run(struct cli *cli, struct cli_flink_wish *wish)
{
    enum cli_flink_use use = cli_flag(cli, "source") ? CLI_FLINK_SOURCE
                             : cli_flag(cli, "sink") ? CLI_FLINK_SINK
                                                     : CLI_FLINK_BOTH;
    const char *job = cli_value(cli, "job");
    if (cli_flag(cli, "source") && cli_flag(cli, "sink"))
        return cli_usage_error(cli, "--source and --sink: without either, the table is both");
    static const char *const of_sources[] = {"start", "until", "event-time", "late"};
    for (size_t i = 0; i < sizeof of_sources / sizeof *of_sources && use == CLI_FLINK_SINK; i++)
        if (cli_value(cli, of_sources[i]))
            return cli_usage_error(cli, "--%s is of sources, and --sink makes a table to write only",
                                   of_sources[i]);
    int code = cli_flink_wish_read(wish, cli);
    if (!code && job)
        code = cli_flink_check_job(cli, job);
    if (code)
        return code;
    wish->exactly_once = cli_flag(cli, "exactly-once");
    if (wish->exactly_once && use == CLI_FLINK_SOURCE)
        return cli_usage_error(cli, "--exactly-once is of sinks; a job's checkpoints make its sources so");
    if (wish->exactly_once && !job)
        return cli_usage_error(cli, "--exactly-once needs --job NAME, which no other job has: two that write "
                                    "transactions of one name would end each other's");
    wish->name = cli_value(cli, "table");
    if (wish->name && !*wish->name)
        return cli_usage_error(cli, "--table: a name is needed");
    if (job)
        wish->job = job;
    struct cli_flink_layer layer = {0};
    struct cli_flink_table table;
    code = cli_flink_connect(wish, cli);
    if (!code)
        code = cli_flink_layer_get(&layer, cli, cli->operands[0], cli->operands[1], use);
    if (!code)
        code = cli_flink_table_prepare(&table, cli, &layer, wish, use);
    if (!code)
        code = print_sql(cli, &table);
    cli_flink_layer_free(&layer);
    return code;
}

static int ddl(struct cli *cli)
{
    struct cli_flink_wish *wish = calloc(1, sizeof *wish);
    if (!wish)
        return cli_out_of_memory(cli);
    int code = run(cli, wish);
    cli_flink_wish_free(wish);
    free(wish);
    return code;
}

static const struct cli_option ddl_options[] = {
    {0, "source", NULL, "a table to read only; needs the right to read"},
    {0, "sink", NULL, "a table to write only; needs the right to write"},
    {'t', "table", "NAME", "the table's name (default: the layer's id)"},
    CLI_FLINK_OPTIONS,
    {'J', "job", "NAME",
     "what the job's consumer group and its transactions are named after, behind the application's own "
     "prefix (default: flink)"},
    {0, "exactly-once", NULL,
     "a sink writes in Kafka transactions, which end with the job's checkpoints; needs --job"},
    {0, NULL, NULL, NULL},
};

const struct cli_command cli_flink_ddl_command = {
    .name = "flink ddl",
    .operands = "HRN LAYER",
    .min_operands = 2,
    .max_operands = 2,
    .summary = "print CREATE TABLE of Flink SQL for a layer",
    .details =
        "The table is one of Flink's Kafka connector: it reads and writes the layer's topic itself, as "
        "kafka-connector does. Beside the payload's columns it has sl_partition_id (the Kafka key), "
        "sl_timestamp and sl_headers, which can be written too, and for reading sl_kafka_partition, "
        "sl_offset, sl_trace_id, sl_checksum and sl_data_handle.\n\n"
        "No credentials are printed, only where they are to be found. Where brokers want a token, a job gets "
        "it by the class TokenLogin of the project that flink init makes, which renews it for as long as the "
        "access key is good.\n\n"
        "A layer of the Marketplace is not in Kafka for its readers: copy it into one of your own with pipe.",
    .examples =
        "  streamlayer flink ddl HRN cars --source -C id:STRING -C speed:DOUBLE\n"
        "  streamlayer flink ddl HRN cars -C 'at:TIMESTAMP_LTZ(3)' -C speed:DOUBLE --event-time at --late "
        "1m\n"
        "  streamlayer flink ddl HRN means --sink -C id:STRING -C speed:DOUBLE --exactly-once --job means\n",
    .options = ddl_options,
    .related = "flink init,pipe,layer show,token",
    .run = ddl,
};
