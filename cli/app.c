/* streamlayer app create|list|show|delete|rotate */
#include "base/secret.h"
#include "base/text.h"
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_GRACE_MS 86400000

/* The credentials file. It is made before the key is, so that no secret is lost for want of a place. */

struct place {
    const char *path; /* NULL: standard output */
    int fd;
};

static int place_open(const struct cli *cli, struct place *place)
{
    place->path = cli_value(cli, "credentials");
    place->fd = -1;
    if (!place->path)
        return CLI_OK;
    place->fd = open(place->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (place->fd >= 0)
        return CLI_OK;
    if (errno == EEXIST)
        return cli_error_as(cli, SL_CONFLICT,
                            "--credentials %s: there is such a file already, and it is not overwritten: name "
                            "another one, or move it away",
                            place->path);
    return cli_file_error(cli, place->path, errno);
}

/* Nothing was made: the file goes. */
static void place_drop(const struct place *place)
{
    if (place->fd < 0)
        return;
    close(place->fd);
    unlink(place->path);
}

static int place_write(const struct cli *cli, const struct place *place, const char *text, const char *name)
{
    size_t size = strlen(text), written = 0;
    bool good = true;
    while (good && written < size) {
        ssize_t count = write(place->fd, text + written, size - written);
        good = count > 0 || (count < 0 && errno == EINTR);
        written += count > 0 ? (size_t)count : 0;
    }
    good = good && !fsync(place->fd);
    int failure = errno;
    good = !close(place->fd) && good;
    if (good)
        return CLI_OK;
    unlink(place->path);
    cli_file_error(cli, place->path, failure);
    cli_hint(cli, "the application was changed all the same; a new key: streamlayer app rotate %s --now",
             name);
    return CLI_FAILED;
}

/* A key that was just made, by whichever way. */
struct made {
    const char *id, *name, *key_id, *key_secret, *token_url;
    const char *json; /* all of it */
};

static int print_without_secret(const struct cli *cli, const struct place *place, const struct made *made)
{
    if (!cli->json) {
        puts(made->id);
        return cli_flush_output(cli);
    }
    json_t *value = json_pack("{s:s, s:s, s:s*, s:s*}", "id", made->id, "name", made->name, "accessKeyId",
                              made->key_id, "credentialsFile", place->path);
    if (value && !json_dumpf(value, stdout, JSON_INDENT(2)))
        putchar('\n');
    json_decref(value);
    return cli_flush_output(cli);
}

/* Says what was made, once: to the file, or on standard output. */
static int tell(const struct cli *cli, struct place *place, const struct made *made)
{
    if (!made->key_id) { /* its tokens come from elsewhere */
        place_drop(place);
        place->path = NULL;
        return print_without_secret(cli, place, made);
    }
    char *text = sl_printf("# The key of the application \"%s\".\n"
                           "here.user.id = %s\n"
                           "here.client.id = %s\n"
                           "here.access.key.id = %s\n"
                           "here.access.key.secret = %s\n"
                           "here.token.endpoint.url = %s\n",
                           made->name, made->name, made->id, made->key_id, made->key_secret, made->token_url);
    if (!text) {
        place_drop(place);
        return cli_out_of_memory(cli);
    }
    int code = CLI_OK;
    if (place->fd >= 0) {
        code = place_write(cli, place, text, made->name);
        if (!code)
            code = print_without_secret(cli, place, made);
    } else {
        fputs(cli->json ? made->json : text, stdout);
        if (cli->json)
            putchar('\n');
        code = cli_flush_output(cli);
    }
    sl_secret_free(&text);
    return code;
}

static int tell_answer(const struct cli *cli, struct place *place, const sl_application *application)
{
    const char *url = sl_application_token_url(application);
    const struct made made = {.id = sl_application_id(application),
                              .name = sl_application_name(application),
                              .key_id = sl_application_key_id(application),
                              .key_secret = sl_application_key_secret(application),
                              .token_url = url ? url : "",
                              .json = sl_application_json(application)};
    return tell(cli, place, &made);
}

/* The same of one in the store. */
static int tell_stored(struct cli *cli, struct place *place, struct gw_applications *store,
                       const struct gw_application *application, const char *url)
{
    sl_error error = {0};
    json_t *value;
    if (gw_applications_json(store, application->id, &value, &error)) {
        place_drop(place);
        return cli_fail(cli, &error);
    }
    bool has_key = *application->key_id;
    if (has_key && (json_object_set_new(value, "accessKeyId", json_string(application->key_id)) ||
                    json_object_set_new(value, "accessKeySecret", json_string(application->key_secret)) ||
                    json_object_set_new(value, "tokenEndpointUrl", json_string(url)))) {
        json_decref(value);
        place_drop(place);
        return cli_out_of_memory(cli);
    }
    char *json = json_dumps(value, JSON_INDENT(2));
    const struct made made = {.id = application->id,
                              .name = json_string_value(json_object_get(value, "name")),
                              .key_id = has_key ? application->key_id : NULL,
                              .key_secret = application->key_secret,
                              .token_url = url,
                              .json = json ? json : ""};
    int code = tell(cli, place, &made);
    json_decref(value);
    sl_secret_free(&json);
    return code;
}

/* create */

static int read_rights(const struct cli *cli, unsigned *rights)
{
    const char *text;
    *rights = 0;
    for (size_t at = 0; (text = cli_next_value(cli, "right", &at));) {
        unsigned more;
        sl_error error = {0};
        if (sl_rights_parse(text, &more, &error))
            return cli_usage_error(cli, "--right: %s", error.text);
        *rights |= more;
    }
    return CLI_OK;
}

/* The end of a command that makes a key: nothing was made where code says so. */
static int finish(const struct cli *cli, int code, struct place *place, sl_application **application)
{
    if (code)
        place_drop(place);
    else
        code = tell_answer(cli, place, *application);
    sl_application_destroy(application);
    return code;
}

/* The same in the store. */
static int finish_stored(struct cli *cli, int code, struct place *place, struct gw_applications **store,
                         struct gw_application *made, char *url)
{
    if (code)
        place_drop(place);
    else
        code = tell_stored(cli, place, *store, made, url);
    explicit_bzero(made, sizeof *made);
    gw_applications_close(store);
    free(url);
    return code;
}

static int create_stored(struct cli *cli, const sl_application_spec *spec, struct place *place)
{
    struct gw_applications *store = NULL;
    struct gw_application made = {0};
    sl_error error = {0};
    char *url = NULL;
    int code = spec->issuer ? cli_store_check_issuer(cli, spec->issuer) : cli_store_token_url(cli, &url);
    if (!code)
        code = cli_store_open(cli, true, &store);
    const struct gw_application_spec stored = {
        .name = spec->name, .issuer = spec->issuer, .subject = spec->subject, .rights = spec->rights};
    if (!code && gw_applications_create(store, &stored, &made, &error))
        code = cli_fail(cli, &error);
    return finish_stored(cli, code, place, &store, &made, url);
}

static int app_create(struct cli *cli)
{
    struct place place;
    sl_application_spec spec = {.struct_size = sizeof spec,
                                .name = cli->operands[0],
                                .issuer = cli_value(cli, "issuer"),
                                .subject = cli_value(cli, "subject")};
    int code = read_rights(cli, &spec.rights);
    if (!code && !spec.issuer != !spec.subject)
        code = cli_usage_error(cli,
                               "--issuer and --subject belong together: who makes the application's tokens, "
                               "and what they call it");
    if (!code)
        code = place_open(cli, &place);
    if (code)
        return code;
    if (cli_has_store(cli))
        return create_stored(cli, &spec, &place);
    sl_error error = {0};
    sl_application *application = NULL;
    code = cli_connect(cli);
    if (!code && sl_application_create(cli->client, &spec, &application, &error))
        code = cli_fail(cli, &error);
    return finish(cli, code, &place, &application);
}

#define CREDENTIALS_OPTION                                                                                   \
    {                                                                                                        \
        0, "credentials", "FILE",                                                                            \
            "write the credentials there (mode 0600; an existing file is kept and the "                      \
            "command fails) instead of printing them"                                                        \
    }
#define TOKEN_URL_OPTION                                                                                     \
    {                                                                                                        \
        0, "token-url", "URL",                                                                               \
            "with --data-dir: where the gateway gives tokens, for the credentials (default: as its "         \
            "configuration, --config, says)"                                                                 \
    }

static const struct cli_option app_create_options[] = {
    {0, "right", "RIGHT",
     "a right on the platform, create (catalogs) or admin (applications and grants), or on every catalog, "
     "read, "
     "write or manage; repeatable, and several may be joined by commas"},
    {0, "issuer", "URL", "its tokens come from this outside issuer (streamlayer.gateway.token.issuers)"},
    {0, "subject", "TEXT", "what that issuer calls it"},
    CREDENTIALS_OPTION,
    CLI_DATA_DIR_OPTION,
    TOKEN_URL_OPTION,
    {0, NULL, NULL, NULL},
};

const struct cli_command cli_app_create_command = {
    .name = "app create",
    .operands = "NAME",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "make an application and print its credentials",
    .details =
        "The secret is told this once. A new application may do nothing but what --right gives it: grant it "
        "rights on catalogs with streamlayer grant. One with an outside issuer has no key: its id is "
        "printed.\n\n"
        "The first administrator of a gateway is made with --data-dir, by whoever may write its data "
        "directory "
        "(run it as the gateway's user); the gateway sees it at once, running or not. Before its first start "
        "the directory is made, when --config names the gateway's configuration.",
    .examples = "  streamlayer app create fleet --credentials fleet.properties\n"
                "  streamlayer app create operator --right create,admin\n"
                "  streamlayer --config /etc/streamlayer/gateway.conf app create root \\\n"
                "      --right create,admin --data-dir /var/lib/streamlayer\n",
    .options = app_create_options,
    .changes = true,
    .related = "grant",
    .run = app_create,
};

/* list */

static int finish_table(const struct cli *cli, struct cli_table **table)
{
    int code = cli_table_finish(cli, table);
    return code ? code : cli_flush_output(cli);
}

static int print_json(const struct cli *cli, const json_t *value)
{
    if (!json_dumpf(value, stdout, JSON_INDENT(2)))
        putchar('\n');
    return cli_flush_output(cli);
}

static const char *const list_titles[] = {"NAME", "ID", "RIGHTS", "ISSUER"};
static const char *const grant_titles[] = {"NAME", "ID", "ON", "RIGHTS"};

static void add_row(struct cli_table *table, const char *name, const char *id, const char *third,
                    const char *fourth)
{
    const char *cells[] = {name ? name : "?", id ? id : "?", third ? third : "-", fourth ? fourth : "-"};
    cli_table_row(table, cells);
}

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static int list_stored(struct cli *cli, const char *hrn)
{
    struct gw_applications *store;
    sl_error error = {0};
    json_t *items = NULL;
    char *next = NULL;
    int code = cli_store_open(cli, false, &store);
    if (code)
        return code;
    if (hrn ? gw_applications_grants_json(store, hrn, &items, &error)
            : gw_applications_list_json(store, NULL, SIZE_MAX, &items, &next, &error)) {
        code = cli_fail(cli, &error);
    } else if (cli->json) {
        json_t *value = hrn ? json_pack("{s:O}", "grants", items) : json_incref(items);
        code = print_json(cli, value);
        json_decref(value);
    } else {
        struct cli_table *table = cli_table_create(4, hrn ? grant_titles : list_titles);
        size_t index;
        const json_t *item;
        char text[SL_RIGHTS_TEXT];
        json_array_foreach(items, index, item)
        {
            sl_rights_text(sl_rights_known(json_object_get(item, "rights")), text);
            if (hrn)
                add_row(table, text_of(item, "name"), text_of(item, "application"), text_of(item, "hrn"),
                        text);
            else
                add_row(table, text_of(item, "name"), text_of(item, "id"), text, text_of(item, "issuer"));
        }
        code = finish_table(cli, &table);
    }
    json_decref(items);
    free(next);
    gw_applications_close(&store);
    return code;
}

static int list_grants(struct cli *cli, const char *hrn)
{
    sl_error error = {0};
    sl_grant_list *list = NULL;
    if (sl_grant_list_get(cli->client, hrn, &list, &error))
        return cli_fail(cli, &error);
    int code;
    if (cli->json) {
        puts(sl_grant_list_json(list));
        code = cli_flush_output(cli);
    } else {
        struct cli_table *table = cli_table_create(4, grant_titles);
        sl_grant grant = {.struct_size = sizeof grant};
        char text[SL_RIGHTS_TEXT];
        for (size_t i = 0; sl_grant_list_at(list, i, &grant); i++)
            add_row(table, grant.name, grant.application, grant.hrn, sl_rights_text(grant.rights, text));
        code = finish_table(cli, &table);
    }
    sl_grant_list_destroy(&list);
    return code;
}

static int app_list(struct cli *cli)
{
    const char *hrn = cli->operand_count ? cli->operands[0] : NULL;
    if (cli_has_store(cli))
        return list_stored(cli, hrn);
    int code = cli_connect(cli);
    if (code)
        return code;
    if (hrn)
        return list_grants(cli, hrn);
    sl_error error = {0};
    sl_application_list *list = NULL;
    if (sl_application_list_get(cli->client, &list, &error))
        return cli_fail(cli, &error);
    if (cli->json) {
        puts(sl_application_list_json(list));
        code = cli_flush_output(cli);
    } else {
        struct cli_table *table = cli_table_create(4, list_titles);
        char text[SL_RIGHTS_TEXT];
        for (size_t i = 0; i < sl_application_list_count(list); i++) {
            const sl_application *application = sl_application_list_at(list, i);
            add_row(table, sl_application_name(application), sl_application_id(application),
                    sl_rights_text(sl_application_rights(application), text),
                    sl_application_issuer(application));
        }
        code = finish_table(cli, &table);
    }
    sl_application_list_destroy(&list);
    return code;
}

static const struct cli_option store_options[] = {
    CLI_DATA_DIR_OPTION,
    {0, NULL, NULL, NULL},
};

const struct cli_command cli_app_list_command = {
    .name = "app list",
    .operands = "[HRN]",
    .min_operands = 0,
    .max_operands = 1,
    .summary = "list the applications, or who may do what on a catalog",
    .details =
        "With HRN: the grants on that catalog, those on every catalog (*) among them. With '*': only the "
        "latter, and the rights on the platform. Needs the right admin, or for a catalog to manage it.",
    .examples = "  streamlayer app list\n"
                "  streamlayer app list hrn:here:data::local:traffic\n",
    .options = store_options,
    .related = "grant",
    .run = app_list,
};

/* show */

static int print_application(const struct cli *cli, const json_t *value)
{
    char rights[SL_RIGHTS_TEXT];
    printf("name    %s\nid      %s\nrights  %s\n", text_of(value, "name"), text_of(value, "id"),
           sl_rights_text(sl_rights_known(json_object_get(value, "rights")), rights));
    if (text_of(value, "issuer"))
        printf("issuer  %s, as %s\n", text_of(value, "issuer"), text_of(value, "subject"));
    static const char *const key_titles[] = {"KEY", "MADE", "ENDS"};
    static const char *const titles[] = {"CATALOG", "RIGHTS"};
    struct cli_table *keys = cli_table_create(3, key_titles), *grants = cli_table_create(2, titles);
    size_t index;
    const json_t *item;
    json_array_foreach(json_object_get(value, "keys"), index, item)
    {
        char made[32], ends[32];
        const json_t *expires = json_object_get(item, "expires");
        cli_format_time(json_integer_value(json_object_get(item, "created")), "never", made);
        cli_format_time(expires ? json_integer_value(expires) : -1, "never", ends);
        const char *cells[] = {text_of(item, "accessKeyId"), made, ends};
        cli_table_row(keys, cells);
    }
    json_array_foreach(json_object_get(value, "grants"), index, item)
    {
        const char *cells[] = {text_of(item, "hrn"),
                               sl_rights_text(sl_rights_known(json_object_get(item, "rights")), rights)};
        cli_table_row(grants, cells);
    }
    putchar('\n');
    int code = finish_table(cli, &keys);
    if (!code)
        putchar('\n');
    if (!code)
        return finish_table(cli, &grants);
    cli_table_drop(&grants);
    return code;
}

static int app_show(struct cli *cli)
{
    sl_error error = {0};
    json_t *value = NULL;
    int code;
    if (cli_has_store(cli)) {
        struct gw_applications *store;
        code = cli_store_open(cli, false, &store);
        if (!code && gw_applications_json(store, cli->operands[0], &value, &error))
            code = cli_fail(cli, &error);
        gw_applications_close(&store);
    } else {
        sl_application *application = NULL;
        code = cli_connect(cli);
        if (!code && sl_application_get(cli->client, cli->operands[0], &application, &error))
            code = cli_fail(cli, &error);
        if (!code && !(value = json_loads(sl_application_json(application), 0, NULL)))
            code = cli_out_of_memory(cli);
        sl_application_destroy(&application);
    }
    if (!code)
        code = cli->json ? print_json(cli, value) : print_application(cli, value);
    json_decref(value);
    return code;
}

const struct cli_command cli_app_show_command = {
    .name = "app show",
    .operands = "NAME",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "show an application with its keys and grants",
    .details = "NAME is its name or its id. RIGHTS above are those on every catalog and on the platform.",
    .examples = "  streamlayer app show fleet\n",
    .options = store_options,
    .run = app_show,
};

/* delete */

static int app_delete(struct cli *cli)
{
    sl_error error = {0};
    const char *name = cli->operands[0];
    int code = cli_ask_unless_sure(cli, "Delete application %s, its keys and its grants?", name);
    if (code)
        return code;
    if (cli_has_store(cli)) {
        struct gw_applications *store;
        code = cli_store_open(cli, false, &store);
        if (!code && gw_applications_delete(store, name, &error))
            code = cli_fail(cli, &error);
        gw_applications_close(&store);
        return code;
    }
    code = cli_connect(cli);
    if (!code && sl_application_delete(cli->client, name, &error))
        code = cli_fail(cli, &error);
    return code;
}

static const struct cli_option app_delete_options[] = {
    {'y', "yes", NULL, "do not ask"},
    CLI_DATA_DIR_OPTION,
    {0, NULL, NULL, NULL},
};

const struct cli_command cli_app_delete_command = {
    .name = "app delete",
    .operands = "NAME",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "delete an application, its keys and its grants",
    .details =
        "Its tokens are refused from then on, and its subscriptions and publications end. Catalogs that it "
        "made stay. The last application with the right admin is not deleted. Asks first; where nobody can "
        "be asked, not on a terminal, --yes is needed.",
    .examples = "  streamlayer app delete fleet --yes\n",
    .options = app_delete_options,
    .changes = true,
    .run = app_delete,
};

/* rotate */

static int rotate_stored(struct cli *cli, int64_t grace_ms, struct place *place)
{
    struct gw_applications *store = NULL;
    struct gw_application made = {0};
    sl_error error = {0};
    char *url;
    int code = cli_store_token_url(cli, &url);
    if (!code)
        code = cli_store_open(cli, false, &store);
    if (!code && gw_applications_rotate(store, cli->operands[0], grace_ms, &made, &error))
        code = cli_fail(cli, &error);
    return finish_stored(cli, code, place, &store, &made, url);
}

static int app_rotate(struct cli *cli)
{
    struct place place;
    int64_t grace_ms = DEFAULT_GRACE_MS;
    if (!cli_duration_ms(cli, "grace", 0, GW_GRACE_MAX_MS, &grace_ms))
        return CLI_USAGE;
    if (cli_flag(cli, "now") && cli_value(cli, "grace"))
        return cli_usage_error(cli, "--now and --grace say two things: give one of them");
    if (cli_flag(cli, "now"))
        grace_ms = 0;
    int code = place_open(cli, &place);
    if (code)
        return code;
    if (cli_has_store(cli))
        return rotate_stored(cli, grace_ms, &place);
    sl_error error = {0};
    sl_application *application = NULL;
    code = cli_connect(cli);
    if (!code && sl_application_rotate(cli->client, cli->operands[0], grace_ms, &application, &error))
        code = cli_fail(cli, &error);
    return finish(cli, code, &place, &application);
}

static const struct cli_option app_rotate_options[] = {
    {0, "grace", "DURATION", "how long the keys before go on to get tokens (default 24h)"},
    {0, "now", NULL, "they end at once"},
    CREDENTIALS_OPTION,
    CLI_DATA_DIR_OPTION,
    TOKEN_URL_OPTION,
    {0, NULL, NULL, NULL},
};

const struct cli_command cli_app_rotate_command = {
    .name = "app rotate",
    .operands = "NAME",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "give an application a new key and print its credentials",
    .details =
        "The keys before go on for a while, so that running programs can be given the new one without a "
        "gap. Tokens that were got with them are good until they end (streamlayer.gateway.token.lifetime): "
        "where a key has leaked, --now and a short lifetime, or deleting the application, end all of it.",
    .examples = "  streamlayer app rotate fleet --credentials fleet-2.properties\n"
                "  streamlayer app rotate fleet --now\n",
    .options = app_rotate_options,
    .changes = true,
    .run = app_rotate,
};
