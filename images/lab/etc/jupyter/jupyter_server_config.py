"""What the lab's server does differently from Jupyter's defaults."""

c = get_config()  # noqa: F821

c.ServerApp.terminado_settings = {"shell_command": ["/bin/bash", "-l"]}
# No language server is in this image; looking for some takes time at every start.
c.ServerApp.jpserver_extensions = {"jupyter_lsp": False}
# Extensions come with the image; members' own packages are for their kernels.
c.LabApp.extension_manager = "readonly"
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.LabApp.news_url = None
