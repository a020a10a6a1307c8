# SPDX-License-Identifier: Apache-2.0
"""forkless.personality.streams: standard streams and descriptors 0 to 2 of simulated processes."""

import os
import sys

import pytest

# Runs `body` in an actor with its output going wherever the actor sends it, then checks the real process:
# its descriptors, its streams, its life. {body} may use `say`, which writes to the real stdout.
PROGRAM = """
import io, multiprocessing, os, subprocess, sys, tempfile, forkless

real_stdout = os.dup(1)

def say(*words):
    os.write(real_stdout, (' '.join(map(str, words)) + '\\n').encode())

def body(folder):
{body}

def inodes():
    return [(os.fstat(fd).st_dev, os.fstat(fd).st_ino) for fd in range(3)]

if __name__ == '__main__':
    before = inodes(), sys.stdin, sys.stdout, sys.stderr
    descriptors = len(os.listdir('/proc/self/fd'))
    context = multiprocessing.get_context('actor')
    process = context.Process(target=body, args=(sys.argv[1],))
    process.start()
    process.join(30)
    say('exit code', process.exitcode)
    after = inodes(), sys.stdin, sys.stdout, sys.stderr
    say('descriptors kept', before[0] == after[0])
    say('streams work', not (sys.stdin.closed or sys.stdout.closed or sys.stderr.closed))
    say('no descriptor left', len(os.listdir('/proc/self/fd')) == descriptors)
    print('real stdout', flush=True)
    print('real stderr', file=sys.stderr, flush=True)
    os.write(1, b'real fd 1\\n')
"""

FINE = [
    "exit code 0",
    "descriptors kept True",
    "streams work True",
    "no descriptor left True",
    "real stdout",
    "real fd 1",
]


@pytest.fixture
def in_actor(scripts, tmp_path):
    """Runs a body in an actor of a program of its own; what it said. The real process must be fine."""

    def run(body):
        indented = "\n".join(f"    {line}" for line in body.strip().splitlines())
        result = scripts.run(PROGRAM.replace("{body}", indented), str(tmp_path))
        lines = result.stdout.splitlines()
        assert (result.returncode, lines[-len(FINE) :]) == (0, FINE), result
        assert result.stderr.splitlines()[-1] == "real stderr", result
        run.stderr = result.stderr.splitlines()[:-1]
        return lines[: -len(FINE)]

    return run


def test_closing_its_streams_closes_nothing_of_the_real_process(in_actor):
    assert (
        in_actor(
            """
for stream in (sys.stdin, sys.stdout, sys.stderr):
    assert not stream.closed
    stream.close()
    stream.close()
    say(stream.closed)
for use in (lambda: sys.stdout.write('x'), lambda: sys.stderr.flush(), lambda: print('x')):
    try:
        use()
    except ValueError as error:
        say(error)
"""
        )
        == ["True"] * 3 + ["I/O operation on closed file."] * 3
    )


def test_detaching_and_closing_the_buffer_likewise(in_actor):
    assert in_actor(
        """
raw = sys.stdout.detach()
raw.write(b'through the detached buffer\\n')
raw.close()
sys.stderr.buffer.close()
sys.stdin.detach().close()
with sys.stderr:
    pass
"""
    ) == ["through the detached buffer"]


def test_replaced_streams_are_the_actors_alone(in_actor):
    assert in_actor(
        """
sys.stdout = io.StringIO()
sys.stderr = io.StringIO()
sys.stdin = io.StringIO('line 1\\nline 2\\n')
print('hidden')
print('error', file=sys.stderr)
say(repr(sys.stdout.getvalue()), repr(sys.stderr.getvalue()), repr(input()), list(sys.stdin))
say(sys.__stdout__ is not sys.stdout)
"""
    ) == ["'hidden\\n' 'error\\n' 'line 1' ['line 2\\n']", "True"]


@pytest.mark.parametrize("value", ["None", "open(os.devnull, 'w')", "object()"])
def test_odd_values_in_place_of_streams(in_actor, value):
    assert in_actor(f"sys.stdout = sys.stderr = {value}\nsys.stdin = None\nsay(sys.stdin)") == [
        "None"
    ]
    assert in_actor.stderr == []


def test_print_without_a_stream_says_nothing(in_actor):
    assert in_actor("sys.stdout = None\nprint('hidden', flush=True)\nsay('went on')") == ["went on"]


def test_a_deleted_stream_is_missing_for_the_actor_alone(in_actor):
    assert in_actor(
        """
sys.stdout = io.StringIO()
del sys.stdout
try:
    del sys.stdout
except AttributeError as error:
    say('no', error)
"""
    ) == ["no stdout"]


def test_contextlib_redirection_is_the_actors_alone(in_actor):
    assert in_actor(
        """
import contextlib
with contextlib.redirect_stdout(io.StringIO()) as out:
    print('captured')
print('not captured')
say(repr(out.getvalue()))
"""
    ) in (["not captured", "'captured\\n'"], ["'captured\\n'", "not captured"])


def test_stdin_of_an_actor_is_empty(in_actor):
    """As in real children, which do not compete for the terminal."""
    assert in_actor("say(repr(sys.stdin.read()), sys.stdin.fileno() > 2, sys.stdin.name)") == [
        "'' True /dev/null"
    ]


@pytest.mark.needs_processes("starts a program")
def test_dup2_onto_the_standard_descriptors(in_actor):
    assert in_actor(
        """
path = os.path.join(folder, 'out')
fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
assert os.dup2(fd, 1) == 1
assert os.dup2(1, 2) == 2
os.close(fd)
print('printed')
sys.stdout.flush()
os.write(1, b'written to 1\\n')
os.write(2, b'written to 2\\n')
print('to stderr', file=sys.stderr, flush=True)
subprocess.run([sys.executable, '-S', '-c', 'print("by a child")'], check=True)
say(os.fstat(1).st_ino == os.fstat(2).st_ino == os.stat(path).st_ino)
with open(path) as file:
    say(file.read().split('\\n'))
"""
    ) == [
        "True",
        "['printed', 'written to 1', 'written to 2', 'to stderr', 'by a child', '']",
    ]


def test_dup2_onto_stdin(in_actor):
    assert in_actor(
        """
read, write = os.pipe()
os.write(write, b'one\\ntwo\\nthree')
os.close(write)
os.dup2(read, 0)
os.close(read)
say(repr(os.read(0, 4)), repr(sys.stdin.readline()))
"""
    ) == ["b'one\\n' 'two\\n'"]


def test_dup2_keeps_a_stream_that_the_actor_made(in_actor):
    assert in_actor(
        """
sys.stdout = io.StringIO()
fd = os.open(os.devnull, os.O_WRONLY)
os.dup2(fd, 1)
os.close(fd)
print('kept')
say(repr(sys.stdout.getvalue()))
"""
    ) == ["'kept\\n'"]


def test_dup2_of_a_descriptor_onto_itself_and_of_a_closed_one(in_actor):
    assert in_actor(
        """
say(os.dup2(1, 1))
try:
    os.dup2(987, 1)
except OSError as error:
    say(error.errno)
print('still there', flush=True)
"""
    ) == ["1", "9", "still there"]


def test_closed_descriptors_are_closed_for_the_actor_alone(in_actor):
    assert (
        in_actor(
            """
for fd in range(3):
    os.close(fd)
    for use in (os.fstat, os.close, os.dup, os.isatty):
        try:
            say(use.__name__, use(fd))
        except OSError as error:
            say(use.__name__, error.errno)
"""
        )
        == ["fstat 9", "close 9", "dup 9", "isatty False"] * 3
    )


def test_saving_redirecting_and_restoring(in_actor):
    assert in_actor(
        """
saved = os.dup(1)
with tempfile.TemporaryFile() as file:
    os.dup2(file.fileno(), 1)
    print('into the file', flush=True)
    os.dup2(saved, 1)
    os.close(saved)
    print('back again', flush=True)
    file.seek(0)
    say(file.read())
"""
    ) == ["back again", "b'into the file\\n'"]


@pytest.mark.needs_processes("starts a program")
def test_a_program_started_by_an_actor_inherits_its_redirections(in_actor):
    assert in_actor(
        """
fd = os.open(os.path.join(folder, 'err'), os.O_RDWR | os.O_CREAT, 0o600)
os.dup2(fd, 2)
os.close(fd)
code = 'import os; os.write(1, b"1\\\\n"); os.write(2, b"2\\\\n")'
subprocess.run([sys.executable, '-S', '-c', code], check=True)
result = subprocess.run([sys.executable, '-S', '-c', code], capture_output=True)
say(result.stdout, result.stderr)
with open(os.path.join(folder, 'err')) as file:
    say(repr(file.read()))
"""
    ) == ["1", "b'1\\n' b'2\\n'", "'2\\n'"]


def test_grandchildren_inherit_replaced_streams(in_actor):
    assert in_actor(
        """
sys.stdout = io.StringIO()
process = multiprocessing.get_context('actor').Process(target=print, args=('from below',))
process.start()
process.join()
say(process.exitcode, repr(sys.stdout.getvalue()))
"""
    ) == ["0 'from below\\n'"]


def test_unflushed_text_comes_out_when_the_actor_ends(in_actor):
    lines = in_actor("print('neither flushed', end='')\nsys.stdout.write(' nor ended\\n')")
    assert lines == ["neither flushed nor ended"]


def test_a_stream_says_what_it_is(actors, capsys):
    answers = actors.Queue()
    process = actors.Process(target=describe, args=(answers,))
    process.start()
    answer = answers.get(timeout=30)
    process.join(30)
    assert answer == {
        "encoding": sys.stdout.encoding,
        "writable": True,
        "repr": True,
    }
    assert capsys.readouterr().out == "one\ntwo\nthree\n"


def describe(answers):
    sys.stdout.writelines(["one\n", "two\n", "three\n"])
    answers.put(
        {
            "encoding": sys.stdout.encoding,
            "writable": sys.stdout.writable(),
            "repr": "inherited" in repr(sys.stdout),
        }
    )


def test_main_uses_its_streams_as_ever(actors, capsys):
    process = actors.Process(target=os.getpid)
    process.start()
    process.join(30)
    print("printed")
    sys.stdout.write("written\n")
    assert capsys.readouterr().out == "printed\nwritten\n"
