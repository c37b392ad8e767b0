/* What is wrong with a configuration, told one by one. */
#include "config/findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/error.h"
#include "base/text.h"

static void fail(struct sl_findings *findings, sl_status status)
{
    findings->status = status;
    findings->over = true;
}

/* Whether text is new. */
static bool remember(struct sl_findings *findings, const char *text)
{
    for (size_t i = 0; i < findings->told_count; i++)
        if (strcmp(findings->told[i], text) == 0)
            return false;
    char *copy = sl_array_reserve((void **)&findings->told, findings->told_count, &findings->told_capacity,
                                  sizeof *findings->told)
                     ? strdup(text)
                     : NULL;
    if (!copy) {
        fail(findings, SL_OUT_OF_MEMORY);
        return false;
    }
    findings->told[findings->told_count++] = copy;
    return true;
}

static void tell(struct sl_findings *findings, sl_finding_level level, const char *path, const char *origin,
                 const char *text)
{
    if (!findings->over && remember(findings, text) &&
        !findings->visit(findings->opaque, level, path, origin, text))
        findings->over = true;
}

void sl_find(struct sl_findings *findings, sl_finding_level level, const char *path, const char *origin,
             const char *format, ...)
{
    sl_error error = {0};
    va_list arguments;
    va_start(arguments, format);
    sl_error_vset(&error, SL_BAD_CONFIG, format, arguments);
    va_end(arguments);
    if (*origin)
        sl_error_prefix(&error, "%s", origin);
    tell(findings, level, path, origin, error.text);
}

void sl_find_error(struct sl_findings *findings, const char *path, const char *origin, const sl_error *error)
{
    if (error->status == SL_BAD_CONFIG)
        tell(findings, SL_FINDING_ERROR, path, origin, error->text);
    else
        fail(findings, error->status);
}

sl_status sl_config_find(const sl_config *config, bool everything, sl_finding_visitor visit, void *opaque,
                         sl_error *error)
{
    if (!sl_config_root(config))
        return sl_error_set(error, SL_INVALID_HANDLE, "not a configuration: NULL, or destroyed already");
    if (!visit)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "visit is NULL");
    struct sl_findings findings = {
        .config = config, .everything = everything, .visit = visit, .opaque = opaque};
    findings.status = sl_secrets_collect(config, &findings.secrets);
    findings.over = findings.status != SL_OK;
    sl_find_in_tree(&findings);
    sl_find_by_rules(&findings);
    sl_secrets_free(&findings.secrets);
    for (size_t i = 0; i < findings.told_count; i++)
        free(findings.told[i]);
    free(findings.told);
    if (findings.status == SL_OUT_OF_MEMORY)
        return sl_error_oom(error);
    return findings.status == SL_OK
               ? SL_OK
               : sl_error_set(error, findings.status, "%s", sl_status_text(findings.status));
}

sl_status sl_config_findings(const sl_config *config, sl_finding_visitor visit, void *opaque, sl_error *error)
{
    return sl_config_find(config, true, visit, opaque, error);
}

static bool keep_error(void *opaque, sl_finding_level level, const char *path, const char *origin,
                       const char *text)
{
    sl_error *first = opaque;
    (void)path;
    (void)origin;
    if (level != SL_FINDING_ERROR)
        return true;
    sl_error_set(first, SL_BAD_CONFIG, "%s", text);
    return false;
}

sl_status sl_config_check(const sl_config *config, sl_error *error)
{
    sl_error first = {0};
    sl_status status = sl_config_find(config, false, keep_error, &first, error);
    if (status == SL_OK && first.status != SL_OK)
        status = sl_error_set(error, first.status, "%s", first.text);
    return status;
}
