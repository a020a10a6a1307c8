# SPDX-License-Identifier: Apache-2.0
"""An action whose worker ends in an unusual way."""

import os
import signal
import sys
import threading
import time

from ansible.plugins.action import ActionBase


def end(way):
    if way == "_exit":
        os._exit(3)
    if way == "_exit 0":
        os._exit(0)
    if way == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if way == "exit":
        sys.exit("a text")
    if way == "interrupt":
        raise KeyboardInterrupt
    if way == "raise":
        raise RuntimeError("raised by the action")
    if way == "base exception":
        raise BaseException("raised by the action")
    if way == "close the streams":
        sys.stdin.close()
        for descriptor in (0, 1, 2):
            os.close(descriptor)
    if way == "sleep":
        time.sleep(20)
    if way == "print":
        print("printed by the action")
        sys.stderr.write("written by the action\n")
    if way == "unpicklable":
        return {"lock": threading.Lock()}
    return {}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        result.update(end(self._task.args["way"]))
        return result
