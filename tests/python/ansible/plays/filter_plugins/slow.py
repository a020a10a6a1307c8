# SPDX-License-Identifier: Apache-2.0
"""A filter whose module takes its time to load."""

import time

time.sleep(0.3)


class FilterModule:
    def filters(self):
        return {"slowly": lambda value: f"{value} slowly"}
