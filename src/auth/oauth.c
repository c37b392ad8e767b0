/* The OAuth 1.0a signature of RFC 5849, section 3.4, with HMAC-SHA256. */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth/auth.h"
#include "base/secret.h"
#include "base/text.h"

#define MAX_BASE_STRING ((size_t)1024 * 1024)
#define MAX_PARAMETERS  1000

/* A parameter with both parts percent-encoded, as they are sorted. */
struct encoded {
    char *name, *value;
};

static int by_name_and_value(const void *a, const void *b)
{
    const struct encoded *first = a, *second = b;
    int order = strcmp(first->name, second->name);
    return order ? order : strcmp(first->value, second->value);
}

static char *encode(const char *text)
{
    struct sl_buffer out;
    sl_buffer_init(&out, MAX_BASE_STRING);
    sl_percent_encode(&out, text, strlen(text));
    return sl_buffer_take(&out);
}

static bool append_lower(struct sl_buffer *out, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        sl_buffer_append(out, &c, 1);
    }
    return !out->failed;
}

/* The base string URI (3.4.1.2): scheme and host in lower case, no default port, no query, no fragment. */
static bool base_uri(const char *url, struct sl_buffer *out)
{
    bool secure = strncasecmp(url, "https://", 8) == 0;
    if (!secure && strncasecmp(url, "http://", 7) != 0)
        return false;
    const char *host = url + (secure ? 8 : 7);
    size_t authority = strcspn(host, "/?#");
    const char *port = secure ? ":443" : ":80";
    size_t kept = authority, port_size = strlen(port);
    if (kept > port_size && memcmp(host + kept - port_size, port, port_size) == 0)
        kept -= port_size;
    if (kept == 0)
        return false;
    const char *path = host + authority;
    size_t path_size = strcspn(path, "?#");
    sl_buffer_append_text(out, secure ? "https://" : "http://");
    append_lower(out, host, kept);
    sl_buffer_append(out, path_size ? path : "/", path_size ? path_size : 1);
    return !out->failed;
}

/* The parameters as they are signed (3.4.1.3.2). */
static bool normalized(const struct sl_oauth_parameter *parameters, size_t count, struct sl_buffer *out)
{
    struct encoded *list = calloc(count ? count : 1, sizeof *list);
    if (!list)
        return false;
    size_t made = 0;
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        if (strcmp(parameters[i].name, "oauth_signature") == 0 || strcmp(parameters[i].name, "realm") == 0)
            continue; /* these are never signed */
        struct encoded *entry = &list[made++];
        entry->name = encode(parameters[i].name);
        entry->value = encode(parameters[i].value);
        ok = entry->name && entry->value;
    }
    if (ok)
        qsort(list, made, sizeof *list, by_name_and_value);
    for (size_t i = 0; ok && i < made; i++) {
        sl_buffer_append_text(out, i ? "&" : "");
        sl_buffer_append_text(out, list[i].name);
        sl_buffer_append(out, "=", 1);
        ok = sl_buffer_append_text(out, list[i].value);
    }
    for (size_t i = 0; i < made; i++) {
        free(list[i].name);
        free(list[i].value);
    }
    free(list);
    return ok && !out->failed;
}

static bool base_string(const char *method, const char *url, const struct sl_oauth_parameter *parameters,
                        size_t count, struct sl_buffer *out)
{
    struct sl_buffer uri, list;
    sl_buffer_init(&uri, MAX_BASE_STRING);
    sl_buffer_init(&list, MAX_BASE_STRING);
    bool ok = base_uri(url, &uri) && normalized(parameters, count, &list);
    if (ok) {
        for (const char *c = method; *c; c++) {
            char upper = *c;
            if (upper >= 'a' && upper <= 'z')
                upper = (char)(upper - 'a' + 'A');
            sl_buffer_append(out, &upper, 1);
        }
        sl_buffer_append(out, "&", 1);
        sl_percent_encode(out, uri.data, uri.size);
        sl_buffer_append(out, "&", 1);
        if (list.size)
            sl_percent_encode(out, list.data, list.size);
    }
    sl_buffer_free(&uri);
    sl_buffer_free(&list);
    return ok && !out->failed;
}

bool sl_oauth_signature(const char *method, const char *url, const struct sl_oauth_parameter *parameters,
                        size_t count, const char *secret, char out[45])
{
    if (!method || !url || !secret || count > MAX_PARAMETERS)
        return false;
    struct sl_buffer base, key, encoded;
    sl_buffer_init(&base, 4 * MAX_BASE_STRING);
    sl_buffer_init(&encoded, 45);
    /* The key's buffer never grows, so it may be hidden memory. */
    size_t room = 3 * strlen(secret) + 2;
    char *hidden = sl_hidden_alloc(room);
    if (!hidden)
        return false;
    key = (struct sl_buffer){.data = hidden, .capacity = room, .max = room - 1};
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    sl_percent_encode(&key, secret, strlen(secret));
    sl_buffer_append(&key, "&", 1); /* no token secret follows */
    bool ok = base_string(method, url, parameters, count, &base) && !key.failed &&
              HMAC(EVP_sha256(), key.data, (int)key.size, (const unsigned char *)base.data, base.size, digest,
                   &size) &&
              sl_base64_encode(&encoded, digest, size) && encoded.size == 44;
    if (ok)
        memcpy(out, encoded.data, 45);
    sl_hidden_free(&hidden);
    sl_buffer_free(&base);
    sl_buffer_free(&encoded);
    return ok;
}
