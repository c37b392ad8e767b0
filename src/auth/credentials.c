/* Where credentials come from, and which of several are taken. */
#include "auth/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/text.h"
#include "config/settings.h"

#define SIGNER        SL_ROOT "request-signer.credentials."
#define ACCOUNT       SIGNER "here-account."
#define TOKEN_PATH    SIGNER "here-token"
#define KEY_ID_PATH   ACCOUNT "here-access-key-id"
#define SECRET_PATH   ACCOUNT "here-access-key-secret"
#define URL_PATH      ACCOUNT "here-token-endpoint-url"
#define SCOPE_PATH    ACCOUNT "here-token-scope"
#define FILE_PATH     SIGNER "file-path"
#define MAX_FILE_SIZE (64 * 1024)
#define MAX_PART      (16 * 1024)

static void free_secret(char *text)
{
    if (text)
        OPENSSL_cleanse(text, strlen(text));
    free(text);
}

void sl_credentials_free(struct sl_credentials *credentials)
{
    free_secret(credentials->token);
    free_secret(credentials->key_secret);
    free(credentials->key_id);
    free(credentials->token_url);
    free(credentials->scope);
    free(credentials->source);
    memset(credentials, 0, sizeof *credentials);
}

/* A text that is set and not empty. */
static const char *text_at(const sl_config *config, const char *path)
{
    const char *text = sl_config_get(config, path);
    return text && *text ? text : NULL;
}

/* How deliberately a setting was made: on the command line, in the environment, in a file. */
static int rank(const sl_config *config, const char *path)
{
    if (!text_at(config, path))
        return 0;
    const char *origin = sl_config_origin(config, path);
    if (origin && strcmp(origin, "-D") == 0)
        return 3;
    return origin && strncmp(origin, "environment ", 12) == 0 ? 2 : 1;
}

/* What goes into a header must be plain: no spaces, no line ends. */
static sl_status check_plain(const char *text, const char *what, const char *source, sl_error *error)
{
    if (!text || sl_is_token_text(text, MAX_PART))
        return SL_OK;
    return sl_error_set(error, SL_BAD_CONFIG,
                        "%s: %s is not as the platform gives it: only printable ASCII, without spaces",
                        source, what);
}

static sl_status check_url(const char *url, const char *what, const char *source, sl_error *error)
{
    if ((strncasecmp(url, "https://", 8) == 0 || strncasecmp(url, "http://", 7) == 0) &&
        sl_is_token_text(url, 2000))
        return SL_OK;
    return sl_error_set(error, SL_BAD_CONFIG, "%s: %s = \"%.200s\" is not a URL: http:// or https:// first",
                        source, what, url);
}

/* Fills in the token endpoint where none is given, and checks what there is. key_name … are what a person
 * calls them there. */
static sl_status complete(const sl_config *config, struct sl_credentials *credentials, const char *key_name,
                          const char *secret_name, const char *url_name, sl_error *error)
{
    const char *source = credentials->source;
    if (!credentials->key_id || !credentials->key_secret)
        return sl_error_set(error, SL_BAD_CONFIG, "%s: %s is missing: credentials need %s and %s", source,
                            credentials->key_id ? secret_name : key_name, key_name, secret_name);
    if (!credentials->token_url) {
        const char *url = sl_config_default_token_url(config);
        if (!url)
            return sl_error_set(error, SL_BAD_CONFIG,
                                "%s: %s is missing: a custom platform has no token endpoint known before",
                                source, url_name);
        credentials->token_url = sl_strdup(url);
        if (!credentials->token_url)
            return sl_error_oom(error);
    }
    sl_status status = check_plain(credentials->key_id, key_name, source, error);
    if (status == SL_OK)
        status = check_plain(credentials->scope, "the token's scope", source, error);
    if (status == SL_OK)
        status = check_plain(credentials->key_secret, secret_name, source, error);
    if (status == SL_OK)
        status = check_url(credentials->token_url, url_name, source, error);
    return status;
}

static sl_status from_token(const sl_config *config, struct sl_credentials *credentials, sl_error *error)
{
    const char *token = text_at(config, TOKEN_PATH);
    if (strncasecmp(token, "Bearer ", 7) == 0)
        token += 7;
    credentials->token = sl_strdup(token);
    credentials->source = sl_printf("%s (%s)", sl_config_origin(config, TOKEN_PATH), TOKEN_PATH);
    if (!credentials->token || !credentials->source)
        return sl_error_oom(error);
    return check_plain(token, TOKEN_PATH, sl_config_origin(config, TOKEN_PATH), error);
}

static sl_status from_account(const sl_config *config, struct sl_credentials *credentials, sl_error *error)
{
    const char *origin = sl_config_origin(config, text_at(config, KEY_ID_PATH) ? KEY_ID_PATH : SECRET_PATH);
    const char *url = text_at(config, URL_PATH), *scope = text_at(config, SCOPE_PATH);
    credentials->source = sl_strdup(origin);
    credentials->key_id = sl_strdup(text_at(config, KEY_ID_PATH));
    credentials->key_secret = sl_strdup(text_at(config, SECRET_PATH));
    credentials->token_url = sl_strdup(url);
    credentials->scope = sl_strdup(scope);
    if (!credentials->source || (url && !credentials->token_url) || (scope && !credentials->scope) ||
        (text_at(config, KEY_ID_PATH) && !credentials->key_id) ||
        (text_at(config, SECRET_PATH) && !credentials->key_secret))
        return sl_error_oom(error);
    return complete(config, credentials, KEY_ID_PATH, SECRET_PATH, URL_PATH, error);
}

/* Reads the whole file into *text; *missing (may be NULL): there is none, and that is no error. */
static sl_status read_file(const char *file, const struct sl_log *log, char **text, bool *missing,
                           sl_error *error)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        if (missing && (errno == ENOENT || errno == ENOTDIR)) {
            *missing = true;
            return SL_OK;
        }
        return sl_error_set(error, SL_IO, "%s: the credentials file cannot be opened: %s", file,
                            strerror(errno));
    }
    struct stat about;
    struct sl_buffer bytes;
    sl_buffer_init(&bytes, MAX_FILE_SIZE);
    sl_status status = SL_OK;
    if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && (about.st_mode & 077))
        SL_WARNING(log, "%s holds a secret, and others may read or write it (mode %04o): chmod 600 %s", file,
                   (unsigned)(about.st_mode & 07777), file);
    for (ssize_t got = 1; got != 0 && status == SL_OK;) {
        if (!sl_buffer_reserve(&bytes, 4096)) {
            status =
                sl_error_set(error, SL_BAD_CONFIG, "%s: too large for a credentials file (over %d bytes)",
                             file, MAX_FILE_SIZE - 4096);
            break;
        }
        got = read(fd, bytes.data + bytes.size, 4096);
        if (got > 0)
            bytes.size += (size_t)got;
        else if (got < 0 && errno != EINTR)
            status = sl_error_set(error, SL_IO, "%s: the credentials file cannot be read: %s", file,
                                  strerror(errno));
    }
    close(fd);
    if (status == SL_OK && bytes.size && memchr(bytes.data, 0, bytes.size))
        status = sl_error_set(error, SL_BAD_CONFIG, "%s: not a text file: it has NUL bytes", file);
    if (status == SL_OK && !(*text = sl_buffer_take(&bytes)))
        status = sl_error_oom(error);
    if (bytes.data)
        OPENSSL_cleanse(bytes.data, bytes.capacity);
    sl_buffer_free(&bytes);
    return status;
}

struct property {
    const char *key;
    char **value;
};

struct properties {
    struct property wanted[4];
    bool no_memory;
};

/* A value without the white space at its end, and without the quotes that some examples of HERE's show. */
static char *trimmed(const char *value)
{
    size_t size = strlen(value);
    while (size > 0 && strchr(" \t\r\f", value[size - 1]))
        size--;
    if (size >= 2 && value[0] == '"' && value[size - 1] == '"') {
        value++;
        size -= 2;
    }
    return size ? strndup(value, size) : NULL;
}

static bool take_property(void *opaque, const char *key, const char *value)
{
    struct properties *properties = opaque;
    for (size_t i = 0; i < sizeof properties->wanted / sizeof *properties->wanted; i++) {
        struct property *property = &properties->wanted[i];
        if (strcmp(property->key, key) != 0)
            continue;
        free_secret(*property->value); /* the last one counts, as in Java */
        *property->value = trimmed(value);
        properties->no_memory = !*property->value && *value;
    }
    return !properties->no_memory;
}

static sl_status from_file(const sl_config *config, const char *file, bool *missing, const struct sl_log *log,
                           struct sl_credentials *credentials, sl_error *error)
{
    char *text = NULL;
    sl_status status = read_file(file, log, &text, missing, error);
    if (status != SL_OK || !text)
        return status;
    struct properties properties = {{{"here.access.key.id", &credentials->key_id},
                                     {"here.access.key.secret", &credentials->key_secret},
                                     {"here.token.endpoint.url", &credentials->token_url},
                                     {"here.token.scope", &credentials->scope}},
                                    false};
    unsigned line = 0;
    size_t size = strlen(text);
    bool read = sl_properties_each(text, take_property, &properties, &line);
    OPENSSL_cleanse(text, size);
    free(text);
    if (!read)
        return sl_error_set(error, SL_BAD_CONFIG, "%s:%u: broken \\u escape: four hex digits must follow",
                            file, line);
    credentials->source = sl_strdup(file);
    if (properties.no_memory || !credentials->source)
        return sl_error_oom(error);
    return complete(config, credentials, "here.access.key.id", "here.access.key.secret",
                    "here.token.endpoint.url", error);
}

/* name as a file's: "~/" stands for the home directory. */
static char *expanded(const char *name)
{
    const char *home = secure_getenv("HOME");
    return strncmp(name, "~/", 2) == 0 && home && *home ? sl_printf("%s/%s", home, name + 2)
                                                        : sl_strdup(name);
}

static sl_status from_named_file(const sl_config *config, const struct sl_log *log,
                                 struct sl_credentials *credentials, sl_error *error)
{
    char *file = expanded(text_at(config, FILE_PATH));
    if (!file)
        return sl_error_oom(error);
    sl_status status = from_file(config, file, NULL, log, credentials, error);
    free(file);
    if (status == SL_IO)
        sl_error_prefix(error, "%s: %s", sl_config_origin(config, FILE_PATH), FILE_PATH);
    return status;
}

static sl_status from_home(const sl_config *config, const struct sl_log *log,
                           struct sl_credentials *credentials, sl_error *error)
{
    const char *home = secure_getenv("HOME");
    if (!home || !*home)
        return SL_OK;
    char *file = sl_printf("%s/.here/credentials.properties", home);
    if (!file)
        return sl_error_oom(error);
    bool missing = false;
    sl_status status = from_file(config, file, &missing, log, credentials, error);
    free(file);
    return status;
}

sl_status sl_credentials_load(const sl_config *config, const struct sl_log *log,
                              struct sl_credentials *credentials, sl_error *error)
{
    memset(credentials, 0, sizeof *credentials);
    int key = rank(config, KEY_ID_PATH), secret = rank(config, SECRET_PATH);
    int token = rank(config, TOKEN_PATH), account = key > secret ? key : secret,
        file = rank(config, FILE_PATH);
    if (!token && !account && !file)
        return from_home(config, log, credentials, error);
    if ((token > 0) + (account > 0) + (file > 0) > 1)
        SL_INFO(log, "several credentials are configured; taken is %s",
                token >= account && token >= file ? TOKEN_PATH
                : account >= file                 ? KEY_ID_PATH
                                                  : FILE_PATH);
    if (token >= account && token >= file)
        return from_token(config, credentials, error);
    return account >= file ? from_account(config, credentials, error)
                           : from_named_file(config, log, credentials, error);
}
