#include "gateway/api/layer_spec.h"

#include "base/error.h"
#include "base/text.h"
#include "wire/hrn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP            100 /* KBps */
#define IN_DEFAULT      1000
#define IN_MAX          32800
#define OUT_DEFAULT     4000
#define OUT_MAX         65500
#define OUT_MARKETPLACE 2000
#define TTL_DEFAULT_MS  3600000L
#define CLUSTER_MAX     64
#define NAME_LETTERS    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

#define PARALLELIZATION_DEFAULT 4

/* A member; null counts as absent. */
static const json_t *member(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_null(value) ? NULL : value;
}

/* *text NULL: there is none. */
static sl_status read_text(const json_t *object, const char *name, const char **text, sl_error *error)
{
    const json_t *value = member(object, name);
    *text = json_string_value(value);
    if (value && !*text)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "\"%s\" must be a text", name);
    return SL_OK;
}

struct range {
    const char *name;
    int64_t otherwise, min, max, step;
    const char *unit;
};

static sl_status read_number(const json_t *object, const struct range *range, int64_t *number,
                             sl_error *error)
{
    const json_t *value = member(object, range->name);
    *number = range->otherwise;
    if (!value)
        return SL_OK;
    *number = json_integer_value(value); /* 0, which is in no range, where it is none */
    if (*number >= range->min && *number <= range->max && *number % range->step == 0)
        return SL_OK;
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    char steps[40] = "";
    if (range->step > 1)
        snprintf(steps, sizeof steps, " in steps of %lld", (long long)range->step);
    sl_error_set(error, SL_INVALID_ARGUMENT,
                 "\"%s\" must be a whole number from %lld to %lld%s%s, not %.100s", range->name,
                 (long long)range->min, (long long)range->max, range->unit, steps, text ? text : "that");
    free(text);
    return SL_INVALID_ARGUMENT;
}

/* What is absent is what *spec has; out_kbps 0: it follows in_kbps. *spec stays what it was in a failure. */
static sl_status read_properties(const json_t *layer, bool marketplace, struct gw_layer_spec *spec,
                                 sl_error *error)
{
    const json_t *properties = member(layer, "streamProperties");
    if (properties && !json_is_object(properties))
        return sl_error_set(error, SL_INVALID_ARGUMENT, "\"streamProperties\" must be an object");
    const int64_t out_max = marketplace ? OUT_MARKETPLACE : OUT_MAX;
    const struct range in_range = {
        "dataInThroughputKbps",
        spec->in_kbps,
        STEP,
        marketplace ? out_max : IN_MAX,
        STEP,
        marketplace ? " KBps (on the Marketplace out is no more than that, and in no more than out)"
                    : " KBps"};
    int64_t in, out, partitions;
    sl_status status = read_number(properties, &in_range, &in, error);
    if (status)
        return status;
    int64_t usual = spec->out_kbps ? spec->out_kbps : in > OUT_DEFAULT ? in : OUT_DEFAULT;
    const struct range out_range = {"dataOutThroughputKbps",
                                    usual < out_max ? usual : out_max,
                                    STEP,
                                    out_max,
                                    STEP,
                                    marketplace ? " KBps (the catalog is on the Marketplace)" : " KBps"};
    const struct range partition_range = {"parallelization", spec->parallelization, 1, 32, 1, ""};
    status = read_number(properties, &out_range, &out, error);
    if (!status && out < in)
        status = sl_error_set(
            error, SL_INVALID_ARGUMENT,
            "\"dataOutThroughputKbps\" must be at least \"dataInThroughputKbps\", %lld KBps, not %lld",
            (long long)in, (long long)out);
    if (!status)
        status = read_number(properties, &partition_range, &partitions, error);
    if (status)
        return status;
    spec->in_kbps = (int)in;
    spec->out_kbps = (int)out;
    spec->parallelization = (int)partitions;
    return SL_OK;
}

/* TYPE/SUBTYPE, with parameters or without. */
static bool is_media_type(const char *text)
{
    const char *slash = strchr(text, '/');
    size_t size = strcspn(text, "; ");
    char type[128], subtype[128];
    if (!slash || size >= sizeof type || slash > text + size || strlen(text) > 255)
        return false;
    for (const char *c = text; *c; c++)
        if (*c < 0x20 || *c > 0x7e)
            return false;
    memcpy(type, text, (size_t)(slash - text));
    type[slash - text] = 0;
    memcpy(subtype, slash + 1, size - (size_t)(slash + 1 - text));
    subtype[size - (size_t)(slash + 1 - text)] = 0;
    return sl_is_http_token(type, 127) && sl_is_http_token(subtype, 127) &&
           (!text[size] || text[size + strspn(text + size, " ")] == ';');
}

static sl_status read_types(const json_t *layer, struct gw_layer_spec *spec, sl_error *error)
{
    const char *type;
    sl_status status = read_text(layer, "layerType", &type, error);
    if (type && strcmp(type, "stream"))
        status =
            sl_error_set(error, SL_INVALID_ARGUMENT, "\"layerType\" must be \"stream\", not \"%.64s\"", type);
    if (!status)
        status = read_text(layer, "contentType", &spec->content_type, error);
    if (!status && !spec->content_type)
        status = sl_error_set(error, SL_INVALID_ARGUMENT,
                              "\"contentType\" is missing: the media type of the payloads, for example "
                              "\"application/octet-stream\"");
    if (!status && (!is_media_type(spec->content_type)))
        status = sl_error_set(error, SL_INVALID_ARGUMENT,
                              "\"contentType\" must be the media type of the payloads, for example "
                              "\"application/octet-stream\", not \"%.100s\"",
                              spec->content_type);
    if (!status)
        status = read_text(layer, "contentEncoding", &spec->content_encoding, error);
    if (status)
        return status;
    if (spec->content_encoding && !*spec->content_encoding)
        spec->content_encoding = NULL;
    if (spec->content_encoding && strcmp(spec->content_encoding, "gzip"))
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "\"contentEncoding\" must be \"gzip\" or absent, not \"%.64s\"",
                            spec->content_encoding);
    return SL_OK;
}

static sl_status read_ttl(const json_t *layer, struct gw_layer_spec *spec, sl_error *error)
{
    const struct range ttl = {
        "ttl", spec->ttl_ms, GW_TTL_MIN_MS, GW_TTL_MAX_MS, 1, " ms (10 minutes to 72 hours)"};
    return read_number(layer, &ttl, &spec->ttl_ms, error);
}

static sl_status read_name(const json_t *layer, struct gw_layer_spec *spec, sl_error *error)
{
    const char *name;
    sl_status status = read_text(layer, "name", &name, error);
    if (name && (!*name || strlen(name) > 1000))
        status = sl_error_set(error, SL_INVALID_ARGUMENT, "\"name\" must be a text of 1 to 1000 bytes");
    if (!status && name)
        spec->name = name;
    return status;
}

bool gw_topic_name_ok(const char *topic)
{
    size_t length = strlen(topic);
    return length >= 1 && length <= GW_TOPIC_MAX && strspn(topic, NAME_LETTERS "._-") == length &&
           strcmp(topic, ".") != 0 && strcmp(topic, "..") != 0;
}

/* Those that begin with two underscores are Kafka's own. */
static sl_status check_topic(const char *topic, sl_error *error)
{
    if (!gw_topic_name_ok(topic))
        return sl_error_set(
            error, SL_INVALID_ARGUMENT,
            "\"topic\" must be a Kafka topic's name, 1 to %d characters of A-Z a-z 0-9 . _ -, "
            "not \"%.260s\"",
            GW_TOPIC_MAX, topic);
    if (!strncmp(topic, "__", 2))
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "\"topic\" must not be \"%s\": names that begin with __ are Kafka's own", topic);
    return SL_OK;
}

/* Where the layer's messages are. An adopted topic says by itself what it is, unless something else is asked
 * for: then zeros stand for what the topic has. */
static sl_status read_place(const json_t *layer, struct gw_layer_spec *spec, sl_error *error)
{
    sl_status status = read_text(layer, "cluster", &spec->cluster, error);
    if (spec->cluster && (!*spec->cluster || strlen(spec->cluster) > CLUSTER_MAX ||
                          spec->cluster[strspn(spec->cluster, NAME_LETTERS "_-")]))
        status =
            sl_error_set(error, SL_INVALID_ARGUMENT,
                         "\"cluster\" must be the name of a Kafka cluster in the gateway's settings, not "
                         "\"%.100s\"",
                         spec->cluster);
    if (!status)
        status = read_text(layer, "topic", &spec->topic, error);
    if (!status && spec->topic)
        status = check_topic(spec->topic, error);
    if (!status && spec->topic) {
        spec->parallelization = 0;
        spec->ttl_ms = 0;
    }
    return status;
}

sl_status gw_layer_spec_read(const json_t *value, bool marketplace, struct gw_layer_spec *spec,
                             sl_error *error)
{
    *spec = (struct gw_layer_spec){
        .in_kbps = IN_DEFAULT, .parallelization = PARALLELIZATION_DEFAULT, .ttl_ms = TTL_DEFAULT_MS};
    if (!json_is_object(value))
        return sl_error_set(error, SL_INVALID_ARGUMENT, "a layer must be a JSON object");
    sl_status status = read_text(value, "id", &spec->id, error);
    if (!status)
        status = spec->id ? sl_layer_id_check(spec->id, error)
                          : sl_error_set(error, SL_INVALID_ARGUMENT, "\"id\" is missing: the layer's id");
    spec->name = spec->id;
    if (!status)
        status = read_name(value, spec, error);
    if (!status)
        status = read_types(value, spec, error);
    if (!status)
        status = read_place(value, spec, error);
    if (!status)
        status = read_properties(value, marketplace, spec, error);
    return status ? status : read_ttl(value, spec, error);
}

/* What a layer is for its whole life may stand in a change, as long as it stays. */
static sl_status check_fixed(const json_t *value, const struct gw_layer *layer, sl_error *error)
{
    const struct {
        const char *name, *is;
    } fixed[] = {
        {"id", layer->id},
        {"layerType", "stream"},
        {"contentType", layer->content_type},
        {"contentEncoding", layer->content_encoding},
        {"cluster", layer->cluster},
        {"topic", layer->topic},
    };
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        const char *text;
        sl_status status = read_text(value, fixed[i].name, &text, error);
        if (status)
            return status;
        if (text && strcmp(text, fixed[i].is ? fixed[i].is : "") != 0)
            return sl_error_set(error, SL_INVALID_ARGUMENT,
                                "\"%s\" of a layer cannot be changed: it is %s%s%s; make another layer",
                                fixed[i].name, fixed[i].is ? "\"" : "", fixed[i].is ? fixed[i].is : "absent",
                                fixed[i].is ? "\"" : "");
    }
    return SL_OK;
}

sl_status gw_layer_spec_change(const json_t *value, const struct gw_layer *layer, struct gw_layer_spec *spec,
                               sl_error *error)
{
    *spec = (struct gw_layer_spec){
        .id = layer->id,
        .name = layer->name,
        .content_type = layer->content_type,
        .content_encoding = layer->content_encoding,
        .parallelization = layer->parallelization,
        .in_kbps = layer->in_kbps,
        .out_kbps = layer->out_kbps,
        .ttl_ms = layer->ttl_ms,
        .cluster = layer->cluster,
        .topic = layer->adopted ? layer->topic : NULL,
    };
    sl_status status = check_fixed(value, layer, error);
    if (!status)
        status = read_name(value, spec, error);
    if (!status)
        status = read_properties(value, layer->marketplace, spec, error);
    if (spec->parallelization < layer->parallelization)
        status =
            sl_error_set(error, SL_INVALID_ARGUMENT,
                         "\"parallelization\" can only grow: it is %d, and Kafka takes no partition away "
                         "from a topic",
                         layer->parallelization);
    return status ? status : read_ttl(value, spec, error);
}
