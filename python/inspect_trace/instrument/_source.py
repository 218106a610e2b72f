"""A library whose calls can be traced: its functions are wrapped, and unwrapped again."""

from __future__ import annotations

import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import wrapt

from inspect_trace._report import text_of, warn

from ._frames import hide_our_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    Wrapper: TypeAlias = Callable[[Any, Any, tuple[Any, ...], dict[str, Any]], Any]
    """Called as `wrapper(wrapped, instance, args, kwargs)` instead of the function."""
    Wrap: TypeAlias = Callable[[Any, str, Wrapper], None]
    """`wrap(owner, "attribute.path", wrapper)`: wraps a function of a module or a class."""
    Patch: TypeAlias = Callable[[ModuleType, Wrap], None]
    """Wraps what is to be traced of a module, which has just been imported."""


class Source:
    """Something that can be traced without a change to the program.

    Args:
        name: What it is switched on by.
        patches: What is wrapped, by the module in which it is. A module that is not imported yet is
            patched when it is; one that nobody imports stays unimported.
        is_opt_in: Whether it is only switched on by name.
    """

    def __init__(self, name: str, patches: Mapping[str, Patch], *, is_opt_in: bool = False) -> None:
        self.name = name
        self.is_opt_in = is_opt_in
        self._patches = dict(patches)
        self._is_enabled = False
        self._awaited: set[str] = set()
        self._wrapped: list[_Wrapped] = []
        self._patched: set[str] = set()
        self._lock = threading.RLock()

    @property
    def is_enabled(self) -> bool:
        """Whether it is switched on."""
        return self._is_enabled

    def enable(self) -> None:
        """Switches it on. Switching on again does nothing."""
        with self._lock:
            if self._is_enabled:
                return
            self._is_enabled = True
        for module_name in self._patches:
            if module_name in self._awaited:
                module = sys.modules.get(module_name)
                if module is not None:
                    self._on_import(module_name, module)
                continue
            # There is no way to take a hook back: it looks whether the source is on.
            self._awaited.add(module_name)
            wrapt.register_post_import_hook(partial(self._on_import, module_name), module_name)

    def disable(self) -> None:
        """Switches it off: what was wrapped is what it was. Actions that are open end as they do.

        A function that somebody else has wrapped since stays as it is, and traces nothing.
        """
        with self._lock:
            self._is_enabled = False
            wrapped, self._wrapped = self._wrapped, []
            self._patched.clear()
            _unwrap(wrapped)

    def _on_import(self, module_name: str, module: ModuleType) -> None:
        with self._lock:
            if not self._is_enabled or module_name in self._patched:
                return
            self._patched.add(module_name)
            before = len(self._wrapped)
            try:
                self._patches[module_name](module, self._wrap)
            except Exception as error:
                # All of a module or nothing: half of it would tell half of what happens.
                wrapped = self._wrapped[before:]
                del self._wrapped[before:]
                _unwrap(wrapped)
                version = getattr(module, "__version__", "of unknown version")
                warn(
                    f"instrument: {self.name} is not traced: {module_name} {version} is not as "
                    f"expected ({type(error).__name__}: {text_of(error)})"
                )

    def _wrap(self, owner: Any, path: str, wrapper: Wrapper) -> None:
        *parents, attribute = path.split(".")
        for parent in parents:
            owner = getattr(owner, parent)
        self._wrapped.append(_Wrapped(owner, attribute, wrapper))


class _Wrapped:
    """A function that is wrapped, until it is unwrapped."""

    def __init__(self, owner: Any, attribute: str, wrapper: Wrapper) -> None:
        self._owner = owner
        self._attribute = attribute
        self._wrapper: Wrapper | None = wrapper
        # What stands there itself: of a class a static method as one, of an inherited one nothing.
        self._original = vars(owner).get(attribute, _INHERITED)
        wrapt.wrap_function_wrapper(owner, attribute, self._call)
        self._standing = vars(owner)[attribute]

    def _call(
        self, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        wrapper = self._wrapper
        try:
            if wrapper is None:
                return wrapped(*args, **kwargs)
            return wrapper(wrapped, instance, args, kwargs)
        except BaseException as error:
            hide_our_frames(error)
            raise

    def unwrap(self) -> None:
        self._wrapper = None  # for who has got hold of the wrapped function
        if vars(self._owner).get(self._attribute) is not self._standing:
            return
        if self._original is _INHERITED:
            delattr(self._owner, self._attribute)
        else:
            setattr(self._owner, self._attribute, self._original)


_INHERITED = object()


def _unwrap(wrapped: list[_Wrapped]) -> None:
    for one in reversed(wrapped):
        one.unwrap()
