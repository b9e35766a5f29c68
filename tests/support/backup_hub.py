"""JupyterHub configuration of a hub whose members get files back: the real page's entry, and labs of one process."""

from __future__ import annotations

import sys

from jupyterhub.spawner import SimpleLocalProcessSpawner
from rooms_hub import LAB, NameIsPassword

from jupyterhub_mlinfn import backup_page, form, restored
from jupyterhub_mlinfn.settings import Settings

PEOPLE = {"anna": ["cms"], "boris": ["cms"]}


def configure(c, folder):
    """Everything but the ports."""
    port = c.JupyterHub.hub_port - 2
    (folder / "lab.py").write_text(LAB)
    c.JupyterHub.subdomain_host = f"http://localhost:{port}"
    c.JupyterHub.authenticator_class = NameIsPassword
    c.Authenticator.allow_all = True
    c.JupyterHub.default_url = "/hub/home"
    c.JupyterHub.load_groups = {"cms": {"users": list(PEOPLE)}}
    c.JupyterHub.spawner_class = SimpleLocalProcessSpawner
    c.SimpleLocalProcessSpawner.home_dir_template = str(folder) + "/{username}"
    c.Spawner.cmd = [sys.executable, str(folder / "lab.py")]
    c.JupyterHub.template_paths = [str(form.TEMPLATES)]
    c.JupyterHub.template_vars = {"contact": "help@example.org"}
    c.JupyterHub.services, c.JupyterHub.load_roles, c.JupyterHub.extra_handlers = [], [], []
    c.JupyterHub.custom_scopes = {restored.SCOPE: {"description": "Put files of a backup into your own home."}}
    c.JupyterHub.extra_user_scopes = {restored.SCOPE}
    backup_page.configure(c, Settings(root=folder, port=port))
