"""optdyn: how learning algorithms move, in small jitted JAX functions.

One module a subject, imported when it is first used::

    import optdyn
    optdyn.logistic.critical_step_size([1.0, -1.0, 2.0])

Nothing here changes JAX's configuration; for float64 the caller sets `jax_enable_x64`.
"""

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

__version__ = "0.1.0"
__all__ = [module.name for module in iter_modules(__path__)]


def __getattr__(name: str) -> ModuleType:
    if name not in __all__:
        raise AttributeError(f"module 'optdyn' has no attribute {name!r}")
    return import_module(f"optdyn.{name}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
