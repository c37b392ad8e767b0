#include "wire/hrn.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

enum { PARTS = 6 };

/* Cuts the HRN at its colons; the last part ends the text. */
static bool split(const char *hrn, const char *parts[PARTS], size_t sizes[PARTS])
{
    for (int i = 0; i < PARTS; i++) {
        size_t size = strcspn(hrn, ":");
        parts[i] = hrn;
        sizes[i] = size;
        if ((hrn[size] == ':') != (i < PARTS - 1))
            return false;
        hrn += size + 1;
    }
    return true;
}

static bool is(const char *part, size_t size, const char *word)
{
    return size == strlen(word) && !memcmp(part, word, size);
}

const char *sl_hrn_id(const char *hrn)
{
    const char *parts[PARTS];
    size_t sizes[PARTS];
    if (!hrn || !split(hrn, parts, sizes) || !is(parts[0], sizes[0], "hrn") || !sizes[PARTS - 1])
        return NULL;
    return parts[PARTS - 1];
}

sl_status sl_hrn_check(const char *hrn, sl_error *error)
{
    static const char form[] = "a catalog's HRN has the form hrn:PARTITION:data:REGION:REALM:ID, for example "
                               "hrn:here:data::local:my-catalog";
    static const char *const names[PARTS] = {"", "partition", "", "region", "realm", ""};
    const char *parts[PARTS];
    size_t sizes[PARTS];
    if (!hrn || !*hrn)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "no catalog HRN given; %s", form);
    if (strnlen(hrn, SL_HRN_MAX + 1) > SL_HRN_MAX)
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "catalog HRN \"%.40s...\" is longer than %d characters", hrn, SL_HRN_MAX);
    if (!split(hrn, parts, sizes) || !is(parts[0], sizes[0], "hrn"))
        return sl_error_set(error, SL_INVALID_ARGUMENT, "\"%s\" is no HRN: %s", hrn, form);
    if (!is(parts[2], sizes[2], "data"))
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "HRN \"%s\" names the service \"%.*s\", not \"data\": %s", hrn, (int)sizes[2],
                            parts[2], form);
    for (int i = 1; i < PARTS - 1; i++) {
        if (i == 1 && !sizes[i])
            return sl_error_set(error, SL_INVALID_ARGUMENT, "HRN \"%s\" has no partition: %s", hrn, form);
        if (strspn(parts[i], LOWER UPPER DIGITS "-_.") < sizes[i])
            return sl_error_set(error, SL_INVALID_ARGUMENT,
                                "HRN \"%s\": the %s \"%.*s\" may have only letters, digits, '-', '_' and '.'",
                                hrn, names[i], (int)sizes[i], parts[i]);
    }
    sl_status status = sl_catalog_id_check(parts[PARTS - 1], error);
    if (status)
        sl_error_prefix(error, "HRN \"%s\"", hrn);
    return status;
}

static sl_status id_check(const char *what, const char *id, size_t max, bool upper, sl_error *error)
{
    const char *first = upper ? LOWER UPPER DIGITS : LOWER DIGITS;
    const char *legal = upper ? LOWER UPPER DIGITS "-_." : LOWER DIGITS "-_.";
    const char *letters = upper ? "letters" : "lower-case letters";
    if (!id || !*id)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "the %s is empty", what);
    if (strnlen(id, max + 1) > max)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "the %s \"%.*s...\" is longer than %zu characters",
                            what, 40, id, max);
    size_t good = strspn(id, legal);
    if (id[good])
        return sl_error_set(
            error, SL_INVALID_ARGUMENT,
            "the %s \"%s\" may have only %s, digits, '-', '_' and '.'; character %zu is none of "
            "them",
            what, id, letters, good + 1);
    if (!strchr(first, *id))
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "the %s \"%s\" must begin with one of the %s or a digit", what, id, letters);
    return SL_OK;
}

sl_status sl_catalog_id_check(const char *id, sl_error *error)
{
    return id_check("catalog id", id, SL_CATALOG_ID_MAX, false, error);
}

sl_status sl_layer_id_check(const char *id, sl_error *error)
{
    return id_check("layer id", id, SL_LAYER_ID_MAX, true, error);
}

sl_status sl_group_check(const char *group, sl_error *error)
{
    if (!group || !*group)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "the consumer group's name is empty");
    if (strnlen(group, SL_GROUP_MAX + 1) > SL_GROUP_MAX)
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "the consumer group's name \"%.40s...\" is longer than %d characters", group,
                            SL_GROUP_MAX);
    size_t good = strspn(group, LOWER UPPER DIGITS "._-:");
    if (group[good])
        return sl_error_set(
            error, SL_INVALID_ARGUMENT,
            "the consumer group's name \"%s\" may have only A-Z a-z 0-9 . _ - and ':'; character "
            "%zu is none of them",
            group, good + 1);
    return SL_OK;
}

/*
 * HRN:LAYER where that is short enough. Neither a catalog's id nor a layer's has a colon, so the pair can be
 * read back from it, and two pairs never share a name. Longer ones: "sha256:", the hash of that text, and the
 * ids for people to read; no HRN begins so, therefore the two forms cannot meet.
 */
char *sl_group_default(const char *hrn, const char *layer)
{
    char *plain = sl_printf("%s:%s", hrn, layer);
    if (!plain || strlen(plain) <= SL_GROUP_MAX)
        return plain;
    char digest[65];
    char *hashed = NULL;
    const char *id = sl_hrn_id(hrn);
    if (id && sl_sha256_hex(plain, strlen(plain), digest))
        hashed = sl_printf("sha256:%s:%.*s:%.*s", digest, 62, id, 64, layer);
    free(plain);
    return hashed;
}
