"""Routes are matched as ASP.NET does."""

import pytest

from dev.host.options import HostFault
from dev.host.routes import check_distinct, find, parse_route
from tests.dev.toys import http_function

TEMPLATES = ["items", "items/{id}", "items/{id:int}", "items/special", "items/{id}/files/{name?}", "{*rest}"]
ROUTES = [parse_route(http_function(template, template), "api") for template in TEMPLATES]


@pytest.mark.parametrize(
    ("path", "template", "parameters"),
    [
        ("/api/items", "items", {}),
        ("/API/Items/", "items", {}),
        ("/api/items/special", "items/special", {}),
        ("/api/items/7", "items/{id:int}", {"id": "7"}),
        ("/api/items/a%20b", "items/{id}", {"id": "a b"}),
        ("/api/items/7/files", "items/{id}/files/{name?}", {"id": "7"}),
        ("/api/items/7/files/x", "items/{id}/files/{name?}", {"id": "7", "name": "x"}),
        ("/api/items/7/other/x/", "{*rest}", {"rest": "items/7/other/x"}),
        ("/api", "{*rest}", {}),
    ],
)
def test_the_most_special_route_wins(path: str, template: str, parameters: dict[str, str]) -> None:
    """Literal before constrained before free before catch-all."""
    found = find(ROUTES, "GET", path)

    assert found is not None
    assert (found[0].function.name, found[1]) == (template, parameters)


@pytest.mark.parametrize("path", ["/", "/items", "/apix", "/api2/items"])
def test_what_is_not_below_the_prefix_is_not_found(path: str) -> None:
    """The route prefix is part of every route."""
    assert find(ROUTES, "GET", path) is None


def test_an_empty_prefix_leaves_the_whole_path_to_the_app() -> None:
    """With routePrefix "" a catch-all sees everything, the root included."""
    routes = [parse_route(http_function("all", "/{*route}"), "")]

    for path, route in {"/": {}, "/api/jobs": {"route": "api/jobs"}}.items():
        found = find(routes, "GET", path)
        assert found is not None
        assert found[1] == route


def test_functions_may_share_a_route_by_method() -> None:
    """GET and POST of one route are two functions; another method is nobody's."""
    routes = [parse_route(http_function(name, "x", name), "") for name in ("GET", "POST")]
    check_distinct(routes)

    assert [found and found[0].function.name for found in (find(routes, m, "/x") for m in ("get", "POST", "PUT"))] == [
        "GET",
        "POST",
        None,
    ]


def test_a_function_without_a_route_answers_to_its_name() -> None:
    """The default of the platform."""
    assert find([parse_route(http_function("Hello"), "api")], "GET", "/api/hello") is not None


def test_two_functions_at_one_place_are_refused() -> None:
    """Same template, overlapping methods."""
    routes = [parse_route(http_function("a", "x/{id}"), ""), parse_route(http_function("b", "X/{id}", "GET"), "")]

    with pytest.raises(HostFault, match="'a' and 'b' answer the same method"):
        check_distinct(routes)


@pytest.mark.parametrize("template", ["x/{id:regex(a)}", "x/a{id}", "x/{id:date}"])
def test_a_template_that_is_not_understood_is_refused(template: str) -> None:
    """Rather than matched wrongly."""
    with pytest.raises(HostFault, match="does not know the route segment"):
        parse_route(http_function("f", template), "")
