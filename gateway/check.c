/* What a start would stumble over, told beforehand: nothing listens, nothing is connected to, nothing is
 * made. */
#include "gateway/api/token_settings.h"
#include "gateway/gateway_internal.h"
#include "gateway/http/tls.h"
#include "gateway/privileges.h"

#include "base/array.h"
#include "base/error.h"
#include "base/text.h"
#include "config/settings.h"
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

struct check {
    const sl_config *config;
    gw_finding tell;
    void *opaque;
    struct gw_faults faults; /* those that look for them go on after each */
    char **told;             /* of each fault the part that is its own: own_size */
    size_t told_count, told_capacity;
};

/* The place and the setting of a fault, by which it is told once: several look at the same setting. */
static size_t own_size(const char *text)
{
    const char *setting = strstr(text, SL_GATEWAY_ROOT);
    return setting ? (size_t)(setting - text) + strcspn(setting, " :=") : strlen(text);
}

static bool is_told(const struct check *check, const char *text, size_t size)
{
    for (size_t i = 0; i < check->told_count; i++)
        if (strlen(check->told[i]) == size && !memcmp(check->told[i], text, size))
            return true;
    return false;
}

static void tell_once(struct check *check, const char *text)
{
    size_t size = own_size(text);
    if (is_told(check, text, size))
        return;
    char *copy =
        sl_array_reserve((void **)&check->told, check->told_count, &check->told_capacity, sizeof *check->told)
            ? strndup(text, size)
            : NULL;
    if (copy) /* else it may be told twice */
        check->told[check->told_count++] = copy;
    check->tell(check->opaque, true, text);
}

static void tell_fault(void *opaque, const sl_error *error)
{
    tell_once(opaque, error->text);
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
    if (level == SL_FINDING_NOTE) {
        check->tell(check->opaque, false, text);
    } else {
        check->faults.count++;
        tell_once(check, text);
    }
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
        check->tell(check->opaque, false, text);
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
            check->tell(check->opaque, false, text);
        }
}

static void check_directory(struct check *check)
{
    sl_error error = {0};
    int64_t version, known;
    char text[512];
    const char *directory = sl_config_get(check->config, DIRECTORY);
    sl_status status = gw_data_directory_check(directory, &error);
    if (status == SL_NOT_FOUND) {
        snprintf(text, sizeof text, "%.300s is not there: the start makes it", directory);
        check->tell(check->opaque, false, text);
        return;
    }
    const struct sl_log log = {.callback = log_finding, .opaque = check, .level = SL_LOG_WARNING};
    if (!status)
        status = gw_data_directory_look(directory, &log, &error);
    if (!status)
        status = gw_db_look(directory, &version, &known, &error);
    if (!status && version > known)
        status = sl_error_set(
            &error, SL_BAD_CONFIG,
            "%s/catalogs.db: it was written by a newer version (its schema is %lld, this one knows "
            "%lld): use that version",
            directory, (long long)version, (long long)known);
    if (!status && version && version < known) {
        snprintf(text, sizeof text,
                 "%.300s/catalogs.db has schema %lld: the start upgrades it to %lld, and makes a copy before",
                 directory, (long long)version, (long long)known);
        check->tell(check->opaque, false, text);
    }
    if (status && directory)
        sl_error_prefix(&error, DIRECTORY);
    if (status)
        sl_config_prefix(check->config, DIRECTORY, &error);
    told(check, status, &error);
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
    sl_status status = gw_user_read(config, &user, &error);
    if (!status)
        status = gw_user_become(&user, &error);
    told(&check, status, &error);
    if (!status && user.name && listen.secure)
        check_reload(&check, &listen.tls, &user);
    gw_tokens_check_config(config, &check.faults);
    gw_brokers_try(config, &check.faults);
    check_access_log(&check);
    check_directory(&check);
    gw_listen_free(&listen);
    for (size_t i = 0; i < check.told_count; i++)
        free(check.told[i]);
    free(check.told);
    return !check.faults.count;
}
