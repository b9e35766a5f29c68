"""Starts the single-user server without the modules that a start does not need: they are loaded at their first use.

jupyterhub's single-user server imports the Hub's database layer, three HTTP clients and more, and uses none of it
before it answers its first request. Each entry below was found with `python -X importtime`. An entry that a new release
has made needless does no harm, and one that is used at once is merely loaded at once.
"""

import sys
import threading
from importlib.machinery import PathFinder
from types import ModuleType

# Module -> names that others take from it with `from module import name`, all of them functions or classes only called.
DEFERRED = {
    "aiohttp": (),  # asks the hub; imported whole by jupyter-server-proxy too
    "jupyterhub.httpclient": ("fetch",),  # ... through this, first when somebody logs in
    "jupyterhub.orm": (),  # the Hub's tables; log, metrics and scopes name them in functions that only the Hub calls
    "jupyterhub.roles": (),
    "sqlalchemy": (),
    "jupyterlab.extensions.pypi": ("PyPIExtensionManager",),  # the lab's extensions come with the image
    "requests": (),  # lists of forbidden extensions, of which we have none
    "send2trash": ("send2trash",),  # the first delete
    "unittest.mock": (),  # patches handlers that other extensions add
}


class _Module(ModuleType):
    """A module that is executed when the first name is looked up in it that it does not have."""

    def __getattr__(self, name):
        state = self.__dict__["_deferred"]
        if name in state.calls and not state.is_loaded:
            return lambda *args, **kwargs: getattr(state.load(self), name)(*args, **kwargs)
        if name == "__path__" and state.path is None:  # every `from module import name` asks this first
            raise AttributeError(name)
        state.load(self)
        return ModuleType.__getattribute__(self, name)


class _State:
    """How to execute one module, once, from whichever thread."""

    def __init__(self, loader, calls, path):
        self.loader, self.calls, self.path = loader, calls, path
        self.is_loaded = False
        self._lock = threading.RLock()

    def load(self, module):
        """The module, executed. Re-entrant: a module may import others that look at it."""
        with self._lock:
            if not self.is_loaded:
                self.is_loaded = True
                if self.path is not None:
                    module.__path__ = self.path
                self.loader.exec_module(module)
                module.__class__ = ModuleType
        return module


class _Loader:
    """Puts a _Module where the real loader would execute the code."""

    def __init__(self, loader, calls):
        self.loader, self.calls = loader, calls

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self.loader
        path = module.__dict__.get("__path__")
        if not self.calls:
            # The import of a submodule looks this up, and so executes the package first, as it should.
            module.__dict__.pop("__path__", None)
        module.__dict__["_deferred"] = _State(self.loader, self.calls, path)
        module.__class__ = _Module


class _Finder(PathFinder):
    """Finds the modules in DEFERRED and gives them our loader; leaves all others to Python."""

    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        if fullname not in DEFERRED:
            return None
        spec = super().find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, DEFERRED[fullname])
        return spec


def defer():
    """From now on the modules in DEFERRED are loaded at their first use."""
    sys.meta_path.insert(0, _Finder)


def main():
    """Exit status of jupyterhub-singleuser."""
    defer()
    from jupyterhub.singleuser import main as singleuser

    return singleuser()
