/* What a start would stumble over, told beforehand: nothing listens, nothing is connected to, nothing is
 * made. */
#include "gateway/api/token_settings.h"
#include "gateway/gateway_internal.h"
#include "gateway/http/tls.h"
#include "gateway/privileges.h"

#include "base/array.h"
#include "base/error.h"
#include "base/text.h"
#include "config/config.h"
#include "config/settings.h"
#include "gateway/ledger/schema.h"
#include "gateway/ledger/store.h"
#include "gateway/store/db.h"
#include "gateway/store/directory.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DIRECTORY  SL_GATEWAY_ROOT "data-directory"
#define ACCESS_LOG SL_GATEWAY_ROOT "access-log.file"

/* What is to be told at the end, in the order of the files' lines. */
struct finding {
    char *text;
    bool is_fault;
    size_t file;           /* bytes of text that name it; 0: it is about no line */
    size_t own;            /* bytes by which a fault is told once */
    unsigned line, column; /* 0: unknown */
    size_t number;         /* in the order of their being found */
};

struct check {
    const sl_config *config;
    gw_finding tell;
    void *opaque;
    struct gw_faults faults; /* those that look for them go on after each */
    struct finding *findings;
    size_t count, capacity;
};

/* The place and the setting of a fault, by which it is told once: several look at the same setting. */
static size_t own_size(const char *text)
{
    const char *setting = strstr(text, SL_GATEWAY_ROOT);
    return setting ? (size_t)(setting - text) + strcspn(setting, " :=;") : strlen(text);
}

static bool is_told(const struct check *check, const char *text, size_t size)
{
    for (size_t i = 0; i < check->count; i++) {
        const struct finding *other = &check->findings[i];
        if (other->is_fault && other->own == size && !memcmp(other->text, text, size))
            return true;
    }
    return false;
}

/* Of "FILE:LINE: …" or "FILE:LINE:COLUMN: …". */
static void find_place(struct finding *finding)
{
    const char *text = finding->text, *end = strstr(text, ": ");
    unsigned numbers[2] = {0, 0};
    size_t count = 0;
    while (end && count < 2) {
        const char *colon = end;
        while (colon > text && strchr("0123456789", colon[-1]))
            colon--;
        if (colon == end || colon == text || colon[-1] != ':')
            break;
        numbers[count++] = (unsigned)strtoul(colon, NULL, 10);
        end = colon - 1;
    }
    if (!count)
        return;
    finding->file = (size_t)(end - text);
    finding->line = numbers[count - 1];
    finding->column = count > 1 ? numbers[0] : 0;
}

/* A setting's value has a column, too. */
static void add_column(const struct check *check, struct finding *finding)
{
    const char *setting = strstr(finding->text, SL_GATEWAY_ROOT), *place = strstr(finding->text, ": ");
    char *path = setting ? strndup(setting, strcspn(setting, " :=;,")) : NULL;
    const struct hocon_value *value =
        path && finding->line && !finding->column ? sl_config_value(check->config, path) : NULL;
    const char *origin = value ? sl_config_value_origin(value) : NULL;
    size_t size = place ? (size_t)(place - finding->text) : 0;
    unsigned column = value ? hocon_column(value) : 0;
    if (column && strlen(origin) == size && !memcmp(origin, finding->text, size)) {
        char *text = sl_printf("%s:%u%s", origin, column, place);
        if (text) {
            free(finding->text);
            finding->text = text;
            finding->column = column;
        }
    }
    free(path);
}

static void keep(struct check *check, bool is_fault, const char *text)
{
    size_t own = own_size(text);
    if (is_fault && is_told(check, text, own))
        return;
    char *copy =
        sl_array_reserve((void **)&check->findings, check->count, &check->capacity, sizeof *check->findings)
            ? sl_strdup(text)
            : NULL;
    if (copy)
        check->findings[check->count++] =
            (struct finding){.text = copy, .is_fault = is_fault, .own = own, .number = check->count};
    else
        check->tell(check->opaque, is_fault, text);
}

static int compare(const void *left, const void *right)
{
    const struct finding *one = left, *other = right;
    if (one->is_fault != other->is_fault)
        return one->is_fault ? -1 : 1;
    if (!one->file != !other->file)
        return one->file ? -1 : 1;
    size_t common = one->file < other->file ? one->file : other->file;
    int order = memcmp(one->text, other->text, common);
    if (!order && one->file != other->file)
        order = one->file < other->file ? -1 : 1;
    if (!order && one->line != other->line)
        order = one->line < other->line ? -1 : 1;
    if (!order && one->column != other->column)
        order = one->column < other->column ? -1 : 1;
    return order ? order : one->number < other->number ? -1 : 1;
}

static void tell_all(struct check *check)
{
    for (size_t i = 0; i < check->count; i++) {
        find_place(&check->findings[i]);
        add_column(check, &check->findings[i]);
    }
    if (check->count)
        qsort(check->findings, check->count, sizeof *check->findings, compare);
    for (size_t i = 0; i < check->count; i++) {
        check->tell(check->opaque, check->findings[i].is_fault, check->findings[i].text);
        free(check->findings[i].text);
    }
    free(check->findings);
}

static void tell_fault(void *opaque, const sl_error *error)
{
    keep(opaque, true, error->text);
}

static void told(struct check *check, sl_status status, const sl_error *error)
{
    gw_fault(&check->faults, status, error);
}

static bool tell_finding(void *opaque, sl_finding_level level, const char *path, const char *origin,
                         const char *text)
{
    struct check *check = opaque;
    (void)path;
    (void)origin;
    check->faults.count += level != SL_FINDING_NOTE;
    keep(check, level != SL_FINDING_NOTE, text);
    return true;
}

/* Whether the address is this machine's. The port is not tried: the gateway that runs has it. */
static sl_status check_address(const sl_config *config, sl_error *error)
{
    const char *set = sl_config_get(config, SL_GATEWAY_ROOT "listen.address");
    const char *address = set && *set ? set : "127.0.0.1";
    struct addrinfo *found = NULL;
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    int code = getaddrinfo(address, "0", &hints, &found);
    int fd = code ? -1 : socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_ours = fd >= 0 && !bind(fd, found->ai_addr, found->ai_addrlen);
    const char *reason = code ? gai_strerror(code) : sl_errno_text(errno);
    const char *origin = sl_config_origin(config, SL_GATEWAY_ROOT "listen.address");
    sl_status status = SL_OK;
    if (!is_ours)
        status = sl_error_set(error, SL_BAD_CONFIG,
                              "%s: " SL_GATEWAY_ROOT
                              "listen.address = %s: it cannot be listened on: %s; name an address "
                              "of this machine, or 0.0.0.0 or :: for all",
                              origin ? origin : "-", address, reason);
    if (fd >= 0)
        close(fd);
    if (found)
        freeaddrinfo(found);
    return status;
}

static void log_finding(void *opaque, sl_log_level level, const char *text)
{
    struct check *check = opaque;
    if (level <= SL_LOG_WARNING)
        keep(check, false, text);
}

/* What is read with the rights of the beginning. */
static void check_listening(struct check *check, struct gw_listen *listen)
{
    sl_error error = {0};
    struct gw_settings settings = {0};
    const struct sl_log log = {.callback = log_finding, .opaque = check, .level = SL_LOG_WARNING};
    gw_listen_check(check->config, listen, &check->faults);
    if (listen->secure)
        gw_tls_check(&listen->tls, &log, &check->faults);
    told(check, check_address(check->config, &error), &error);
    told(check, gw_settings_read(check->config, &settings, &error), &error);
    gw_settings_free(&settings);
}

/* A reload reads them as the user. */
static void check_reload(struct check *check, const struct gw_tls_settings *tls, const struct gw_user *user)
{
    const char *const files[] = {tls->certificate, tls->key, tls->client_ca};
    char text[512];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (files[i] && access(files[i], R_OK)) {
            snprintf(text, sizeof text,
                     "%.300s: %s, who the gateway becomes, may not read it: the start will, a reload cannot",
                     files[i], user->name);
            keep(check, false, text);
        }
}

static void refuse_directory(struct check *check, sl_error *error)
{
    const char *directory = sl_config_get(check->config, DIRECTORY);
    if (directory)
        sl_error_prefix(error, DIRECTORY);
    sl_config_prefix(check->config, DIRECTORY, error);
    told(check, error->status, error);
}

/* One that is not there is made before the gateway becomes another user. */
static void check_new_directory(struct check *check)
{
    sl_error error = {0};
    char text[512];
    const char *directory = sl_config_get(check->config, DIRECTORY);
    if (gw_data_directory_check(directory, &error) != SL_NOT_FOUND)
        return;
    if (gw_data_directory_can_be_made(directory, &error)) {
        refuse_directory(check, &error);
        return;
    }
    snprintf(text, sizeof text, "%.300s is not there: the start makes it", directory);
    keep(check, false, text);
}

/* What the start would make of a store that another version wrote. Without the ledger it starts. */
static sl_status check_store(struct check *check, const char *directory, const char *name, int64_t known,
                             bool is_needed, sl_error *error)
{
    int64_t version;
    char text[512];
    sl_status status = gw_db_look(directory, name, &version, error);
    if (status && !is_needed)
        keep(check, false, error->text);
    if (status || !version || version == known)
        return is_needed ? status : SL_OK;
    if (version > known && is_needed)
        return sl_error_set(error, SL_BAD_CONFIG,
                            "%s/%s: it was written by a newer version (its schema is %lld, this one knows "
                            "%lld): use that version",
                            directory, name, (long long)version, (long long)known);
    snprintf(text, sizeof text,
             version < known
                 ? "%.300s/%s has schema %lld: the start upgrades it to %lld, and makes a copy before"
                 : "%.300s/%s has schema %lld, this one knows %lld: what is used of the Marketplace "
                   "is refused until a newer version is started",
             directory, name, (long long)version, (long long)known);
    keep(check, false, text);
    return SL_OK;
}

/* Whether the ledger that is there goes on with the type that is set. Without it the gateway starts. */
static void check_ledger_type(struct check *check, const char *directory)
{
    char text[512], log[GW_META_TEXT];
    const char *type = sl_config_get(check->config, SL_GATEWAY_ROOT "ledger.type");
    if (!type || !gw_ledger_look(directory, log) || !strcmp(log, type))
        return;
    snprintf(text, sizeof text,
             "%.300s/ledger.db was begun with " SL_GATEWAY_ROOT "ledger.type = %.20s: what is used of the "
             "Marketplace is refused until that type is set again, or the file is moved away",
             directory, log);
    keep(check, false, text);
}

static void check_directory(struct check *check)
{
    sl_error error = {0};
    const char *directory = sl_config_get(check->config, DIRECTORY);
    sl_status status = gw_data_directory_check(directory, &error);
    if (status == SL_NOT_FOUND)
        return;
    const struct sl_log log = {.callback = log_finding, .opaque = check, .level = SL_LOG_WARNING};
    if (!status)
        status = gw_data_directory_look(directory, &log, &error);
    if (!status)
        status = check_store(check, directory, "catalogs.db", gw_db_known_version(), true, &error);
    if (!status)
        status = check_store(check, directory, "ledger.db", GW_LEDGER_SCHEMA_VERSION, false, &error);
    if (!status)
        check_ledger_type(check, directory);
    if (status)
        refuse_directory(check, &error);
}

static void check_access_log(struct check *check)
{
    const char *file = sl_config_get(check->config, ACCESS_LOG),
               *origin = sl_config_origin(check->config, ACCESS_LOG);
    if (!file || !*file || !strcmp(file, "-"))
        return;
    char *directory = sl_strdup(file), *slash = directory ? strrchr(directory, '/') : NULL;
    sl_error error = {0};
    if (slash)
        slash[slash == directory] = 0;
    bool is_there = !access(file, F_OK);
    if (is_there ? access(file, W_OK) : access(slash ? directory : ".", W_OK | X_OK))
        told(check,
             sl_error_set(&error, SL_BAD_CONFIG,
                          "%s: " ACCESS_LOG
                          " = %s: it cannot be written: %s; name a file in a directory that the "
                          "gateway may write, or - for standard output",
                          origin ? origin : "-", file, sl_errno_text(errno)),
             &error);
    free(directory);
}

bool gw_check(const sl_config *config, gw_finding tell, void *opaque)
{
    struct check check = {.config = config, .tell = tell, .opaque = opaque, .faults.tell = tell_fault};
    struct gw_listen listen = {0};
    struct gw_user user = {0};
    sl_error error = {0};
    check.faults.opaque = &check;
    told(&check, sl_config_findings(config, tell_finding, &check, &error), &error);
    check_listening(&check, &listen);
    check_new_directory(&check);
    sl_status status = gw_user_read(config, &user, &error);
    if (!status)
        status = gw_user_become(&user, &error);
    told(&check, status, &error);
    if (!status && user.name && listen.secure)
        check_reload(&check, &listen.tls, &user);
    gw_tokens_check_config(config, &check.faults);
    gw_brokers_try(config, &check.faults);
    told(&check, gw_ledger_settings_check(config, &error), &error);
    check_access_log(&check);
    check_directory(&check);
    gw_listen_free(&listen);
    tell_all(&check);
    return !check.faults.count;
}
