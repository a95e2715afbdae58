"""`chalice package` for Terraform: valid, and whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.deploy.project import ROOT, Project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("project"), {"CELLFLEET_BUCKET": "a-bucket"})


STAGES = json.loads((ROOT / ".chalice/config.json").read_text("utf-8"))["stages"]


@pytest.mark.parametrize("stage", STAGES)
def test_terraform_names_every_function_and_policy(
    stage: str, project: Project, tmp_path: Path
) -> None:
    project.chalice(
        "package", "--stage", stage, "--pkg-format", "terraform", tmp_path,
        environment={"AWS_DEFAULT_REGION": "us-east-1"},
    )  # fmt: skip
    template = json.loads((tmp_path / "chalice.tf.json").read_text("utf-8"))
    resources = template["resource"]
    functions = resources["aws_lambda_function"]
    assert {f["function_name"] for f in functions.values()} == set(project.names(stage).values())
    policies = resources["aws_iam_role_policy"]
    for name, keys in project.functions(stage).items():
        written = (project.folder / ".chalice" / keys["iam_policy_file"]).read_text("utf-8")
        assert json.loads(policies[f"{name}_role"]["policy"]) == json.loads(written)
    [notification] = resources["aws_s3_bucket_notification"].values()
    assert notification["bucket"] == "a-bucket"
    routes = json.loads(template["locals"]["chalice_api_swagger"])["paths"]
    assert len(routes) > 10
    for route, methods in routes.items():
        for method, said in methods.items():
            assert said["security"] == [{"sigv4": []}], (method, route)
