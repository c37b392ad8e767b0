/* Which texts are types of Flink SQL. That Flink takes those that are: flink.each_type_is_flinks. */
#include "support/cases.h"

#include "cli/flink_type.h"

static void types_are_known(void **state)
{
    static const char *const good[] = {"STRING",
                                       "string",
                                       " INT ",
                                       "INTEGER",
                                       "CHAR(3)",
                                       "VARCHAR(2147483647)",
                                       "VARCHAR",
                                       "BOOLEAN",
                                       "BYTES",
                                       "BINARY(16)",
                                       "VARBINARY(16)",
                                       "TINYINT",
                                       "SMALLINT",
                                       "BIGINT NOT NULL",
                                       "INT NULL",
                                       "FLOAT",
                                       "DOUBLE",
                                       "DOUBLE PRECISION",
                                       "DECIMAL",
                                       "DEC(10)",
                                       "NUMERIC(38, 38)",
                                       "DATE",
                                       "TIME",
                                       "TIME(3)",
                                       "TIME(0) WITHOUT TIME ZONE",
                                       "TIMESTAMP",
                                       "TIMESTAMP(3)",
                                       "TIMESTAMP(3) WITHOUT TIME ZONE",
                                       "TIMESTAMP(9) WITH LOCAL TIME ZONE",
                                       "TIMESTAMP_LTZ(3)",
                                       "ARRAY<INT>",
                                       "INT ARRAY",
                                       "INT NOT NULL ARRAY NOT NULL",
                                       "MULTISET<STRING>",
                                       "MAP<STRING, ARRAY<DOUBLE>>",
                                       "ROW<x DOUBLE, y DOUBLE>",
                                       "ROW<x1 DOUBLE NOT NULL, `a b` ROW(z INT)>",
                                       "ROW<`a``b>` INT>",
                                       "ROW<```a` INT>",
                                       "ROW<```` INT, `a``` INT>",
                                       "ROW<`a:b` INT>"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char why[CLI_FLINK_WHY];
        if (!cli_flink_type_ok(good[i], why))
            fail_msg("%s: %s", good[i], why);
    }
}

static void others_are_told(void **state)
{
    static const struct {
        const char *type, *why;
    } bad[] = {{"", "a type is missing at its end"},
               {" ", "a type is missing at its end"},
               {"STRNG", "STRNG is no type of Flink SQL; did you mean STRING?"},
               {"strng", "strng is no type of Flink SQL; did you mean STRING?"},
               {"timestmp(3)", "timestmp is no type of Flink SQL; did you mean TIMESTAMP?"},
               {"TEXT", "TEXT is no type of Flink SQL"},
               {"INTEGERS", "INTEGERS is no type of Flink SQL; did you mean INTEGER?"},
               {"NULL", "NULL is no type of Flink SQL"},
               {"ARRAY<STRNG>", "STRNG is no type of Flink SQL; did you mean STRING?"},
               {"ROW<x DOUBL>", "DOUBL is no type of Flink SQL; did you mean DOUBLE?"},
               {"ARRAY", "< is missing at its end"},
               {"ARRAY<INT", "> is missing at its end"},
               {"ARRAY<INT)", "> is needed at \")\""},
               {"MAP<STRING>", ", is needed at \">\""},
               {"ROW<INT>", "a type is needed at \">\""},
               {"ROW<>", "the name of a field of ROW is needed at \">\""},
               {"ROW<`` INT>", "the name of a field of ROW is needed at \"`` INT>\""},
               {"ROW<`x INT>", "` is missing at its end"},
               {"ROW<```x INT>", "` is missing at its end"},
               {"ROW<`` `x` INT>", "the name of a field of ROW is needed at \"`` `x` INT>\""},
               {"ROW<`a\nb` INT>", "the name of a field of ROW has a control character"},
               {"ROW<`\x1f` INT>", "the name of a field of ROW has a control character"},
               {"ROW<x INT, 1y INT>", "the name of a field of ROW is needed at \"1y INT>\""},
               {"INT)", "\")\" behind the type is none of it"},
               {"INT; DROP", "\"; DROP\" behind the type is none of it"},
               {"INT -- x", "\"-- x\" behind the type is none of it"},
               {"INT 'x'", "\"'x'\" behind the type is none of it"},
               {"INT(3)", "\"(3)\" behind the type is none of it"},
               {"INT NOT", "NULL is missing at its end"},
               {"CHAR(0)", "CHAR takes a number of 1 to 2147483647, not \"0)\""},
               {"VARCHAR(MAX)", "VARCHAR takes a number of 1 to 2147483647, not \"MAX)\""},
               {"DECIMAL(39)", "the precision of DECIMAL takes a number of 1 to 38, not \"39)\""},
               {"DECIMAL(5, 6)", "the scale of DECIMAL takes a number of 0 to 5, not \"6)\""},
               {"TIMESTAMP(10)", "TIMESTAMP takes a number of 0 to 9, not \"10)\""},
               {"TIMESTAMP(3", ") is missing at its end"},
               {"TIMESTAMP(3) WITH TIME ZONE", "LOCAL TIME ZONE is needed at \"TIME ZONE\""},
               {"TIME(3) WITH LOCAL TIME ZONE", "\"WITH LOCAL TIME ZONE\" behind the type is none of it"},
               {"INTERVAL YEAR TO MONTH", "INTERVAL is no type of Flink SQL"}};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char why[CLI_FLINK_WHY];
        if (cli_flink_type_ok(bad[i].type, why))
            fail_msg("%s is taken", bad[i].type);
        assert_string_equal(why, bad[i].why);
    }
}

static void whole_characters_are_shown(void **state)
{
    char why[CLI_FLINK_WHY];
    (void)state;
    assert_false(cli_flink_type_ok("INT xääääääääääääääääääääääääääääääää", why));
    assert_string_equal(why, "\"xäääääääääääääääääääääääääääää\" behind the type is none of it");
}

static void types_are_not_too_deep(void **state)
{
    char type[400] = "", why[CLI_FLINK_WHY];
    (void)state;
    for (int i = 0; i < 15; i++)
        strcat(type, "ARRAY<");
    strcat(type, "INT");
    for (int i = 0; i < 15; i++)
        strcat(type, ">");
    assert_true(cli_flink_type_ok(type, why));
    memmove(type + 6, type, strlen(type) + 1);
    memcpy(type, "ARRAY<", 6);
    assert_false(cli_flink_type_ok(type, why));
    assert_string_equal(why, "types lie in each other more than 16 deep");
}

CASES_MAIN(cmocka_unit_test(types_are_known), cmocka_unit_test(others_are_told),
           cmocka_unit_test(whole_characters_are_shown), cmocka_unit_test(types_are_not_too_deep))
