"""`results.json`: what is written is read back, what is no such file is told, and the schema describes it."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from benchmarks._contenders import Batching, Quality
from benchmarks._errors import BenchmarkError
from benchmarks._files import ROOT, read_json, write_json
from benchmarks._results import (
    SCHEMA_VERSION,
    Entrant,
    FootprintRow,
    LatencyRow,
    Results,
    Status,
    ThroughputRow,
)
from tests.benchmarks.results_fixture import make_results


@pytest.fixture(scope="module")
def results() -> Results:
    return make_results()


@pytest.fixture(scope="module")
def schema() -> Any:
    return read_json(ROOT / "benchmarks" / "schema.json")


@pytest.fixture
def written(results: Results, tmp_path: Path) -> Any:
    results.write(tmp_path / "results.json")
    return read_json(tmp_path / "results.json")


def test_what_is_written_is_read_back(results: Results, tmp_path: Path) -> None:
    results.write(tmp_path / "results.json")

    assert Results.read(tmp_path / "results.json") == results


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"none\.json: expected the results of a run, found no such file"):
        Results.read(tmp_path / "none.json")
    with pytest.raises(BenchmarkError, match="expected the results of a run in JSON"):
        Results.read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"{'a': 1}"], ids=["empty", "cut", "binary", "python"])
def test_a_damaged_file_is_told(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_bytes(content)

    with pytest.raises(BenchmarkError, match="expected the results of a run in JSON"):
        Results.read(tmp_path / "results.json")


@pytest.mark.parametrize(
    ("value", "found"), [({"schema_version": 1}, "1"), ({}, "none"), ([], "none"), ({"schema_version": 3}, "3")]
)
def test_a_file_of_another_version_is_told_and_what_to_do(value: object, found: str, tmp_path: Path) -> None:
    write_json(tmp_path / "results.json", value)

    with pytest.raises(BenchmarkError, match=rf"of schema version {SCHEMA_VERSION}, found {found}; measure again"):
        Results.read(tmp_path / "results.json")


@pytest.mark.parametrize(
    "damage",
    [
        lambda found: found.pop("roof"),
        lambda found: found["rows"][0].pop("p50_ms"),
        lambda found: found["rows"][0].update(extra=1),
        lambda found: found["contenders"][0].update(status="fine"),
        lambda found: found.update(throughput=1),
        lambda found: found.update(throughput=[1]),
        lambda found: found["rows"][0].update(p50_ms="1.0"),
        lambda found: found["rows"][0].update(samples=None),
        lambda found: found["rows"][0].update(round_p50_ms=[1.0, "2"]),
        lambda found: found["contenders"][0].update(accuracy=True),
    ],
    ids=[
        "no-key",
        "no-key-of-a-row",
        "unknown-key",
        "unknown-status",
        "no-rows",
        "no-object",
        "text-for-a-number",
        "nothing-for-a-number",
        "text-among-numbers",
        "truth-for-a-number",
    ],
)
def test_a_file_with_something_missing_or_more_is_told(
    damage: Callable[[Any], object], written: Any, tmp_path: Path
) -> None:
    damage(written)
    write_json(tmp_path / "damaged.json", written)

    with pytest.raises(BenchmarkError, match=r"damaged\.json: expected results of schema version 2"):
        Results.read(tmp_path / "damaged.json")


def test_the_schema_holds_for_what_is_written(written: Any, schema: Any) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)

    jsonschema.validate(written, schema)


@pytest.mark.parametrize(
    "damage",
    [
        lambda found: found.update(extra=1),
        lambda found: found.update(schema_version=1),
        lambda found: found["rows"][0].update(extra=1),
        lambda found: found["rows"][0].pop("p99_ms"),
        lambda found: found["rows"][0].update(p50_ms=-1),
        lambda found: found["rows"][0].update(kind="odd"),
        lambda found: found["rows"][0].update(percentiles_ms=[1.0, 2.0]),
        lambda found: found["throughput"][0].update(padding_share=1.5),
        lambda found: found["footprint"][0].update(cold_start_s=None),
        lambda found: found["contenders"][0].update(status="failed", reason=""),
        lambda found: found["contenders"][0].update(quality="best"),
        lambda found: found["environment"].pop("cpu"),
        lambda found: found["settings"].update(threads=0),
        lambda found: found["roof"].update(all={"fp32": 1.0}),
        lambda found: found.update(contenders=[]),
    ],
)
def test_the_schema_refuses_what_a_run_does_not_write(
    damage: Callable[[Any], object], written: Any, schema: Any
) -> None:
    damage(written)

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(written, schema)


@pytest.mark.parametrize(
    ("name", "described"),
    [("contender", Entrant), ("latency", LatencyRow), ("throughput", ThroughputRow), ("footprint", FootprintRow)],
)
def test_the_schema_has_the_keys_of_the_rows(name: str, described: Any, schema: Any) -> None:
    fields = {field.name for field in dataclasses.fields(described)}
    part = schema["$defs"][name]

    assert set(part["properties"]) == fields
    assert set(part["required"]) == fields
    assert part["additionalProperties"] is False


def test_the_schema_has_the_keys_versions_and_choices_of_the_code(schema: Any) -> None:
    fields = {"schema_version", *(field.name for field in dataclasses.fields(Results))}
    entrant = schema["$defs"]["contender"]["properties"]

    assert set(schema["properties"]) == set(schema["required"]) == fields
    assert schema["properties"]["schema_version"]["const"] == SCHEMA_VERSION
    assert entrant["status"]["enum"] == list(Status)
    assert entrant["quality"]["enum"] == list(Quality)
    assert entrant["batching"]["enum"] == list(Batching)


def test_the_schema_is_written_as_other_json_is(schema: Any) -> None:
    text = (ROOT / "benchmarks" / "schema.json").read_text(encoding="utf-8")

    assert text == json.dumps(schema, ensure_ascii=False, indent=2) + "\n"
