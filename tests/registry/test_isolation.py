"""A broken plugin is reported with its stage and left out whole; the others stay."""

import pytest

from planner.errors import PluginError
from planner.registry import load_registry

HEADER = "from planner.plugin import *\n"
GOOD = 'Precision(name="half-good", compute="bf16", matmul="bf16", weight_bytes=2, gradient_bytes=4, master_bytes=4, ' \
       'activation_bytes=2, communication_bytes=2, source="a test")'  # fmt: skip
NAN = 'weight_bytes=float("nan")'

BROKEN = {
    "import error": ("import does_not_exist", "import", "No module named 'does_not_exist'"),
    "exit at import": ("raise SystemExit(3)", "import", "SystemExit: 3"),
    "syntax error": ("def (", "import", "SyntaxError"),
    "wrong argument": ("@hookimpl\ndef planner_precisions(model):\n    yield", "register", "model"),
    "misspelt hook": (
        "@hookimpl\ndef planner_precison():\n    yield", "hooks",
        "unknown hook planner_precison, did you mean planner_precisions?",
    ),
    "unmarked hook": ("def planner_precisions():\n    yield", "hooks", "planner_precisions lacks the mark @hookimpl"),
    "wrapper": ("@hookimpl(wrapper=True)\ndef planner_precisions():\n    return (yield)", "hooks", "is a wrapper"),
    "no hook": ("answer = 42", "hooks", "implements no hook"),
    "raises": (f"@hookimpl\ndef planner_precisions():\n    yield {GOOD}\n    1 / 0", "collect", "ZeroDivisionError"),
    "returns a record": (f"@hookimpl\ndef planner_precisions():\n    return {GOOD}", "collect", "not an iterable of"),
    "returns nothing": ("@hookimpl\ndef planner_precisions():\n    pass", "collect", "returned NoneType"),
    "wrong type": (
        f"@hookimpl\ndef planner_optimizers():\n    yield {GOOD}", "collect",
        "planner_optimizers yielded Precision, not Optimizer",
    ),
    "wrong field": (
        "@hookimpl\ndef planner_optimizers():\n    yield Optimizer(name='none', states=7, source='a test')", "collect",
        "Optimizer 'none': states is 7, not Callable",
    ),
    "string for a set": (
        "@hookimpl\ndef planner_recomputes():\n    yield Recompute(name='all', operators='attention', source='a test')",
        "collect", "operators is 'attention', not frozenset[str]",
    ),
    "not a number": (
        f"@hookimpl\ndef planner_precisions():\n    yield {GOOD.replace('weight_bytes=2', NAN)}",
        "collect", "weight_bytes is nan",
    ),
    "no source": (
        f"@hookimpl\ndef planner_precisions():\n    yield {GOOD.replace('a test', ' ')}", "collect", "names no source",
    ),
    "twice": (
        f"@hookimpl\ndef planner_precisions():\n    yield {GOOD}\n    yield {GOOD}", "clash", "contributed twice",
    ),
    "taken name": (
        f"@hookimpl\ndef planner_precisions():\n    yield {GOOD.replace('half-good', 'fp32')}", "clash",
        "precision 'fp32' already belongs to plugin 'precision_standard'",
    ),
    "axis of the core": (
        "@hookimpl\ndef planner_strategies():\n    yield Strategy(name='mine', source='a test',"
        " degrees=(Degree(name='n_gpus', candidates=lambda context: (1,)),))", "clash",
        "axis 'n_gpus' already belongs to the core",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_broken_plugin_is_reported_and_left_out(install, case):
    code, stage, message = BROKEN[case]
    install("planner-broken", HEADER + code)
    registry = load_registry()
    (problem,) = registry.problems
    assert (problem.name, problem.distribution, problem.stage) == ("planner-broken", "planner-broken", stage)
    assert message in problem.message
    assert "half-good" not in registry.precisions
    assert "bf16-mixed" in registry.precisions
    assert all(info.name != "planner-broken" for info in registry.plugins)


@pytest.mark.parametrize("case", BROKEN)
def test_strict_raises_instead(install, case):
    install("planner-broken", HEADER + BROKEN[case][0])
    with pytest.raises(PluginError, match="planner-broken"):
        load_registry(strict=True)


def test_plugin_beside_a_broken_one_still_loads(install, precision_code):
    install("planner-broken", "import does_not_exist")
    install("planner-fine", precision_code("fine"))
    registry = load_registry()
    assert "fine" in registry.precisions
    assert len(registry.problems) == 1


def test_of_two_clashing_strangers_the_first_by_name_stays(install, precision_code):
    install("planner-b", precision_code("same"))
    install("planner-a", precision_code("same"))
    registry = load_registry()
    assert registry.origin("precision", "same") == "planner-a"
    (problem,) = registry.problems
    assert str(problem) == (
        "plugin 'planner-b' of planner-b failed at clash: precision 'same' already belongs to plugin 'planner-a'"
    )


def test_framework_aliases_share_one_namespace(install):
    framework = next(iter(load_registry(disable="*").frameworks))
    install(
        "planner-alias",
        f"""
        from planner.plugin import *
        @hookimpl
        def planner_frameworks():
            overheads = DeviceOverheads(context_bytes=0, workspace_bytes=0, communicator_bytes=0, fragmentation=0.0,
                                        source="a test")
            yield Framework(name="mine", aliases=({framework!r},), storage=lambda precision: None, footprints={{}},
                            overlaps=Overlaps(), overheads=overheads, source="a test")
        """,
    )
    (problem,) = load_registry().problems
    assert problem.stage == "clash"
    assert framework in problem.message


def test_malformed_entry_points_of_a_stranger_cost_only_that_stranger(install, precision_code):
    install("planner-fine", precision_code("fine"))
    install("planner-garbled", "", entry_points="[planner]\nno equals sign\n")
    registry = load_registry()
    assert "fine" in registry.precisions
    assert [problem.stage for problem in registry.problems] == ["scan"]


def test_what_a_plugin_prints_stays_out_of_standard_output(install, precision_code, capsys):
    install("planner-loud", 'print("look at me")\n' + precision_code("loud"))
    assert "loud" in load_registry().precisions
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "look at me" in captured.err


BRANCH = """
from pathlib import Path
from planner.plugin import CatalogBranch, hookimpl

@hookimpl
def planner_catalogs():
    yield CatalogBranch(label={label!r}, directory=Path({directory!r}))
"""


@pytest.mark.parametrize(
    ("label", "revision", "message"),
    [
        ("core", 'revision = "core_0001"', "the planner's own"),
        ("GH-200", 'revision = "GH-200_0001"', "lower-case identifier"),
        ("gh200", 'revision = "0001"', "'0001' in first.py does not begin with 'gh200_'"),
        ("gh200", 'revision, down_revision = "amd_0001", None', "does not begin with 'gh200_'"),
        ("gh200", "down_revision = None", "assigns no revision"),
    ],
)
def test_branches_that_would_mix_with_others_are_refused(install, tmp_path, label, revision, message):
    directory = tmp_path / "versions"
    directory.mkdir()
    (directory / "first.py").write_text(revision)
    install("planner-branch", BRANCH.format(label=label, directory=str(directory)))
    (problem,) = load_registry().problems
    assert message in problem.message


@pytest.mark.parametrize("line", ['revision = "gh200_0001"', 'revision: str = "gh200_0001"',
                                  'revision, down_revision = "gh200_0001", None'])  # fmt: skip
def test_branch_with_its_own_label_is_accepted(install, tmp_path, line):
    directory = tmp_path / "versions"
    directory.mkdir()
    (directory / "first.py").write_text(line)
    install("planner-branch", BRANCH.format(label="gh200", directory=str(directory)))
    assert load_registry().catalog_branches["gh200"].directory == directory


def test_branch_without_a_directory_is_refused(install, tmp_path):
    install("planner-branch", BRANCH.format(label="gh200", directory=str(tmp_path / "nowhere")))
    (problem,) = load_registry().problems
    assert "does not exist" in problem.message


def test_branch_whose_directory_is_text_is_refused(install):
    install("planner-branch", BRANCH.replace("Path({directory!r})", "{directory!r}").format(label="a", directory="."))
    (problem,) = load_registry().problems
    assert "not a path" in problem.message
