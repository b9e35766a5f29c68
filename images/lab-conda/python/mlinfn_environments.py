"""Kernels of the environments in the member's home, found anew at each look: one that is made shows up by itself.

The libraries for this do not fit: nb_conda_kernels is on no Python index and asks the program `conda`, which is not
here, and nb-venv-kernels shows only environments that were registered by hand.
"""

import os
import re
from pathlib import Path

from jupyter_client.kernelspec import KernelSpecManager
from traitlets import List, Unicode

NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]")


class EnvironmentKernels(KernelSpecManager):
    """The usual kernels, and those that lie in share/jupyter/kernels of each environment."""

    environments = List(
        Unicode(), ["~/micromamba/envs"], config=True,
        help="Folders whose subfolders are environments; of two kernels with one name, the first counts.",
    )  # fmt: skip

    def find_kernel_specs(self):
        """Folder of each kernel by its name; those of environments are called env-ENVIRONMENT-KERNEL, in lower case."""
        usual = super().find_kernel_specs()
        return {**{name: str(folder) for name, (_, folder) in self._found().items()}, **usual}

    def get_kernel_spec(self, kernel_name):
        """The kernel of that name. One of an environment runs with it activated. Raises NoSuchKernel."""
        prefix, folder = self._found().get(kernel_name.lower(), (None, None))
        if prefix is None:
            return super().get_kernel_spec(kernel_name)
        spec = self.kernel_spec_class.from_resource_dir(str(folder))
        spec.argv = ["in-environment", str(prefix), *_with_its_own_python(spec.argv, prefix)]
        spec.display_name = f"{prefix.name}: {spec.display_name}"
        return spec

    def _found(self):
        """Name -> (environment, folder of the kernel)."""
        found = {}
        for root in self.environments:
            for file in sorted(Path(root).expanduser().glob("*/share/jupyter/kernels/*/kernel.json")):
                prefix = file.parents[4]
                name = NOT_IN_A_NAME.sub("_", f"env-{prefix.name}-{file.parent.name}").lower()
                found.setdefault(name, (prefix, file.parent))
        return found


def _with_its_own_python(argv, prefix):
    """The command with the environment's Python where it says `python`, which Jupyter takes for the server's own."""
    if os.path.basename(argv[0]).startswith("python") and not os.path.isabs(argv[0]):
        return [str(prefix / "bin" / "python"), *argv[1:]]
    return argv
