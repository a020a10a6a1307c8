# SPDX-License-Identifier: Apache-2.0
"""The probes, by what they look at."""
