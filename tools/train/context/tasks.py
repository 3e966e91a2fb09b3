"""Rules to be learned in context, and episodes of examples that follow one rule each.

    python3 tools/train/context/tasks.py models/tasks/context       # writes the task files, one held-out rule each

An example is a question and an answer, `dcba = abcd`.  All examples of an episode follow one rule, and only the
examples tell which: that is what the model in models/shots is trained on.  Every rule has a name, and `held_out`
says by the name alone whether training may use it.  Needs the standard library only.
"""
import json
import os
import random
import string
import sys
import zlib

WORDS = """
ant arm art ash axe bag bar bat bay bed bee bell belt bend bird blue boat body bone book boot born both bowl bread
brick bring broom brown brush build burn bush cake calm camp card care cart case cat chain chair chalk cheek chest
child clay clean clear clock cloth cloud coal coast coat cold cook corn cow cream cross crow crowd cry cup dance dark
dawn day deep deer desk dish dog door down draw dream dress drink drive drum dry duck dust eagle ear early earth east
eat edge egg empty end even face fact fair fall farm fast field fig find fire fish flag flame floor flour fly fog
food foot fork form fox fresh friend frog front fruit full game gate ghost gift girl give glad glass goat gold good
grain grape grass green grey ground group guest hair half hand hard hat hay head heart heavy help herb hill home
honey hope horn horse hot house ice ink iron jar join jump keep key kind king kite knee knife know lace lake lamb
lamp land large last late laugh law leaf learn left leg lemon lift light lime line lion list loaf lock long loud love
low lunch make man map maple mark meat metal milk mill mind mint mist month moon moth mouse mouth music nail name
neat neck nest new night nine north nose note nut oak ocean oil olive onion open orange owl page paint pan paper park
path peach pear pen piano pig pine pink place plain plant plate play plum poem point pond pony pot proud purse queen
quick quiet rain red rest rice rich ride right ring ripe river road robe rock roof room root rope rose rough round
row rule run sail salt sand sea seat seed seven shade shape sharp sheep shelf shell ship shirt shoe shop shore short
side silk silver sing six skin sky sleep slow small smile smoke snail snow soap soft soil song soup south space spoon
spring stage star steam stem step stick still stone store storm story straw street sugar suit sun sweet swim table
tail tall tea ten tent thick thin thread tiger time toe top town toy track trade train tree trip true tub turn twig
under valley vase view village voice wagon walk wall warm wash watch water wave wax way week west whale wheat wheel
white wide wild wind wing winter wise wolf wood wool word world yard year yellow young zebra
""".split()
BY_LENGTH = {n: [w for w in WORDS if len(w) == n] for n in range(3, 6)}
MARKS = "!.,/?-"
FAMILIES = ["letters", "order", "case", "order-case", "add", "unscramble", "marks"]
WEIGHTS = [26, 26, 12, 10, 8, 12, 6]
LOOKED_UP = {"letters", "add"}  # by an earlier example with the same letter; the others move letters about


def held_out(name):
    """Whether a rule is kept from training: one in five, by a checksum of its name; and reversing four letters."""
    return name == "order 4 3210" or zlib.crc32(name.encode()) % 5 == 0


def pick(rng, draw, held):
    """Draw a rule's name until it is, or is not, a held-out one."""
    while True:
        got = draw(rng)
        if held is None or held_out(got[0]) == held:
            return got


def letters_of(rng, length):
    """A random string; at times a word, so that words are nothing special."""
    if length in BY_LENGTH and rng.random() < 0.25:
        return rng.choice(BY_LENGTH[length])
    if rng.random() < 0.7:
        return "".join(rng.sample(string.ascii_lowercase, length))
    return "".join(rng.choices(string.ascii_lowercase, k=length))


def draw_order(rng, length, permutation=False):
    """Which letter of the question stands where in the answer."""
    if permutation or rng.random() < 0.6:
        order = rng.sample(range(length), length)
    else:
        order = rng.choices(range(length), k=rng.randint(1, length))
    return f"order {length} " + "".join(map(str, order)), order


def order_rule(rng, length, held, permutation=False):
    # up to three letters there are too few orders to keep any back
    return pick(rng, lambda r: draw_order(r, length, permutation), held if length > 3 else None)


def case_rule(rng, length, held):
    draw = lambda r: (lambda mask: ("case " + mask, mask))("".join(r.choices("xX", k=length)))
    return pick(rng, draw, held if length > 3 else None)


def to_case(text, mask):
    return "".join(c.upper() if m == "X" else c for c, m in zip(text, mask))


def rule(rng, family, held=False, hard=1.0):
    """One rule of a family: its name, and a function that makes an example: question, answer, links.

    A link is the place in the question that a letter of the answer comes from; None where there is no such place.
    `held` asks for a held-out rule (or one that is not); `hard` (0 to 1) is the share of full-size questions.
    """
    full = rng.random() < hard
    length = (4 if held else rng.choice([3, 4, 4, 4, 5])) if full else rng.choice([2, 3])
    if family == "letters":
        length = rng.choice([2, 3]) if held else rng.choice([1, 2, 3]) if full else rng.choice([1, 2])
        count = rng.randint(5, 7) if full else rng.randint(2, 4)

        def draw(r):
            a, b = r.sample(string.ascii_lowercase, count), r.sample(string.ascii_lowercase, count)
            return "letters " + "".join(a) + " " + "".join(b), (a, b)
        name, (a, b) = pick(rng, draw, held)
        table = dict(zip(a, b))

        def example(r):
            q = "".join(r.choices(a, k=length))
            return q, "".join(table[c] for c in q), list(range(length))
    elif family == "order":
        name, order = order_rule(rng, length, held)

        def example(r):
            q = letters_of(r, length)
            return q, "".join(q[i] for i in order), order
    elif family == "case":
        name, mask = case_rule(rng, length, held)

        def example(r):
            q = letters_of(r, length)
            return q, to_case(q, mask), list(range(length))
    elif family == "order-case":
        first, order = order_rule(rng, length, held)
        second, mask = case_rule(rng, len(order), held)
        name = first + ", " + second

        def example(r):
            q = letters_of(r, length)
            return q, to_case("".join(q[i] for i in order), mask), order
    elif family == "add":
        limit = 40 if full else 5
        name, k = pick(rng, lambda r: (lambda k: (f"add {k}", k))(r.randint(-limit, limit)), held)

        def example(r):
            x = r.randint(max(10, 10 - k), min(99, 99 - k))
            return str(x), str(x + k), [None, 1]
    elif family == "unscramble":
        length = max(length, 3)
        name, order = order_rule(rng, length, held, permutation=True)

        def example(r):
            q = r.choice(BY_LENGTH[length])
            s = [q[order.index(i)] for i in range(length)]  # so that answer[j] is question[order[j]]
            return "".join(s), q, order
    else:
        def draw(r):
            places = ["x"] * r.choice([2, 3]) + ["."] * (r.randint(2, 4) if full else 1)
            r.shuffle(places)
            return "marks " + "".join(places), places
        name, places = pick(rng, draw, held if full else None)

        def example(r):
            q = letters_of(r, places.count("x"))
            rest = iter(q)
            text = "".join(next(rest) if p == "x" else r.choice(MARKS) for p in places)
            return text, q, [i for i, p in enumerate(places) if p == "x"]
    return name, example


# The task files: one rule each, all held out (checked when they are written)
def file_rules():
    def fixed(name, make, count=300):
        rng, seen, lines = random.Random(name), set(), []
        while len(lines) < count:
            q, a = make(rng)[:2]
            if q not in seen:
                seen.add(q)
                lines.append((q, a))
        return lines

    def held(name, family, seed, **want):
        """The first held-out rule of a family, from a seed on, that has what is wanted."""
        while True:
            rng = random.Random(seed)
            rule_name, make = rule(rng, family, held=True)
            q, a = make(random.Random(1))[:2]
            if all([want.get("length", len(q)) == len(q), want.get("answer", len(a)) == len(a)]):
                return name, rule_name, make
            seed += 1

    def reverse4(r):
        q = letters_of(r, 4)
        return q, q[::-1]
    yield "reverse", "order 4 3210", fixed("reverse", reverse4)
    for name, family, seed, want, count in [
            ("mapping", "letters", 1, dict(length=3), 200), ("order", "order", 1, dict(length=4, answer=4), 300),
            ("case", "case", 1, dict(length=4), 300), ("order-case", "order-case", 1, dict(length=4, answer=4), 300),
            ("add", "add", 1, {}, 50), ("marks", "marks", 1, dict(length=6, answer=3), 300)]:
        name, rule_name, make = held(name, family, seed, **want)
        yield name, rule_name, fixed(name, make, count)
    name, rule_name, make = held("unscramble", "unscramble", 11, length=4)
    yield name, rule_name, fixed(name, make, 150)


def main(folder):
    os.makedirs(folder, exist_ok=True)
    for name, rule_name, lines in file_rules():
        assert all(held_out(part) for part in rule_name.split(", ")), rule_name
        with open(os.path.join(folder, name + ".jsonl"), "w", encoding="utf-8") as f:
            for q, a in lines:
                f.write(json.dumps({"context": f"\n{q} =", "completion": " " + a}) + "\n")
        print(f"{name:12} {len(lines)} lines, rule: {rule_name}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "models/tasks/context")
