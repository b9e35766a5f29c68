# The whole of JupyterHub's configuration comes from mlinfn.yaml. What that cannot say goes into files of
# jupyterhub_config.d/, which are loaded last, sorted by name.
import os
import sys
from pathlib import Path

from jupyterhub_mlinfn import hub
from jupyterhub_mlinfn.errors import OperatorError
from jupyterhub_mlinfn.settings import config_path, load

c = get_config()  # noqa: F821 - traitlets provides it
try:
    settings = load(environ=dict(os.environ))
    hub.prepare(settings, config_path(os.environ))
    hub.configure(c, settings, Path(__file__).parent / "culler_config.py", config_path(os.environ))
except OperatorError as error:
    sys.exit(f"The hub does not start.\n{error}")
hub.watch(settings)
for extra in sorted((Path(__file__).parent / "jupyterhub_config.d").glob("*.py")):
    load_subconfig(str(extra))  # noqa: F821 - traitlets provides it
try:
    hub.check(c)
except OperatorError as error:
    sys.exit(f"The hub does not start.\n{error}")
