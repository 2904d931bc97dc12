"""The answer of `planner evaluate`: what one exact configuration uses and reaches."""

from __future__ import annotations

from collections.abc import Iterator

from planner.domain.plan import EvaluateAnswer
from planner.reports.blocks import Block, Bullets, Facts, Flat, Heading, Paragraph, Report, Tone
from planner.reports.figures import gpus
from planner.reports.footnotes import footnote_blocks
from planner.reports.layout import layout_text
from planner.reports.memory import memory_blocks, memory_text
from planner.reports.operation import cost_text, expected_text, operation_blocks
from planner.reports.plan_table import COLUMNS, flat_row
from planner.reports.step import speed_text, step_blocks
from planner.units import format_count, format_duration


def report(answer: EvaluateAnswer) -> Report:
    """One configuration for every format; CSV has one row, ``fits`` and ``refusals`` at its end."""
    verdict = {"fits": answer.answered, "refusals": "; ".join(answer.refusals)}
    row = {**flat_row("evaluated", answer.plan), **verdict}
    return Report(
        document=answer.to_dict(),
        blocks=tuple(_blocks(answer)),
        flat=Flat(columns=(*COLUMNS, "fits", "refusals"), rows=(row,)),
    )


def verdict_blocks(answer: EvaluateAnswer) -> Iterator[Block]:
    """Whether it runs, and the figures that a person looks for first."""
    plan = answer.plan
    model, cluster = answer.question.get("model", "the model"), answer.question.get("cluster", "the cluster")
    yield Paragraph(f"{model} on {gpus(plan.n_gpus)} of {cluster} {_verdict(answer)}", _tone(answer))
    if answer.refusals:
        yield Bullets(answer.refusals)
    facts = [("parameters", format_count(answer.params)), ("layout", layout_text(plan.layout))]
    if not answer.refusals:
        facts += [
            ("memory", memory_text(plan.memory)),
            ("speed", speed_text(plan)),
            ("whole run", f"{format_duration(plan.duration_s)}, {cost_text(plan)}"),
        ]
        if expected_text(plan):
            facts.append(("expected", expected_text(plan)))
    yield Facts(tuple(facts))


def _blocks(answer: EvaluateAnswer) -> Iterator[Block]:
    yield from verdict_blocks(answer)
    if not answer.refusals:  # what cannot run has no figures worth reading
        yield from memory_blocks(answer.plan.memory)
        yield from step_blocks(answer.plan)
        yield from operation_blocks(answer.plan)
    yield from footnote_blocks(answer.assumptions, answer.notes, answer.provenance)
    if not answer.refusals:
        yield Heading("Every term of these numbers: planner explain, with the same options")


def _verdict(answer: EvaluateAnswer) -> str:
    if answer.refusals:
        return "cannot run"
    return answer.plan.memory.shortfall or "fits"


def _tone(answer: EvaluateAnswer) -> Tone:
    return Tone.GOOD if answer.answered else Tone.BAD
