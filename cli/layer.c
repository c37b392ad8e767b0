/* streamlayer layer create|update|list|show|delete */
#include "cli.h"

#include <jansson.h>
#include <string.h>

#define SAMPLE_MS 1000 /* between the two that rates are made of */

static const struct cli_option layer_create_options[] = {
    {'t', "content-type", "TYPE", "media type of the payloads, such as application/json (required)"},
    {0, "content-encoding", "CODING",
     "gzip: the payloads are compressed. The client library and\nthis command do so and undo it; who writes "
     "over "
     "HTTP by\nother means compresses, and the platform stores what it gets"},
    {'n', "name", "NAME", "a name for people; without it the id"},
    {'p', "parallelization", "N", "Kafka partitions, 1 to 32 (default 4)"},
    {0, "in-kbps", "N", "KBps in, 100 to 32800 in steps of 100 (default 1000)"},
    {0, "out-kbps", "N",
     "KBps out, 100 to 65500 in steps of 100 (default 4000); to\n2000 (the default there) in a catalog on "
     "the Marketplace"},
    {0, "ttl", "DURATION", "how long messages stay, 10m to 72h, such as 90m, 2h, 3d (default 1h)"},
    {0, "cluster", "NAME", "the Kafka cluster, by its name in the gateway's settings\n(default: default)"},
    {0, "topic", "TOPIC",
     "adopt this Kafka topic, which is there already, instead of\nmaking one; for administrators"},
    {0, NULL, NULL, NULL},
};

static int layer_create(struct cli *cli)
{
    int64_t parallelization = 0, in = 0, out = 0, ttl_ms = 0;
    if (!cli_value(cli, "content-type"))
        return cli_usage_error(cli, "--content-type is needed: the media type of the payloads");
    if (!cli_number(cli, "parallelization", 1, 32, &parallelization) ||
        !cli_number(cli, "in-kbps", 100, 32800, &in) || !cli_number(cli, "out-kbps", 100, 65500, &out) ||
        !cli_duration_ms(cli, "ttl", 600000, 72 * 3600000LL, &ttl_ms))
        return CLI_USAGE;
    int code = cli_connect(cli);
    if (code)
        return code;
    sl_layer_spec spec = {
        .struct_size = sizeof spec,
        .id = cli->operands[1],
        .name = cli_value(cli, "name"),
        .content_type = cli_value(cli, "content-type"),
        .content_encoding = cli_value(cli, "content-encoding"),
        .parallelization = (int)parallelization,
        .in_kbps = (int)in,
        .out_kbps = (int)out,
        .ttl_ms = ttl_ms,
        .cluster = cli_value(cli, "cluster"),
        .topic = cli_value(cli, "topic"),
    };
    sl_error error = {0};
    if (sl_layer_create(cli->client, cli->operands[0], &spec, &error))
        return cli_fail(cli, &error);
    return CLI_OK;
}

const struct cli_command cli_layer_create_command = {
    .name = "layer create",
    .operands = "HRN LAYER",
    .min_operands = 2,
    .max_operands = 2,
    .summary = "make a stream layer in a catalog",
    .details = "With --topic the layer adopts a topic that is there: its partitions are the layer's, and its "
               "retention the ttl where that is one (else --ttl says how long messages are taken to stay). "
               "The topic's own settings are left alone, and it outlives the layer: deleting the layer never "
               "deletes it.",
    .examples =
        "  streamlayer layer create hrn:here:data::local:traffic cars --content-type application/json\n"
        "  streamlayer layer create HRN LAYER -t application/x-protobuf -p 8 --ttl 24h\n"
        "  streamlayer layer create HRN LAYER -t application/json --cluster eu --topic orders\n",
    .options = layer_create_options,
    .changes = true,
    .related = "catalog create,layer update,produce",
    .run = layer_create,
};

static const struct cli_option layer_update_options[] = {
    {'n', "name", "NAME", "a name for people"},
    {'p', "parallelization", "N", "Kafka partitions, up to 32; it can only grow"},
    {0, "in-kbps", "N", "KBps in, 100 to 32800 in steps of 100"},
    {0, "out-kbps", "N", "KBps out, 100 to 65500 in steps of 100; to 2000 in a\ncatalog on the Marketplace"},
    {0, "ttl", "DURATION", "how long messages stay, 10m to 72h, such as 90m, 2h, 3d"},
    {0, NULL, NULL, NULL},
};

static int layer_update(struct cli *cli)
{
    int64_t parallelization = 0, in = 0, out = 0, ttl_ms = 0;
    if (!cli_number(cli, "parallelization", 1, 32, &parallelization) ||
        !cli_number(cli, "in-kbps", 100, 32800, &in) || !cli_number(cli, "out-kbps", 100, 65500, &out) ||
        !cli_duration_ms(cli, "ttl", 600000, 72 * 3600000LL, &ttl_ms))
        return CLI_USAGE;
    const sl_layer_spec changes = {
        .struct_size = sizeof changes,
        .name = cli_value(cli, "name"),
        .parallelization = (int)parallelization,
        .in_kbps = (int)in,
        .out_kbps = (int)out,
        .ttl_ms = ttl_ms,
    };
    if (!changes.name && !parallelization && !in && !out && !ttl_ms)
        return cli_usage_error(
            cli, "nothing is to be changed: give --name, --parallelization, --in-kbps, --out-kbps or --ttl");
    int code = cli_connect(cli);
    if (code)
        return code;
    sl_error error = {0};
    if (sl_layer_update(cli->client, cli->operands[0], cli->operands[1], &changes, &error))
        return cli_fail(cli, &error);
    return CLI_OK;
}

const struct cli_command cli_layer_update_command = {
    .name = "layer update",
    .operands = "HRN LAYER",
    .min_operands = 2,
    .max_operands = 2,
    .summary = "change a layer's name, throughput, ttl or parallelization",
    .details =
        "What is not named stays as it is, and who reads and writes goes on. With more Kafka partitions "
        "a partition id may lie in another one than before: order across the change is not kept. A "
        "topic that was adopted is changed by those whose it is.",
    .examples = "  streamlayer layer update hrn:here:data::local:traffic cars --ttl 24h\n"
                "  streamlayer layer update HRN LAYER --parallelization 8 --out-kbps 8000\n",
    .options = layer_update_options,
    .changes = true,
    .related = "layer show,layer create",
    .run = layer_update,
};

static json_t *layer_json(const sl_layer_spec *layer, const char *topic, bool adopted)
{
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:I}", "id", layer->id, "name", layer->name, "contentType",
                  layer->content_type, "parallelization", layer->parallelization, "inKbps", layer->in_kbps,
                  "outKbps", layer->out_kbps, "ttlMs", (json_int_t)layer->ttl_ms);
    if (object && layer->content_encoding)
        json_object_set_new(object, "contentEncoding", json_string(layer->content_encoding));
    if (object && topic)
        json_object_set_new(object, "topic", json_string(topic));
    if (object && layer->cluster)
        json_object_set_new(object, "cluster", json_string(layer->cluster));
    if (object && adopted)
        json_object_set_new(object, "adopted", json_true());
    return object;
}

static void print_json(const struct cli *cli, json_t *value)
{
    char *text = value ? json_dumps(value, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
    if (text)
        puts(text);
    else
        cli_out_of_memory(cli);
    json_free_t release;
    json_get_alloc_funcs(NULL, &release);
    release(text);
    json_decref(value);
}

static void print_layer(const sl_layer_spec *layer, const char *topic, bool adopted)
{
    char ttl[32];
    cli_format_duration(layer->ttl_ms, ttl);
    printf("layer             %s\nname              %s\ncontent type      %s\n", layer->id, layer->name,
           layer->content_type);
    if (layer->content_encoding)
        printf("content encoding  %s\n", layer->content_encoding);
    printf(
        "parallelization   %d\nin                %d KBps\nout               %d KBps\nmessages stay     %s\n",
        layer->parallelization, layer->in_kbps, layer->out_kbps, ttl);
    if (topic)
        printf("Kafka topic       %s%s\n", topic, adopted ? " (adopted: it outlives the layer)" : "");
    if (layer->cluster && strcmp(layer->cluster, "default") != 0)
        printf("Kafka cluster     %s\n", layer->cluster);
}

static void print_layers(const struct cli *cli, const sl_catalog *catalog)
{
    static const char *const titles[] = {"LAYER",    "CONTENT TYPE", "PARTITIONS", "IN KBPS",
                                         "OUT KBPS", "TTL",          "NAME"};
    sl_layer_spec layer = {.struct_size = sizeof layer};
    struct cli_table *table = cli->json ? NULL : cli_table_create(7, titles);
    json_t *array = cli->json ? json_array() : NULL;
    for (size_t i = 0; sl_catalog_layer_at(catalog, i, &layer); i++) {
        char partitions[16], in[16], out[16], ttl[32];
        if (cli->json) {
            json_array_append_new(array, layer_json(&layer, sl_catalog_layer_topic(catalog, i),
                                                    sl_catalog_layer_adopted(catalog, i)));
            continue;
        }
        snprintf(partitions, sizeof partitions, "%d", layer.parallelization);
        snprintf(in, sizeof in, "%d", layer.in_kbps);
        snprintf(out, sizeof out, "%d", layer.out_kbps);
        cli_format_duration(layer.ttl_ms, ttl);
        const char *cells[] = {layer.id, layer.content_type, partitions, in, out, ttl, layer.name};
        cli_table_row(table, cells);
    }
    if (cli->json)
        print_json(cli, array);
    else
        cli_table_print(&table);
}

static int layer_list(struct cli *cli)
{
    int code = cli_connect(cli);
    if (code)
        return code;
    sl_error error = {0};
    sl_catalog *catalog = NULL;
    if (sl_catalog_get(cli->client, cli->operands[0], &catalog, &error))
        return cli_fail(cli, &error);
    print_layers(cli, catalog);
    sl_catalog_destroy(&catalog);
    return cli_flush_output(cli);
}

const struct cli_command cli_layer_list_command = {
    .name = "layer list",
    .operands = "HRN",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "list a catalog's layers",
    .examples = "  streamlayer layer list hrn:here:data::local:traffic\n",
    .run = layer_list,
};

/* What goes through a layer: what the platform says now, and what changed since a while before. */
struct traffic {
    bool told;      /* now is filled: the platform can tell */
    double seconds; /* between the two; 0: there is only one */
    sl_layer_statistics before, now;
};

/* CLI_OK also where the platform does not tell. */
static int sample(const struct cli *cli, bool rates, struct traffic *traffic)
{
    sl_error error = {0};
    traffic->now = (sl_layer_statistics){.struct_size = sizeof traffic->now};
    traffic->before = traffic->now;
    sl_status status =
        sl_layer_statistics_get(cli->client, cli->operands[0], cli->operands[1], &traffic->now, &error);
    if (!status && rates) {
        traffic->before = traffic->now;
        cli_sleep_ms(SAMPLE_MS);
        status =
            sl_layer_statistics_get(cli->client, cli->operands[0], cli->operands[1], &traffic->now, &error);
        traffic->seconds = (double)(traffic->now.time_ms - traffic->before.time_ms) / 1000;
    }
    traffic->told = !status;
    return status && status != SL_UNSUPPORTED ? cli_fail(cli, &error) : CLI_OK;
}

/* A second. What is smaller than before has begun anew: the gateway was restarted. */
static double rate(const struct traffic *traffic, int64_t before, int64_t now)
{
    return traffic->seconds > 0 && now > before ? (double)(now - before) / traffic->seconds : 0;
}

static void print_rate(const char *what, double messages, double bytes)
{
    char text[32];
    cli_format_bytes(bytes, text);
    printf("%s %.1f messages/s, %s/s\n", what, messages, text);
}

static void print_traffic(const struct traffic *traffic)
{
    const sl_layer_statistics *now = &traffic->now, *before = &traffic->before;
    if (!traffic->told) {
        puts("messages held     this platform does not tell");
        return;
    }
    printf("messages held     %lld, of %lld ever written\n", (long long)now->messages,
           (long long)now->written);
    if (traffic->seconds <= 0)
        return;
    printf("being written     %.1f messages/s\n", rate(traffic, before->written, now->written));
    print_rate("through gateway   in ", rate(traffic, before->gateway_messages_in, now->gateway_messages_in),
               rate(traffic, before->gateway_bytes_in, now->gateway_bytes_in));
    print_rate("                  out",
               rate(traffic, before->gateway_messages_out, now->gateway_messages_out),
               rate(traffic, before->gateway_bytes_out, now->gateway_bytes_out));
}

static json_t *statistics_json(const sl_layer_statistics *now)
{
    return json_pack("{s:I,s:I,s:I,s:{s:I,s:I,s:I,s:I}}", "timeMs", (json_int_t)now->time_ms, "messages",
                     (json_int_t)now->messages, "written", (json_int_t)now->written, "gateway", "messagesIn",
                     (json_int_t)now->gateway_messages_in, "bytesIn", (json_int_t)now->gateway_bytes_in,
                     "messagesOut", (json_int_t)now->gateway_messages_out, "bytesOut",
                     (json_int_t)now->gateway_bytes_out);
}

static json_t *rates_json(const struct traffic *traffic)
{
    const sl_layer_statistics *now = &traffic->now, *before = &traffic->before;
    return json_pack("{s:f,s:f,s:{s:f,s:f,s:f,s:f}}", "seconds", traffic->seconds, "written",
                     rate(traffic, before->written, now->written), "gateway", "messagesIn",
                     rate(traffic, before->gateway_messages_in, now->gateway_messages_in), "bytesIn",
                     rate(traffic, before->gateway_bytes_in, now->gateway_bytes_in), "messagesOut",
                     rate(traffic, before->gateway_messages_out, now->gateway_messages_out), "bytesOut",
                     rate(traffic, before->gateway_bytes_out, now->gateway_bytes_out));
}

static void print_whole_json(const struct cli *cli, const sl_layer_spec *layer, bool adopted,
                             const struct traffic *traffic)
{
    json_t *object = layer_json(layer, layer->topic, adopted);
    if (traffic->told)
        json_object_set_new(object, "statistics", statistics_json(&traffic->now));
    if (traffic->told && traffic->seconds > 0)
        json_object_set_new(object, "perSecond", rates_json(traffic));
    print_json(cli, object);
}

/* The layer as the catalog has it, then what it holds and what goes through it. */
static int show(struct cli *cli, const sl_layer_spec *layer, bool adopted)
{
    struct traffic traffic = {0};
    if (!cli->json) {
        print_layer(layer, layer->topic, adopted);
        fflush(stdout); /* what follows takes a second */
    }
    int code = sample(cli, !cli_flag(cli, "no-rates"), &traffic);
    if (cli->json)
        print_whole_json(cli, layer, adopted, &traffic);
    else if (!code)
        print_traffic(&traffic);
    return code ? code : cli_flush_output(cli);
}

static int layer_show(struct cli *cli)
{
    int code = cli_connect(cli);
    if (code)
        return code;
    sl_error error = {0};
    sl_catalog *catalog = NULL;
    if (sl_catalog_get(cli->client, cli->operands[0], &catalog, &error))
        return cli_fail(cli, &error);
    const char *wanted = cli->operands[1];
    sl_layer_spec layer = {.struct_size = sizeof layer};
    size_t at = 0;
    while (sl_catalog_layer_at(catalog, at, &layer) && strcmp(layer.id, wanted) != 0)
        at++;
    if (sl_catalog_layer_at(catalog, at, &layer)) {
        code = show(cli, &layer, sl_catalog_layer_adopted(catalog, at));
    } else {
        code = cli_error_as(cli, SL_NOT_FOUND,
                            "catalog %s has no layer \"%s\"; `streamlayer layer list %s` shows those it has",
                            cli->operands[0], wanted, cli->operands[0]);
    }
    sl_catalog_destroy(&catalog);
    return code;
}

static const struct cli_option layer_show_options[] = {
    {0, "no-rates", NULL, "what it holds now only: rates take a second"},
    {0, NULL, NULL, NULL},
};

const struct cli_command cli_layer_show_command = {
    .name = "layer show",
    .operands = "HRN LAYER",
    .min_operands = 2,
    .max_operands = 2,
    .summary = "show a layer, the Kafka topic behind it, and what goes through it",
    .details = "Messages held and being written are Kafka's own numbers, whoever wrote them. What goes "
               "through the gateway is counted there, in payload: consumers and producers over direct Kafka "
               "are not in it.\n\n"
               "With --json, statistics has what there is now, and perSecond what changed in about a second.",
    .examples = "  streamlayer layer show hrn:here:data::local:traffic cars\n"
                "  streamlayer layer show hrn:here:data::local:traffic cars --no-rates --json\n",
    .options = layer_show_options,
    .related = "group list,status",
    .run = layer_show,
};

static int layer_delete(struct cli *cli)
{
    int code = cli_ask_unless_sure(cli, "Delete layer %s of %s, and its messages?", cli->operands[1],
                                   cli->operands[0]);
    if (!code)
        code = cli_connect(cli);
    if (code)
        return code;
    sl_error error = {0};
    if (sl_layer_delete(cli->client, cli->operands[0], cli->operands[1], &error))
        return cli_fail(cli, &error);
    return CLI_OK;
}

static const struct cli_option layer_delete_options[] = {
    {'y', "yes", NULL, "do not ask"},
    {0, NULL, NULL, NULL},
};

const struct cli_command cli_layer_delete_command = {
    .name = "layer delete",
    .operands = "HRN LAYER",
    .min_operands = 2,
    .max_operands = 2,
    .summary = "delete a layer and its messages",
    .details = "A topic that the layer adopted stays, with its messages. Asks first; where nobody can be "
               "asked, not on a terminal, --yes is needed.",
    .examples = "  streamlayer layer delete hrn:here:data::local:traffic cars\n"
                "  streamlayer layer delete hrn:here:data::local:traffic cars --yes\n",
    .options = layer_delete_options,
    .changes = true,
    .run = layer_delete,
};
