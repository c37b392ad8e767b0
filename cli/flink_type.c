/* A parser of Flink SQL's types: a word that is none is told here, and not by the job that starts later. */
#include "flink_type.h"

#include "base/text.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define DEPTH_MAX 16
#define WORD_MAX  40
#define SHOWN_MAX 60 /* bytes of what is wrong */

struct parser {
    const char *at;
    char word[WORD_MAX + 1]; /* the one at hand; "": it is a sign, or the end */
    size_t depth;
    char *why;
};

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Goes to the next word or sign. */
static void look(struct parser *parser)
{
    parser->at += strspn(parser->at, " ");
    size_t size = 0;
    while (is_letter(parser->at[size]) || (size && is_digit(parser->at[size])))
        size++;
    snprintf(parser->word, sizeof parser->word, "%.*s", size < WORD_MAX ? (int)size : WORD_MAX, parser->at);
}

static void skip(struct parser *parser, size_t size)
{
    parser->at += size;
    look(parser);
}

static bool take_word(struct parser *parser, const char *word)
{
    if (strcasecmp(parser->word, word) != 0)
        return false;
    skip(parser, strlen(word));
    return true;
}

static bool take_sign(struct parser *parser, char sign)
{
    if (*parser->at != sign)
        return false;
    skip(parser, 1);
    return true;
}

/* How much of a text is shown: whole characters. */
static int shown(const char *text)
{
    size_t size = strlen(text);
    if (size > SHOWN_MAX)
        for (size = SHOWN_MAX; size && ((unsigned char)text[size] & 0xc0) == 0x80;)
            size--;
    return (int)size;
}

static bool refuse(struct parser *parser, const char *what)
{
    if (*parser->at)
        snprintf(parser->why, CLI_FLINK_WHY, "%s is needed at \"%.*s\"", what, shown(parser->at), parser->at);
    else
        snprintf(parser->why, CLI_FLINK_WHY, "%s is missing at its end", what);
    return false;
}

static bool need_sign(struct parser *parser, char sign)
{
    const char what[] = {sign, 0};
    return take_sign(parser, sign) || refuse(parser, what);
}

static bool need_number(struct parser *parser, const char *of, int64_t least, int64_t most, int64_t *number)
{
    char digits[16] = "";
    size_t size = strspn(parser->at, "0123456789");
    if (size && size < sizeof digits)
        memcpy(digits, parser->at, size);
    if (!sl_parse_int(digits, least, most, number)) {
        snprintf(parser->why, CLI_FLINK_WHY, "%s takes a number of %lld to %lld, not \"%.*s\"", of,
                 (long long)least, (long long)most, shown(parser->at), parser->at);
        return false;
    }
    skip(parser, size);
    return true;
}

/* (n), which may be left out. */
static bool length(struct parser *parser, const char *of, int64_t least, int64_t most)
{
    int64_t number;
    return !take_sign(parser, '(') ||
           (need_number(parser, of, least, most, &number) && need_sign(parser, ')'));
}

static bool decimal(struct parser *parser)
{
    int64_t precision, scale;
    if (!take_sign(parser, '('))
        return true;
    if (!need_number(parser, "the precision of DECIMAL", 1, 38, &precision))
        return false;
    if (take_sign(parser, ',') && !need_number(parser, "the scale of DECIMAL", 0, precision, &scale))
        return false;
    return need_sign(parser, ')');
}

/* Behind TIME or TIMESTAMP. */
static bool time_zone(struct parser *parser, bool local)
{
    bool with = local && take_word(parser, "WITH");
    if (!with && !take_word(parser, "WITHOUT"))
        return true;
    return ((!with || take_word(parser, "LOCAL")) && take_word(parser, "TIME") &&
            take_word(parser, "ZONE")) ||
           refuse(parser, with ? "LOCAL TIME ZONE" : "TIME ZONE");
}

static bool any_type(struct parser *parser);

static bool inside(struct parser *parser, size_t types)
{
    if (!need_sign(parser, '<'))
        return false;
    for (size_t i = 0; i < types; i++)
        if ((i && !need_sign(parser, ',')) || !any_type(parser))
            return false;
    return need_sign(parser, '>');
}

/* Behind the first backtick of a name. */
static bool quoted_name(struct parser *parser)
{
    const char *begin = parser->at + 1, *end = begin;
    while (*end && (*end != '`' || end[1] == '`')) {
        if ((unsigned char)*end < ' ') {
            snprintf(parser->why, CLI_FLINK_WHY, "the name of a field of ROW has a control character");
            return false;
        }
        end += *end == '`' ? 2 : 1;
    }
    if (*end && end == begin)
        return refuse(parser, "the name of a field of ROW");
    if (!*end) {
        parser->at = end;
        return refuse(parser, "`");
    }
    skip(parser, (size_t)(end + 1 - parser->at));
    return true;
}

/* A name as it is, or in backticks, which stand twice for one of its own. */
static bool field_name(struct parser *parser)
{
    if (*parser->word) {
        size_t size = 0;
        while (is_letter(parser->at[size]) || is_digit(parser->at[size]))
            size++;
        skip(parser, size);
        return true;
    }
    return *parser->at == '`' ? quoted_name(parser) : refuse(parser, "the name of a field of ROW");
}

static bool row(struct parser *parser)
{
    char close = *parser->at == '(' ? ')' : '>';
    if (!need_sign(parser, close == ')' ? '(' : '<'))
        return false;
    do
        if (!field_name(parser) || !any_type(parser))
            return false;
    while (take_sign(parser, ','));
    return need_sign(parser, close);
}

static bool unknown(struct parser *parser)
{
    static const char *const names[] = {
        "STRING",    "CHAR",          "VARCHAR", "BOOLEAN",  "BYTES",  "BINARY", "VARBINARY", "DECIMAL",
        "TINYINT",   "SMALLINT",      "INT",     "INTEGER",  "BIGINT", "FLOAT",  "DOUBLE",    "DATE",
        "TIMESTAMP", "TIMESTAMP_LTZ", "ARRAY",   "MULTISET", "MAP",    "ROW",    "TIME"};
    char word[WORD_MAX + 1];
    if (!*parser->word)
        return refuse(parser, "a type");
    for (size_t i = 0; i < sizeof word; i++)
        word[i] =
            (char)(parser->word[i] >= 'a' && parser->word[i] <= 'z' ? parser->word[i] - 32 : parser->word[i]);
    const char *nearest = sl_nearest(word, names, sizeof names / sizeof *names);
    snprintf(parser->why, CLI_FLINK_WHY, "%s is no type of Flink SQL%s%s%s", parser->word,
             nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
    return false;
}

static bool plain_type(struct parser *parser)
{
    static const char *const bare[] = {"STRING", "BOOLEAN", "BYTES",  "TINYINT", "SMALLINT",
                                       "INT",    "INTEGER", "BIGINT", "FLOAT",   "DATE"};
    static const char *const lengths[] = {"CHAR", "VARCHAR", "BINARY", "VARBINARY"};
    for (size_t i = 0; i < sizeof bare / sizeof *bare; i++)
        if (take_word(parser, bare[i]))
            return true;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        if (take_word(parser, lengths[i]))
            return length(parser, lengths[i], 1, INT_MAX);
    if (take_word(parser, "DOUBLE")) {
        take_word(parser, "PRECISION"); /* says nothing more */
        return true;
    }
    if (take_word(parser, "DECIMAL") || take_word(parser, "DEC") || take_word(parser, "NUMERIC"))
        return decimal(parser);
    if (take_word(parser, "TIME"))
        return length(parser, "TIME", 0, 9) && time_zone(parser, false);
    if (take_word(parser, "TIMESTAMP"))
        return length(parser, "TIMESTAMP", 0, 9) && time_zone(parser, true);
    if (take_word(parser, "TIMESTAMP_LTZ"))
        return length(parser, "TIMESTAMP_LTZ", 0, 9);
    if (take_word(parser, "ARRAY") || take_word(parser, "MULTISET"))
        return inside(parser, 1);
    if (take_word(parser, "MAP"))
        return inside(parser, 2);
    return take_word(parser, "ROW") ? row(parser) : unknown(parser);
}

static bool nullable(struct parser *parser)
{
    bool negated = take_word(parser, "NOT");
    return take_word(parser, "NULL") || !negated || refuse(parser, "NULL");
}

/* With what may stand behind it: "INT NOT NULL ARRAY" is an array of those. */
static bool any_type(struct parser *parser)
{
    if (++parser->depth > DEPTH_MAX) {
        snprintf(parser->why, CLI_FLINK_WHY, "types lie in each other more than %d deep", DEPTH_MAX);
        return false;
    }
    bool good = plain_type(parser) && nullable(parser);
    while (good && (take_word(parser, "ARRAY") || take_word(parser, "MULTISET")))
        good = nullable(parser);
    parser->depth--;
    return good;
}

bool cli_flink_type_ok(const char *type, char why[CLI_FLINK_WHY])
{
    struct parser parser = {.at = type, .why = why};
    *why = 0;
    look(&parser);
    if (!any_type(&parser))
        return false;
    if (*parser.at)
        snprintf(why, CLI_FLINK_WHY, "\"%.*s\" behind the type is none of it", shown(parser.at), parser.at);
    return !*parser.at;
}
