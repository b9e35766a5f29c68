# Read by jupyterhub-idle-culler, which the hub starts as a service. Everything comes from mlinfn.yaml.
from jupyterhub_mlinfn import culling

culling.configure(get_config())  # noqa: F821 - traitlets provides it
