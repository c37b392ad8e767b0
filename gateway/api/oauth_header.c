#include "gateway/api/oauth_header.h"

#include "base/text.h"

#include <string.h>
#include <strings.h>

bool gw_oauth_add(struct gw_oauth *oauth, const char *name, const char *value)
{
    if (oauth->count == GW_OAUTH_PARAMETERS_MAX)
        return false;
    oauth->parameters[oauth->count++] = (struct sl_oauth_parameter){name, value};
    return true;
}

/* Decodes in place; false when it is malformed, or holds a NUL. */
static bool decode(char *text)
{
    long size = sl_percent_decode(text);
    return size >= 0 && strlen(text) == (size_t)size;
}

static void plus_to_space(char *text)
{
    for (; *text; text++)
        if (*text == '+')
            *text = ' ';
}

bool gw_oauth_read_header(struct gw_oauth *oauth, char *text)
{
    for (char *c = text;;) {
        c += strspn(c, " \t,");
        if (!*c)
            return true;
        char *name = c;
        c += strcspn(c, "=");
        if (c[0] != '=' || c[1] != '"')
            return false;
        *c = 0;
        char *value = c + 2;
        c = strchr(value, '"');
        if (!c)
            return false;
        *c++ = 0;
        if (!decode(name) || !decode(value) ||
            (strcasecmp(name, "realm") != 0 && !gw_oauth_add(oauth, name, value)))
            return false;
    }
}

bool gw_oauth_read_form(struct gw_oauth *oauth, char *text)
{
    for (char *pair, *rest = text; (pair = strsep(&rest, "&"));) {
        char *value = strchr(pair, '=');
        if (value)
            *value++ = 0;
        else
            value = pair + strlen(pair);
        if (!*pair)
            continue;
        plus_to_space(pair);
        plus_to_space(value);
        if (!decode(pair) || !decode(value) || !gw_oauth_add(oauth, pair, value))
            return false;
    }
    return true;
}

const char *gw_oauth_value(const struct gw_oauth *oauth, const char *name)
{
    for (size_t i = 0; i < oauth->count; i++)
        if (!strcmp(oauth->parameters[i].name, name))
            return oauth->parameters[i].value;
    return NULL;
}

const char *gw_oauth_repeated(const struct gw_oauth *oauth)
{
    for (size_t i = 0; i < oauth->count; i++)
        for (size_t k = 0; k < i && !strncmp(oauth->parameters[i].name, "oauth_", 6); k++)
            if (!strcmp(oauth->parameters[i].name, oauth->parameters[k].name))
                return oauth->parameters[i].name;
    return NULL;
}
