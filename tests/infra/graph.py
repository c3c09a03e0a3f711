"""How the templates hang together: what main.bicep gives to its modules, and what it takes from them."""

from collections.abc import Iterator
from pathlib import Path

from tests.infra.bicep import BICEP, Bicep, Expression, load, members, names_used

MAIN = BICEP / "main.bicep"


def module_path(module: str, *, base: Path = MAIN) -> Path:
    """The file of a module as its declaration names it."""
    return (base.parent / module).resolve()


def faults(main: Bicep, modules: dict[str, Bicep]) -> Iterator[str]:
    """What does not fit between a template and the modules that it names, by symbol; as sentences."""
    for symbol, declared in main.modules.items():
        module = modules[symbol]
        given = set(declared.body.get("params", {}))
        wanted = {name for name, param in module.params.items() if not param.has_default}
        yield from (f"{symbol} is given {name}, which it has not" for name in sorted(given - set(module.params)))
        yield from (f"{symbol} is not given {name}" for name in sorted(wanted - given))
    for path in sorted(members(main.root)):
        if len(path) > 2 and path[0] in main.modules and path[1] == "outputs":
            symbol, output = path[0], path[2].partition("[")[0]
            if output not in modules[symbol].outputs:
                yield f"{symbol} has no output {output}"


def loose_ends(one: Bicep) -> Iterator[str]:
    """Names that nobody declared, and declarations that nobody uses."""
    used = names_used(one.root)
    yield from (f"{name} is not declared" for name in sorted(used - one.symbols))
    yield from (f"{name} is not used" for name in sorted({*one.params, *one.vars} - used))


def homeless(main: Bicep, modules: dict[str, Bicep]) -> Iterator[str]:
    """``existing`` resources of modules whose name main.bicep does not take from where that resource is made."""
    for symbol, module in modules.items():
        for resource in module.resources.values():
            if not resource.existing:
                continue
            if isinstance(parent := resource.body.get("parent"), Expression):
                if parent.text not in module.resources:
                    yield f"{symbol}: {resource.symbol} has no parent in its file"
                continue
            given = main.modules[symbol].body["params"].get(str(resource.body["name"]))
            if not any(_makes(main, other, modules[other], resource.type, str(given)) for other in modules):
                yield f"{symbol}: nobody makes the {resource.type} that {resource.symbol} names by {given}"


def _makes(main: Bicep, symbol: str, module: Bicep, resource_type: str, given: str) -> bool:
    """Whether the module makes such a resource under the name that the expression of main.bicep stands for."""
    for resource in module.resources.values():
        if resource.existing or resource.type != resource_type:
            continue
        by_output = given.startswith(f"{symbol}.outputs.") and given.rpartition(".")[2] in module.outputs
        named = main.modules[symbol].body["params"].get(str(resource.body["name"]))
        if by_output or str(named) == given:
            return True
    return False


def with_modules(main: Path = MAIN) -> tuple[Bicep, dict[str, Bicep]]:
    """A template and its modules by symbol."""
    one = load(main)
    return one, {symbol: load(module_path(declared.what, base=main)) for symbol, declared in one.modules.items()}
