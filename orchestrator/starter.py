"""What `anyjob init` writes: a site to start with, in which every file tells what goes there."""

import os
from pathlib import Path
from typing import Final

from orchestrator.settings_views import commented_yaml
from orchestrator.site import CONFIG_NAME, SiteError

_INVENTORY: Final = """\
# The nodes: machines with sshd and python3 (3.6 or newer); nothing of AnyJob is installed on them.
#
# `anyjob nodes list` shows what is read here, `anyjob nodes trust` fetches the host keys, `anyjob nodes check` tries
# every node. Ansible inventories, host lists and OpenSSH configurations will do as well: see the setting `inventory`.

nodes:
  localhost:
    host: 127.0.0.1
    labels: {role: example}

#  web[01-20]:                  # twenty nodes
#    user: deploy
#    labels: {role: web}
#  db1:
#    host: 192.0.2.17
#    port: 2222
#    jump: bastion.example.org  # reached through this machine
#    disabled: "being repaired until Monday"

#groups:
#  frontend:
#    nodes: web[01-20]          # anyjob exec -w @frontend -- uptime
"""

_JOBS: Final = """\
# Job types of this site: every *.yaml file here has some. `anyjob types list` shows them and those that come with
# AnyJob, `anyjob types new NAME` writes a start for one, `anyjob types check` finds mistakes, `anyjob reload` makes a
# running daemon use them.

#restart:
#  label: Restart a service
#  params:
#    unit: {kind: text, label: Unit, required: true, implicit: true}
#  run_as: root                 # see policy.yaml
#  command: [systemctl, restart, "{{ params.unit }}"]

#                               # anyjob run restart web[01-20] nginx
"""

_POLICY: Final = """\
# What holds for all job types. `anyjob config check` finds mistakes here too.

#props:                         # every run may have these
#  ticket: {kind: text, label: Ticket}

#run_as:                        # who may run what as whom; without rules: as every account but root
#  rules:
#    - {accounts: [app, "web-*"], types: [restart], nodes: {role: web}}
#    - {accounts: [root], types: [packages], users: [alice]}
"""

_FILES: Final = {
    CONFIG_NAME: (None, 0o640),  # may come to hold a password
    "inventory.yaml": (_INVENTORY, 0o644),
    "jobs.d/example.yaml": (_JOBS, 0o644),
    "policy.yaml": (_POLICY, 0o644),
    "known_hosts": ("", 0o644),
    ".gitignore": ("# run-time data: socket, output, embedded Redis\n/.anyjob/\n", 0o644),
}


def create(directory: Path) -> tuple[Path, ...]:
    """Write a new site and return its files; nothing is written if one of them is there already.

    Raises:
        SiteError: a file is there already, or the directory cannot be written.
    """
    present = [name for name in _FILES if os.path.lexists(directory / name)]
    if present:
        raise SiteError(f"{directory} already has {', '.join(present)}; nothing was written")
    try:
        for name, (content, mode) in _FILES.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=mode, exist_ok=False)
            path.write_text(commented_yaml() if content is None else content, "utf-8")
    except OSError as error:
        raise SiteError(f"cannot write {error.filename or directory}: {error.strerror}") from error
    return tuple(directory / name for name in _FILES)
