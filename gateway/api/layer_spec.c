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
#define MINUTE_MS       60000L
#define HOUR_MS         (60 * MINUTE_MS)

/* A member; null counts as absent. */
static const json_t *member(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_null(value) ? NULL : value;
}

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
    *number = json_integer_value(value);
    if (json_is_integer(value) && *number >= range->min && *number <= range->max &&
        *number % range->step == 0)
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

static sl_status read_properties(const json_t *layer, bool marketplace, struct gw_layer_spec *spec,
                                 sl_error *error)
{
    const json_t *properties = member(layer, "streamProperties");
    if (properties && !json_is_object(properties))
        return sl_error_set(error, SL_INVALID_ARGUMENT, "\"streamProperties\" must be an object");
    const int64_t out_max = marketplace ? OUT_MARKETPLACE : OUT_MAX;
    const struct range in_range = {"dataInThroughputKbps", IN_DEFAULT, STEP, IN_MAX, STEP, " KBps"};
    int64_t in, out, partitions;
    sl_status status = read_number(properties, &in_range, &in, error);
    if (status)
        return status;
    int64_t usual = in > OUT_DEFAULT ? in : OUT_DEFAULT;
    const struct range out_range = {"dataOutThroughputKbps",
                                    usual < out_max ? usual : out_max,
                                    STEP,
                                    out_max,
                                    STEP,
                                    marketplace ? " KBps (the catalog is on the Marketplace)" : " KBps"};
    const struct range partition_range = {"parallelization", 4, 1, 32, 1, ""};
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
    if (!status && type && strcmp(type, "stream"))
        status =
            sl_error_set(error, SL_INVALID_ARGUMENT, "\"layerType\" must be \"stream\", not \"%.64s\"", type);
    if (!status)
        status = read_text(layer, "contentType", &spec->content_type, error);
    if (!status && (!spec->content_type || !is_media_type(spec->content_type)))
        status = sl_error_set(error, SL_INVALID_ARGUMENT,
                              "\"contentType\" must be the media type of the payloads, for example "
                              "\"application/octet-stream\", not \"%.100s\"",
                              spec->content_type ? spec->content_type : "");
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

sl_status gw_layer_spec_read(const json_t *value, bool marketplace, struct gw_layer_spec *spec,
                             sl_error *error)
{
    memset(spec, 0, sizeof *spec);
    if (!json_is_object(value))
        return sl_error_set(error, SL_INVALID_ARGUMENT, "a layer must be a JSON object");
    sl_status status = read_text(value, "id", &spec->id, error);
    if (!status)
        status = spec->id ? sl_layer_id_check(spec->id, error)
                          : sl_error_set(error, SL_INVALID_ARGUMENT, "\"id\" is missing: the layer's id");
    if (!status)
        status = read_text(value, "name", &spec->name, error);
    if (!status && !spec->name)
        spec->name = spec->id;
    if (!status && (!*spec->name || strlen(spec->name) > 1000))
        status = sl_error_set(error, SL_INVALID_ARGUMENT, "\"name\" must be a text of 1 to 1000 bytes");
    if (!status)
        status = read_types(value, spec, error);
    if (!status)
        status = read_properties(value, marketplace, spec, error);
    const struct range ttl = {"ttl",        HOUR_MS, 10 * MINUTE_MS,
                              72 * HOUR_MS, 1,       " ms (10 minutes to 72 hours)"};
    return status ? status : read_number(value, &ttl, &spec->ttl_ms, error);
}
