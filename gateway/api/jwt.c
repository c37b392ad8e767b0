#include "gateway/api/jwt.h"

#include "base/error.h"
#include "base/text.h"

#include <string.h>
#include <strings.h>

#define TIME_MAX_S 253402300799.0 /* the end of the year 9999 */

static sl_status refuse(sl_error *error, const char *why)
{
    return sl_error_set(error, SL_UNAUTHENTICATED, "the bearer token %s", why);
}

bool gw_base64url_decode(const char *text, size_t size, struct sl_buffer *out)
{
    size_t before = out->size;
    struct sl_buffer plain;
    sl_buffer_init(&plain, size + 4);
    if (!sl_buffer_reserve(&plain, size + 3)) {
        out->failed = true;
        return false;
    }
    bool good = true;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        good = good && c != '+' && c != '/' && c != '=';
        plain.data[plain.size++] = (char)(c == '-' ? '+' : c == '_' ? '/' : c);
    }
    while (plain.size % 4)
        plain.data[plain.size++] = '=';
    good = good && sl_base64_decode(out, plain.data, plain.size);
    /* One text for the same bytes: what is left over in the last letter counts for nothing when decoded. */
    struct sl_buffer again;
    sl_buffer_init(&again, size + 4);
    if (good && sl_base64_encode(&again, out->data + before, out->size - before))
        good = again.size == plain.size && !memcmp(again.data, plain.data, plain.size);
    out->failed = out->failed || again.failed;
    sl_buffer_free(&again);
    sl_buffer_free(&plain);
    return good && !out->failed;
}

/* One of the first two parts: a JSON object. */
static sl_status read_object(const char *text, size_t size, json_t **object, sl_error *error)
{
    struct sl_buffer json;
    sl_buffer_init(&json, GW_JWT_MAX);
    bool good = size && gw_base64url_decode(text, size, &json);
    bool oom = json.failed;
    *object = good ? json_loadb(json.data ? json.data : "", json.size, JSON_REJECT_DUPLICATES, NULL) : NULL;
    sl_buffer_free(&json);
    if (json_is_object(*object))
        return SL_OK;
    json_decref(*object);
    *object = NULL;
    return oom ? sl_error_oom(error) : refuse(error, "is no JWT");
}

static bool is_known_algorithm(const char *algorithm)
{
    static const char *const known[] = {"ES256", "ES384", "RS256", "PS256"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(algorithm, known[i]))
            return true;
    return false;
}

/* RFC 8725, 3.11: a JWT of another kind is not taken for one that opens doors. */
static bool is_access_token(const json_t *type)
{
    if (!type)
        return true;
    static const char *const known[] = {"JWT", "at+jwt", "application/at+jwt"};
    for (size_t i = 0; json_is_string(type) && i < sizeof known / sizeof *known; i++)
        if (!strcasecmp(json_string_value(type), known[i]))
            return true;
    return false;
}

/* cjose takes a longer one, too, and looks at its beginning. */
static bool is_signature(const char *algorithm, size_t size)
{
    return !strcmp(algorithm, "ES256") ? size == 64 : !strcmp(algorithm, "ES384") ? size == 96 : size >= 256;
}

static sl_status read_header(struct gw_jwt *jwt, size_t signature, sl_error *error)
{
    const json_t *kid = json_object_get(jwt->header, "kid");
    jwt->algorithm = json_string_value(json_object_get(jwt->header, "alg"));
    jwt->kid = json_string_value(kid);
    if (!jwt->algorithm || !is_known_algorithm(jwt->algorithm))
        return refuse(error, "is signed with another algorithm than ES256, ES384, RS256 and PS256");
    if (!is_signature(jwt->algorithm, signature))
        return refuse(error, "has a wrong signature");
    if (!is_access_token(json_object_get(jwt->header, "typ")))
        return refuse(error, "is of another type (typ) than JWT and at+jwt");
    if (json_object_get(jwt->header, "crit"))
        return refuse(error, "declares header fields critical (crit), which is not supported");
    if (kid && (!jwt->kid || !*jwt->kid || strlen(jwt->kid) > GW_JWT_KID_MAX))
        return refuse(error, "names its key (kid) by something else than 1 to 256 bytes of text");
    return SL_OK;
}

/* A time claim in seconds; false: it is no number that is a time. */
static bool read_time(const json_t *value, bool up, int64_t *seconds)
{
    double number = json_number_value(value);
    if (!json_is_number(value) || !(number >= 0 && number <= TIME_MAX_S))
        return false;
    *seconds = (int64_t)number;
    if (up && (double)*seconds < number)
        ++*seconds;
    return true;
}

static bool is_audience(const json_t *value)
{
    size_t index;
    json_t *one;
    if (!value || json_is_string(value))
        return true;
    json_array_foreach((json_t *)(uintptr_t)value, index, one)
    {
        if (!json_is_string(one))
            return false;
    }
    return json_is_array(value);
}

static sl_status read_claims(struct gw_jwt *jwt, sl_error *error)
{
    const json_t *issuer = json_object_get(jwt->claims, "iss"),
                 *not_before = json_object_get(jwt->claims, "nbf"),
                 *issued = json_object_get(jwt->claims, "iat");
    int64_t at;
    jwt->issuer = issuer ? json_string_value(issuer) : "";
    jwt->not_before_s = INT64_MIN;
    if (!jwt->issuer)
        return refuse(error, "has an issuer (iss) that is no text");
    if (!read_time(json_object_get(jwt->claims, "exp"), false, &jwt->expires_s))
        return refuse(error, "does not say as a number when it ends (exp)");
    if (not_before && !read_time(not_before, true, &jwt->not_before_s))
        return refuse(error, "has a begin (nbf) that is no time");
    if (issued && !read_time(issued, false, &at))
        return refuse(error, "was issued (iat) at what is no time");
    if (!is_audience(json_object_get(jwt->claims, "aud")))
        return refuse(error, "is for an audience (aud) that is neither a text nor a list of them");
    return SL_OK;
}

sl_status gw_jwt_parse(const char *token, size_t size, struct gw_jwt *jwt, sl_error *error)
{
    memset(jwt, 0, sizeof *jwt);
    if (size > GW_JWT_MAX)
        return refuse(error, "is longer than 16 KiB");
    const char *first = memchr(token, '.', size), *end = token + size;
    const char *second = first ? memchr(first + 1, '.', (size_t)(end - first - 1)) : NULL;
    if (!second)
        return refuse(error, "is no JWT");
    struct sl_buffer signature;
    sl_buffer_init(&signature, GW_JWT_MAX);
    sl_status status = SL_OK;
    if (second + 1 == end || !gw_base64url_decode(second + 1, (size_t)(end - second - 1), &signature))
        status =
            signature.failed ? sl_error_oom(error) : refuse(error, "has no signature, or a malformed one");
    size_t signed_by = signature.size;
    sl_buffer_free(&signature);
    if (!status)
        status = read_object(token, (size_t)(first - token), &jwt->header, error);
    if (!status)
        status = read_object(first + 1, (size_t)(second - first - 1), &jwt->claims, error);
    if (!status)
        status = read_header(jwt, signed_by, error);
    if (!status)
        status = read_claims(jwt, error);
    if (status)
        gw_jwt_free(jwt);
    return status;
}

void gw_jwt_free(struct gw_jwt *jwt)
{
    json_decref(jwt->header);
    json_decref(jwt->claims);
    memset(jwt, 0, sizeof *jwt);
}

const char *gw_jwt_text(const struct gw_jwt *jwt, const char *claim)
{
    return json_string_value(json_object_get(jwt->claims, claim));
}

bool gw_jwt_is_for(const struct gw_jwt *jwt, const char *audience)
{
    const json_t *value = json_object_get(jwt->claims, "aud");
    size_t index;
    json_t *one;
    if (json_is_string(value))
        return !strcmp(json_string_value(value), audience);
    json_array_foreach((json_t *)(uintptr_t)value, index, one)
    {
        if (!strcmp(json_string_value(one), audience))
            return true;
    }
    return false;
}
