"""From a function_app.py to the list of its functions, with the checks of the real worker and host."""

import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import azure.functions as func
from azure.functions.decorators.function_app import Function as Declared
from azure.functions.decorators.function_app import FunctionRegister

from dev.host.options import HostFault

#: In the order in which they are counted for people.
TRIGGERS = {"timerTrigger": "timer", "queueTrigger": "queue", "httpTrigger": "http"}

_FUNCTION_NAME = re.compile(r"[a-z][a-z0-9_-]{0,127}", re.IGNORECASE | re.ASCII)
_BINDING_NAME = re.compile(r"[a-z0-9]+", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Function:
    """One function as the host drives it."""

    name: str
    #: ``timer``, ``queue`` or ``http``.
    kind: str
    body: Callable[..., Any]
    #: The parameter that the trigger fills.
    parameter: str
    wants_context: bool
    #: What function.json would say of the trigger.
    trigger: dict[str, Any]

    @property
    def is_async(self) -> bool:
        """Whether it runs on the event loop rather than in a thread."""
        return inspect.iscoroutinefunction(self.body)


def load_app(folder: Path) -> FunctionRegister:
    """Import ``function_app.py`` of ``folder`` on the running event loop, as the worker does.

    Raises `HostFault` when there is none or it holds no app; what the import itself raises comes through.
    """
    script = folder / "function_app.py"
    if not script.exists():
        raise HostFault(f"There is no function_app.py in {folder}: name the folder of the app with --app-dir.")
    sys.path.insert(0, str(folder))
    spec = importlib.util.spec_from_file_location("function_app", script)
    if spec is None or spec.loader is None:
        raise HostFault(f"{script} cannot be imported.")
    module = importlib.util.module_from_spec(spec)
    sys.modules["function_app"] = module
    spec.loader.exec_module(module)
    apps = [value for value in vars(module).values() if isinstance(value, FunctionRegister)]
    if len(apps) != 1:
        raise HostFault(f"function_app.py holds {len(apps)} function apps at its top level; the worker wants one.")
    return apps[0]


def index(app: FunctionRegister) -> tuple[Function, ...]:
    """The functions of an app, in their order. Raises `HostFault` that names every fault."""
    try:
        declared = app.get_functions()
    except ValueError as exc:
        raise HostFault(str(exc)) from exc
    faults = [fault for one in declared for fault in _faults(one)]
    faults += _duplicates(str(one.get_function_name()) for one in declared)
    if faults:
        raise HostFault("\n".join(faults))
    return tuple(_function(one) for one in declared)


def _function(declared: Declared) -> Function:
    trigger = _bindings(declared)[_trigger_name(declared)]
    body = declared.get_user_function()
    return Function(
        name=str(declared.get_function_name()),
        kind=TRIGGERS[trigger["type"]],
        body=body,
        parameter=trigger["name"],
        wants_context="context" in inspect.signature(body).parameters,
        trigger=trigger,
    )


def _trigger_name(declared: Declared) -> str:
    trigger = declared.get_trigger()
    return str(trigger.name) if trigger else ""


def _bindings(declared: Declared) -> dict[str, dict[str, Any]]:
    return {binding["name"]: binding for binding in declared.get_bindings_dict()["bindings"]}


def _faults(declared: Declared) -> Iterable[str]:
    name = str(declared.get_function_name())
    if not _FUNCTION_NAME.fullmatch(name):
        yield (
            f"Function {name!r}: the name must start with a letter and hold at most 128 letters, digits,"
            " hyphens and underscores."
        )
    bindings = _bindings(declared)
    for binding in bindings.values():
        supported = binding["type"] in TRIGGERS or (binding["type"], binding["name"]) == ("http", "$return")
        if not supported:
            yield f"Function {name!r}: this host does not drive a {binding['type']} binding."
        if binding["name"] != "$return" and not _BINDING_NAME.fullmatch(binding["name"]):
            yield f"Function {name!r}: the binding name {binding['name']!r} may hold letters and digits only."
    parameters = set(inspect.signature(declared.get_user_function()).parameters) - {"context"}
    if parameters != set(bindings) - {"$return"}:
        yield (
            f"Function {name!r}: its parameters ({', '.join(sorted(parameters))}) are not its bindings"
            f" ({', '.join(sorted(set(bindings) - {'$return'}))})."
        )


def _duplicates(names: Iterable[str]) -> Iterable[str]:
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.lower(), name)
        if other is not name:
            yield f"Functions {other!r} and {name!r}: names must differ by more than upper and lower case."


class Invocation(func.Context):
    """What a function gets as ``context``."""

    def __init__(self, invocation_id: str, function_name: str, folder: Path) -> None:
        self._invocation_id = invocation_id
        self._function_name = function_name
        self._folder = folder

    @property
    def invocation_id(self) -> str:
        """Of this call alone."""
        return self._invocation_id

    @property
    def function_name(self) -> str:
        """Of the function that is called."""
        return self._function_name

    @property
    def function_directory(self) -> str:
        """The folder of the app."""
        return str(self._folder)

    @property
    def thread_local_storage(self) -> Any:
        """Not offered."""
        return None

    @property
    def trace_context(self) -> Any:
        """Not offered."""
        return None

    @property
    def retry_context(self) -> Any:
        """Not offered."""
        return None
