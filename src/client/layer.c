#include "client/layer.h"

#include <stdlib.h>
#include <strings.h>

#include "base/error.h"
#include "base/text.h"
#include "client/client.h"

static const json_t *find_layer(const json_t *catalog, const char *id)
{
    const json_t *layers = json_object_get(catalog, "layers");
    for (size_t i = 0; i < json_array_size(layers); i++) {
        const json_t *layer = json_array_get(layers, i);
        const char *name = json_string_value(json_object_get(layer, "id"));
        if (name && !strcmp(name, id))
            return layer;
    }
    return NULL;
}

static sl_status read_layer(const json_t *layer, const char *hrn, const char *id, struct sl_layer_facts *out,
                            sl_error *error)
{
    const char *kind = json_string_value(json_object_get(layer, "layerType"));
    if (kind && strcmp(kind, "stream"))
        return sl_error_set(error, SL_INVALID_ARGUMENT, "layer %s of %s is a %s layer, not a stream layer",
                            id, hrn, kind);
    const char *type = json_string_value(json_object_get(layer, "contentType"));
    const char *encoding = json_string_value(json_object_get(layer, "contentEncoding"));
    out->content_type = strdup(type && *type ? type : "application/octet-stream");
    out->content_encoding = sl_strdup(encoding && *encoding ? encoding : NULL);
    return !out->content_type || (!out->content_encoding && encoding && *encoding) ? sl_error_oom(error)
                                                                                   : SL_OK;
}

sl_status sl_layer_facts_get(struct sl_client *client, const char *hrn, const char *id,
                             struct sl_layer_facts *facts, sl_error *error)
{
    memset(facts, 0, sizeof *facts);
    char *base = NULL;
    sl_status status = sl_client_base_url(client, hrn, "config", "v1", &base, NULL, error);
    if (status)
        return status;
    char *url = sl_printf("%s/catalogs/%s", base, hrn);
    free(base);
    if (!url)
        return sl_error_oom(error);
    json_t *catalog = NULL;
    status = sl_client_call_json(client, "GET", url, NULL, &catalog, error);
    free(url);
    if (status)
        return status;
    const json_t *found = find_layer(catalog, id);
    if (found)
        status = read_layer(found, hrn, id, facts, error);
    else
        status = sl_error_set(error, SL_NOT_FOUND, "the catalog %s has no layer %s", hrn, id);
    facts->marketplace = json_is_true(json_object_get(catalog, "marketplace"));
    json_decref(catalog);
    if (status)
        sl_layer_facts_free(facts);
    return status;
}

void sl_layer_facts_free(struct sl_layer_facts *facts)
{
    free(facts->content_type);
    free(facts->content_encoding);
    memset(facts, 0, sizeof *facts);
}

sl_status sl_layer_facts_try(struct sl_client *client, const char *hrn, const char *id,
                             struct sl_layer_facts *facts, sl_error *error)
{
    sl_error why = {0};
    sl_status status = sl_layer_facts_get(client, hrn, id, facts, &why);
    if (status == SL_FORBIDDEN || status == SL_NOT_FOUND || status == SL_UNSUPPORTED) {
        SL_INFO(
            &client->log,
            "layer %s of %s: the catalog does not tell of it; what it would, its content encoding, is taken "
            "as none: %s",
            id, hrn, why.text);
        return SL_OK;
    }
    if (status && error)
        *error = why;
    return status;
}

bool sl_layer_facts_copy(const struct sl_layer_facts *facts, struct sl_layer_facts *to)
{
    to->content_type = sl_strdup(facts->content_type);
    to->content_encoding = sl_strdup(facts->content_encoding);
    to->marketplace = facts->marketplace;
    if ((to->content_type || !facts->content_type) && (to->content_encoding || !facts->content_encoding))
        return true;
    sl_layer_facts_free(to);
    return false;
}

bool sl_layer_facts_gzip(const struct sl_layer_facts *facts)
{
    return facts->content_encoding && !strcasecmp(facts->content_encoding, "gzip");
}
