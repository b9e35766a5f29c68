"""JupyterHub for one shared GPU machine in science: spawner, picker, logins and services."""

__version__ = "0.1.0"
