/* Access control lists: the platform's report, made into an object of the caller's. What it answers is
 * checked once, so that the accessors need not. */
#include <stdlib.h>
#include <streamlayer/acl.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "client/client.h"

struct sl_acl_report {
    json_t *value; /* the strings handed out are its */
    char *text;
    size_t cluster_count, count;
    sl_acl_cluster *clusters;
    sl_acl_finding *findings;
};

static const struct {
    sl_acl_drift drift;
    const char *name;
} drifts[] = {{SL_ACL_MISSING, "missing"},
              {SL_ACL_SURPLUS, "surplus"},
              {SL_ACL_BEYOND, "beyond"},
              {SL_ACL_DENIED, "denied"}};
#define DRIFTS (sizeof drifts / sizeof *drifts)

static const char *text_of(const json_t *value, const char *name)
{
    return json_string_value(json_object_get(value, name));
}

static sl_status unclear(sl_error *error)
{
    return sl_error_set(error, SL_PROTOCOL,
                        "the platform answered a report of access control lists that is not of their form");
}

static sl_status read_finding(const json_t *value, const char *cluster, sl_acl_drift drift,
                              sl_acl_finding *finding, sl_error *error)
{
    *finding = (sl_acl_finding){.struct_size = sizeof *finding,
                                .drift = drift,
                                .cluster = cluster,
                                .principal = text_of(value, "principal"),
                                .application = text_of(value, "application"),
                                .resource = text_of(value, "resource"),
                                .name = text_of(value, "name"),
                                .prefixed = json_is_true(json_object_get(value, "prefixed")),
                                .operation = text_of(value, "operation")};
    return finding->principal && finding->resource && finding->name && finding->operation ? SL_OK
                                                                                          : unclear(error);
}

static sl_status read_cluster(struct sl_acl_report *report, const json_t *value, sl_error *error)
{
    sl_acl_cluster *cluster = &report->clusters[report->cluster_count];
    *cluster = (sl_acl_cluster){
        .struct_size = sizeof *cluster, .name = text_of(value, "cluster"), .error = text_of(value, "error")};
    if (!cluster->name)
        return unclear(error);
    report->cluster_count++;
    sl_status status = SL_OK;
    for (size_t i = 0; i < DRIFTS && !status; i++) {
        const json_t *list = json_object_get(value, drifts[i].name);
        for (size_t k = 0; k < json_array_size(list) && !status; k++)
            status = read_finding(json_array_get(list, k), cluster->name, drifts[i].drift,
                                  &report->findings[report->count++], error);
    }
    return status;
}

static size_t findings_in(const json_t *clusters)
{
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(clusters); i++)
        for (size_t k = 0; k < DRIFTS; k++)
            count += json_array_size(json_object_get(json_array_get(clusters, i), drifts[k].name));
    return count;
}

static sl_status fill(struct sl_acl_report *report, sl_error *error)
{
    const json_t *clusters = json_object_get(report->value, "clusters");
    size_t count = json_array_size(clusters), findings = findings_in(clusters);
    if (!json_is_array(clusters))
        return unclear(error);
    report->text = json_dumps(report->value, JSON_INDENT(2));
    report->clusters = calloc(count ? count : 1, sizeof *report->clusters);
    report->findings = calloc(findings ? findings : 1, sizeof *report->findings);
    if (!report->text || !report->clusters || !report->findings)
        return sl_error_oom(error);
    sl_status status = SL_OK;
    for (size_t i = 0; i < count && !status; i++)
        status = read_cluster(report, json_array_get(clusters, i), error);
    return status;
}

/* Takes the reference to value. */
static sl_status make(json_t *value, sl_acl_report **out, sl_error *error)
{
    struct sl_acl_report *report = calloc(1, sizeof *report);
    if (!report) {
        json_decref(value);
        return sl_error_oom(error);
    }
    report->value = value;
    sl_status status = fill(report, error);
    if (status)
        sl_acl_report_destroy(&report);
    *out = report;
    return status;
}

static sl_status call(sl_client *client, const char *method, const char *path, json_t **out, sl_error *error)
{
    char *base = NULL, *url = NULL;
    sl_status status = sl_client_check(client, error);
    if (!status)
        status = sl_client_extension_url(client, NULL, "config", "v1", "tell of access control lists", &base,
                                         error);
    if (!status && !(url = sl_printf("%s%s", base, path)))
        status = sl_error_oom(error);
    if (!status)
        status = sl_client_call_json(client, method, url, NULL, out, error);
    free(base);
    free(url);
    return status;
}

/* The calls of acl.h. */

sl_status sl_acl_check(sl_client *client, sl_acl_report **report, sl_error *error)
{
    json_t *value = NULL;
    if (!report)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "sl_acl_check: report is NULL");
    *report = NULL;
    sl_status status = call(client, "GET", "/acls", &value, error);
    return status ? status : make(value, report, error);
}

sl_status sl_acl_repair(sl_client *client, sl_acl_report **report, sl_error *error)
{
    json_t *value = NULL;
    if (report)
        *report = NULL;
    sl_status status = call(client, "POST", "/acls/repair", &value, error);
    if (!status && report)
        return make(value, report, error);
    json_decref(value);
    return status;
}

void sl_acl_report_destroy(sl_acl_report **report)
{
    if (!report || !*report)
        return;
    json_decref((*report)->value);
    free((*report)->text);
    free((*report)->clusters);
    free((*report)->findings);
    free(*report);
    *report = NULL;
}

size_t sl_acl_report_cluster_count(const sl_acl_report *report)
{
    return report ? report->cluster_count : 0;
}

bool sl_acl_report_cluster_at(const sl_acl_report *report, size_t index, sl_acl_cluster *cluster)
{
    if (!report || index >= report->cluster_count || !cluster || cluster->struct_size < sizeof *cluster)
        return false;
    *cluster = report->clusters[index];
    return true;
}

size_t sl_acl_report_count(const sl_acl_report *report)
{
    return report ? report->count : 0;
}

bool sl_acl_report_at(const sl_acl_report *report, size_t index, sl_acl_finding *finding)
{
    if (!report || index >= report->count || !finding || finding->struct_size < sizeof *finding)
        return false;
    *finding = report->findings[index];
    return true;
}

const char *sl_acl_report_json(const sl_acl_report *report)
{
    return report ? report->text : NULL;
}
