# SPDX-License-Identifier: Apache-2.0
"""An action that changes all state that a worker can reach, and reports what it saw before.

Everything that it does is gone when a forked worker ends.
"""

import os
import signal
import sys

from ansible.plugins.action import ActionBase
from ansible.plugins.loader import action_loader
from ansible.utils.display import Display


def meddle(action, task_vars):
    here = task_vars["inventory_hostname"]
    mark = "leaked from " + here
    for name in ("shared_list", "play_list"):
        task_vars[name].append(mark)
    task_vars["shared_dictionary"]["deep"]["list"].append(mark)
    task_vars["shared_dictionary"][mark] = mark
    task_vars["own_fact"]["list"].append(mark)
    task_vars["groups"]["all"].append(mark)
    task_vars["leaked_variable"] = mark
    task_vars["hostvars"].raw_get("host1")["own_fact"]["list"].append(mark)
    meddle_with_managers(action, here, mark)
    meddle_with_task(action, mark)
    meddle_with_process()


def meddle_with_managers(action, here, mark):
    manager = action._task._variable_manager
    manager.set_nonpersistent_facts("host1", {"leaked_fact": mark})
    manager.set_host_facts("host1", {"leaked_host_fact": mark})
    manager.set_host_variable("host1", "leaked_host_variable", mark)
    inventory = manager._inventory
    inventory.get_host("localhost")
    inventory._inventory.hosts["ghost"] = inventory.get_host(here)
    action._loader.set_basedir("/")
    action._loader._FILE_CACHE["leaked"] = mark
    action._loader._tempfiles.add("/nonexistent/leaked")


def meddle_with_task(action, mark):
    task = action._task
    task.args["nested"]["list"].append(mark)
    task.vars["leaked"] = mark
    task._parent.vars["leaked"] = mark
    task._parent.name = mark
    action._play_context.remote_user = mark
    action._play_context.port = 4711


def meddle_with_process():
    os.environ["LEAKED"] = "leaked"
    os.chdir("/")
    os.umask(0o027)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    sys.stdin = None
    Display()._warns = {"leaked": 1} if isinstance(Display()._warns, dict) else {"leaked"}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        look = sys.modules[action_loader.get("look", class_only=True).__module__].look
        result["seen"] = look(self, task_vars)
        meddle(self, task_vars)
        return result
