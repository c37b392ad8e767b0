#include "config/mask.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/text.h"
#include "config/config.h"
#include "hocon/render.h"

#define SHORTEST_SECRET 4 /* characters: shorter ones occur by chance */
#define SHORTEST_PIECE  8 /* of a secret */
#define LONGEST_NAME    128
#define LONGEST_JSON    ((size_t)64 * 1024 * 1024)

/* Inside a name, whatever separates its parts. */
static const char *const inside[] = {"password", "passwd",     "passphrase", "secret",
                                     "apikey",   "privatekey", "oauthbearer"};
/* A part of a name. The names of librdkafka and Kafka are among these: sasl.jaas.config, ssl.key.pem. */
static const char *const words[] = {"token", "pem", "jaas"};
/* A part that is nearly one of these is one of them misspelled. Shorter ones are near to too much. */
static const char *const nearly[] = {"password", "passwd", "passphrase", "secret", "token", "apikey"};
/* The last parts of a path. */
static const char *const ends[] = {"keystore.key", "api.key", "private.key"};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static bool is_secret_word(const char *word)
{
    for (size_t i = 0; i < COUNT(words); i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return strlen(word) >= 4 && sl_nearest(word, nearly, COUNT(nearly));
}

/* By a name alone: key's parts are what dots, hyphens and the like separate, and capitals after small
 * letters. */
static bool is_secret_name(const char *key)
{
    char squeezed[LONGEST_NAME] = "", word[LONGEST_NAME] = "";
    size_t squeezed_size = 0, word_size = 0;
    for (const char *at = key;; at++) {
        bool letter = isalpha((unsigned char)*at);
        bool begins = isupper((unsigned char)*at) && at > key && islower((unsigned char)at[-1]);
        if (!letter || begins) {
            word[word_size] = '\0';
            if (is_secret_word(word))
                return true;
            word_size = 0;
        }
        if (!*at)
            break;
        if (!letter)
            continue;
        char small = (char)tolower((unsigned char)*at);
        if (word_size + 1 < sizeof word)
            word[word_size++] = small;
        if (squeezed_size + 1 < sizeof squeezed)
            squeezed[squeezed_size++] = small;
    }
    squeezed[squeezed_size] = '\0';
    for (size_t i = 0; i < COUNT(inside); i++)
        if (strstr(squeezed, inside[i]))
            return true;
    return false;
}

static bool ends_path(const char *path, const char *end)
{
    size_t length = strlen(path), end_length = strlen(end);
    return length >= end_length && strcasecmp(path + length - end_length, end) == 0 &&
           (length == end_length || !isalpha((unsigned char)path[length - end_length - 1]));
}

static const struct sl_setting *setting_at(const char *path)
{
    const struct sl_setting *setting = sl_setting_find(path);
    return setting ? setting : sl_setting_meant_by(path);
}

bool sl_is_secret(const char *path, const char *key)
{
    const struct sl_setting *setting = setting_at(path);
    if (setting)
        return setting->type == SL_SECRET;
    if (sl_setting_is_group(path)) /* streamlayer.gateway.token */
        return false;
    for (size_t i = 0; i < COUNT(ends); i++)
        if (ends_path(path, ends[i]))
            return true;
    return is_secret_name(key);
}

static sl_status add_secret(struct sl_secrets *secrets, const char *text)
{
    if (strlen(text) < SHORTEST_SECRET)
        return SL_OK;
    for (size_t i = 0; i < secrets->count; i++)
        if (strcmp(secrets->texts[i], text) == 0)
            return SL_OK;
    if (secrets->count == secrets->capacity) {
        size_t capacity = secrets->capacity ? secrets->capacity * 2 : 8;
        char **texts = realloc(secrets->texts, capacity * sizeof *texts);
        if (!texts)
            return SL_OUT_OF_MEMORY;
        secrets->texts = texts;
        secrets->capacity = capacity;
    }
    char *copy = strdup(text);
    if (!copy)
        return SL_OUT_OF_MEMORY;
    secrets->texts[secrets->count++] = copy;
    return SL_OK;
}

/* inside_secret: of a setting's that is secret; by_name: of one of somebody else's, whose name says so. There
 * only texts count: what is true, or 5, is no secret. */
static sl_status collect(struct sl_secrets *secrets, const struct hocon_value *value, const char *path,
                         bool inside_secret, bool by_name)
{
    enum hocon_type type = hocon_type_of(value);
    if (type != HOCON_LIST && type != HOCON_OBJECT) {
        bool counts = (inside_secret && type != HOCON_NULL) || (by_name && type == HOCON_STRING);
        return counts ? add_secret(secrets, hocon_text(value)) : SL_OK;
    }
    sl_status status = SL_OK;
    for (size_t i = 0; status == SL_OK && i < hocon_count(value); i++) {
        const struct hocon_value *part = hocon_at(value, i);
        if (type == HOCON_LIST) {
            status = collect(secrets, part, path, inside_secret, by_name);
            continue;
        }
        const char *key = hocon_key_at(value, i);
        char *below = sl_printf("%s%s%s", path, *path ? "." : "", key);
        if (!below)
            return SL_OUT_OF_MEMORY;
        const struct sl_setting *setting = setting_at(below);
        bool ours = inside_secret || (setting && setting->type == SL_SECRET);
        status = collect(secrets, part, below, ours, by_name || sl_is_secret(below, key));
        free(below);
    }
    return status;
}

sl_status sl_secrets_collect(const sl_config *config, struct sl_secrets *secrets)
{
    memset(secrets, 0, sizeof *secrets);
    const struct hocon_value *root = sl_config_root(config);
    return root ? collect(secrets, root, "", false, false) : SL_OK;
}

void sl_secrets_free(struct sl_secrets *secrets)
{
    for (size_t i = 0; i < secrets->count; i++) {
        explicit_bzero(secrets->texts[i], strlen(secrets->texts[i]));
        free(secrets->texts[i]);
    }
    free(secrets->texts);
    memset(secrets, 0, sizeof *secrets);
}

bool sl_holds_secret(const struct sl_secrets *secrets, const char *text)
{
    for (size_t i = 0; secrets && i < secrets->count; i++) {
        if (strstr(text, secrets->texts[i]))
            return true;
        if (strlen(text) >= SHORTEST_PIECE && strstr(secrets->texts[i], text))
            return true;
    }
    return false;
}

/* The password in the URL whose host, or user, begins at from: *begin and what is behind its end. */
static bool find_password(const char *from, const char **begin, const char **end)
{
    size_t run = strcspn(from, " \t\r\n\"'<>"), authority = strcspn(from, "/?# \t\r\n\"'<>");
    const char *colon = memchr(from, ':', authority);
    if (!colon)
        return false;
    /* A password may have a slash that should have been written %2F; then what is before it is no port. */
    size_t port = strspn(colon + 1, "0123456789");
    bool is_port = port && colon + 1 + port == from + authority;
    const char *at = memrchr(colon, '@', authority - (size_t)(colon - from));
    if (!at && !is_port)
        at = memrchr(colon, '@', run - (size_t)(colon - from));
    if (!at)
        return false;
    *begin = colon + 1;
    *end = at;
    return true;
}

bool sl_mask_text(const struct sl_secrets *secrets, const char *text, struct sl_buffer *out)
{
    if (sl_holds_secret(secrets, text))
        return sl_buffer_append_text(out, SL_MASK);
    const char *from = text, *sign = text, *begin, *end;
    while ((sign = strstr(sign, "://"))) {
        sign += 3;
        if (!find_password(sign, &begin, &end))
            continue;
        sl_buffer_append(out, from, (size_t)(begin - from));
        sl_buffer_append_text(out, SL_MASK);
        from = sign = end;
    }
    return sl_buffer_append_text(out, from);
}

static bool append_scalar(const struct sl_secrets *secrets, const struct hocon_value *value,
                          struct sl_buffer *out)
{
    struct sl_buffer text;
    char *json = NULL;
    bool ok;
    sl_buffer_init(&text, LONGEST_JSON);
    if (sl_holds_secret(secrets, hocon_text(value))) {
        ok = sl_buffer_append_text(out, "\"" SL_MASK "\"");
    } else if (hocon_type_of(value) == HOCON_STRING) {
        ok = sl_mask_text(NULL, hocon_text(value), &text) && hocon_append_string(out, text.data, text.size);
    } else {
        ok = hocon_render_json(value, false, &json, NULL) == SL_OK && sl_buffer_append_text(out, json);
        free(json);
    }
    sl_buffer_free(&text);
    return ok;
}

bool sl_mask_json(const struct sl_secrets *secrets, const struct hocon_value *value, const char *path,
                  const char *key, struct sl_buffer *out)
{
    enum hocon_type type = hocon_type_of(value);
    if (sl_is_secret(path, key))
        return sl_buffer_append_text(out, "\"" SL_MASK "\"");
    if (type != HOCON_LIST && type != HOCON_OBJECT)
        return append_scalar(secrets, value, out);
    bool ok = sl_buffer_append_text(out, type == HOCON_LIST ? "[" : "{");
    for (size_t i = 0; ok && i < hocon_count(value); i++) {
        if (i)
            sl_buffer_append_text(out, ",");
        if (type == HOCON_LIST) {
            ok = sl_mask_json(secrets, hocon_at(value, i), path, "", out);
            continue;
        }
        const char *name = hocon_key_at(value, i);
        char *below = sl_printf("%s.%s", path, name);
        ok = below && hocon_append_string(out, name, strlen(name)) && sl_buffer_append_text(out, ":") &&
             sl_mask_json(secrets, hocon_at(value, i), below, name, out);
        free(below);
    }
    return sl_buffer_append_text(out, type == HOCON_LIST ? "]" : "}") && ok;
}
