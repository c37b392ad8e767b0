/* Numbers, units and truth from values. Exact: no floating point, no locale. */
#include "hocon/hocon.h"

#include <string.h>

#include "hocon/value.h"

__extension__ typedef unsigned __int128 wide;

/* A decimal number: sign, digits * 10^exponent. */
struct decimal {
    bool negative;
    uint64_t digits;
    int exponent;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Takes up a digit; what does not fit is an error in front of the point, and cut off behind it. */
static bool add_digit(struct decimal *number, char c, bool fraction)
{
    if (number->digits > (UINT64_MAX - 9) / 10)
        return fraction;
    number->digits = number->digits * 10 + (uint64_t)(c - '0');
    number->exponent -= fraction;
    return true;
}

/* Reads [+-]digits[.digits][e[+-]digits]; returns what follows it, NULL when it is none. */
static const char *read_decimal(const char *text, struct decimal *number)
{
    *number = (struct decimal){.negative = *text == '-'};
    text += *text == '-' || *text == '+';
    bool any = false;
    for (; is_digit(*text); text++, any = true)
        if (!add_digit(number, *text, false))
            return NULL;
    if (*text == '.')
        for (text++; is_digit(*text); text++, any = true)
            add_digit(number, *text, true);
    if (!any)
        return NULL;
    const char *power = text + 1 + ((text[0] == 'e' || text[0] == 'E') && (text[1] == '-' || text[1] == '+'));
    if ((*text == 'e' || *text == 'E') && is_digit(*power)) {
        int exponent = 0;
        bool minus = text[1] == '-';
        for (text = power; is_digit(*text); text++)
            if (exponent < 100000)
                exponent = exponent * 10 + (*text - '0');
        number->exponent += minus ? -exponent : exponent;
    }
    return text;
}

/* number * unit / divisor, cut off towards zero; *exact: nothing was cut off. */
static bool scale(const struct decimal *number, wide unit, uint64_t divisor, int64_t *out, bool *exact)
{
    static const wide most = ~(wide)0;
    wide value = number->digits;
    if (value && unit > most / value)
        return false;
    value *= unit;
    *exact = true;
    for (int i = 0; value && i < number->exponent; i++) {
        if (value > most / 10)
            return false;
        value *= 10;
    }
    for (int i = 0; value && i > number->exponent; i--) {
        *exact = *exact && value % 10 == 0;
        value /= 10;
    }
    *exact = *exact && value % divisor == 0;
    value /= divisor;
    if (value > (wide)INT64_MAX + number->negative)
        return false;
    *out = number->negative ? (int64_t)(0 - (uint64_t)value) : (int64_t)value;
    return true;
}

static const char *skip_space(const char *text)
{
    return text + strspn(text, " \t\r\n\f\v");
}

struct unit {
    const char *names; /* each behind a space */
    wide factor;
    uint64_t divisor;
};

/* Whether name is one of the words of names. */
static bool has_name(const char *names, const char *name, size_t size)
{
    while (*names) {
        size_t length = strcspn(names, " ");
        if (length == size && memcmp(names, name, size) == 0)
            return true;
        names += length + (names[length] == ' ');
    }
    return false;
}

/* The first unit is the default. */
static bool with_unit(const struct hocon_value *value, const struct unit *units, size_t count, int64_t *out)
{
    if (value->type != HOCON_NUMBER && value->type != HOCON_STRING)
        return false;
    struct decimal number;
    bool exact;
    const char *name = read_decimal(skip_space(value->scalar.text), &number);
    if (!name)
        return false;
    name = skip_space(name);
    size_t size = strcspn(name, " \t\r\n\f\v");
    if (*skip_space(name + size))
        return false;
    for (size_t i = 0; i < count; i++)
        if (size == 0 || has_name(units[i].names, name, size))
            return scale(&number, units[i].factor, units[i].divisor, out, &exact);
    return false;
}

bool hocon_as_boolean(const struct hocon_value *value, bool *out)
{
    if (value->type != HOCON_BOOLEAN && value->type != HOCON_STRING)
        return false;
    const char *text = value->scalar.text;
    *out = strcmp(text, "true") == 0 || strcmp(text, "yes") == 0 || strcmp(text, "on") == 0;
    return *out || strcmp(text, "false") == 0 || strcmp(text, "no") == 0 || strcmp(text, "off") == 0;
}

bool hocon_as_integer(const struct hocon_value *value, int64_t *out)
{
    if (value->type != HOCON_NUMBER && value->type != HOCON_STRING)
        return false;
    struct decimal number;
    bool exact;
    const char *rest = read_decimal(skip_space(value->scalar.text), &number);
    return rest && !*skip_space(rest) && scale(&number, 1, 1, out, &exact) && exact;
}

bool hocon_as_duration_ms(const struct hocon_value *value, int64_t *out)
{
    static const struct unit units[] = {
        {"ms milli millis millisecond milliseconds", 1, 1},
        {"ns nano nanos nanosecond nanoseconds", 1, 1000000},
        {"us micro micros microsecond microseconds", 1, 1000},
        {"s second seconds", 1000, 1},
        {"m minute minutes", 60000, 1},
        {"h hour hours", 3600000, 1},
        {"d day days", 86400000, 1},
    };
    return with_unit(value, units, sizeof units / sizeof *units, out);
}

#define TEN_3  ((wide)1000)
#define TEN_6  (TEN_3 * TEN_3)
#define TEN_12 (TEN_6 * TEN_6)
#define TWO(n) ((wide)1 << (n))

bool hocon_as_bytes(const struct hocon_value *value, int64_t *out)
{
    static const struct unit units[] = {
        {"B b byte bytes", 1, 1},
        {"kB kilobyte kilobytes", TEN_3, 1},
        {"MB megabyte megabytes", TEN_6, 1},
        {"GB gigabyte gigabytes", TEN_3 * TEN_6, 1},
        {"TB terabyte terabytes", TEN_12, 1},
        {"PB petabyte petabytes", TEN_12 * TEN_3, 1},
        {"EB exabyte exabytes", TEN_12 * TEN_6, 1},
        {"ZB zettabyte zettabytes", TEN_12 * TEN_6 * TEN_3, 1},
        {"YB yottabyte yottabytes", TEN_12 * TEN_12, 1},
        {"K k Ki KiB kibibyte kibibytes", TWO(10), 1},
        {"M m Mi MiB mebibyte mebibytes", TWO(20), 1},
        {"G g Gi GiB gibibyte gibibytes", TWO(30), 1},
        {"T t Ti TiB tebibyte tebibytes", TWO(40), 1},
        {"P p Pi PiB pebibyte pebibytes", TWO(50), 1},
        {"E e Ei EiB exbibyte exbibytes", TWO(60), 1},
        {"Z z Zi ZiB zebibyte zebibytes", TWO(70), 1},
        {"Y y Yi YiB yobibyte yobibytes", TWO(80), 1},
    };
    return with_unit(value, units, sizeof units / sizeof *units, out);
}
