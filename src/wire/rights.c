#include "wire/rights.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"

static const struct {
    sl_right right;
    const char *name;
} known[] = {{SL_RIGHT_READ, "read"},
             {SL_RIGHT_WRITE, "write"},
             {SL_RIGHT_MANAGE, "manage"},
             {SL_RIGHT_CREATE, "create"},
             {SL_RIGHT_ADMIN, "admin"}};
#define KNOWN (sizeof known / sizeof *known)

const char *sl_rights_text(unsigned rights, char out[SL_RIGHTS_TEXT])
{
    size_t size = 0;
    for (size_t i = 0; i < KNOWN; i++)
        if (rights & known[i].right)
            size +=
                (size_t)snprintf(out + size, SL_RIGHTS_TEXT - size, "%s%s", size ? "," : "", known[i].name);
    if (!size)
        snprintf(out, SL_RIGHTS_TEXT, "none");
    return out;
}

/* 0: there is none of that name. */
static unsigned right_named(const char *name, size_t size)
{
    for (size_t i = 0; i < KNOWN; i++)
        if (strlen(known[i].name) == size && !memcmp(known[i].name, name, size))
            return known[i].right;
    return 0;
}

/* What is said besides of a right that is none of those allowed. */
static const char *hint(unsigned right, unsigned allowed)
{
    return right & ~allowed ? "; it is a right on the platform: grant it on '*'" : "";
}

sl_status sl_rights_parse_among(const char *text, unsigned allowed, unsigned *rights, sl_error *error)
{
    char all[SL_RIGHTS_TEXT];
    *rights = 0;
    for (const char *name = text;; name++) {
        size_t size = strcspn(name, ",");
        unsigned right = right_named(name, size);
        if (!(right & allowed))
            return sl_error_set(error, SL_INVALID_ARGUMENT, "the right \"%.*s\" is none of: %s%s",
                                (int)(size < 40 ? size : 40), name, sl_rights_text(allowed, all),
                                hint(right, allowed));
        *rights |= right;
        name += size;
        if (!*name)
            return SL_OK;
    }
}

sl_status sl_rights_parse(const char *text, unsigned *rights, sl_error *error)
{
    if (!text || !rights)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "sl_rights_parse: text or rights is NULL");
    return sl_rights_parse_among(text, SL_RIGHTS_ALL, rights, error);
}

static unsigned right_of(const json_t *name)
{
    const char *text = json_string_value(name);
    return text ? right_named(text, strlen(text)) : 0;
}

sl_status sl_rights_read(const json_t *names, unsigned allowed, unsigned *rights, sl_error *error)
{
    char all[SL_RIGHTS_TEXT];
    *rights = 0;
    if (!json_is_array(names))
        return sl_error_set(error, SL_INVALID_ARGUMENT, "\"rights\" must be a list of some of: %s",
                            sl_rights_text(allowed, all));
    size_t index;
    const json_t *name;
    json_array_foreach(names, index, name)
    {
        unsigned right = right_of(name);
        if (!(right & allowed))
            return sl_error_set(error, SL_INVALID_ARGUMENT, "\"rights\"[%zu], \"%.40s\", is none of: %s%s",
                                index, json_is_string(name) ? json_string_value(name) : "",
                                sl_rights_text(allowed, all), hint(right, allowed));
        *rights |= right;
    }
    return SL_OK;
}

unsigned sl_rights_known(const json_t *names)
{
    unsigned rights = 0;
    size_t index;
    const json_t *name;
    json_array_foreach(names, index, name) rights |= right_of(name);
    return rights;
}

json_t *sl_rights_json(unsigned rights)
{
    json_t *names = json_array();
    for (size_t i = 0; i < KNOWN && names; i++)
        if (rights & known[i].right && json_array_append_new(names, json_string(known[i].name))) {
            json_decref(names);
            names = NULL;
        }
    return names;
}
