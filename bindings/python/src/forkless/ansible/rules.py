# SPDX-License-Identifier: Apache-2.0
"""What a worker of ansible-core may change, and how that stays the worker's own: rules as data.

A forked worker owns a private copy of the whole controller. A worker that is a thread owns only
what a rule gives to it. Each rule names one piece of state, says what happens to it, and why.
`Objects` says how the objects that a worker is handed come into its hands; `Rule` changes a class
or a module once, when ansible-core imports it.

A version is a tuple; a rule holds from `since` up to, but not including, `before`.
"""

from __future__ import annotations

import dataclasses

__all__ = ["KNOWN", "OLDEST", "SHARED", "Objects", "Rule", "objects_for", "rules_for"]

Version = tuple[int, ...]

# What was tested. An older version is refused, a newer one gets the rules of the newest and a
# warning.
OLDEST: Version = (2, 14)
KNOWN: Version = (2, 22)

# How a value comes into the worker's hands.
SHARE = "share"  # the controller's own object
COPY = "copy"  # a deep copy
OUTER = "outer"  # the container is copied, what is in it is shared: a snapshot of who is in it
FRESH = "fresh"  # an empty container of the same type
CLONE = "clone"  # a new object, made as the rule of its class says
DUPLICATE = "duplicate"  # the same open file through a new descriptor


@dataclasses.dataclass(frozen=True)
class Objects:
    """How the instances of a class (and of its subclasses) come into a worker's hands."""

    of: str
    attributes: dict[str, str]
    rest: str
    why: str
    since: Version = OLDEST
    before: Version = (99,)


@dataclasses.dataclass(frozen=True)
class Rule:
    """What is done (a function of `patches`) to which class or module, with which names."""

    do: str
    where: str
    names: tuple[str, ...]
    why: str
    since: Version = OLDEST
    before: Version = (99,)
    start: str = ""


OBJECTS = (
    Objects(
        "ansible.executor.process.worker:WorkerProcess",
        {
            "_final_q": SHARE,
            "worker_queue": SHARE,
            "_shared_loader_obj": SHARE,
            "_cliargs": SHARE,
            "_task_vars": COPY,
            "_host": CLONE,
            "_task": CLONE,
            "_play_context": CLONE,
            "_loader": CLONE,
            "_variable_manager": CLONE,
            "_new_stdin": DUPLICATE,
        },
        SHARE,
        "The strategy reads its worker while it runs (free reads worker._task), so the worker "
        "gets a second one.",
    ),
    Objects(
        "ansible.playbook.base:FieldAttributeBase",
        {
            "_parent": CLONE,
            "_loader": CLONE,
            "_variable_manager": CLONE,
            "_play": SHARE,
            "_role": SHARE,
        },
        COPY,
        "squash, post_validate, delegate_to and run_once write templated values of one host into"
        " the task, into its "
        "loop control and into the blocks and includes above it.",
    ),
    Objects(
        "ansible.playbook.block:Block",
        {
            "_parent": CLONE,
            "_loader": CLONE,
            "_variable_manager": CLONE,
            "_play": SHARE,
            "_role": SHARE,
            "_dep_chain": OUTER,
            "_block": SHARE,
            "_rescue": SHARE,
            "_always": SHARE,
            "_ds": SHARE,
        },
        COPY,
        "A block is validated with the task, but its lists of tasks are the strategy's business "
        "alone.",
    ),
    Objects(
        "ansible.playbook.play:Play",
        {},
        SHARE,
        "Only the strategy changes a play. Workers read it to compute the variables of a "
        "delegated host.",
    ),
    Objects(
        "ansible.playbook.play_context:PlayContext",
        {},
        COPY,
        "The worker writes connection settings of its host and task into it.",
    ),
    Objects(
        "ansible.inventory.host:Host",
        {"vars": COPY, "groups": OUTER},
        SHARE,
        "The worker empties the variables and groups of its host before it sends the result.",
    ),
    Objects(
        "ansible.parsing.dataloader:DataLoader",
        {"_tempfiles": FRESH, "_FILE_CACHE": OUTER},
        SHARE,
        "A worker deletes its temporary files and no other's, changes the base directory to "
        "resolve a path, and "
        "does not show files that it parsed to later tasks, which may find other contents.",
    ),
    Objects(
        "ansible.vars.manager:VariableManager",
        {
            "_nonpersistent_fact_cache": OUTER,
            "_vars_cache": OUTER,
            "_fact_cache": CLONE,
            "_inventory": CLONE,
            "_loader": CLONE,
            "_hostvars": CLONE,
        },
        SHARE,
        "A worker sees the facts as they were when it started. The inner dictionaries are never "
        "changed in place: "
        "see the rule `replace_before_change`.",
    ),
    Objects(
        "ansible.vars.fact_cache:FactCache",
        {"_plugin": CLONE},
        SHARE,
        "Leads to the cache plugin.",
        before=(2, 19),
    ),
    Objects(
        "ansible.plugins.cache:BaseCacheModule",
        {"_cache": OUTER},
        SHARE,
        "Facts that a host gets while a worker runs do not appear in that worker.",
    ),
    Objects(
        "ansible.vars.hostvars:HostVars",
        {"_inventory": CLONE, "_loader": CLONE, "_variable_manager": CLONE},
        SHARE,
        "hostvars looks into the worker's snapshot, not into the live variable manager.",
    ),
    Objects(
        "ansible.inventory.manager:InventoryManager",
        {
            "_inventory": CLONE,
            "_loader": CLONE,
            "_hosts_patterns_cache": OUTER,
            "_pattern_cache": OUTER,
        },
        SHARE,
        "Hosts that are added while a worker runs do not appear in it, and it may fill its own "
        "caches.",
    ),
    Objects(
        "ansible.inventory.data:InventoryData",
        {
            "hosts": OUTER,
            "groups": OUTER,
            "_groups_dict_cache": OUTER,
        },
        SHARE,
        "A worker may create the implicit localhost, and nobody sees a cache that another one is"
        " filling. "
        "Groups and the other hosts are shared: copying them costs time per host and nobody "
        "writes to them.",
    ),
    Objects("ansible.inventory.group:Group", {}, SHARE, "Workers only read groups."),
    Objects("ansible.playbook.role:Role", {}, SHARE, "Workers only read roles."),
)

# Subclasses of dict and list that Ansible stores in variables, with the attributes that their
# instances carry. Their own copy methods are Python code that costs ten times more.
CONTAINERS = {
    "ansible.parsing.yaml.objects:AnsibleMapping": ("__dict__",),
    "ansible.parsing.yaml.objects:AnsibleSequence": ("__dict__",),
    "ansible.module_utils._internal._datatag:_AnsibleTaggedDict": ("_ansible_tags_mapping",),
    "ansible.module_utils._internal._datatag:_AnsibleTaggedList": ("_ansible_tags_mapping",),
}

RULES = (
    Rule(
        "worker",
        "ansible.executor.process.worker:WorkerProcess",
        (),
        "Makes the second worker object that the actor runs, as the table above says.",
    ),
    Rule(
        "actor_global",
        "ansible.executor.process.worker",
        ("current_worker",),
        "Display asks it which worker wants a prompt answered.",
        since=(2, 16),
    ),
    Rule(
        "actor_attribute",
        "ansible.utils.display:Display",
        ("_final_q",),
        "A worker sends what it displays to the controller; the controller, which displays it, "
        "must not.",
        start="none",
    ),
    Rule(
        "actor_attribute",
        "ansible.utils.display:Display",
        ("_warns", "_deprecations", "_errors"),
        "Workers of these versions drop repeated messages themselves, and know those that the "
        "controller had shown when they started.",
        before=(2, 19),
        start="copy",
    ),
    Rule(
        "actor_mapping",
        "ansible.plugins.connection.paramiko_ssh",
        ("SSH_CONNECTION_CACHE", "SFTP_CONNECTION_CACHE"),
        "One worker would close the connection that another one uses.",
        before=(2, 21),
    ),
    Rule(
        "lock_methods",
        "ansible.plugins.loader:PluginLoader",
        (
            "_load_module_source",
            "find_plugin_with_context",
            "_get_paths_with_context",
            "add_directory",
        ),
        "Two workers that load one plugin at a time would see a half-initialised module.",
    ),
    Rule(
        "lock_methods",
        "ansible.plugins.loader:Jinja2Loader",
        ("_ensure_non_collection_wrappers",),
        "A worker would take the half-filled table of filters for the whole one.",
    ),
    Rule(
        "loaded_plugins",
        "ansible.plugins.loader:PluginLoader",
        ("_load_module_source",),
        "Plugins do not come through the import system: their rules are carried out when the "
        "loader has loaded them.",
    ),
    Rule(
        "wake",
        "ansible.plugins.strategy",
        ("time",),
        "The strategy polls up to 10,000 times a second for workers that end. Here that takes "
        "the interpreter from the workers, and an end can wake it.",
    ),
    Rule(
        "wake",
        "ansible.plugins.strategy.free",
        ("time",),
        "The same: this strategy has a loop of its own.",
    ),
    Rule(
        "wakes",
        "ansible.executor.task_queue_manager:FinalQueue",
        ("get",),
        "When the thread that handles results comes back for more, there is something new for "
        "the strategy.",
    ),
    Rule(
        "wakes_by_request",
        "ansible.plugins.strategy:StrategyBase",
        ("_rpc_queue",),
        "A request of a worker waits for the strategy, too.",
        since=(2, 21),
    ),
    Rule(
        "replace_before_change",
        "ansible.vars.manager:VariableManager",
        (
            "set_host_facts",
            "set_nonpersistent_facts",
            "set_host_variable",
        ),
        "The dictionary of a host is replaced and not changed in place, so that a snapshot of "
        "the outer one is enough.",
    ),
    Rule(
        "copied_result",
        "ansible.vars.manager:VariableManager",
        ("get_vars",),
        "Variables of other hosts that a worker looks up lead into the shared fact caches.",
    ),
    Rule(
        "direct_rpc",
        "ansible._internal._rpc_host:AutoRegisterRPC",
        ("get_client",),
        "Worker and controller are one process: the call needs no socket, only copies of what "
        "is passed.",
        since=(2, 21),
    ),
    Rule(
        "undone_at_exit",
        "ansible.module_utils._internal._secrets:SecretMasker",
        ("track_new_secrets", "unregister"),
        "Each task has the masker of secrets keep a list for it, which a worker that ends frees.",
        since=(2, 22),
    ),
)

# What stays shared, though workers change it, and why that changes nothing that they can see.
SHARED = {
    "ansible.constants:config": "Definitions of plugins' options: all workers write the same.",
    "ansible.template:Templar": "Sets the environment class of a shared template class, always to "
    "the same one; the environments themselves belong to each Templar.",
    "ansible.inventory.group:Group": "Fills its cache of hosts in one assignment.",
    "ansible.plugins.vars.host_group_vars": "Remembers where files are, which does not change.",
    "ansible.utils.vars:get_unique_id": "Counts; forked workers give the same ids out twice.",
    "sys.modules": "A plugin is loaded once. What it keeps in its own globals stays there, which "
    "is the one difference to fork that a plugin can see.",
}


def _holds(rule: Objects | Rule, version: Version) -> bool:
    return rule.since <= version < rule.before


def objects_for(version: Version) -> dict[str, Objects]:
    """The rules for objects of a version, by class."""
    return {rule.of: rule for rule in OBJECTS if _holds(rule, version)}


def rules_for(version: Version) -> list[Rule]:
    """The rules that change classes and modules of a version."""
    return [rule for rule in RULES if _holds(rule, version)]
