"""The subcommand `check`: its arguments, and the report as text."""

import argparse
import json
import sys

from setfuse.export._errors import CheckpointError, ParityError, UnsupportedCheckpoint
from setfuse.runtime import UsageError, read_texts

from ._report import CheckedOutput, CheckReport
from ._roles import OutputRole
from ._run import check


def add_check(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = "exit status: 0 equal, 1 different, 2 could not be compared"
    parser.add_argument("model", metavar="MODEL.onnx", help="any graph from token ids to scores or an embedding")
    parser.add_argument("--against", required=True, metavar="CHECKPOINT", help="the folder that it was made from")
    parser.add_argument(
        "--check-on", metavar="DATA.jsonl", help="texts to compare on, labelled or not; default: built-in"
    )
    parser.add_argument("--tolerance", type=float, metavar="X", help="largest difference that is equal; default: 1e-5")
    parser.add_argument("--tokenizer", metavar="FILE", help="the graph's tokenizer.json; default: the checkpoint's")
    parser.add_argument("--max-length", type=int, metavar="N", help="tokens that texts are cut to for the graph")
    parser.add_argument(
        "--prompt", metavar="TEXT", help="what is put before each text for the graph; default: the checkpoint's"
    )
    parser.add_argument("--output", metavar="NAME", help="the one output to compare; default: one of each kind")
    parser.add_argument("--json", action="store_true", help="the report as one JSON document")


def run_check(options: argparse.Namespace) -> None:
    """Check and report.

    Raises:
        ParityError: The graph is not the checkpoint's; exit status 1.
        UsageError: It could not be compared; exit status 2.
    """
    own_texts = {"texts": read_texts(options.check_on)} if options.check_on else {}
    try:
        report = check(
            options.model,
            options.against,
            **own_texts,
            tolerance=options.tolerance,
            tokenizer=options.tokenizer,
            max_length=options.max_length,
            prompt=options.prompt,
            output=options.output,
        )
    except (CheckpointError, UnsupportedCheckpoint) as error:
        raise UsageError(f"--against: {error}") from error  # 1 would say that the two differ
    if options.json:
        sys.stdout.write(json.dumps(report.to_json(), ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("\n".join(_lines(report)) + "\n")
    if not report.equal:
        sys.stdout.flush()
        raise ParityError(f"{report.model} does not answer as {report.against} does")  # why is in the report


def _lines(report: CheckReport) -> list[str]:
    verdict = "equal" if report.equal else "NOT EQUAL"
    how = "" if report.inputs_by_name else " (tried out)"
    lines = [
        f"{report.model} against {report.against}, {report.texts} texts: {verdict}",
        f"inputs   {', '.join(f'{name} = {role}' for name, role in report.inputs.items())}{how}",
    ]
    for output in report.outputs:
        lines += ["", *_output_lines(output)]
    if report.notes:
        lines += ["", *(f"note: {note}" for note in report.notes)]
    if report.reasons:
        lines += ["", *(f"why: {sentence}" for sentence in _why(report))]
    return lines


def _why(report: CheckReport) -> list[str]:
    sentences = [reason.sentence for reason in report.reasons]
    fitting = report.fitting_tolerance
    if fitting is not None:
        each = {one.name: one.fitting_tolerance for one in report.outputs if one.role is not OutputRole.LABELS}
        alone = [f"--output {name} --tolerance {value:g}" for name, value in each.items() if value < fitting]
        sentences.append(
            f"rounding is all that differs: with --tolerance {fitting:g} the two are equal"
            + (f", and so they are with {' or '.join(alone)}" if alone else "")
        )
    return sentences


def _output_lines(output: CheckedOutput) -> list[str]:
    lines = [f"output   {output.name} = {output.role}: {'equal' if output.equal else 'not equal'}"]
    if output.role is not OutputRole.LABELS:
        apart = f"alone {output.alone_difference:.1e}, in batches {output.batch_difference:.1e}"
        lines += [
            f"  largest difference {output.max_difference:.1e} ({apart}), allowed {output.tolerance:.1e}",
            f"  mean difference    {output.mean_difference:.1e}",
        ]
    if output.label_agreement is not None:
        lines.append(f"  same label         {output.label_agreement:.1%}")
    if not output.equal:
        worst = " ".join(output.worst_text.split()) or ("(blanks only)" if output.worst_text else "(the empty text)")
        lines.append(f"  worst text         {worst if len(worst) <= 80 else worst[:77] + '...'}")  # noqa: PLR2004 - a line
    return lines
