"""Runs a program under the system calls that a unit of systemd leaves it, as systemd would: without systemd, which
runs in no test. It needs libseccomp, which every Debian has, and systemd-analyze.

    confine.py UNIT PROGRAM [ARGUMENT…]
"""

import ctypes
import errno
import os
import socket
import subprocess
import sys

ALLOW = 0x7FFF0000
EQUAL, MASKED_EQ = 4, 7
# More than Linux has.
FAMILIES = 64
PR_SET_NO_NEW_PRIVS = 38
PROT_WRITE, PROT_EXEC = 2, 4


class Comparison(ctypes.Structure):
    """What one argument of a system call must be like for a rule to apply."""

    _fields_ = [
        ("argument", ctypes.c_uint),
        ("how", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    ]


seccomp = ctypes.CDLL("libseccomp.so.2", use_errno=True)
seccomp.seccomp_init.restype = ctypes.c_void_p


def refuse(number):
    """The action that answers with this error."""
    return 0x00050000 | number


def settings(unit, key):
    """The values of a key, in order; an empty one forgets those before it."""
    values = []
    with open(unit, encoding="utf-8") as lines:
        for line in lines:
            name, _, value = line.strip().partition("=")
            if name == key:
                values = values + [value] if value else []
    return values


def expand(words):
    """The calls that groups such as @system-service stand for."""
    calls = set()
    for word in words:
        if not word.startswith("@"):
            calls.add(word)
            continue
        listed = subprocess.run(
            ["systemd-analyze", "syscall-filter", "--no-pager", word],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        entries = [line.strip() for line in listed.splitlines()[1:]]
        calls |= expand(entry for entry in entries if entry and not entry.startswith("#"))
    return calls


def allowed(unit):
    """The calls that are left: the first list says what is allowed, later ones with ~ take away."""
    calls = set()
    for value in settings(unit, "SystemCallFilter"):
        if value.startswith("~"):
            calls -= expand(value[1:].split())
        else:
            calls |= expand(value.split())
    # Without it nothing could be started; systemd always leaves it.
    return calls | {"execve"}


def add(context, action, call, *comparisons):
    """One rule; calls that this processor does not have need none."""
    number = seccomp.seccomp_syscall_resolve_name(call.encode())
    if number < 0:
        return
    array = (Comparison * max(len(comparisons), 1))(*comparisons)
    failed = seccomp.seccomp_rule_add_array(
        ctypes.c_void_p(context), ctypes.c_uint32(action), number, len(comparisons), array
    )
    assert failed == 0, (call, os.strerror(-failed))


def load(default, rules):
    """Puts a filter in force; several filters are in force together."""
    context = seccomp.seccomp_init(ctypes.c_uint32(default))
    assert context
    for action, call, comparisons in rules:
        add(context, action, call, *comparisons)
    failed = seccomp.seccomp_load(ctypes.c_void_p(context))
    assert failed == 0, os.strerror(-failed)


def memory():
    """Memory is written to or run, never both: MemoryDenyWriteExecute."""
    both = PROT_WRITE | PROT_EXEC
    no = refuse(errno.EPERM)
    yield no, "mmap", [Comparison(2, MASKED_EQ, both, both)]
    for call in ["mprotect", "pkey_mprotect"]:
        yield no, call, [Comparison(2, MASKED_EQ, PROT_EXEC, PROT_EXEC)]


def families(unit):
    """Sockets of these families alone: RestrictAddressFamilies. Pairs of sockets are not meant."""
    named = " ".join(settings(unit, "RestrictAddressFamilies")).split()
    known = {getattr(socket, name) for name in named}
    assert known
    for family in set(range(FAMILIES)) - known:
        yield refuse(errno.EAFNOSUPPORT), "socket", [Comparison(0, EQUAL, family, 0)]


def main():
    """Confines itself, and becomes the program."""
    unit, program = sys.argv[1], sys.argv[2:]
    assert settings(unit, "NoNewPrivileges") == ["yes"]
    assert settings(unit, "MemoryDenyWriteExecute") == ["yes"]
    assert settings(unit, "SystemCallErrorNumber") == ["EPERM"]
    calls = sorted(allowed(unit))
    assert len(calls) > 100, calls
    ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # The list last: the other two need calls that it may not leave.
    load(ALLOW, memory())
    load(ALLOW, families(unit))
    load(refuse(errno.EPERM), ((ALLOW, call, []) for call in calls))
    os.execv(program[0], program)


main()
