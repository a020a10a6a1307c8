# SPDX-License-Identifier: Apache-2.0
"""An action that warns, as many workers may do with the same words."""

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        display = Display()
        for _ in range(2):
            display.warning("the same words")
            display.warning(f"words of {task_vars['inventory_hostname']}")
            display.deprecated("old words", version="9.9")
            display.error("bad words")
            display.display("plain words")
            display.vv("many words")
        return super().run(tmp, task_vars)
