"""A bucket that keeps older versions, and refuses to let go of them: the look sees them, and nothing is certified."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError
from sqlalchemy import update
from sqlmodel import col

from compliance import stores
from compliance.erasure import rescan
from compliance.erasure.erasures import CertificateMissing, certificate_of
from compliance.models import ErasureState
from compliance.proof.scan import Scan
from compliance.scanning import reader
from compliance.scanning.reader import READER
from likeness.ground.db import utc_now
from likeness.ground.errors import Unavailable
from likeness.jobs.jobs import Job, JobState
from likeness.kernel import Kernel
from likeness.store.objects import Objects
from tests.compliance.people import colleague_of, erase, full_person, reread
from tests.factories import run_jobs
from tests.kernel.test_objects import client, s3_server, versions_of


@pytest.fixture
def bucket(kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    """The installation over a bucket with versions, which its second process reaches as well."""
    (tmp_path / "data" / "versioned").mkdir(parents=True)
    (tmp_path / "versions").mkdir()
    with s3_server("--versioning-dir", str(tmp_path / "versions"), str(tmp_path / "data")) as options:
        for name in ("endpoint", "access_key_id", "secret_access_key", "region"):
            monkeypatch.setenv(f"AWS_{name.upper()}", options[name])
        url = f"s3://versioned/{uuid4().hex}"
        objects = Objects(url, plain_http=True)
        client(objects).put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
        settings = kernel.settings.model_copy(update={"objects_url": url, "objects_plain_http": True})
        READER.end()  # The next one sees the bucket's credentials in its environment.
        yield replace(kernel, objects=objects, settings=settings)
        READER.end()


def refused(**_: Any) -> None:
    """As the policy of a bucket does that lets nobody delete a version."""
    raise ClientError({"Error": {"Code": "AccessDenied"}}, "DeleteObject")


def found(scan: Scan) -> set[str]:
    return {answer.store for answer in scan.answers if answer.result == "found"}


def test_nothing_is_certified_while_the_bucket_keeps_older_versions(bucket: Kernel) -> None:
    alice = full_person(bucket)
    bob = colleague_of(bucket, alice)
    events = client(bucket.objects).meta.events
    events.register("before-call.s3.DeleteObject", refused)
    erasure = erase(bucket, alice)
    run_jobs(bucket, tenant=alice.tenant_id, most=40)
    folder = f"tenants/{alice.tenant_id}/employees/{alice.id}"
    assert bucket.objects.list(folder) == []
    assert versions_of(bucket.objects, folder), "which only a list of versions shows"
    assert reread(bucket, erasure).state != ErasureState.CERTIFIED
    with bucket.db.transaction(alice.tenant_id) as session, pytest.raises(CertificateMissing):
        certificate_of(session, erasure.id)
    classes = {"objects:source", "objects:model", "objects:headshot"}
    assert found(rescan.scan(bucket, rescan.subject_of(reread(bucket, erasure)))) >= classes
    events.unregister("before-call.s3.DeleteObject", refused)
    with bucket.db.transaction(alice.tenant_id) as session:
        waits = (col(Job.tenant_id) == alice.tenant_id, col(Job.state) == JobState.READY)
        session.execute(update(Job).where(*waits).values(due=utc_now()))
    run_jobs(bucket, tenant=alice.tenant_id, most=40)
    assert versions_of(bucket.objects, folder) == []
    assert reread(bucket, erasure).state == ErasureState.CERTIFIED
    assert bucket.objects.list(f"tenants/{bob.tenant_id}/employees/{bob.id}")


def test_older_versions_of_a_company_that_left_are_found(bucket: Kernel) -> None:
    alice = full_person(bucket)
    tenant = alice.tenant_id
    before = {answer.store: answer.result for answer in reader.look_for_company(bucket, tenant, {})[0]}
    assert (before[stores.COMPANY_OBJECTS], before[stores.COMPANY_VERSIONS]) == ("found", "clean")
    client(bucket.objects).meta.events.register("before-call.s3.DeleteObject", refused)
    with pytest.raises(Unavailable):
        bucket.objects.delete_prefix(f"tenants/{tenant}")
    after = {answer.store: answer.result for answer in reader.look_for_company(bucket, tenant, {})[0]}
    assert (after[stores.COMPANY_OBJECTS], after[stores.COMPANY_VERSIONS]) == ("clean", "found")
