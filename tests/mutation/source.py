"""Finds the checks in C sources that are formatted as ours are, and writes them so that each can be switched off."""

import re

# What makes an error; running out of memory is not looked at here (tests/fuzz does).
MAKERS = {"hocon_fail", "hocon_unexpected", "file_error", "sl_error_set", "sl_error_set_retriable", "refuse", "unknown",
          "too_deep", "not_found", "cycle", "invalid", "complain", "cannot_read", "no_such_profile", "two_places",
          "sl_find"}
# Where false, or NULL, is how a check says no.
DENIERS = {"convert.c": r"return (?:false|NULL);", "settings.c:is_url": r"return false;",
           "evaluate.c:hocon_key_number": r"return false;",
           "proxy.c:cut_user": r'return "', "proxy.c:cut_host": r'return (?:"|no_host;)', "proxy.c:cut": r'return "',
           "credential_file.c:from_digits": r"return -1;", "credential_file.c:unescape": r"return -1;"}
# Functions that only check: leaving the call out is one check less.
CHECKERS = r"(?:check_\w+|\w+_check|expect|contain|hocon_enter|hocon_spend|validate_\w+)"


def mask(text):
    """The text with comments, literals and preprocessor lines blanked; offsets stay."""
    def blank(match):
        found = match[0]
        if found[0] in "\"'":  # literals stay as wide: something stands there
            return found[0] + "_" * (len(found) - 2) + found[-1]
        return re.sub(r"[^\n]", " ", found)
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|(?m:^[ \t]*#(?:[^\n\\]|\\.|\\\n)*)',
                  blank, text, flags=re.S)


def closing(code, start):
    """The place of what closes the bracket at start."""
    pairs = {"(": ")", "[": "]", "{": "}"}
    opened, closed, depth = code[start], pairs[code[start]], 0
    for at in range(start, len(code)):
        if code[at] == opened:
            depth += 1
        elif code[at] == closed:
            depth -= 1
            if not depth:
                return at
    raise ValueError(f"nothing closes {code[start:start + 30]!r}")


def skip(code, at):
    while code[at].isspace():
        at += 1
    return at


class Statement:
    def __init__(self, kind, start, end, condition=None, parts=()):
        self.kind, self.start, self.end, self.condition, self.parts = kind, start, end, condition, list(parts)


def simple_end(code, at):
    """Behind the ; that ends the statement at at."""
    while code[at] != ";":
        at = closing(code, at) + 1 if code[at] in "([{" else at + 1
    return at + 1


def parse(code, at):
    """The statement at at."""
    at = skip(code, at)
    if code[at] == "{":
        parts, here, end = [], skip(code, at + 1), closing(code, at)
        while here < end:
            parts.append(parse(code, here))
            here = skip(code, parts[-1].end)
        return Statement("block", at, end + 1, parts=parts)
    word = re.match(r"\w*", code[at:at + 20])[0]
    if word in ("if", "for", "while", "switch"):
        opened = code.index("(", at)
        closed = closing(code, opened)
        body = parse(code, closed + 1)
        parts, end = [body], body.end
        if word == "if":
            here = skip(code, end)
            if re.match(r"else\b", code[here:]):
                parts.append(parse(code, here + 4))
                end = parts[-1].end
        return Statement(word, at, end, (opened + 1, closed), parts)
    if word == "do":
        body = parse(code, at + 2)
        return Statement("do", at, simple_end(code, body.end), parts=[body])
    if word in ("case", "default"):
        colon = code.index(":", at)
        return Statement("label", at, colon + 1)
    return Statement("return" if word == "return" else "simple", at, simple_end(code, at))


def functions(code):
    """(name, body) of each function: its brace stands at a line's beginning."""
    for match in re.finditer(r"(?m)^\{", code):
        head = code[:match.start()].rstrip()
        opened = len(head) - 1
        depth = 0
        while True:
            depth += {")": 1, "(": -1}.get(head[opened], 0)
            if not depth:
                break
            opened -= 1
        yield re.search(r"(\w+)\s*$", head[:opened])[1], parse(code, match.start())


def split(code, start, end, operator):
    """The ranges between the operators that stand in no brackets; [] when there is none."""
    cuts, at = [], start
    while at < end:
        if code[at] in "([{":
            at = closing(code, at)
        elif code.startswith(operator, at):
            cuts.append(at)
            at += len(operator) - 1
        at += 1
    if not cuts:
        return []
    edges = [start - len(operator), *cuts, end]
    return [(left + len(operator), right) for left, right in zip(edges, edges[1:])]


def trim(code, start, end):
    while start < end and code[start].isspace():
        start += 1
    while end > start and code[end - 1].isspace():
        end -= 1
    return start, end


class Source:
    def __init__(self, name, text, path):
        self.name, self.text, self.path = name, text, path
        self.code = mask(text)
        self.mutants = []     # (line, function, operator, what)
        self.insertions = []  # (offset, order, text)
        self.first = None     # the number of the first mutant
        self.function = None
        self.seen = set()

    def plan(self, first):
        self.first = first
        for self.function, body in functions(self.code):
            pattern = "|".join(rf"\b{maker}\(" for maker in sorted(MAKERS) if maker != self.function)
            for where in (self.name, f"{self.name}:{self.function}"):
                if where in DENIERS:
                    pattern += "|" + DENIERS[where]
            self.makes = re.compile(pattern)
            self.calls(body)
            self.visit(body, False)
        return self.mutants

    # --- writing ---

    def note(self, start, end, operator):
        """A mutant of what stands there; None: it is there already."""
        start, end = trim(self.code, start, end)
        key = (start, end, operator)
        if key in self.seen:
            return None
        self.seen.add(key)
        what = " ".join(self.text[start:end].split())
        self.mutants.append((self.text.count("\n", 0, start) + 1, self.function, operator, what))
        return self.first + len(self.mutants) - 1

    def wrap(self, start, end, before, after):
        """Inner ranges are wrapped before outer ones are: so they end up inside."""
        start, end = trim(self.code, start, end)
        order = len(self.insertions)
        self.insertions.append((start, -order, before))
        self.insertions.append((end, order, after))

    def written(self):
        pieces, last = [], 0
        for offset, _, text in sorted(self.insertions, key=lambda entry: (entry[0], entry[1])):
            pieces += [self.text[last:offset], text]
            last = offset
        return "".join(pieces) + self.text[last:]

    # --- operators ---

    def force(self, start, end, value, operator):
        """The condition is evaluated, and taken for value."""
        number = self.note(start, end, operator)
        if number is not None:
            self.wrap(start, end, "((", f") || sl_mutant == {number})" if value else f") && sl_mutant != {number})")

    def boundary(self, start, end):
        code = self.code
        at = start
        while at < end:
            if code[at] in "([{":
                at = closing(code, at)
            elif code[at] in "<>" and code[at - 1] not in "-<>" and code[at + 1] not in "<>":
                wide = code[at + 1] == "="
                other = code[at] if wide else code[at] + "="
                number = self.note(start, end, "boundary")
                if number is None:
                    return
                left, right = self.text[start:at], self.text[at + 1 + wide:end]
                if "=" in re.sub(r"[=!<>]=", "", left + right) or "++" in left + right:
                    self.mutants.pop()  # written twice it would do twice
                    return
                self.wrap(start, end, f"(sl_mutant == {number} ? ({left}{other}{right}) : (", "))")
                return
            at += 1

    def operands(self, start, end):
        """Each operand of || left out, each of && taken as true, each limit moved by one."""
        start, end = trim(self.code, start, end)
        if self.code[start] == "(" and closing(self.code, start) == end - 1:
            return self.operands(start + 1, end - 1)
        if split(self.code, start, end, "?"):
            return None
        for operator, value in (("||", False), ("&&", True)):
            parts = split(self.code, start, end, operator)
            for part in parts:
                self.operands(*part)
                if self.code[slice(*trim(self.code, *part))] == "status == SL_OK":
                    continue  # says only that nothing was wrong before
                self.force(*part, value, "operand of " + operator)
            if parts:
                return None
        return self.boundary(start, end)

    def guard(self, condition, value, operator):
        self.operands(*condition)
        self.force(*condition, value, operator)

    # --- finding ---

    def ternaries(self, start, end):
        """(condition, first arm, second arm), inner ones too."""
        code = self.code
        for at in range(start, end):
            if code[at] != "?":
                continue
            left, depth = at - 1, 0
            while left >= start:
                depth += {")": 1, "]": 1, "(": -1, "[": -1}.get(code[left], 0)
                if depth < 0 or not depth and (code[left] in ",;?:" or code[left] == "=" and
                                               code[left - 1] not in "=!<>" and code[left + 1] != "="):
                    break
                left -= 1
            left += 1
            match = re.match(r"\s*return\b", code[left:at])
            left += match.end() if match else 0
            colon, nested = at + 1, 0
            while nested or code[colon] != ":":
                if code[colon] in "([{":
                    colon = closing(code, colon)
                nested += {"?": 1, ":": -1}.get(code[colon], 0)
                colon += 1
            right = colon + 1
            while right < end and code[right] not in ",;)":
                right = closing(code, right) + 1 if code[right] in "([{" else right + 1
            yield (left, at), (at + 1, colon), (colon + 1, right)

    def makes_in(self, start, end):
        return bool(self.makes.search(self.code, start, end))

    def is_choice(self, statement):
        """Whether the error of a return or an assignment is one arm of a condition."""
        return any(self.makes_in(*one) != self.makes_in(*two) for _, one, two in
                   self.ternaries(statement.start, statement.end))

    def makes_directly(self, statement):
        if statement.kind == "block":
            return any(map(self.makes_directly, statement.parts))
        return statement.kind in ("simple", "return") and self.makes_in(statement.start, statement.end) and \
            not self.is_choice(statement)

    def visit(self, statement, refused_later):
        """refused_later: behind this statement stands an error, which is made unless somebody returns before."""
        if statement.kind == "block":
            for number, part in enumerate(statement.parts):
                later = any(map(self.makes_directly, statement.parts[number + 1:]))
                self.visit(part, later or refused_later)
            return
        if statement.kind in ("simple", "return"):
            for condition, one, two in self.ternaries(statement.start, statement.end):
                if self.makes_in(*one) != self.makes_in(*two):
                    self.guard(condition, self.makes_in(*two), "error is chosen")
            match = re.match(r"ok = ", self.code[statement.start:statement.end])
            if match and re.search(r"hocon_as_|is_url", self.code[statement.start:statement.end]):
                self.force(statement.start + match.end(), statement.end - 1, True, "what is read is right")
            return
        for part in statement.parts:
            self.visit(part, refused_later)
        if statement.kind != "if":
            return
        direct = [self.makes_directly(part) for part in statement.parts]
        inside = self.makes_in(statement.start, statement.end)
        condition = self.code[slice(*statement.condition)]
        if direct[0]:
            self.guard(statement.condition, False, "check left out")
        elif direct[1:] == [True]:
            self.guard(statement.condition, True, "check left out")
        elif not inside and refused_later and re.search(r"\breturn\b", self.code[statement.start:statement.end]) and \
                not re.search(r"!= SL_OK$", condition):
            self.guard(statement.condition, True, "always let be")
            self.force(*statement.condition, False, "never let be")

    def calls(self, body):
        for match in re.finditer(rf"\b({CHECKERS})\(", self.code[body.start:body.end]):
            start = body.start + match.start()
            end = closing(self.code, body.start + match.end() - 1) + 1
            number = self.note(start, end, "call left out")
            self.wrap(start, end, f"(sl_mutant == {number} ? SL_OK : ", ")")
