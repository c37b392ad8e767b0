/*
 * Any bytes as a configuration: parsed over the defaults, checked, walked over, and every setting read. A
 * first line "PATH=VALUE" behind "-D " is set, as the command line does. Nothing may crash, and what is
 * refused is refused with a text.
 */
#include "config/settings.h"
#include "files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            abort(); /* what the fuzzer looks for */                                                         \
    } while (0)

static void check_status(sl_status status, const sl_error *error)
{
    CHECK(status == SL_OK || (error->status == status && error->text[0]));
    CHECK(status == SL_OK || status == SL_BAD_CONFIG || status == SL_IO);
}

static bool visit(void *opaque, const char *path, const char *value, const char *origin)
{
    size_t *count = opaque;
    CHECK(path && *path && value && origin);
    return ++*count < 1000;
}

/* What was checked can be read. */
static void read_settings(const sl_config *config, bool right)
{
    sl_error error = {0};
    const struct sl_setting *setting;
    for (size_t i = 0; (setting = sl_setting_at(i)) != NULL; i++) {
        int64_t number = 0;
        bool flag;
        const char *word;
        sl_status status = SL_OK;
        if (sl_setting_is_named(setting)) /* of names that the input may have */
            continue;
        switch (setting->type) {
        case SL_INTEGER:
            status = sl_config_integer(config, setting->path, &number, &error);
            break;
        case SL_DURATION_MS:
            status = sl_config_duration_ms(config, setting->path, &number, &error);
            break;
        case SL_SIZE_BYTES:
            status = sl_config_bytes(config, setting->path, &number, &error);
            break;
        case SL_BOOLEAN:
            status = sl_config_boolean(config, setting->path, &flag, &error);
            break;
        case SL_CHOICE:
            status = sl_config_choice(config, setting->path, &word, &error);
            break;
        default:
            continue;
        }
        check_status(status, &error);
        CHECK(!right || status == SL_OK || !setting->value);
        CHECK(status != SL_OK || !number || (number >= setting->min && number <= setting->max));
    }
}

static sl_status set_line(sl_config *config, const char *text, size_t size, sl_error *error)
{
    char line[300] = "";
    if (size >= sizeof line)
        return SL_OK;
    memcpy(line, text, size);
    char *equals = strchr(line, '=');
    if (!equals)
        return SL_OK;
    *equals = '\0';
    return sl_config_set(config, line, equals + 1, error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sl_config *defaults;
    const char *text = (const char *)data;
    sl_config *config = NULL;
    sl_error error = {0};
    enter_files();
    if (leads_away(text, size))
        return 0;
    CHECK(defaults || sl_config_create(&defaults, &error) == SL_OK);
    CHECK(sl_config_clone(defaults, &config, &error) == SL_OK);
    if (size > 3 && memcmp(text, "-D ", 3) == 0) {
        const char *end = memchr(text, '\n', size);
        size_t length = end ? (size_t)(end - text) : size;
        check_status(set_line(config, text + 3, length - 3, &error), &error);
        text += length;
        size -= length;
    }
    sl_status status = sl_config_parse(config, text, size, "input", &error);
    check_status(status, &error);
    status = sl_config_check(config, &error);
    check_status(status, &error);
    size_t count = 0;
    sl_config_each(config, NULL, visit, &count);
    sl_config_each(config, "here.platform", visit, &count);
    read_settings(config, status == SL_OK);
    char *url = NULL;
    check_status(sl_config_lookup_url(config, &url, &error), &error);
    free(url);
    sl_config_destroy(&config);
    return 0;
}
