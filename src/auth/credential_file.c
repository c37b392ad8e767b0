#include "auth/credential_file.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "base/time.h"

#define MAX_FILE      ((size_t)64 * 1024)
#define MAX_VALUE     ((size_t)16 * 1024)
#define PIPE_WAIT_MS  5000 /* for who writes to it */
#define MAX_PROFILES  24   /* that an error names */
#define PROFILE_SIZE  64
#define DEFAULT_NAME  "default"
#define NOT_ASCII     '\xff' /* stands for every character that is none, so that it is refused */
#define NO_CHARACTER  '\x7f' /* stands for NUL */
#define STATE_NS(at)  ((int64_t)(at).tv_sec * 1000000000 + (at).tv_nsec)
#define ESCAPE_DIGITS 4
#define MAX_SECONDS   1e12 /* since 1970 */

bool sl_file_state_same(const struct sl_file_state *a, const struct sl_file_state *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->changed_ns == b->changed_ns;
}

bool sl_owner_is_trusted(uid_t owner)
{
    return owner == 0 || owner == geteuid();
}

static sl_status cannot_read(const char *file, int code, sl_error *error)
{
    return sl_error_set(error, SL_IO, "%s: the credentials file cannot be read: %s", file,
                        sl_errno_text(code));
}

/* All that the descriptor gives, into data, which has room for MAX_FILE + 1. */
static sl_status read_all(int descriptor, const char *file, char *data, size_t *size, sl_error *error)
{
    int64_t deadline = sl_deadline_ms(PIPE_WAIT_MS);
    for (*size = 0;;) {
        ssize_t got = read(descriptor, data + *size, MAX_FILE + 1 - *size);
        if (got > 0)
            *size += (size_t)got;
        if (*size > MAX_FILE)
            return sl_error_set(error, SL_BAD_CONFIG,
                                "%s: larger than 64 KiB, which no credentials file is: expected the "
                                "platform's credentials.properties, or an INI of such",
                                file);
        if (got == 0)
            return SL_OK;
        if (got > 0 || errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return cannot_read(file, errno, error);
        struct pollfd ready = {.fd = descriptor, .events = POLLIN};
        if (sl_remaining_ms(deadline) == 0 || poll(&ready, 1, sl_remaining_ms(deadline)) == 0)
            break;
    }
    return sl_error_set(error, SL_IO, "%s: the credentials file is a pipe that was not closed within %d s",
                        file, PIPE_WAIT_MS / 1000);
}

/* A pipe that nobody has opened for writing yet reads as empty; poll waits for the one who will. */
static void await_writer(int descriptor)
{
    struct pollfd ready = {.fd = descriptor, .events = POLLIN};
    while (poll(&ready, 1, PIPE_WAIT_MS) < 0 && errno == EINTR)
        ;
}

static sl_status read_open(int descriptor, const char *file, const struct sl_file_state *known,
                           struct sl_file_state *state, char **data, size_t *size, sl_error *error)
{
    struct stat about;
    if (fstat(descriptor, &about) != 0)
        return cannot_read(file, errno, error);
    if (!S_ISREG(about.st_mode) && !S_ISFIFO(about.st_mode))
        return sl_error_set(error, SL_BAD_CONFIG, "%s: is %s: expected the name of a credentials file", file,
                            S_ISDIR(about.st_mode) ? "a directory" : "neither a file nor a pipe");
    *state = (struct sl_file_state){.regular = S_ISREG(about.st_mode),
                                    .dev = about.st_dev,
                                    .ino = about.st_ino,
                                    .size = about.st_size,
                                    .mode = about.st_mode,
                                    .owner = about.st_uid,
                                    .changed_ns = STATE_NS(about.st_mtim)};
    if (known && sl_file_state_same(known, state))
        return SL_OK;
    if (S_ISFIFO(about.st_mode))
        await_writer(descriptor);
    *data = sl_hidden_alloc(MAX_FILE + 1);
    if (!*data)
        return sl_error_oom(error);
    sl_status status = read_all(descriptor, file, *data, size, error);
    if (status != SL_OK)
        sl_hidden_free(data);
    return status;
}

sl_status sl_credential_file_read(const char *file, const struct sl_file_state *known, bool *missing,
                                  struct sl_file_state *state, char **data, size_t *size, sl_error *error)
{
    *data = NULL;
    *size = 0;
    memset(state, 0, sizeof *state);
    /* Without O_NONBLOCK, opening a pipe that nobody writes to waits for ever. */
    int descriptor = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0) {
        if (missing && (errno == ENOENT || errno == ENOTDIR)) {
            *missing = true;
            return SL_OK;
        }
        return cannot_read(file, errno, error);
    }
    sl_status status = read_open(descriptor, file, known, state, data, size, error);
    (void)close(descriptor);
    return status;
}

void sl_credential_keys_free(struct sl_credential_keys *keys)
{
    free(keys->client_id);
    free(keys->key_id);
    free(keys->token_url);
    free(keys->scope);
    sl_hidden_free(&keys->key_secret);
    memset(keys, 0, sizeof *keys);
}

struct reader {
    const char *at, *end;
    const char *name; /* of the file, for errors */
    int next_line;    /* the number of the one at `at` */
    int line;         /* where the one in text began */
    bool ini;
    char *text; /* a line with those that continue it, hidden */
    size_t size;
    const char *profile;
    bool inside, found; /* in the profile; it was there */
    bool any;           /* line that says something */
    char profiles[MAX_PROFILES][PROFILE_SIZE];
    size_t profile_count;
};

static bool is_blank(const struct reader *reader, char c)
{
    return reader->ini ? (unsigned char)c <= ' ' : c == ' ' || c == '\t' || c == '\f';
}

/* One line as the file has it, without its end. */
static bool physical_line(struct reader *reader, const char **from, const char **to)
{
    if (reader->at == reader->end)
        return false;
    *from = reader->at;
    while (reader->at < reader->end && *reader->at != '\n' && *reader->at != '\r')
        reader->at++;
    *to = reader->at;
    if (reader->end - reader->at >= 2 && reader->at[0] == '\r' && reader->at[1] == '\n')
        reader->at++;
    if (reader->at < reader->end)
        reader->at++;
    reader->next_line++;
    return true;
}

static bool continues(const char *from, const char *to)
{
    size_t escapes = 0;
    while (to > from && to[-1] == '\\') {
        escapes++;
        to--;
    }
    return escapes % 2 == 1;
}

/* The next line that says something, with those that continue it; false: there is none. */
static bool next_line(struct reader *reader)
{
    const char *from, *to;
    bool begun = false;
    reader->size = 0;
    while (physical_line(reader, &from, &to)) {
        while (from < to && is_blank(reader, *from))
            from++;
        while (reader->ini && to > from && is_blank(reader, to[-1]))
            to--;
        if (from == to && (reader->ini || !begun))
            continue;
        if (!begun && *from && strchr(reader->ini ? ";#" : "#!", *from))
            continue;
        if (!begun)
            reader->line = reader->next_line - 1;
        begun = true;
        bool more = continues(from, to);
        size_t size = (size_t)(to - from) - more;
        memcpy(reader->text + reader->size, from, size);
        reader->size += size;
        if (!more)
            break;
    }
    reader->text[reader->size] = '\0';
    return begun;
}

static sl_status complain(const struct reader *reader, sl_error *error, const char *what,
                          const char *expected)
{
    return sl_error_set(error, SL_BAD_CONFIG, "%s:%d: %s, expected %s", reader->name, reader->line, what,
                        expected);
}

/* The character that \u and these digits mean; -1: they are not four. */
static int from_digits(const char *digits, size_t size)
{
    char text[ESCAPE_DIGITS + 1];
    if (size < ESCAPE_DIGITS)
        return -1;
    memcpy(text, digits, ESCAPE_DIGITS);
    text[ESCAPE_DIGITS] = '\0';
    if (strspn(text, "0123456789abcdefABCDEF") != ESCAPE_DIGITS)
        return -1;
    return (int)strtol(text, NULL, 16);
}

/* Undoes the escapes in size bytes, in place; -1: one is broken. */
static long unescape(bool ini, char *text, size_t size)
{
    static const char letters[] = "tnrfb", meant[] = "\t\n\r\f\b";
    size_t out = 0;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c == '\0') {
            c = NO_CHARACTER;
        } else if (c == '\\' && i + 1 < size) {
            c = text[++i];
            const char *letter = c ? strchr(letters, c) : NULL;
            if (c == 'u') {
                int code = from_digits(text + i + 1, size - i - 1);
                if (code < 0)
                    return -1;
                i += ESCAPE_DIGITS;
                c = NOT_ASCII;
                if (code == 0)
                    c = NO_CHARACTER;
                else if (code < 0x80)
                    c = (char)code;
            } else if (letter && (ini || c != 'b')) {
                c = meant[letter - letters];
            }
        }
        text[out++] = c;
    }
    text[out] = '\0';
    return (long)out;
}

/* Where the name ends and, behind the separator, the value begins; false: an INI's line without one. */
static bool split(const struct reader *reader, size_t *name_size, size_t *value_at)
{
    const char *text = reader->text;
    size_t i = 0;
    for (; i < reader->size; i++) {
        if (text[i] == '\\' && !reader->ini)
            i++;
        else if ((text[i] == '=' || text[i] == ':') && !(reader->ini && i > 0 && text[i - 1] == '\\'))
            break;
        else if (!reader->ini && is_blank(reader, text[i]))
            break;
    }
    if (i > reader->size)
        i = reader->size; /* behind an escape that is the last thing there */
    if (i == reader->size && reader->ini)
        return false;
    *name_size = i;
    while (i < reader->size && !reader->ini && is_blank(reader, text[i]))
        i++;
    if (i < reader->size && (text[i] == '=' || text[i] == ':'))
        i++;
    *value_at = i;
    return true;
}

/* Cuts white space off both ends, in place: at the end of a value it is never meant. */
static char *trim(char *text)
{
    while (*text && (unsigned char)*text <= ' ')
        text++;
    size_t size = strlen(text);
    while (size > 0 && (unsigned char)text[size - 1] <= ' ')
        size--;
    text[size] = '\0';
    return text;
}

/* Keeps value, which must be as the platform gives it, where slot's is; the last of several counts. */
static sl_status keep(const struct reader *reader, const char *name, char *value, char **slot, bool secret,
                      sl_error *error)
{
    size_t size = strlen(value);
    if (size >= 2 && value[0] == '"' && value[size - 1] == '"') { /* some of HERE's examples show them */
        value++;
        size -= 2;
        value[size] = '\0';
    }
    if (secret)
        sl_hidden_free(slot);
    else
        free(*slot);
    *slot = NULL;
    if (size == 0)
        return SL_OK;
    if (!sl_is_token_text(value, MAX_VALUE)) {
        char what[64];
        snprintf(what, sizeof what, "%s is not as the platform gives it", name);
        return complain(reader, error, what, "printable ASCII without spaces");
    }
    *slot = secret ? sl_hidden_copy(value, size) : sl_strdup(value);
    return *slot ? SL_OK : sl_error_oom(error);
}

static sl_status take_option(struct reader *reader, struct sl_credential_keys *keys, sl_error *error)
{
    const struct {
        const char *name;
        char **slot;
        bool secret;
    } known[] = {{"here.client.id", &keys->client_id, false},
                 {"here.access.key.id", &keys->key_id, false},
                 {"here.access.key.secret", &keys->key_secret, true},
                 {"here.token.endpoint.url", &keys->token_url, false},
                 {"here.token.scope", &keys->scope, false}};
    size_t name_size, value_at;
    if (!split(reader, &name_size, &value_at))
        return complain(reader, error, "a line without = or :", "[PROFILE], or NAME = VALUE");
    char *name = reader->text, *value = reader->text + value_at;
    long value_size = unescape(reader->ini, value, reader->size - value_at);
    if (unescape(reader->ini, name, name_size) < 0 || value_size < 0)
        return complain(reader, error, "\\u without four hex digits", "an escape such as \\u0041");
    if (reader->ini)
        name = trim(name);
    if (reader->ini && *name == '\0')
        return complain(reader, error, "a value without a name", "NAME = VALUE");
    for (size_t i = 0; (reader->inside || !reader->ini) && i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i].name) == 0)
            return keep(reader, name, trim(value), known[i].slot, known[i].secret, error);
    return SL_OK;
}

static void note_profile(struct reader *reader, const char *name)
{
    for (size_t i = 0; i < reader->profile_count; i++)
        if (strcmp(reader->profiles[i], name) == 0)
            return;
    if (reader->profile_count < MAX_PROFILES)
        snprintf(reader->profiles[reader->profile_count++], PROFILE_SIZE, "%s", name);
}

static sl_status take_section(struct reader *reader, sl_error *error)
{
    if (reader->text[reader->size - 1] != ']')
        return complain(reader, error, "a section that is not closed", "[PROFILE]");
    reader->text[reader->size - 1] = '\0';
    char *name = trim(reader->text + 1);
    if (unescape(true, name, strlen(name)) < 0)
        return complain(reader, error, "\\u without four hex digits", "an escape such as \\u0041");
    if (*name == '\0')
        return complain(reader, error, "a section without a name", "[PROFILE]");
    reader->inside = strcmp(name, reader->profile) == 0;
    reader->found |= reader->inside;
    note_profile(reader, name);
    return SL_OK;
}

/* Whether the first line that is no comment, in either syntax, begins a section. */
static bool begins_with_section(const char *at, const char *end)
{
    for (;;) {
        while (at < end && (unsigned char)*at <= ' ')
            at++;
        if (at == end || !strchr("#!;", *at) || !*at)
            return at < end && *at == '[';
        while (at < end && *at != '\n' && *at != '\r')
            at++;
    }
}

static sl_status no_such_profile(const struct reader *reader, sl_error *error)
{
    char list[MAX_PROFILES * PROFILE_SIZE];
    const char *names[MAX_PROFILES];
    size_t used = 0;
    list[0] = '\0';
    for (size_t i = 0; i < reader->profile_count; i++) {
        names[i] = reader->profiles[i];
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%.*s", i ? ", " : "", PROFILE_SIZE - 4,
                                 names[i]);
    }
    const char *nearest = sl_nearest(reader->profile, names, reader->profile_count);
    return sl_error_set(error, SL_BAD_CONFIG, "%s: no profile [%.64s]; there are: %.400s%s%s%s", reader->name,
                        reader->profile, list, nearest ? " (did you mean " : "", nearest ? nearest : "",
                        nearest ? "?)" : "");
}

static sl_status read_lines(struct reader *reader, struct sl_credential_keys *keys, sl_error *error)
{
    sl_status status = SL_OK;
    while (status == SL_OK && next_line(reader)) {
        reader->any = true;
        if (reader->ini && reader->text[0] == '[')
            status = take_section(reader, error);
        else
            status = take_option(reader, keys, error);
    }
    return status;
}

sl_status sl_credential_keys_parse(const char *text, size_t size, const char *name, const char *profile,
                                   bool optional, struct sl_credential_keys *keys, sl_error *error)
{
    memset(keys, 0, sizeof *keys);
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        size -= 3;
    }
    struct reader reader = {.at = text,
                            .end = text + size,
                            .name = name,
                            .next_line = 1,
                            .ini = begins_with_section(text, text + size),
                            .text = sl_hidden_alloc(size + 1),
                            .profile = profile ? profile : DEFAULT_NAME};
    if (!reader.text)
        return sl_error_oom(error);
    sl_status status = SL_OK;
    if (profile && !reader.ini)
        status = sl_error_set(error, SL_BAD_CONFIG,
                              "%s: no profile [%.64s], for this is no INI: expected a line [%.64s] before "
                              "the keys",
                              name, profile, profile);
    if (status == SL_OK)
        status = read_lines(&reader, keys, error);
    keys->ini = reader.ini;
    keys->no_profile = reader.ini ? !reader.found : optional && !reader.any;
    if (status == SL_OK && keys->no_profile && !optional)
        status = no_such_profile(&reader, error);
    sl_hidden_free(&reader.text);
    return status;
}

sl_status sl_token_file_parse(const char *text, size_t size, const char *name, char **token,
                              int64_t *expires_ms, sl_error *error)
{
    *token = NULL;
    *expires_ms = 0;
    json_t *document = json_loadb(text, size, 0, NULL);
    const json_t *value = json_object_get(document, "access_token");
    const json_t *until = json_object_get(document, "exp");
    const char *found = json_string_value(value ? value : json_object_get(document, "accessToken"));
    sl_status status = SL_OK;
    if (!found || !sl_is_token_text(found, MAX_VALUE * 2))
        status = sl_error_set(error, SL_BAD_CONFIG,
                              "%s: not a token file: expected JSON such as {\"access_token\": \"...\", "
                              "\"exp\": SECONDS}",
                              name);
    else if (!(*token = sl_hidden_copy(found, strlen(found))))
        status = sl_error_oom(error);
    double seconds = json_is_number(until) ? json_number_value(until) : 0;
    if (seconds > 0 && seconds < MAX_SECONDS)
        *expires_ms = (int64_t)(seconds * 1000);
    json_decref(document);
    return status;
}
