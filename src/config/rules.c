/* Settings that do not go together, and what settings name outside of the configuration. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "config/findings.h"

#define VARIABLE      "STREAMLAYER_"
#define MAX_VARIABLES 128

/* A text that is set and not empty. */
static const char *text_at(const sl_config *config, const char *path)
{
    const char *text = sl_config_get(config, path);
    return text && *text ? text : NULL;
}

/* Where the platform and the proxy are. What is not set, and has a default, is told of elsewhere: it lies in
 * what hides the default. */
static void check_urls(struct sl_findings *findings)
{
    sl_error error = {0};
    char *url = NULL;
    const sl_config *config = findings->config;
    const char *origin = sl_config_origin(config, SL_LOOKUP_ENV_PATH);
    if (origin && sl_config_lookup_url(config, &url, &error) != SL_OK)
        sl_find_error(findings, SL_LOOKUP_ENV_PATH, origin, &error);
    free(url);
    if (!sl_config_origin(config, SL_ROOT "proxy.port") || !sl_config_origin(config, SL_ROOT "proxy.scheme"))
        return;
    for (int secure = 0; secure < 2; secure++) {
        struct sl_proxy proxy = {0};
        if (sl_config_proxy(config, secure, &proxy, &error) != SL_OK) {
            char who[SL_ERROR_TEXT_SIZE]; /* the text begins with it */
            const char *end = strstr(error.text, ": ");
            snprintf(who, sizeof who, "%.*s", end ? (int)(end - error.text) : 0, error.text);
            sl_find_error(findings, SL_ROOT "proxy", who, &error);
        }
        sl_proxy_free(&proxy);
    }
}

/* A default gives way to what is set below it, so only what somebody has set is wrong; but a check says what
 * becomes of the default. */
static void check_order(struct sl_findings *findings)
{
    static const char *const pairs[][2] = {
        {SL_ROOT "http.connect-timeout", SL_ROOT "http.request-timeout"},
        {SL_ROOT "http.retry.backoff", SL_ROOT "http.retry.max-backoff"},
    };
    const sl_config *config = findings->config;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        int64_t value, most;
        char text[32], limit[32];
        const char *path = pairs[i][0], *most_path = pairs[i][1];
        if (sl_config_duration_ms(config, path, &value, NULL) != SL_OK ||
            sl_config_duration_ms(config, most_path, &most, NULL) != SL_OK || value <= most)
            continue;
        const char *origin = sl_config_origin(config, path);
        if (strcmp(origin, "default") == 0 && findings->everything)
            sl_find(findings, SL_FINDING_NOTE, most_path, sl_config_origin(config, most_path),
                    "%s = %s: shorter than %s, which is %s (default) and gives way", most_path,
                    sl_duration_text(most, limit), path, sl_duration_text(value, text));
        else if (strcmp(origin, "default") != 0)
            sl_find(findings, SL_FINDING_ERROR, path, origin, "%s = %s: longer than %s, which is %s (%s)",
                    path, sl_duration_text(value, text), most_path, sl_duration_text(most, limit),
                    sl_config_origin(config, most_path));
    }
}

static bool environment_has_proxy(void)
{
    static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy", "ALL_PROXY"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = secure_getenv(names[i]);
        if (value && *value)
            return true;
    }
    return false;
}

static void check_proxy_credentials(struct sl_findings *findings)
{
    static const char *const paths[] = {SL_ROOT "proxy.credentials.username",
                                        SL_ROOT "proxy.credentials.password"};
    if (text_at(findings->config, SL_ROOT "proxy.host") || environment_has_proxy())
        return;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (text_at(findings->config, paths[i])) {
            sl_find(findings, SL_FINDING_NOTE, paths[i], sl_config_origin(findings->config, paths[i]),
                    "%s has no effect: there is no %sproxy.host, and no proxy in the environment", paths[i],
                    SL_ROOT);
            return;
        }
}

/* 0, or why it cannot be read. */
static int try_to_read(const char *file)
{
    struct stat about;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int problem = fd < 0 ? errno : 0;
    if (fd >= 0 && fstat(fd, &about) == 0 && S_ISDIR(about.st_mode))
        problem = EISDIR;
    if (fd >= 0)
        close(fd);
    return problem;
}

static void check_file(void *opaque, const struct sl_setting *setting, const char *path)
{
    (void)setting;
    struct sl_findings *findings = opaque;
    const char *home = secure_getenv("HOME"), *file = text_at(findings->config, path);
    if (!file)
        return;
    char *expanded = strncmp(file, "~/", 2) == 0 && home ? sl_printf("%s/%s", home, file + 2) : strdup(file);
    if (!expanded) {
        sl_find_error(findings, path, "", &(sl_error){.status = SL_OUT_OF_MEMORY});
        return;
    }
    int problem = try_to_read(expanded);
    free(expanded);
    if (problem)
        sl_find(findings, SL_FINDING_ERROR, path, sl_config_origin(findings->config, path),
                "%s = \"%.200s\": cannot be read: %s", path, file, sl_errno_text(problem));
}

static void check_files(struct sl_findings *findings)
{
    const struct sl_setting *setting;
    for (size_t i = 0; (setting = sl_setting_at(i)); i++)
        if (setting->readable && !sl_config_each_path(findings->config, setting, check_file, findings))
            sl_find_error(findings, setting->path, "", &(sl_error){.status = SL_OUT_OF_MEMORY});
}

static size_t known_variables(const char *names[MAX_VARIABLES])
{
    static const char *const others[] = {VARIABLE "CONFIG", VARIABLE "CONTEXT", VARIABLE "KAFKA_HEAP"};
    const size_t other_count = sizeof others / sizeof *others;
    size_t count = 0;
    for (; count < other_count; count++)
        names[count] = others[count] + strlen(VARIABLE);
    const struct sl_setting *setting;
    for (size_t i = 0; count < MAX_VARIABLES && (setting = sl_setting_at(i)); i++)
        if (setting->environment && strncmp(setting->environment, VARIABLE, strlen(VARIABLE)) == 0)
            names[count++] = setting->environment + strlen(VARIABLE);
    return count;
}

/* Variables that are nearly one of ours. */
static void check_variables(struct sl_findings *findings)
{
    const char *names[MAX_VARIABLES];
    size_t count = known_variables(names);
    for (char **variable = environ; variable && *variable; variable++) {
        if (strncmp(*variable, VARIABLE, strlen(VARIABLE)) != 0)
            continue;
        const char *name = *variable + strlen(VARIABLE);
        char *given = strndup(name, strcspn(name, "="));
        if (!given) {
            sl_find_error(findings, "", "", &(sl_error){.status = SL_OUT_OF_MEMORY});
            return;
        }
        const char *meant = sl_meant(given, names, count);
        char *origin =
            meant && strcmp(meant, given) != 0 ? sl_printf("environment " VARIABLE "%s", given) : NULL;
        if (origin)
            sl_find(findings, findings->everything ? SL_FINDING_ERROR : SL_FINDING_NOTE, "", origin,
                    "unknown variable (did you mean " VARIABLE "%s?)", meant);
        free(origin);
        free(given);
    }
}

void sl_find_by_rules(struct sl_findings *findings)
{
    check_urls(findings);
    check_order(findings);
    check_proxy_credentials(findings);
    if (findings->everything)
        check_files(findings);
    if (sl_config_has_environment(findings->config))
        check_variables(findings);
}
