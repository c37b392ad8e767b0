/* Where credentials come from, and which of several are taken. */
#include "auth/credentials.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/text.h"
#include "config/settings.h"
#include "hocon/hocon.h"

#define SIGNER        SL_ROOT "request-signer.credentials."
#define ACCOUNT       SIGNER "here-account."
#define TOKEN_PATH    SIGNER "here-token"
#define KEY_ID_PATH   ACCOUNT "here-access-key-id"
#define SECRET_PATH   ACCOUNT "here-access-key-secret"
#define URL_PATH      ACCOUNT "here-token-endpoint-url"
#define SCOPE_PATH    ACCOUNT "here-token-scope"
#define FILE_PATH     SIGNER "file-path"
#define MAX_FILE_SIZE ((size_t)64 * 1024)
#define MAX_PART      ((size_t)16 * 1024)

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

static bool is_properties(const char *file)
{
    static const char end[] = ".properties";
    size_t size = strlen(file), end_size = sizeof end - 1;
    return size > end_size && strcmp(file + size - end_size, end) == 0;
}

/* Reads the file into *document; *missing (may be NULL): there is none, and that is no error. */
static sl_status read_file(const char *file, const struct sl_log *log, struct hocon **document, bool *missing,
                           sl_error *error)
{
    static const struct hocon_limits limits = {.max_bytes = MAX_FILE_SIZE};
    struct stat about;
    if (stat(file, &about) != 0) {
        if (missing && (errno == ENOENT || errno == ENOTDIR)) {
            *missing = true;
            return SL_OK;
        }
        return sl_error_set(error, SL_IO, "%s: the credentials file cannot be read: %s", file,
                            sl_errno_text(errno));
    }
    if (!is_properties(file))
        return sl_error_set(error, SL_BAD_CONFIG,
                            "%s: a credentials file is one of Java properties, and is to be named so: "
                            "credentials.properties",
                            file);
    if (S_ISREG(about.st_mode) && (about.st_mode & 077))
        SL_WARNING(log, "%s holds a secret, and others may read or write it (mode %04o): chmod 600 %s", file,
                   (unsigned)(about.st_mode & 07777), file);
    struct hocon *parsed = NULL;
    sl_status status = hocon_parse_file(file, &limits, &parsed, error);
    if (status == SL_OK)
        status = hocon_resolve(parsed, false, &limits, document, error);
    hocon_free(&parsed);
    return status;
}

/* A value of the file, without the white space at its end and the quotes that some examples of HERE's show.
 */
static sl_status take(const struct hocon *document, const char *key, char **value, sl_error *error)
{
    const struct hocon_value *found = hocon_get(hocon_root(document), key);
    const char *text = found ? hocon_text(found) : NULL;
    size_t size = text ? strlen(text) : 0;
    while (size > 0 && strchr(" \t\r\f", text[size - 1]))
        size--;
    if (size >= 2 && text[0] == '"' && text[size - 1] == '"') {
        text++;
        size -= 2;
    }
    if (size == 0)
        return SL_OK;
    *value = strndup(text, size);
    return *value ? SL_OK : sl_error_oom(error);
}

static sl_status from_file(const sl_config *config, const char *file, bool *missing, const struct sl_log *log,
                           struct sl_credentials *credentials, sl_error *error)
{
    struct hocon *document = NULL;
    sl_status status = read_file(file, log, &document, missing, error);
    if (status != SL_OK || !document)
        return status;
    status = take(document, "here.access.key.id", &credentials->key_id, error);
    if (status == SL_OK)
        status = take(document, "here.access.key.secret", &credentials->key_secret, error);
    if (status == SL_OK)
        status = take(document, "here.token.endpoint.url", &credentials->token_url, error);
    if (status == SL_OK)
        status = take(document, "here.token.scope", &credentials->scope, error);
    hocon_free(&document);
    if (status != SL_OK)
        return status;
    credentials->source = sl_strdup(file);
    if (!credentials->source)
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
