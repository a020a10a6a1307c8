# SPDX-License-Identifier: Apache-2.0
"""Run unmodified ansible-core with its workers as actors.

`forkless.install()` calls `register`; from then on, whatever imports ansible-core gets the
adapter: the command `forkless ansible-playbook …`, the module `ansible`, or a program of one's
own. The rules are in `rules.py`.
"""

from .adapter import UnsupportedAnsible, register

__all__ = ["UnsupportedAnsible", "register"]
