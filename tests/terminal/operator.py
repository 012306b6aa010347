"""What an operator sees and finds afterwards on a real terminal, which here is a pseudo terminal.

ADMIN_CLI is the program; it finds its router by its own variables.
"""

import os
import pty
import select
import signal
import subprocess
import termios
import time

PROGRAM = os.environ["ADMIN_CLI"]
PATIENCE_S = 60
OTHER_SCREEN = b"\x1b[?1049h"
USUAL_SCREEN = b"\x1b[?25h\x1b[?1049l"
CLEAR = b"\x1b[H\x1b[J"
GREEN = b"\x1b[32m"
# What tells a program whether to colour, beside its terminal: where the tests run has no say in it.
OPINIONS = {"CI", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLORTERM"}
SURROUNDINGS = {name: value for name, value in os.environ.items() if name not in OPINIONS}


class Terminal:
    """A program on a terminal of 24 lines with 100 characters."""

    def __init__(self, *words, **environment):
        self.ours, self.theirs = pty.openpty()
        termios.tcsetwinsize(self.ours, (24, 100)) if hasattr(termios, "tcsetwinsize") else None
        self.before = termios.tcgetattr(self.theirs)
        self.seen = b""
        ends = {"stdin": self.theirs, "stdout": self.theirs, "stderr": self.theirs}
        # Its own terminal, so that Ctrl-C there is for it.
        self.process = subprocess.Popen(
            [PROGRAM, *words], env={**SURROUNDINGS, "TERM": "xterm-256color", **environment},
            start_new_session=True, preexec_fn=take_terminal, **ends)

    def read(self):
        ready, _, _ = select.select([self.ours], [], [], 0.05)
        if ready:
            self.seen += os.read(self.ours, 65536)

    def until(self, what):
        deadline = time.monotonic() + PATIENCE_S
        while what not in self.seen:
            assert time.monotonic() < deadline and self.process.poll() is None, (what, self.seen)
            self.read()

    def press(self, key):
        os.write(self.ours, key)

    def end(self):
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.seen
            self.read()
        self.read()
        after = termios.tcgetattr(self.theirs)
        os.close(self.ours)
        os.close(self.theirs)
        return self.process.returncode, after


def take_terminal():
    import fcntl
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # What runs in the background of a shell is deaf to Ctrl-C; nobody's terminal is.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def leaves_as_found(leave):
    top = Terminal("top")
    top.until(b"ROUTER")
    assert OTHER_SCREEN in top.seen
    assert not termios.tcgetattr(top.theirs)[3] & termios.ECHO, "keys are not shown"
    leave(top)
    code, after = top.end()
    assert code == 0, (code, top.seen)
    assert top.seen.endswith(USUAL_SCREEN), top.seen[-80:]
    assert after == top.before, "the terminal is as it was"


def test_q_leaves_the_terminal_as_it_was():
    leaves_as_found(lambda top: top.press(b"q"))


def test_ctrl_c_does_too():
    leaves_as_found(lambda top: top.press(b"\x03"))


def test_a_request_to_end_does_too():
    leaves_as_found(lambda top: top.process.send_signal(signal.SIGTERM))


def test_colours_are_for_terminals_of_those_who_want_them():
    for environment, coloured in [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]:
        status = Terminal("status", **environment)
        assert status.end()[0] == 0, status.seen
        assert (GREEN in status.seen) is coloured, (environment, status.seen)


def test_whoever_waits_sees_for_what():
    wait = Terminal("wait", "--revision", "1000000", "--timeout", "1")
    assert wait.end()[0] == 5
    assert b"0 of 1, waiting for " in wait.seen, wait.seen


def test_a_watched_list_is_shown_again_in_place():
    watch = Terminal("get", "endpoints", "--watch")
    watch.until(b"alpha/m@global")
    first = len(watch.seen)
    while CLEAR not in watch.seen[first:] or b"alpha/m@global" not in watch.seen[first:]:
        watch.read()
    watch.press(b"\x03")
    watch.end()


if __name__ == "__main__":
    for name, story in list(globals().items()):
        if name.startswith("test_"):
            story()
            print(name)
