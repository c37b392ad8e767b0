/* streamlayer catalog create|list|show|delete */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

static const struct cli_option catalog_create_options[] = {
    {'n', "name", "NAME", "a name for people; without it the id"},
    {'m', "marketplace", NULL, "offer it on the Marketplace: read over HTTP, by subscription, and counted"},
    {0, NULL, NULL, NULL},
};

static int catalog_create(struct cli *cli)
{
    int code = cli_connect(cli);
    if (code)
        return code;
    sl_error error = {0};
    sl_catalog *catalog = NULL;
    const sl_catalog_spec spec = {.struct_size = sizeof spec,
                                  .id = cli->operands[0],
                                  .name = cli_value(cli, "name"),
                                  .marketplace = cli_flag(cli, "marketplace")};
    if (sl_catalog_create_as(cli->client, &spec, &catalog, &error))
        return cli_fail(cli, &error);
    puts(cli->json ? sl_catalog_json(catalog) : sl_catalog_hrn(catalog));
    sl_catalog_destroy(&catalog);
    return cli_flush_output(cli);
}

const struct cli_command cli_catalog_create_command = {
    .name = "catalog create",
    .operands = "ID",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "make a catalog and print its HRN",
    .details = "Whether a catalog is on the Marketplace cannot be changed once it has layers.",
    .examples = "  streamlayer catalog create traffic --name \"City traffic\"\n"
                "  streamlayer catalog create roads --marketplace\n",
    .options = catalog_create_options,
    .changes = true,
    .related = "layer create,marketplace subscribe",
    .run = catalog_create,
};

static void print_list_json(const sl_catalog_list *list)
{
    size_t count = sl_catalog_list_count(list);
    putchar('[');
    for (size_t i = 0; i < count; i++)
        printf("%s%s", i ? ",\n" : "", sl_catalog_json(sl_catalog_list_at(list, i)));
    puts("]");
}

static int catalog_list(struct cli *cli)
{
    int code = cli_connect(cli);
    if (code)
        return code;
    sl_error error = {0};
    sl_catalog_list *list = NULL;
    if (sl_catalog_list_get(cli->client, &list, &error))
        return cli_fail(cli, &error);
    if (cli->json) {
        print_list_json(list);
    } else {
        static const char *const titles[] = {"HRN", "LAYERS", "MARKETPLACE", "NAME"};
        struct cli_table *table = cli_table_create(4, titles);
        for (size_t i = 0; i < sl_catalog_list_count(list); i++) {
            const sl_catalog *catalog = sl_catalog_list_at(list, i);
            char layers[24];
            snprintf(layers, sizeof layers, "%zu", sl_catalog_layer_count(catalog));
            const char *cells[] = {sl_catalog_hrn(catalog), layers,
                                   sl_catalog_marketplace(catalog) ? "yes" : "-", sl_catalog_name(catalog)};
            cli_table_row(table, cells);
        }
        cli_table_print(&table);
    }
    sl_catalog_list_destroy(&list);
    return cli_flush_output(cli);
}

const struct cli_command cli_catalog_list_command = {
    .name = "catalog list",
    .operands = "",
    .min_operands = 0,
    .max_operands = 0,
    .summary = "list the catalogs",
    .examples = "  streamlayer catalog list --json\n",
    .run = catalog_list,
};

static int catalog_show(struct cli *cli)
{
    int code = cli_connect(cli);
    if (code)
        return code;
    sl_error error = {0};
    sl_catalog *catalog = NULL;
    if (sl_catalog_get(cli->client, cli->operands[0], &catalog, &error))
        return cli_fail(cli, &error);
    if (cli->json) {
        puts(sl_catalog_json(catalog));
    } else {
        static const char *const titles[] = {"LAYER", "CONTENT TYPE", "NAME"};
        printf("HRN   %s\nid    %s\nname  %s\n", sl_catalog_hrn(catalog), sl_catalog_id(catalog),
               sl_catalog_name(catalog));
        if (sl_catalog_marketplace(catalog))
            puts("On the Marketplace: it is read over HTTP, by Marketplace subscription, and counted.");
        putchar('\n');
        struct cli_table *table = cli_table_create(3, titles);
        sl_layer_spec layer = {.struct_size = sizeof layer};
        for (size_t i = 0; sl_catalog_layer_at(catalog, i, &layer); i++) {
            const char *cells[] = {layer.id, layer.content_type, layer.name};
            cli_table_row(table, cells);
        }
        cli_table_print(&table);
    }
    sl_catalog_destroy(&catalog);
    return cli_flush_output(cli);
}

const struct cli_command cli_catalog_show_command = {
    .name = "catalog show",
    .operands = "HRN",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "show a catalog with its layers",
    .examples = "  streamlayer catalog show hrn:here:data::local:traffic\n",
    .related = "layer list",
    .run = catalog_show,
};

static int catalog_delete(struct cli *cli)
{
    int code =
        cli_ask_unless_sure(cli, "Delete catalog %s, its layers and their messages?", cli->operands[0]);
    if (!code)
        code = cli_connect(cli);
    if (code)
        return code;
    sl_error error = {0};
    if (sl_catalog_delete(cli->client, cli->operands[0], &error))
        return cli_fail(cli, &error);
    return CLI_OK;
}

static const struct cli_option catalog_delete_options[] = {
    {'y', "yes", NULL, "do not ask"},
    {0, NULL, NULL, NULL},
};

const struct cli_command cli_catalog_delete_command = {
    .name = "catalog delete",
    .operands = "HRN",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "delete a catalog, its layers and their messages",
    .details = "Asks first; where nobody can be asked, not on a terminal, --yes is needed.",
    .examples = "  streamlayer catalog delete hrn:here:data::local:traffic\n"
                "  streamlayer catalog delete hrn:here:data::local:traffic --yes\n",
    .options = catalog_delete_options,
    .changes = true,
    .run = catalog_delete,
};
