# SPDX-License-Identifier: Apache-2.0
"""A lookup whose module takes its time to load: who takes it half-loaded finds no class in it."""

import time

from ansible.plugins.lookup import LookupBase

time.sleep(0.3)


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        return ["loaded"]
