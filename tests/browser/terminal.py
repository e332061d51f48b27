#!/usr/bin/env python3
"""Records commands in a pseudo terminal and writes what they drew as an SVG that plays once.

    python3 tests/browser/terminal.py OUTPUT.svg COMMAND [COMMAND ...]

Each COMMAND runs by `sh` in the present folder, with a terminal of COLUMNS × ROWS (100 × 40). It plays at most LONGEST
seconds (12). The picture follows the reader's light or dark theme; who asks for less motion sees the last screen at
once. Needs Python alone.
"""

import fcntl
import html
import os
import pty
import re
import struct
import sys
import termios
import time
import unicodedata

COLUMNS, ROWS = int(os.environ.get("COLUMNS", 100)), int(os.environ.get("ROWS", 40))
# The longest that a recording plays, and the pause before and after a command, in seconds.
LONGEST, PAUSE = float(os.environ.get("LONGEST", 12)), 0.8
FRAME = 0.2
# One token of what a program writes to a terminal: a control sequence, a control character or text.
TOKEN = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|\x1b[=>78]|([\r\n\b\t\x07])|([^\x1b\r\n\b\t\x07]+)")
CELL_WIDTH, LINE_HEIGHT, MARGIN, BAR = 8.4, 19, 16, 34
STYLE = """
.w { fill: #f6f8fa; stroke: #d0d7de } .b { fill: #d0d7de }
text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #1f2328;
  white-space: pre }
.c1 { fill: #cf222e } .c2 { fill: #1a7f37 } .c3 { fill: #9a6700 } .c4 { fill: #0969da } .c5 { fill: #8250df }
.c6 { fill: #1b7c83 } .d { fill: #6e7781 } .o { font-weight: 600 }
@media (prefers-color-scheme: dark) {
  .w { fill: #161b22; stroke: #30363d } .b { fill: #30363d } text { fill: #e6edf3 }
  .c1 { fill: #ff7b72 } .c2 { fill: #56d364 } .c3 { fill: #e3b341 } .c4 { fill: #79c0ff } .c5 { fill: #d2a8ff }
  .c6 { fill: #76e3ea } .d { fill: #8b949e }
}
@media (prefers-reduced-motion: no-preference) {
  .t { visibility: hidden; animation: in 0s var(--a) forwards, out 0s var(--z, 1e6s) forwards }
}
.g { visibility: hidden }
@keyframes in { to { visibility: visible } }
@keyframes out { to { visibility: hidden } }
"""


class Screen:
    """The cells of a terminal: what programs that draw lines and bars need, and no more."""

    def __init__(self):
        self.lines, self.row, self.column, self.look = [[]], 0, 0, ""

    def feed(self, text):
        for found in TOKEN.finditer(text):
            numbers, command, control, plain = found.groups()
            if command:
                self.command(command, [int(n) if n.isdigit() else 0 for n in numbers.lstrip("?").split(";")])
            elif control:
                self.control(control)
            elif plain:
                for letter in plain:
                    self.put(letter)

    def put(self, letter):
        width = 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if self.column + width > COLUMNS:
            self.control("\n")
            self.column = 0
        line = self.line()
        line.extend((" ", "") for _ in range(self.column + width - len(line)))
        line[self.column] = (letter, self.look)
        if width == 2:
            line[self.column + 1] = ("", self.look)
        self.column += width

    def control(self, control):
        if control == "\r":
            self.column = 0
        elif control == "\n":
            self.row += 1
        elif control == "\b":
            self.column = max(0, self.column - 1)
        elif control == "\t":
            self.column = min(COLUMNS - 1, self.column // 8 * 8 + 8)

    def command(self, command, numbers):
        count = max(1, numbers[0])
        if command == "A":
            self.row = max(0, self.row - count)
        elif command == "B":
            self.row += count
        elif command == "C":
            self.column = min(COLUMNS - 1, self.column + count)
        elif command == "D":
            self.column = max(0, self.column - count)
        elif command == "G":
            self.column = count - 1
        elif command == "K":
            line = self.line()
            if numbers[0] == 2:
                line.clear()
            elif numbers[0] == 0:
                del line[self.column :]
        elif command == "J" and numbers[0] == 0:
            del self.line()[self.column :]
            del self.lines[self.row + 1 :]
        elif command == "m":
            self.paint(numbers)

    def paint(self, numbers):
        looks = set(self.look.split())
        for number in numbers:
            if number == 0:
                looks = set()
            elif number == 1:
                looks.add("o")
            elif number == 2 or number == 90:
                looks.add("d")
            elif number in (22, 39):
                looks -= {"o", "d"} if number == 22 else {look for look in looks if look.startswith("c")}
            elif 31 <= number <= 36 or 91 <= number <= 96:
                looks = {look for look in looks if not look.startswith("c")} | {f"c{number % 10}"}
        self.look = " ".join(sorted(looks))

    def line(self):
        while len(self.lines) <= self.row:
            self.lines.append([])
        return self.lines[self.row]

    def shown(self):
        """The lines as SVG text, blanks at their ends left out."""
        return [render(line) for line in self.lines]


def render(line):
    while line and line[-1][0] == " ":
        line = line[:-1]
    runs = []
    for letter, look in line:
        if runs and runs[-1][1] == look:
            runs[-1][0] += letter
        else:
            runs.append([letter, look])
    texts = [(html.escape(text, quote=False), look) for text, look in runs]
    return "".join(f'<tspan class="{look}">{text}</tspan>' if look else text for text, look in texts)


def record(commands):
    """What was on the screen when: frames of `(seconds, lines)`."""
    screen, frames, clock = Screen(), [], 0.0
    for command in commands:
        screen.look = "c4"
        screen.feed("$ ")
        screen.look = "o"
        screen.feed(f"{command}\n\r")
        screen.look = ""
        frames.append((clock, screen.shown()))
        clock += PAUSE
        for seconds, text in play(command):
            screen.feed(text)
            frames.append((clock + seconds, screen.shown()))
        clock = frames[-1][0] + PAUSE
        if command is not commands[-1]:
            screen.feed("\n\r")
    return frames


def play(command):
    """Runs a command in a terminal of its own: yields what it wrote, and when."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS=str(COLUMNS), LINES=str(ROWS))
        os.execvp("sh", ["sh", "-c", f"stty cols {COLUMNS} rows {ROWS}; {command}"])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    began, rest = time.monotonic(), b""
    while True:
        try:
            chunk = os.read(terminal, 1 << 16)
        except OSError:
            break
        if not chunk:
            break
        rest += chunk
        cut = rest.rfind(b"\x1b", -16) if b"\x1b" in rest[-16:] and not re.search(rb"[A-Za-z]$", rest) else len(rest)
        text, rest = rest[:cut], rest[cut:]
        try:
            yield time.monotonic() - began, text.decode()
        except UnicodeDecodeError:
            rest = text + rest
    _, status = os.waitpid(child, 0)
    if status != 0:
        sys.exit(f"`{command}` ended with {os.waitstatus_to_exitcode(status)}")


def thinned(frames):
    """The frames at most every `FRAME` seconds of a recording that plays no longer than `LONGEST`."""
    pace = min(1.0, LONGEST / frames[-1][0])
    kept = []
    for seconds, lines in frames:
        seconds *= pace
        if kept and seconds - kept[-1][0] < FRAME:
            kept[-1] = (kept[-1][0], lines)
        else:
            kept.append((seconds, lines))
    return kept


def spans(frames):
    """Each text of each row with the time from which and, unless it stays, to which it is shown."""
    n_rows = max(len(lines) for _, lines in frames)
    for row in range(n_rows):
        shown, since = "", 0.0
        for seconds, lines in frames:
            text = lines[row] if row < len(lines) else ""
            if text != shown:
                if shown:
                    yield row, shown, since, seconds
                shown, since = text, seconds
        if shown:
            yield row, shown, since, None


def svg(frames, title):
    n_rows = max(row + 1 for row, *_, until in spans(frames) if until is None)
    width, height = COLUMNS * CELL_WIDTH + 2 * MARGIN, n_rows * LINE_HEIGHT + BAR + MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img">',
        f"<title>{html.escape(title)}</title>",
        f"<style>{STYLE.strip()}</style>",
        f'<rect class="w" x="0.5" y="0.5" width="{width - 1:g}" height="{height - 1:g}" rx="8"/>',
    ]
    lines += [f'<circle class="b" cx="{20 + 18 * idx}" cy="17" r="5.5"/>' for idx in range(3)]
    for row, text, since, until in spans(frames):
        if row < n_rows:
            y = BAR + LINE_HEIGHT * (row + 0.75)
            times = f"--a:{since:.1f}s" + ("" if until is None else f";--z:{until:.1f}s")
            shown = "t" if until is None else "t g"
            lines.append(
                f'<text class="{shown}" style="{times}" x="{MARGIN}" y="{y:g}" xml:space="preserve">{text}</text>'
            )
    return "\n".join(lines + ["</svg>"]) + "\n"


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    frames = thinned(record(sys.argv[2:]))
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write(svg(frames, "; ".join(sys.argv[2:])))


if __name__ == "__main__":
    main()
