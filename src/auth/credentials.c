/* Where credentials come from, and which of several are taken. */
#include "auth/credentials.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "config/settings.h"

#define SIGNER        SL_ROOT "request-signer.credentials."
#define ACCOUNT       SIGNER "here-account."
#define TOKEN_PATH    SIGNER "here-token"
#define CLIENT_PATH   ACCOUNT "here-client-id"
#define KEY_ID_PATH   ACCOUNT "here-access-key-id"
#define SECRET_PATH   ACCOUNT "here-access-key-secret"
#define URL_PATH      ACCOUNT "here-token-endpoint-url"
#define SCOPE_PATH    ACCOUNT "here-token-scope"
#define FILE_PATH     SIGNER "file-path"
#define PROFILE_PATH  SIGNER "profile"
#define MAX_PART      ((size_t)16 * 1024)
#define IDENTITY_FILE "/dev/shm/identity/access-token" /* where HERE's pipelines find their token */

/* How deliberately credentials were set; the more so, the sooner they are taken. */
enum rank { NOT_SET, BY_ITSELF, IN_FILE, IN_ENVIRONMENT, IN_PROGRAM };

struct search {
    const sl_config *config;
    const struct sl_log *log;
    struct sl_credentials *credentials;
    sl_error *error;
};

/* What the parts of an access key are called where it is set. */
struct names {
    const char *key_id, *key_secret, *token_url;
};

static const struct names file_names = {"here.access.key.id", "here.access.key.secret",
                                        "here.token.endpoint.url"};
static const struct names account_names = {KEY_ID_PATH, SECRET_PATH, URL_PATH};
static const struct names variable_names = {"HERE_ACCESS_KEY_ID", "HERE_ACCESS_KEY_SECRET",
                                            "HERE_TOKEN_ENDPOINT_URL"};

void sl_credentials_free(struct sl_credentials *credentials)
{
    sl_hidden_free(&credentials->token);
    sl_hidden_free(&credentials->key_secret);
    free(credentials->client_id);
    free(credentials->key_id);
    free(credentials->token_url);
    free(credentials->scope);
    free(credentials->source);
    free(credentials->file);
    free(credentials->profile);
    memset(credentials, 0, sizeof *credentials);
}

/* A text that is set and not empty. */
static const char *text_at(const sl_config *config, const char *path)
{
    const char *text = sl_config_get(config, path);
    return text && *text ? text : NULL;
}

static const char *variable(const char *name)
{
    const char *text = secure_getenv(name);
    return text && *text ? text : NULL;
}

static enum rank rank(const sl_config *config, const char *path)
{
    if (!text_at(config, path))
        return NOT_SET;
    const char *origin = sl_config_origin(config, path);
    if (origin && (strcmp(origin, "-D") == 0 || strcmp(origin, "API") == 0))
        return IN_PROGRAM;
    return origin && strncmp(origin, "environment ", 12) == 0 ? IN_ENVIRONMENT : IN_FILE;
}

/* HERE's own variables count as the environment's where the configuration has been loaded with it. A program
 * that makes its configuration itself means what it says there. */
static enum rank variable_rank(const sl_config *config, const char *name)
{
    if (!variable(name))
        return NOT_SET;
    return sl_config_has_environment(config) ? IN_ENVIRONMENT : BY_ITSELF;
}

/* What goes into a header must be plain: no spaces, no line ends. */
static sl_status check_plain(const char *text, const char *what, const char *place, sl_error *error)
{
    if (!text || sl_is_token_text(text, MAX_PART))
        return SL_OK;
    return sl_error_set(error, SL_BAD_CONFIG,
                        "%s: %s is not as the platform gives it: only printable ASCII, without spaces", place,
                        what);
}

static sl_status check_url(const char *url, const char *what, const char *place, sl_error *error)
{
    if ((strncasecmp(url, "https://", 8) == 0 || strncasecmp(url, "http://", 7) == 0) &&
        sl_is_token_text(url, 2000) && !sl_url_has_user(url))
        return SL_OK;
    if (strchr(url, '@')) /* what is before it may be a password */
        return sl_error_set(error, SL_BAD_CONFIG,
                            "%s: %s is not a URL without a user's name in it: http:// or https:// and a host "
                            "first; a name and password have no place there",
                            place, what);
    return sl_error_set(error, SL_BAD_CONFIG, "%s: %s = \"%.200s\" is not a URL: http:// or https:// first",
                        place, what, url);
}

/* Fills in the token endpoint where none is given, checks what there is, and names the source. */
static sl_status complete(struct sl_credentials *credentials, const char *place, const struct names *names,
                          sl_error *error)
{
    credentials->kind = SL_ACCESS_KEY;
    if (!credentials->key_id || !credentials->key_secret)
        return sl_error_set(error, SL_BAD_CONFIG, "%s: %s is missing: credentials need %s and %s", place,
                            credentials->key_id ? names->key_secret : names->key_id, names->key_id,
                            names->key_secret);
    if (!credentials->token_url && !credentials->default_url)
        return sl_error_set(error, SL_BAD_CONFIG,
                            "%s: %s is missing: a custom platform has no token endpoint known before", place,
                            names->token_url);
    if (!credentials->token_url && !(credentials->token_url = sl_strdup(credentials->default_url)))
        return sl_error_oom(error);
    sl_status status = check_plain(credentials->key_id, names->key_id, place, error);
    if (status == SL_OK)
        status = check_plain(credentials->scope, "the token's scope", place, error);
    if (status == SL_OK)
        status = check_plain(credentials->key_secret, names->key_secret, place, error);
    if (status == SL_OK)
        status = check_url(credentials->token_url, names->token_url, place, error);
    if (status != SL_OK)
        return status;
    credentials->source = credentials->client_id
                              ? sl_printf("%s, application %s", place, credentials->client_id)
                              : sl_strdup(place);
    return credentials->source ? SL_OK : sl_error_oom(error);
}

#define OTHERS (S_IRWXG | S_IRWXO)

static void warn_of_mode(const struct sl_log *log, const char *file, const char *what, mode_t mode)
{
    if (S_ISREG(mode) && (mode & OTHERS))
        SL_WARNING(log, "%s holds a secret%s%s, and others may read or write it (mode %04o): chmod 600 %s",
                   file, what ? ", " : "", what ? what : "", (unsigned)(mode & 07777), file);
}

/* The same for a secret in a file of the configuration's, whose origin is FILE:LINE. */
static void warn_of_setting(const struct search *search, const char *path)
{
    char *file = sl_strdup(sl_config_origin(search->config, path));
    char *line = file ? strrchr(file, ':') : NULL;
    struct stat about;
    if (line) {
        *line = '\0';
        if (stat(file, &about) == 0)
            warn_of_mode(search->log, file, path, about.st_mode);
    }
    free(file);
}

static sl_status from_token(const struct search *search)
{
    const char *token = text_at(search->config, TOKEN_PATH);
    const char *origin = sl_config_origin(search->config, TOKEN_PATH);
    if (strncasecmp(token, "Bearer ", 7) == 0)
        token += 7;
    search->credentials->kind = SL_GIVEN_TOKEN;
    search->credentials->token = sl_hidden_copy(token, strlen(token));
    search->credentials->source = sl_printf("%s (%s)", origin, TOKEN_PATH);
    if (!search->credentials->token || !search->credentials->source)
        return sl_error_oom(search->error);
    warn_of_setting(search, TOKEN_PATH);
    return check_plain(token, TOKEN_PATH, origin, search->error);
}

/* Copies of these texts; NULL stays NULL. */
static sl_status copy_key(struct sl_credentials *credentials, const char *client_id, const char *key_id,
                          const char *key_secret, const char *token_url, const char *scope, sl_error *error)
{
    credentials->client_id = sl_strdup(client_id);
    credentials->key_id = sl_strdup(key_id);
    credentials->key_secret = key_secret ? sl_hidden_copy(key_secret, strlen(key_secret)) : NULL;
    credentials->token_url = sl_strdup(token_url);
    credentials->scope = sl_strdup(scope);
    bool copied = (!client_id || credentials->client_id) && (!key_id || credentials->key_id) &&
                  (!key_secret || credentials->key_secret) && (!token_url || credentials->token_url) &&
                  (!scope || credentials->scope);
    return copied ? SL_OK : sl_error_oom(error);
}

/* first and second name an access key's halves where they are set. */
static sl_status two_places(const char *first, const char *second_origin, const char *second, sl_error *error)
{
    return sl_error_set(error, SL_BAD_CONFIG,
                        "%s and %s (%s): an access key's id of one place and a secret of another are not put "
                        "together: set both in the same",
                        first, second_origin, second);
}

static sl_status key_of_two_settings(const sl_config *config, sl_error *error)
{
    char first[400];
    snprintf(first, sizeof first, "%s (%s)", sl_config_origin(config, KEY_ID_PATH), KEY_ID_PATH);
    return two_places(first, sl_config_origin(config, SECRET_PATH), SECRET_PATH, error);
}

static sl_status from_account(const struct search *search)
{
    const sl_config *config = search->config;
    const char *key_id = text_at(config, KEY_ID_PATH), *key_secret = text_at(config, SECRET_PATH);
    if (key_id && key_secret && rank(config, KEY_ID_PATH) != rank(config, SECRET_PATH))
        return key_of_two_settings(config, search->error);
    sl_status status = copy_key(search->credentials, text_at(config, CLIENT_PATH), key_id, key_secret,
                                text_at(config, URL_PATH), text_at(config, SCOPE_PATH), search->error);
    if (status != SL_OK)
        return status;
    const char *origin = sl_config_origin(config, key_id ? KEY_ID_PATH : SECRET_PATH);
    if (key_secret)
        warn_of_setting(search, SECRET_PATH);
    return complete(search->credentials, origin, &account_names, search->error);
}

/* HERE_ACCESS_KEY_ID and its companions. */
static sl_status from_variables(const struct search *search)
{
    const char *key_id = variable(variable_names.key_id), *key_secret = variable(variable_names.key_secret);
    const char *set = key_id ? variable_names.key_id : variable_names.key_secret;
    const char *path = key_id ? SECRET_PATH : KEY_ID_PATH;
    char place[64];
    snprintf(place, sizeof place, "environment %s", set);
    if ((!key_id || !key_secret) && text_at(search->config, path))
        return two_places(place, sl_config_origin(search->config, path), path, search->error);
    sl_status status =
        copy_key(search->credentials, variable("HERE_CLIENT_ID"), key_id, key_secret,
                 variable(variable_names.token_url), variable("HERE_TOKEN_SCOPE"), search->error);
    return status == SL_OK ? complete(search->credentials, place, &variable_names, search->error) : status;
}

/* What text, of a file or a variable, holds. profile and default_url of *credentials are set already;
 * optional: an INI without the profile is no error, and then nothing is taken. */
static sl_status from_text(struct sl_credentials *credentials, const char *text, size_t size,
                           const char *name, bool optional, sl_error *error)
{
    struct sl_credential_keys keys;
    const char *profile = credentials->profile;
    sl_status status = sl_credential_keys_parse(text, size, name, profile, optional, &keys, error);
    char *place = NULL;
    if (status == SL_OK && !keys.no_profile) {
        place = keys.ini ? sl_printf("%s [%s]", name, profile ? profile : "default") : sl_strdup(name);
        if (!place)
            status = sl_error_oom(error);
    }
    if (place) {
        credentials->client_id = keys.client_id;
        credentials->key_id = keys.key_id;
        credentials->key_secret = keys.key_secret;
        credentials->token_url = keys.token_url;
        credentials->scope = keys.scope;
        memset(&keys, 0, sizeof keys);
        status = complete(credentials, place, &file_names, error);
    }
    sl_credential_keys_free(&keys);
    free(place);
    return status;
}

static bool is_json(const char *text, size_t size)
{
    size_t blank = 0;
    while (blank < size && strchr(" \t\r\n", text[blank]) && text[blank])
        blank++;
    return blank < size && text[blank] == '{';
}

/* A file with a token. It is read again for each token, so that the one that is in it now is not kept; but
 * what came through a pipe is not there a second time, and counts as a token that was given. */
static sl_status from_token_file(struct sl_credentials *credentials, const char *text, size_t size,
                                 const char *name, sl_error *error)
{
    char *token = NULL;
    int64_t expires_ms = 0;
    sl_status status = sl_token_file_parse(text, size, name, &token, &expires_ms, error);
    credentials->kind = credentials->state.regular ? SL_TOKEN_FILE : SL_GIVEN_TOKEN;
    if (credentials->kind == SL_GIVEN_TOKEN) {
        credentials->token = token;
        credentials->token_expires_ms = expires_ms;
    } else {
        sl_hidden_free(&token);
    }
    if (status == SL_OK && !(credentials->source = sl_strdup(name)))
        status = sl_error_oom(error);
    return status;
}

/* optional: neither the file nor its section "default" need be there. */
static sl_status from_file(const struct search *search, const char *file, bool optional)
{
    struct sl_credentials *credentials = search->credentials;
    const char *profile = text_at(search->config, PROFILE_PATH);
    char *text;
    size_t size;
    bool missing = false;
    sl_status status = sl_credential_file_read(file, NULL, optional ? &missing : NULL, &credentials->state,
                                               &text, &size, search->error);
    if (status != SL_OK || missing)
        return status;
    credentials->file = sl_strdup(file);
    credentials->profile = sl_strdup(profile);
    if (!credentials->file || (profile && !credentials->profile))
        status = sl_error_oom(search->error);
    else if (is_json(text, size))
        status = from_token_file(credentials, text, size, file, search->error);
    else
        status = from_text(credentials, text, size, file, optional, search->error);
    sl_hidden_free(&text);
    if (credentials->kind == SL_NO_CREDENTIALS) {
        free(credentials->file);
        credentials->file = NULL;
    } else {
        warn_of_mode(search->log, file, NULL, credentials->state.mode);
    }
    return status;
}

/* name as a file's: "~/" stands for the home directory. */
static char *expanded(const char *name)
{
    const char *home = variable("HOME");
    return strncmp(name, "~/", 2) == 0 && home ? sl_printf("%s/%s", home, name + 2) : sl_strdup(name);
}

static sl_status from_named_file(const struct search *search)
{
    char *file = expanded(text_at(search->config, FILE_PATH));
    if (!file)
        return sl_error_oom(search->error);
    sl_status status = from_file(search, file, false);
    free(file);
    if (status == SL_IO)
        sl_error_prefix(search->error, "%s: %s", sl_config_origin(search->config, FILE_PATH), FILE_PATH);
    return status;
}

static sl_status from_file_variable(const struct search *search)
{
    char *file = expanded(variable("HERE_CREDENTIALS_FILE"));
    if (!file)
        return sl_error_oom(search->error);
    sl_status status = from_file(search, file, false);
    free(file);
    if (status == SL_IO)
        sl_error_prefix(search->error, "environment HERE_CREDENTIALS_FILE");
    return status;
}

static sl_status from_text_variable(const struct search *search)
{
    const char *text = variable("HERE_CREDENTIALS_STRING");
    const char *profile = text_at(search->config, PROFILE_PATH);
    search->credentials->profile = sl_strdup(profile);
    if (profile && !search->credentials->profile)
        return sl_error_oom(search->error);
    return from_text(search->credentials, text, strlen(text), "environment HERE_CREDENTIALS_STRING", false,
                     search->error);
}

/* A file of ~/.here. */
static sl_status from_home(const struct search *search, const char *name, bool optional)
{
    char *file = expanded(name);
    if (!file)
        return sl_error_oom(search->error);
    sl_status status = from_file(search, file, optional);
    free(file);
    return status;
}

/* Anybody may make that directory, so only a file of this user's or root's is taken. Who owns it is asked
 * before it is opened, for a stranger's pipe would be waited for, and of what was read again. */
static sl_status from_identity(const struct search *search)
{
    struct sl_credentials *credentials = search->credentials;
    struct stat about;
    if (stat(IDENTITY_FILE, &about) != 0) {
        if (errno != ENOENT && errno != ENOTDIR)
            SL_WARNING(search->log, IDENTITY_FILE " is passed over: %s", sl_errno_text(errno));
        return SL_OK;
    }
    sl_status status = SL_OK;
    bool trusted = sl_owner_is_trusted(about.st_uid);
    if (trusted) {
        credentials->anybodys = true;
        status = from_file(search, IDENTITY_FILE, true);
        trusted = credentials->kind == SL_NO_CREDENTIALS || sl_owner_is_trusted(credentials->state.owner);
    }
    if (trusted)
        return status;
    const char *default_url = credentials->default_url;
    sl_credentials_free(credentials);
    credentials->default_url = default_url;
    SL_WARNING(search->log,
               IDENTITY_FILE " is passed over: it is neither this user's nor root's. Where it is meant, name "
                             "it in " FILE_PATH);
    return SL_OK;
}

/* Nothing is set: the places where HERE's own libraries look. */
static sl_status from_usual_places(const struct search *search)
{
    const char *profile = text_at(search->config, PROFILE_PATH);
    sl_status status = SL_OK;
    if (profile || variable("HOME"))
        status = from_home(search, "~/.here/credentials.ini", !profile);
    if (status != SL_OK && profile)
        sl_error_prefix(search->error, "%s: %s = %s", sl_config_origin(search->config, PROFILE_PATH),
                        PROFILE_PATH, profile);
    if (status == SL_OK && search->credentials->kind == SL_NO_CREDENTIALS && variable("HOME"))
        status = from_home(search, "~/.here/credentials.properties", true);
    if (status == SL_OK && search->credentials->kind == SL_NO_CREDENTIALS)
        status = from_identity(search);
    return status;
}

sl_status sl_credentials_load(const sl_config *config, const struct sl_log *log,
                              struct sl_credentials *credentials, sl_error *error)
{
    memset(credentials, 0, sizeof *credentials);
    credentials->default_url = sl_config_default_token_url(config);
    const struct search search = {config, log, credentials, error};
    enum rank key = rank(config, KEY_ID_PATH), secret = rank(config, SECRET_PATH);
    enum rank key_variable = variable_rank(config, variable_names.key_id);
    if (key_variable == NOT_SET)
        key_variable = variable_rank(config, variable_names.key_secret);
    /* Of those that are set as deliberately, the first. */
    const struct {
        const char *name;
        enum rank rank;
        sl_status (*take)(const struct search *search);
    } places[] = {
        {TOKEN_PATH, rank(config, TOKEN_PATH), from_token},
        {key != NOT_SET ? KEY_ID_PATH : SECRET_PATH, key > secret ? key : secret, from_account},
        {FILE_PATH, rank(config, FILE_PATH), from_named_file},
        {"HERE_CREDENTIALS_FILE", variable_rank(config, "HERE_CREDENTIALS_FILE"), from_file_variable},
        {"HERE_CREDENTIALS_STRING", variable_rank(config, "HERE_CREDENTIALS_STRING"), from_text_variable},
        {"HERE_ACCESS_KEY_ID", key_variable, from_variables},
    };
    size_t best = 0, set = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        set += places[i].rank != NOT_SET;
        if (places[i].rank > places[best].rank)
            best = i;
    }
    if (set == 0)
        return from_usual_places(&search);
    if (set > 1)
        SL_INFO(log, "several credentials are configured; taken is %s", places[best].name);
    return places[best].take(&search);
}

sl_status sl_credentials_read_again(const struct sl_credentials *credentials, bool always,
                                    const struct sl_log *log, struct sl_file_state *state,
                                    struct sl_credentials *fresh, sl_error *error)
{
    const struct sl_file_state *known = always ? NULL : &credentials->state;
    char *text;
    size_t size;
    memset(fresh, 0, sizeof *fresh);
    memset(state, 0, sizeof *state);
    if (!credentials->file || !credentials->state.regular)
        return SL_OK;
    sl_status status = sl_credential_file_read(credentials->file, known, NULL, state, &text, &size, error);
    if (status != SL_OK || !text)
        return status;
    fresh->default_url = credentials->default_url;
    fresh->state = *state;
    fresh->file = sl_strdup(credentials->file);
    fresh->profile = sl_strdup(credentials->profile);
    if (!fresh->file || (credentials->profile && !fresh->profile))
        status = sl_error_oom(error);
    else
        status = from_text(fresh, text, size, credentials->file, false, error);
    sl_hidden_free(&text);
    bool new_mode = state->dev != credentials->state.dev || state->ino != credentials->state.ino ||
                    state->mode != credentials->state.mode;
    if (status == SL_OK && new_mode)
        warn_of_mode(log, credentials->file, NULL, state->mode);
    if (status != SL_OK)
        sl_credentials_free(fresh);
    return status;
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

bool sl_credentials_same(const struct sl_credentials *a, const struct sl_credentials *b)
{
    return same_text(a->key_id, b->key_id) && same_text(a->key_secret, b->key_secret) &&
           same_text(a->token_url, b->token_url) && same_text(a->scope, b->scope);
}

sl_status sl_credentials_check(const sl_config *config, const struct sl_log *log, char **source,
                               sl_error *error)
{
    struct sl_credentials credentials;
    sl_status status = sl_credentials_load(config, log, &credentials, error);
    if (source) {
        *source = status == SL_OK ? credentials.source : NULL;
        if (*source)
            credentials.source = NULL;
    }
    sl_credentials_free(&credentials);
    return status;
}
