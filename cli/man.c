/* streamlayer man: the manual pages, from what --help says. */
#include "base/error.h"
#include "config/settings.h"
#include "help.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Text as roff means it literally. */
static void put(FILE *out, const char *text, size_t size)
{
    bool begin = true;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0xc0) { /* our own texts are UTF-8: two or three bytes a character */
            unsigned code = c >= 0xe0 ? c & 0x0fu : c & 0x1fu;
            for (size_t left = c >= 0xe0 ? 2 : 1; left > 0 && i + 1 < size; left--)
                code = code << 6 | ((unsigned char)text[++i] & 0x3fu);
            fprintf(out, "\\[u%04X]", code);
        } else if (c == '\\') {
            fputs("\\e", out);
        } else if (c == '-') {
            fputs("\\-", out);
        } else if (c == '\'') {
            fputs("\\(aq", out);
        } else if (c == '`') {
            fputs("\\(ga", out);
        } else if (c == '^') {
            fputs("\\(ha", out);
        } else if (c == '~') {
            fputs("\\(ti", out);
        } else if (c == '"') {
            fputs("\\(dq", out);
        } else {
            if (begin && c == '.')
                fputs("\\&", out);
            fputc(c, out);
        }
        begin = c == '\n';
    }
}

static void put_text(FILE *out, const char *text)
{
    put(out, text, strlen(text));
}

static void put_verbatim(FILE *out, const char *text, size_t size)
{
    fputs(".nf\n", out);
    put(out, text, size);
    if (size && text[size - 1] != '\n')
        fputc('\n', out);
    fputs(".fi\n", out);
}

/* Words with single blanks: roff fills the lines. */
static void put_words(FILE *out, const char *text, size_t size)
{
    const char *end = text + size;
    bool first = true;
    while (text < end) {
        size_t blanks = strspn(text, " \n"), length = strcspn(text + blanks, " \n");
        text += blanks;
        if (text >= end || !length)
            break;
        /* A line is one sentence, as roff wants it, so that what stands at its end tells nothing wrong. */
        bool ended = !first && strchr(".:;", text[-(long)blanks - 1]) != NULL;
        if (!first)
            fputc(ended ? '\n' : ' ', out);
        if (ended && *text == '.')
            fputs("\\&", out);
        put(out, text, length);
        first = false;
        text += length;
    }
    fputc('\n', out);
}

static void put_paragraphs(FILE *out, const char *text)
{
    struct cli_block block;
    for (bool first = true; cli_next_block(&text, &block); first = false) {
        if (!first)
            fputs(".PP\n", out);
        if (block.verbatim)
            put_verbatim(out, block.text, block.size);
        else
            put_words(out, block.text, block.size);
    }
}

static void put_options(FILE *out, const struct cli_option *options)
{
    for (const struct cli_option *option = options; !cli_option_is_end(option); option++) {
        char usage[96];
        cli_option_usage(option, usage, sizeof usage);
        fputs(".TP\n.B ", out);
        put_text(out, usage + strspn(usage, " "));
        fputc('\n', out);
        put_words(out, option->meaning, strlen(option->meaning));
    }
}

static void put_head(FILE *out, const char *page, int section, const char *summary)
{
    fputs(".TH ", out);
    for (const char *c = page; *c; c++)
        fputc(toupper((unsigned char)*c), out);
    fprintf(out, " %d \"\" \"streamlayer %s\" \"streamlayer\"\n.SH NAME\n", section, sl_version());
    put_text(out, page);
    fputs(" \\- ", out);
    put_text(out, summary);
    fputc('\n', out);
}

static void put_exit_codes(FILE *out)
{
    fputs(".SH EXIT STATUS\n", out);
    put_verbatim(out, cli_exit_codes, strlen(cli_exit_codes));
}

static void put_files(FILE *out)
{
    static const char *const files[][2] = {
        {"/etc/streamlayer/application.conf", "settings for everybody on this machine"},
        {"~/.config/streamlayer/application.conf", "a user's settings; $XDG_CONFIG_HOME is respected"},
        {"~/.config/streamlayer/contexts.conf", "platforms by name, and the current one"},
        {"~/.local/share/streamlayer", "the data of streamlayer up, unless --data-dir says otherwise"},
    };
    fputs(".SH FILES\n", out);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        fputs(".TP\n.I ", out);
        put_text(out, files[i][0]);
        fputc('\n', out);
        put_text(out, files[i][1]);
        fputc('\n', out);
    }
}

/* Of a command, or of the first word of some. */
static void page_name(const char *name, char *out, size_t size)
{
    snprintf(out, size, "streamlayer-%s", name);
    for (char *c = out; *c; c++)
        if (*c == ' ')
            *c = '-';
}

/* How many bytes of the name are its first word; 0: it has only one. */
static size_t group_size(const char *name)
{
    size_t size = strcspn(name, " ");
    return name[size] ? size : 0;
}

static void put_reference(FILE *out, const char *name, bool last)
{
    char page[64];
    page_name(name, page, sizeof page);
    fputs(".BR ", out);
    put_text(out, page);
    fprintf(out, " (1)%s\n", last ? "" : ",");
}

/* The overview, the page of its group and the group's other commands, and what is related. */
static void put_see_also(FILE *out, const struct cli_command *command)
{
    size_t group = group_size(command->name);
    char name[64];
    fputs(".SH SEE ALSO\n.BR streamlayer (1),\n", out);
    if (group) {
        snprintf(name, sizeof name, "%.*s", (int)group, command->name);
        put_reference(out, name, false);
    }
    for (size_t i = 0; group && cli_commands[i]; i++)
        if (cli_commands[i] != command && !strncmp(cli_commands[i]->name, command->name, group + 1))
            put_reference(out, cli_commands[i]->name, false);
    for (const char *at = command->related; at && *at;) {
        size_t size = strcspn(at, ",");
        snprintf(name, sizeof name, "%.*s", (int)size, at);
        if (!group || strncmp(name, command->name, group + 1) != 0) /* else it stands there already */
            put_reference(out, name, false);
        at += size + (at[size] == ',');
    }
    fputs(".BR streamlayerd (8)\n", out);
}

static void write_command(FILE *out, const struct cli_command *command)
{
    char page[64], usage[200];
    page_name(command->name, page, sizeof page);
    cli_command_usage(command, usage, sizeof usage);
    put_head(out, page, 1, command->summary);
    fputs(".SH SYNOPSIS\n.B ", out);
    put_text(out, usage);
    fputs("\n.SH DESCRIPTION\n", out);
    if (command->details)
        put_paragraphs(out, command->details);
    else
        fprintf(out, "%c%s.\n", toupper((unsigned char)command->summary[0]), command->summary + 1);
    if (command->options) {
        fputs(".SH OPTIONS\n", out);
        put_options(out, command->options);
    }
    fputs(".SH OPTIONS OF EVERY COMMAND\n", out);
    put_options(out, cli_global_options);
    fputs(".SH EXAMPLES\n", out);
    put_verbatim(out, command->examples, strlen(command->examples));
    put_exit_codes(out);
    put_see_also(out, command);
}

/* Whether some commands have that first word; *first is the first of them. */
static bool is_group(const char *word, size_t *first)
{
    size_t size = strlen(word);
    for (size_t i = 0; cli_commands[i]; i++)
        if (group_size(cli_commands[i]->name) == size && !strncmp(cli_commands[i]->name, word, size)) {
            *first = i;
            return true;
        }
    return false;
}

static void put_commands(FILE *out, const char *group)
{
    size_t size = group ? strlen(group) : 0;
    fputs(".SH COMMANDS\n", out);
    for (size_t i = 0; cli_commands[i]; i++) {
        if (group &&
            (group_size(cli_commands[i]->name) != size || strncmp(cli_commands[i]->name, group, size) != 0))
            continue;
        fputs(".TP\n.B ", out);
        put_text(out, cli_commands[i]->name);
        fputc('\n', out);
        put_text(out, cli_commands[i]->summary);
        fputc('\n', out);
    }
}

/* What `streamlayer catalog --help` says: who looks for "streamlayer-catalog" finds the way. */
static void write_group(FILE *out, const char *group)
{
    char page[64], summary[64];
    size_t size = strlen(group), last = 0;
    page_name(group, page, sizeof page);
    snprintf(summary, sizeof summary, "the commands of streamlayer %s", group);
    put_head(out, page, 1, summary);
    fputs(".SH SYNOPSIS\n.B streamlayer ", out);
    put_text(out, group);
    fputs("\n[OPTION…] COMMAND …\n", out);
    put_commands(out, group);
    put_exit_codes(out);
    fputs(".SH SEE ALSO\n.BR streamlayer (1),\n", out);
    for (size_t i = 0; cli_commands[i]; i++)
        if (group_size(cli_commands[i]->name) == size && !strncmp(cli_commands[i]->name, group, size))
            last = i;
    for (size_t i = 0; cli_commands[i]; i++)
        if (group_size(cli_commands[i]->name) == size && !strncmp(cli_commands[i]->name, group, size))
            put_reference(out, cli_commands[i]->name, i == last);
}

static void write_overview(FILE *out)
{
    put_head(out, "streamlayer", 1, "reads and writes stream layers, and runs a platform that has them");
    fputs(".SH SYNOPSIS\n.B streamlayer\n", out);
    put_text(out, "[OPTION…] COMMAND …");
    fputs("\n.SH DESCRIPTION\n", out);
    put_words(out, cli_program_summary, strlen(cli_program_summary));
    put_commands(out, NULL);
    fputs(".SH OPTIONS\nThey stand before or after the command.\n", out);
    put_options(out, cli_global_options);
    put_exit_codes(out);
    put_files(out);
    fputs(".SH SEE ALSO\n", out);
    for (size_t i = 0; cli_commands[i]; i++)
        put_reference(out, cli_commands[i]->name, false);
    fputs(".BR streamlayerd (8)\n", out);
}

/* The --help text of streamlayerd, which comes on standard input, as its page: "name: summary", an empty
 * line, how it is called, and blocks of options ("  --name VALUE   meaning"), paragraphs and examples. */
static void write_service(FILE *out, const char *help)
{
    const char *line = help + strcspn(help, "\n");
    const char *colon = memchr(help, ':', (size_t)(line - help));
    char summary[200];
    snprintf(summary, sizeof summary, "%.*s", (int)(colon ? line - colon - 2 : line - help),
             colon ? colon + 2 : help);
    put_head(out, "streamlayerd", 8, summary);
    fputs(".SH SYNOPSIS\n", out);
    struct cli_block block;
    bool described = false;
    for (bool first = true; cli_next_block(&line, &block); first = false) {
        bool options = block.verbatim && strspn(block.text, " ") == 2 && block.text[2] == '-';
        if (options)
            fputs(".SH OPTIONS\n", out);
        else if (!first && !described) {
            fputs(".SH DESCRIPTION\n", out);
            described = true;
        } else if (!first)
            fputs(".PP\n", out);
        if (block.verbatim)
            put_verbatim(out, block.text, block.size);
        else
            put_words(out, block.text, block.size);
    }
    fputs(".SH SETTINGS\n", out);
    const struct sl_setting *setting;
    for (size_t i = 0; (setting = sl_setting_at(i)) != NULL; i++) {
        if (strncmp(setting->path, SL_GATEWAY_ROOT, strlen(SL_GATEWAY_ROOT)) != 0)
            continue;
        fputs(".TP\n.B ", out);
        put_text(out, setting->path);
        fputc('\n', out);
        put_words(out, setting->meaning, strlen(setting->meaning));
        if (setting->value) {
            fputs("Default: ", out);
            put_text(out, *setting->value ? setting->value : "empty");
            fputs(".\n", out);
        }
    }
    fputs(".SH SEE ALSO\n.BR streamlayer (1)\n", out);
}

static const struct cli_command *find(const struct cli *cli)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s%s", cli->operands[0], cli->operand_count > 1 ? " " : "",
             cli->operand_count > 1 ? cli->operands[1] : "");
    for (size_t i = 0; cli_commands[i]; i++)
        if (!strcmp(cli_commands[i]->name, name))
            return cli_commands[i];
    return NULL;
}

static void write_any(FILE *out, const struct cli_command *command, const char *group)
{
    if (command)
        write_command(out, command);
    else if (group)
        write_group(out, group);
    else
        write_overview(out);
}

static int write_page(const struct cli *cli, const char *directory, const struct cli_command *command,
                      const char *group)
{
    char page[64] = "streamlayer", path[PATH_MAX];
    if (command || group)
        page_name(command ? command->name : group, page, sizeof page);
    snprintf(path, sizeof path, "%s/%s.1", directory, page);
    FILE *out = fopen(path, "we");
    if (out)
        write_any(out, command, group);
    if (out && !fclose(out))
        return CLI_OK;
    return cli_file_error(cli, path, errno);
}

static int write_pages(const struct cli *cli, const char *directory)
{
    int code = write_page(cli, directory, NULL, NULL);
    for (size_t i = 0, first; !code && cli_commands[i]; i++) {
        char group[64];
        snprintf(group, sizeof group, "%.*s", (int)group_size(cli_commands[i]->name), cli_commands[i]->name);
        code = write_page(cli, directory, cli_commands[i], NULL);
        if (!code && *group && is_group(group, &first) && first == i)
            code = write_page(cli, directory, NULL, group);
    }
    return code;
}

static int run_man(struct cli *cli)
{
    const char *directory = cli_value(cli, "directory");
    if (directory)
        return write_pages(cli, directory);
    if (cli_flag(cli, "service")) {
        char help[16384];
        size_t size = fread(help, 1, sizeof help - 1, stdin);
        help[size] = 0;
        write_service(stdout, help);
        return cli_flush_output(cli);
    }
    const struct cli_command *command = cli->operand_count ? find(cli) : NULL;
    size_t first;
    const char *group =
        cli->operand_count == 1 && is_group(cli->operands[0], &first) ? cli->operands[0] : NULL;
    if (cli->operand_count && !command && !group)
        return cli_usage_error(cli, "unknown command \"%s%s%s\"", cli->operands[0],
                               cli->operand_count > 1 ? " " : "",
                               cli->operand_count > 1 ? cli->operands[1] : "");
    write_any(stdout, command, group);
    return cli_flush_output(cli);
}

static const struct cli_option options[] = {
    {0, "directory", "DIR", "write every page into DIR, as streamlayer.1, streamlayer-produce.1, …"},
    {0, "service", NULL, "make streamlayerd's page of its --help, from standard input"},
    {0, NULL, NULL, NULL},
};

const struct cli_command cli_man_command = {
    .name = "man",
    .operands = "[COMMAND…]",
    .max_operands = 2,
    .summary = "print a manual page",
    .details =
        "Without COMMAND, the program's own. What is printed is roff, for man -l; an installation has the "
        "pages, as streamlayer(1), streamlayer-produce(1), streamlayer-catalog(1), "
        "streamlayer-catalog-create(1), "
        "and so on.",
    .examples = "  streamlayer man produce | man -l -\n"
                "  streamlayer man --directory /usr/local/share/man/man1\n",
    .options = options,
    .run = run_man,
};
