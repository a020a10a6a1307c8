# SPDX-License-Identifier: Apache-2.0
"""Write every event of a run as one JSON line, with the whole result behind it.

The file is named by FORKLESS_RECORD. Values that JSON would flatten (unsafe text, tagged strings,
...) are listed by the name of their type, so that a run which loses a type does not pass for
equal.

FORKLESS_FORKS names a second file. Every process of the run appends a line to it for each process
that it creates: `fork PID` for os.fork (this is how multiprocessing makes Ansible's workers),
`exec PID` for a subprocess.
"""

import json
import os
import sys

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: record
type: aggregate
short_description: writes every event as a JSON line
description: Used to compare two runs of one playbook.
requirements: [enable in configuration]
"""

PLAIN = (dict, list, str, int, float, bool, type(None))


def types_of(value, path=""):
    """Name the types of all values that are not plain JSON, by their path."""
    found = {}
    if type(value) not in PLAIN:
        found[path] = type(value).__name__
    if isinstance(value, dict):
        for key, child in value.items():
            found.update(types_of(child, "%s/%s" % (path, key)))
    elif isinstance(value, (list, tuple)):
        for number, child in enumerate(value):
            found.update(types_of(child, "%s/%d" % (path, number)))
    return found


def count_processes(path):
    """Log each process creation of this process and of its forked children to the file."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    events = {
        "os.fork": "fork",
        "os.forkpty": "fork",
        "os.posix_spawn": "exec",
        "subprocess.Popen": "exec",
    }

    def watch(event, _arguments):
        if event in events:
            os.write(log, ("%s %d\n" % (events[event], os.getpid())).encode())

    sys.addaudithook(watch)


class CallbackModule(CallbackBase):
    """Records; it prints nothing."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "record"
    CALLBACK_NEEDS_ENABLED = True
    CALLBACK_NEEDS_WHITELIST = True

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.disabled = "FORKLESS_RECORD" not in os.environ
        if self.disabled:
            return
        self._file = open(
            os.environ["FORKLESS_RECORD"], "a", encoding="utf-8", errors="surrogateescape"
        )
        self._controller = os.getpid()
        if os.environ.get("FORKLESS_FORKS"):
            count_processes(os.environ["FORKLESS_FORKS"])
        self._write(event="begin", controller=self._controller)

    def _write(self, **fields):
        # One write per line: events arrive from the results thread as well as from the strategy.
        self._file.write(json.dumps(fields, default=repr, sort_keys=True) + "\n")
        self._file.flush()

    def _record(self, event, result, **more):
        data = result.result if hasattr(result, "result") else result._result
        task = result.task if hasattr(result, "task") else result._task
        host = result.host if hasattr(result, "host") else result._host
        self._write(
            event=event,
            host=host.get_name(),
            task=task.get_name(),
            where=task.get_path(),
            delegate=task.delegate_to,
            run_once=task.run_once,
            ignore_errors=task.ignore_errors,
            arguments=repr(sorted(task.args)),
            result=data,
            types=types_of(data),
            in_callback=os.getpid() == self._controller,
            **more,
        )

    def v2_runner_on_start(self, host, task):
        self._write(
            event="start", host=host.get_name(), task=task.get_name(), where=task.get_path()
        )

    def v2_runner_on_ok(self, result):
        self._record("ok", result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._record("failed", result, ignored=ignore_errors)

    def v2_runner_on_skipped(self, result):
        self._record("skipped", result)

    def v2_runner_on_unreachable(self, result):
        self._record("unreachable", result)

    def v2_runner_retry(self, result):
        self._record("retry", result)

    def v2_runner_item_on_ok(self, result):
        self._record("item ok", result)

    def v2_runner_item_on_failed(self, result):
        self._record("item failed", result)

    def v2_runner_item_on_skipped(self, result):
        self._record("item skipped", result)

    def v2_runner_on_async_poll(self, result):
        self._record("async poll", result)

    def v2_runner_on_async_ok(self, result):
        self._record("async ok", result)

    def v2_runner_on_async_failed(self, result):
        self._record("async failed", result)

    def v2_on_file_diff(self, result):
        self._record("diff", result)

    def v2_playbook_on_notify(self, handler, host):
        self._write(event="notify", host=host.get_name(), task=handler.get_name())

    def v2_playbook_on_include(self, included_file):
        for host in included_file._hosts:
            self._write(
                event="include",
                host=host.get_name(),
                task=os.path.basename(included_file._filename),
            )

    def v2_playbook_on_stats(self, stats):
        for host in sorted(stats.processed):
            self._write(event="stats", host=host, task="", result=stats.summarize(host))
        self._write(event="end")
