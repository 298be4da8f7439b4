"""What the load runs: cells whose whole output is known before they run, so that each missing or doubled line is seen."""

from __future__ import annotations

import base64
import random
import uuid
from dataclasses import dataclass, field

BLOB_BYTES = 256 * 1024  # a MIME value above this is put aside (API.md)

PYTHON = """import base64, sys, time
open('/workspace/ran-{id}', 'a').write('.')
show = get_ipython().display_pub.publish
for i in range({lines}):
    print('{tag}', i, 'x' * ({long} if i % {every} == 0 else {short}), flush=True)
    if i in {images}:
        show({{'image/png': base64.b64encode(f'{tag} {{i}} '.encode() * {repeat}).decode()}})
    time.sleep({pace})
{last}"""

BASH = """printf . >>/workspace/ran-{id}
long=$(printf '%*s' {long} '' | tr ' ' x) short=$(printf '%*s' {short} '' | tr ' ' x)
for ((i = 0; i < {lines}; i++)); do
    if ((i % {every})); then echo "{tag} $i $short"; else echo "{tag} $i $long"; fi
    sleep {pace}
done
{last}"""

JAVASCRIPT = """await Deno.writeTextFile('/workspace/ran-{id}', '.', {{ append: true }});
for (let i = 0; i < {lines}; i++) {{
    console.log('{tag} ' + i + ' ' + 'x'.repeat(i % {every} ? {short} : {long}));
    await new Promise((go) => setTimeout(go, {pace} * 1000));
}}
{last}"""

CODE = {"python": PYTHON, "bash": BASH, "javascript": JAVASCRIPT}
RAISE = {"python": "raise ValueError('{tag} fails')", "bash": "(exit 3)", "javascript": "throw new Error('{tag} fails')"}
VALUE = {"python": "'{tag} value'", "bash": "true", "javascript": "'{tag} value'"}


@dataclass
class Cell:
    language: str
    lines: int
    long: int
    short: int
    every: int
    pace: float
    image_lines: tuple[int, ...] = ()
    fails: bool = False
    before: str = ""  # code that goes first
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def tag(self) -> str:
        return f"L{self.id[:8]}"

    @property
    def repeat(self) -> int:
        return BLOB_BYTES // len(self.tag) + 1000

    @property
    def code(self) -> str:
        last = (RAISE if self.fails else VALUE)[self.language].format(tag=self.tag)
        return self.before + CODE[self.language].format(
            id=self.id, tag=self.tag, lines=self.lines, long=self.long, short=self.short, every=self.every,
            images=self.image_lines, repeat=self.repeat, pace=self.pace, last=last,
        )  # fmt: skip

    def expected_lines(self) -> list[str]:
        return [f"{self.tag} {i} {'x' * (self.short if i % self.every else self.long)}\n" for i in range(self.lines)]

    def expected_images(self) -> list[bytes]:
        """As the kernel sent them: base64."""
        return [base64.b64encode(f"{self.tag} {i} ".encode() * self.repeat) for i in self.image_lines]

    @property
    def expected_status(self) -> str:
        return "error" if self.fails else "ok"


def any_cell(language: str, rng: random.Random, seconds: float) -> Cell:
    """Prints for about so long; one in five fails at its end, one Python cell in three shows images."""
    pace = rng.choice((0.004, 0.02, 0.05)) if language == "python" else rng.choice((0.03, 0.08))
    lines = max(5, int(seconds / pace))
    images: tuple[int, ...] = ()
    if language == "python" and rng.random() < 0.33:
        images = tuple(sorted(rng.sample(range(lines), min(lines, rng.randint(1, 4)))))
    long = rng.choice((200, 10_000, 100_000) if language == "python" else (200, 10_000))
    return Cell(
        language,
        lines=lines,
        long=long,
        short=rng.choice((0, 10, 80)),
        every=max(7, lines * long // 3_000_000 if long > 10_000 else 7),
        pace=pace,
        image_lines=images,
        fails=rng.random() < 0.2,
    )
