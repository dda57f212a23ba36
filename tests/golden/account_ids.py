"""Prints 10,000 seeded account ids of every shape that a partitioner could get wrong, one a line.

Ids that UTF-8 writes in one to four bytes a character, of every length modulo 4 (murmur2 takes four
bytes at a time), with high bytes in each place (Java's bytes are signed), the empty id and long ones.
"""

import random
import sys

ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz0123456789-_.:/",
    "äöüßéèñçøåłžđœ ÀÉÎÕÜ",
    "αβγδεζηθ" + "абвгдежзийклмн" + "אבגדהוזח" + "ابتثجحخد" + "กขคงจฉชซ" + "अआइईउऊक",
    "東京都渋谷区株式会社" + "漢字仮名交じり文カタカナ" + "서울특별시강남구" + "𠮷𡈽𩸽",
    "🌲🌳💶🧾👩‍🚀🇩🇪✅🏽",
    "e\u0301a\u0308o\u0302n\u0303c\u0327i\u0323\u0307\u200d\u00a0\u202e",
)
SPECIAL = ("", " ", "  ", "0", "a", "é", "東", "🌲", "\u0301", "null", "a" * 249, "株" * 300, "🌲" * 500)
COUNT = 10_000


def account_ids(seed: int = 7) -> list[str]:
    """Return the ids, all different, the special ones first."""
    rng = random.Random(seed)
    ids = dict.fromkeys(SPECIAL)
    while len(ids) < COUNT:
        match rng.randrange(8):
            case 0:
                ids[f"acct-{rng.randrange(10**8):08d}"] = None
            case 1:
                ids["".join(rng.choices("0123456789abcdef", k=32))] = None
            case shape:
                alphabet = ALPHABETS[shape - 2]
                ids["".join(rng.choices(alphabet, k=rng.randint(1, 24)))] = None
    return list(ids)


if __name__ == "__main__":
    sys.stdout.buffer.write("".join(f"{account_id}\n" for account_id in account_ids()).encode())
