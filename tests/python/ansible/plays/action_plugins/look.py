# SPDX-License-Identifier: Apache-2.0
"""An action that reports what a worker sees of the state that a worker may change."""

import os
import signal

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display


def look(action, task_vars):
    """Every piece of state by name, as plain data."""
    task = action._task
    manager = task._variable_manager
    inventory = manager._inventory
    loader = action._loader
    here = task_vars["inventory_hostname"]
    return {
        "inventory list": list(task_vars["shared_list"]),
        "inventory dictionary": repr(task_vars["shared_dictionary"]),
        "play variable": list(task_vars["play_list"]),
        "fact": repr(task_vars["own_fact"]),
        "groups": sorted(task_vars["groups"]["all"]),
        "new variable": "leaked_variable" in task_vars,
        "facts of another host": repr(task_vars["hostvars"].raw_get("host1")["own_fact"]),
        "hosts in hostvars": sorted(task_vars["hostvars"]),
        "facts in the variable manager": sorted(manager._nonpersistent_fact_cache.get("host1", {})),
        "variables in the variable manager": sorted(manager._vars_cache.get("host1", {})),
        "cached facts of a host": sorted(
            task_vars["hostvars"].raw_get("host1").get("ansible_facts", {})
        ),
        "variables of the host object": repr(inventory.get_host(here).vars.get("shared_host_list")),
        "groups of the host object": sorted(
            group.name for group in inventory.get_host(here).groups
        ),
        "implicit localhost": inventory._inventory.localhost is not None,
        "task arguments": repr(task.args.get("nested")),
        "task variables": repr(sorted(task.vars)),
        "task name": task.name,
        "block variables": repr(sorted(task._parent.vars)),
        "play context": action._play_context.remote_user,
        "play context port": action._play_context.port,
        "base directory": os.path.basename(loader.get_basedir()),
        "parsed files": sorted(
            os.path.basename(str(name)) for name in loader._FILE_CACHE if "leaked" in str(name)
        ),
        "temporary files": sorted(loader._tempfiles),
        "environ": os.environ.get("LEAKED"),
        "environ of a subprocess": os.popen("echo $LEAKED").read().strip(),
        "folder": os.path.basename(os.getcwd()),
        "folder of a subprocess": os.path.basename(os.popen("pwd").read().strip()),
        "umask": os.popen("umask").read().strip(),
        "alarm handler": repr(signal.getsignal(signal.SIGALRM)),
        "display has a queue": Display()._final_q is not None,
    }


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        result["seen"] = look(self, task_vars)
        return result
