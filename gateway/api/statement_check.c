#include "gateway/api/statement.h"

#include "base/buffer.h"
#include "base/error.h"
#include "gateway/api/jwk.h"
#include "gateway/api/jwt.h"

#include <stdlib.h>
#include <string.h>

#define ALGORITHM "ES256"

/* A compact JWS, its parts decoded. */
struct parts {
    json_t *header, *payload;
};

static void parts_free(struct parts *parts)
{
    json_decref(parts->header);
    json_decref(parts->payload);
}

static json_t *decode_json(const char *text, size_t size)
{
    struct sl_buffer bytes;
    sl_buffer_init(&bytes, GW_STATEMENT_MAX);
    json_t *value = gw_base64url_decode(text, size, &bytes)
                        ? json_loadb(bytes.data ? bytes.data : "", bytes.size, JSON_REJECT_DUPLICATES, NULL)
                        : NULL;
    sl_buffer_free(&bytes);
    return value;
}

static bool is_base64url(const char *text, size_t size)
{
    struct sl_buffer bytes;
    sl_buffer_init(&bytes, 1024);
    bool good = size && gw_base64url_decode(text, size, &bytes);
    sl_buffer_free(&bytes);
    return good;
}

/* cjose aborts on what is no base64: so nothing reaches it that was not looked at. parts are the caller's to
 * free, also when it fails. */
static sl_status take_apart(const char *jws, struct parts *parts, sl_error *error)
{
    const char *first = strchr(jws, '.'), *second = first ? strchr(first + 1, '.') : NULL;
    *parts = (struct parts){0};
    if (second && !strchr(second + 1, '.') && is_base64url(second + 1, strlen(second + 1))) {
        parts->header = decode_json(jws, (size_t)(first - jws));
        parts->payload = decode_json(first + 1, (size_t)(second - first - 1));
    }
    if (json_is_object(parts->header) && json_is_object(parts->payload))
        return SL_OK;
    return sl_error_set(error, SL_CHECKSUM_MISMATCH,
                        "its signature (\"jws\") was changed: it is no JWS of a statement any more");
}

static sl_status check_signature(const char *jws, const json_t *header, const char *jwks, size_t jwks_size,
                                 sl_error *error)
{
    const char *kid = json_string_value(json_object_get(header, "kid"));
    struct gw_jwk *keys[GW_JWKS_KEYS_MAX];
    size_t count = 0;
    bool known = false, good = false;
    sl_status status = gw_jwks_parse(jwks, jwks_size, keys, &count, error);
    if (status)
        return status;
    for (size_t i = 0; i < count; i++) {
        const char *name = gw_jwk_kid(keys[i]);
        if (kid && name && !strcmp(kid, name)) {
            known = true;
            good |= gw_jwk_verify(keys[i], ALGORITHM, jws, strlen(jws));
        }
        gw_jwk_unlink(keys[i]);
    }
    if (!known)
        return sl_error_set(error, SL_NOT_FOUND,
                            "it names the key \"%.100s\", which is none of the %zu that the platform signs "
                            "statements with: another platform's statement, or a forged one",
                            kid ? kid : "", count);
    return good ? SL_OK
                : sl_error_set(error, SL_CHECKSUM_MISMATCH,
                               "its signature is not that of its key: it was changed after it was signed");
}

/* Where two values differ first: appends the place in the first one to path. False: they do not. */
static bool find_difference(const json_t *shown, const json_t *meant, struct sl_buffer *path)
{
    size_t before = path->size;
    if (json_is_object(shown) && json_is_object(meant)) {
        const char *name;
        json_t *value;
        json_object_foreach((json_t *)(uintptr_t)shown, name, value)
        {
            sl_buffer_printf(path, "%s%.64s", path->size ? "." : "", name);
            if (find_difference(value, json_object_get(meant, name), path))
                return true;
            path->size = before;
        }
        json_object_foreach((json_t *)(uintptr_t)meant, name, value)
        {
            if (json_object_get(shown, name))
                continue;
            sl_buffer_printf(path, "%s%.64s", path->size ? "." : "", name);
            return true;
        }
        return false;
    }
    if (json_is_array(shown) && json_is_array(meant)) {
        size_t count = json_array_size(shown), other = json_array_size(meant);
        for (size_t i = 0; i < count || i < other; i++) {
            sl_buffer_printf(path, "[%zu]", i);
            if (find_difference(json_array_get(shown, i), json_array_get(meant, i), path))
                return true;
            path->size = before;
        }
        return false;
    }
    return !json_equal((json_t *)(uintptr_t)shown, (json_t *)(uintptr_t)meant);
}

static sl_status compare(const json_t *shown, const json_t *meant, sl_error *error)
{
    struct sl_buffer path;
    sl_buffer_init(&path, 4096);
    sl_status status = SL_OK;
    if (find_difference(shown, meant, &path))
        status = sl_error_set(error, SL_CHECKSUM_MISMATCH,
                              "its figures are not those that were signed: %.200s was changed",
                              path.size ? path.data : "all of it");
    sl_buffer_free(&path);
    return status;
}

sl_status gw_statement_verify(const char *text, size_t size, const char *jwks, size_t jwks_size,
                              json_t **statement, sl_error *error)
{
    *statement = NULL;
    json_error_t problem;
    json_t *file = json_loadb(text, size, JSON_REJECT_DUPLICATES, &problem);
    const json_t *shown = json_object_get(file, "statement");
    const char *jws = json_string_value(json_object_get(file, "jws"));
    struct parts parts = {0};
    sl_status status = SL_OK;
    if (!file)
        status = sl_error_set(error, SL_PROTOCOL, "it is no statement: no JSON: line %d, column %d: %s",
                              problem.line, problem.column, problem.text);
    else if (!json_is_object(shown) || !jws)
        status = sl_error_set(error, SL_PROTOCOL,
                              "it is no statement: {\"statement\":{…},\"jws\":\"…\"} is expected, as "
                              "streamlayer usage statement writes it");
    else
        status = take_apart(jws, &parts, error);
    if (!status)
        status = check_signature(jws, parts.header, jwks, jwks_size, error);
    if (!status)
        status = compare(shown, parts.payload, error);
    if (!status)
        *statement = json_incref(parts.payload);
    parts_free(&parts);
    json_decref(file);
    return status;
}
