#include "gateway/http/cors.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SEPARATORS ", \t"

/* scheme://host[:port], as browsers write it: no path, no user. */
static bool is_origin(const char *text)
{
    static const char legal[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    const char *host = !strncasecmp(text, "http://", 7)    ? text + 7
                       : !strncasecmp(text, "https://", 8) ? text + 8
                                                           : NULL;
    if (!host)
        return false;
    size_t size = strspn(host, legal);
    if (*host == '[') {
        size = strspn(host + 1, "0123456789abcdefABCDEF:.") + 1;
        size = size > 1 && host[size] == ']' ? size + 1 : 0;
    }
    if (!size)
        return false;
    int64_t port;
    return !host[size] || (host[size] == ':' && sl_parse_int(host + size + 1, 1, 65535, &port));
}

sl_status gw_cors_parse(const char *origins, struct gw_cors *cors, char bad[100])
{
    *cors = (struct gw_cors){.max_age_s = cors->max_age_s};
    if (!origins)
        return SL_OK;
    cors->text = malloc(strlen(origins) + 1);
    if (!cors->text)
        return SL_OUT_OF_MEMORY;
    char *end = cors->text;
    for (const char *at = origins; *(at += strspn(at, SEPARATORS));) {
        size_t size = strcspn(at, SEPARATORS);
        memcpy(end, at, size);
        end[size] = 0;
        bool any = !strcmp(end, "*");
        if (!any && !is_origin(end)) {
            if (bad)
                snprintf(bad, 100, "%s", end);
            gw_cors_free(cors);
            return SL_BAD_CONFIG;
        }
        cors->any |= any;
        if (!any) {
            cors->count++;
            end += size + 1;
            cors->size = (size_t)(end - cors->text);
        }
        at += size;
    }
    return SL_OK;
}

bool gw_cors_copy(const struct gw_cors *from, struct gw_cors *to)
{
    *to = *from;
    to->text = from->size ? malloc(from->size) : NULL;
    if (to->text)
        memcpy(to->text, from->text, from->size);
    else
        to->count = 0;
    return to->count == from->count;
}

void gw_cors_free(struct gw_cors *cors)
{
    free(cors->text);
    *cors = (struct gw_cors){.max_age_s = cors->max_age_s};
}

const char *gw_cors_answer(const struct gw_cors *cors, const char *origin)
{
    if (cors->any)
        return "*";
    const char *each = cors->text;
    for (size_t i = 0; i < cors->count; i++, each += strlen(each) + 1)
        if (!strcasecmp(each, origin))
            return each;
    return NULL;
}
