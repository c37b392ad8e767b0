/* What a start would stumble over, told beforehand: nothing listens, nothing is connected to, nothing is
 * made. */
#include "gateway/api/token_settings.h"
#include "gateway/gateway_internal.h"
#include "gateway/privileges.h"

#include "base/error.h"
#include "base/text.h"
#include "config/settings.h"
#include "gateway/store/db.h"

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
    size_t faults;
};

static void told(struct check *check, sl_status status, const sl_error *error)
{
    if (!status)
        return;
    check->faults++;
    check->tell(check->opaque, true, error->text);
}

static bool tell_finding(void *opaque, sl_finding_level level, const char *path, const char *origin,
                         const char *text)
{
    struct check *check = opaque;
    (void)path;
    (void)origin;
    check->faults += level != SL_FINDING_NOTE;
    check->tell(check->opaque, level != SL_FINDING_NOTE, text);
    return true;
}

/* Whether the address is this machine's. The port is not tried: the gateway that runs has it. */
static sl_status check_address(const sl_config *config, const struct gw_server_settings *settings,
                               sl_error *error)
{
    struct addrinfo *found = NULL;
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    int code = getaddrinfo(settings->address, "0", &hints, &found);
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
                              origin ? origin : "-", settings->address, reason);
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
static void check_listening(struct check *check, struct gw_settings *settings)
{
    sl_error error = {0};
    const struct sl_log log = {.callback = log_finding, .opaque = check, .level = SL_LOG_WARNING};
    sl_status status = gw_settings_read(check->config, settings, &error);
    told(check, status, &error);
    if (status)
        return;
    if (settings->listen.secure)
        told(check, gw_server_check_tls(&settings->listen.tls, &log, &error), &error);
    told(check, check_address(check->config, &settings->server, &error), &error);
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
    struct check check = {config, tell, opaque, 0};
    struct gw_settings settings = {0};
    struct gw_user user = {0};
    sl_error error = {0};
    told(&check, sl_config_findings(config, tell_finding, &check, &error), &error);
    if (check.faults) /* what follows would say the same again */
        return false;
    check_listening(&check, &settings);
    sl_status status = gw_user_read(config, &user, &error);
    if (!status)
        status = gw_user_become(&user, &error);
    told(&check, status, &error);
    if (!status && user.name && settings.listen.secure)
        check_reload(&check, &settings.listen.tls, &user);
    told(&check, gw_tokens_check_config(config, &error), &error);
    told(&check, gw_brokers_try(config, &error), &error);
    check_access_log(&check);
    check_directory(&check);
    gw_settings_free(&settings);
    return !check.faults;
}
