"""The chart, against a real Kubernetes API server: rendered, validated, installed and refused where it has to be.

Pods are played there: objects are admitted, scheduled and reported ready, but no container runs.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import tomllib
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from likeness.cli.main import main
from likeness.ground.settings import Settings
from likeness.jobs.liveness import Liveness
from likeness.run.app import FIGURES
from likeness.run.check import BACKSTAGE, REQUIRED
from likeness.run.postgres import EmbeddedPostgres
from tests.ports import free_port
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "likeness"
VALUES = CHART / "ci" / "values.yaml"
SERVERS = Path(os.environ.get("LIKENESS_TEST_SERVERS", ROOT / ".." / "shared" / "servers")).resolve()
NAMESPACE = "headshots"
RELEASE = "acme"
KUBE_VERSION = "1.36.0"
LIKENESS = Path(sys.executable).with_name("likeness")
# What the API server behind these tests knows nothing of, because it belongs to another operator.
UNKNOWN_KINDS = {"ServiceMonitor", "PrometheusRule"}

pytestmark = [
    # The API server is ready in 6 s where it has two processors to itself, and in minutes where it has not.
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        not (SERVERS / "kubernetes").exists(),
        reason=f"The folder with a Kubernetes API server is not here ({SERVERS}); name it in LIKENESS_TEST_SERVERS.",
    ),
]


class Cluster:
    """kubectl, helm and kubeconform, pointed at one API server."""

    def __init__(self, tools: Path, kubeconfig: Path) -> None:
        self.tools = tools
        self.environment = os.environ | {"KUBECONFIG": str(kubeconfig), "HELM_NAMESPACE": NAMESPACE}

    def kubectl(self, *arguments: str, stdin: object = None) -> subprocess.CompletedProcess[str]:
        return self._run([str(self.tools / "kube"), "kubectl", "--namespace", NAMESPACE, *arguments], stdin)

    def helm(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run([str(self.tools / "helm"), *arguments], None)

    def kubeconform(self, schemas: Path, *, stdin: object) -> subprocess.CompletedProcess[str]:
        location = f"{schemas}/{{{{.ResourceKind}}}}.json"
        command = [str(self.tools / "kubeconform"), "-strict", "-summary", "-schema-location", location, "-"]
        return self._run(command, stdin)

    def get(self, *arguments: str) -> Any:
        return json.loads(ok(self.kubectl("get", *arguments, "-o", "json")))

    def _run(self, command: list[str], stdin: object) -> subprocess.CompletedProcess[str]:
        # JSON is YAML too, so objects need no second spelling; a List of them would hide which one is wrong.
        documents = stdin if isinstance(stdin, list) else [stdin]
        text = "\n---\n".join(json.dumps(document) for document in documents) if stdin is not None else ""
        return subprocess.run(
            command, input=text, capture_output=True, text=True, env=self.environment, timeout=500, check=False
        )


def ok(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, f"{done.args} said:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    tools = Path(ok(subprocess.run([SERVERS / "unpack"], capture_output=True, text=True, check=False)).strip()) / "bin"
    data = tmp_path_factory.mktemp("kubernetes")
    server = subprocess.Popen(
        [SERVERS / "kubernetes", "--data", data, "--nodes", "2", "--port", str(free_port(6))],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(lambda: (data / "ready").exists(), server)
        yield Cluster(tools, data / "kubeconfig")
    finally:
        # All at once and without a word: nothing of it is kept, and a polite end takes the API server 20 s.
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        shutil.rmtree(data, ignore_errors=True)


def wait_for(condition: Any, server: subprocess.Popen[bytes], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert server.poll() is None, f"The API server ended with status {server.returncode} while it started."
        assert time.monotonic() < deadline, f"The API server was not ready after {seconds} s."
        time.sleep(0.2)


@pytest.fixture(scope="module")
def rendered(cluster: Cluster) -> list[dict[str, Any]]:
    return render(cluster)


def render(cluster: Cluster, *arguments: str) -> list[dict[str, Any]]:
    text = ok(
        cluster.helm("template", RELEASE, str(CHART), "-f", str(VALUES), "--kube-version", KUBE_VERSION, *arguments)
    )
    return [document for document in yaml.safe_load_all(text) if document]


def one(rendered: list[dict[str, Any]], kind: str, name: str = "") -> dict[str, Any]:
    (found,) = [d for d in rendered if d["kind"] == kind and d["metadata"]["name"].endswith(name)]
    return found


def pods(rendered: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Every pod that the chart causes, also those that only the KubeRay operator would make."""
    templates = {}
    for document in rendered:
        if document["kind"] in ("Deployment", "Job"):
            templates[document["metadata"]["name"]] = document["spec"]["template"]
    ray = one(rendered, "RayCluster")["spec"]
    autoscaler = {"name": "autoscaler", "image": "any"} | {
        key: value for key, value in ray["autoscalerOptions"].items() if key in ("env", "resources", "securityContext")
    }
    head = deepcopy(ray["headGroupSpec"]["template"])
    head["spec"]["containers"].append(autoscaler)
    templates["head"] = head
    for group in ray["workerGroupSpecs"]:
        templates[group["groupName"]] = group["template"]
    return {
        name: {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": template["metadata"]["labels"]},
            # The service account exists only once the chart is installed.
            "spec": {key: value for key, value in template["spec"].items() if key != "serviceAccountName"},
        }
        for name, template in templates.items()
    }


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> str:
    ok(
        cluster.kubectl(
            "create",
            "-f",
            "-",
            stdin={
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
            },
        )
    )
    # Pods are refused until the namespace has its default account, which a controller makes a moment later.
    ok(cluster.kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=240s"))
    return NAMESPACE


ROLES = {
    "likeness-database": "likeness_app",
    "likeness-database-owner": "likeness_owner",
    "likeness-database-rescan": "likeness_rescan",
}
SECRETS = {
    "likeness-database": {"database-url": "postgresql+psycopg://likeness_app@db/likeness"},
    "likeness-database-owner": {"owner-database-url": "postgresql+psycopg://likeness_owner@db/likeness"},
    "likeness-database-rescan": {"rescan-database-url": "postgresql+psycopg://likeness_rescan@db/likeness"},
    "likeness-broker": {"broker-url": "amqp://broker"},
    "likeness-objects": {"access-key-id": "a", "secret-access-key": "b"},
    "likeness-mail": {"smtp-url": "smtp://mail:25"},
    "likeness-bounces": {"imap-url": "imap://mail:143"},
    "likeness-keycloak": {"client-secret": "a-secret-for-a-test", "setup-secret": "another"},
    "likeness-ray": {"auth_token": "a-token-for-a-test"},
}


@pytest.fixture(scope="module")
def installed(cluster: Cluster, namespace: str) -> None:
    """The chart, installed into a namespace that enforces Pod Security *restricted*."""
    objects: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}
        for name, data in SECRETS.items()
    ]
    # No provisioner runs here, so the volumes that the chart claims are laid out by hand.
    objects += [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"shared-{number}"},
            "spec": {
                "accessModes": ["ReadWriteMany"],
                "capacity": {"storage": "1Gi"},
                "storageClassName": "shared",
                "nfs": {"server": "192.0.2.10", "path": f"/{number}"},
            },
        }
        for number in range(3)
    ]
    ok(cluster.kubectl("create", "-f", "-", stdin=objects))
    ok(
        cluster.helm(
            "install", RELEASE, str(CHART), "-f", str(VALUES), "--wait", "--timeout", "400s",
            "--set", "serviceMonitor.enabled=false", "--set", "prometheusRule.enabled=false",
            "--set", "keys.storageClassName=shared,tombstones.storageClassName=shared,signer.storageClassName=shared",
        )
    )  # fmt: skip


def test_the_chart_lints_with_and_without_values(cluster: Cluster) -> None:
    ok(cluster.helm("lint", "--strict", str(CHART), "-f", str(VALUES)))


def test_every_template_holds_one_object(cluster: Cluster) -> None:
    text = ok(cluster.helm("template", RELEASE, str(CHART), "-f", str(VALUES), "--kube-version", KUBE_VERSION))
    sources = [line for line in text.splitlines() if line.startswith("# Source: ")]
    files = {path.name for path in (CHART / "templates").glob("*.yaml")}
    assert sorted(source.rsplit("/", 1)[1] for source in sources) == sorted(files)


def test_every_object_matches_the_schemas_of_the_api_server(
    cluster: Cluster, rendered: list[dict[str, Any]], tmp_path: Path
) -> None:
    schemas(cluster, tmp_path)
    known = [document for document in rendered if document["kind"] not in UNKNOWN_KINDS]
    assert "Invalid: 0, Errors: 0" in ok(cluster.kubeconform(tmp_path, stdin=known))

    typo = deepcopy(one(known, "RayCluster"))
    typo["spec"]["enableInTreeAutoScaling"] = typo["spec"].pop("enableInTreeAutoscaling")
    refused = cluster.kubeconform(tmp_path, stdin=[typo])
    assert refused.returncode != 0
    assert "enableInTreeAutoScaling" in refused.stdout


def schemas(cluster: Cluster, folder: Path) -> None:
    """Writes the API server's own description of each kind as a JSON schema that allows no unknown field."""
    # The server describes what it was taught after its start a while after it takes it.
    until(lambda: "io.ray.v1.RayCluster" in openapi(cluster))
    described = openapi(cluster)
    # Numbers or strings with a meaning: the plain description calls them strings only.
    described["io.k8s.apimachinery.pkg.api.resource.Quantity"] = {"type": ["string", "number"]}
    described["io.k8s.apimachinery.pkg.util.intstr.IntOrString"] = {"type": ["string", "integer"]}
    for name, definition in described.items():
        for kind in definition.get("x-kubernetes-group-version-kind", []):
            # The stable version of a kind wins over an older one that is served as well.
            if "alpha" not in kind["version"] and "beta" not in kind["version"]:
                needed: dict[str, Any] = {}
                collect(name, described, needed)
                schema = {"$ref": f"#/definitions/{name}", "definitions": needed}
                (folder / f"{kind['kind'].lower()}.json").write_text(json.dumps(schema))


def openapi(cluster: Cluster) -> dict[str, Any]:
    described: dict[str, Any] = json.loads(ok(cluster.kubectl("get", "--raw", "/openapi/v2")))["definitions"]
    return described


def collect(name: str, described: dict[str, Any], needed: dict[str, Any]) -> None:
    """One definition and all that it refers to, each closed against unknown fields."""
    if name in needed:
        return
    needed[name] = described[name]
    waiting = [described[name]]
    while waiting:
        node = waiting.pop()
        if "$ref" in node:
            collect(node["$ref"].rsplit("/", 1)[1], described, needed)
        if "properties" in node and not node.get("x-kubernetes-preserve-unknown-fields"):
            node.setdefault("additionalProperties", False)
        inner = [*node.get("properties", {}).values(), node.get("items"), node.get("additionalProperties")]
        waiting += [item for item in inner if isinstance(item, dict)]


def test_the_installed_release_comes_up(cluster: Cluster, installed: None) -> None:
    deployments = {item["metadata"]["name"]: item for item in cluster.get("deployments")["items"]}
    assert set(deployments) == {f"acme-likeness-{part}" for part in ("web", "worker", "privacy", "scheduler")}
    for deployment in deployments.values():
        conditions = {item["type"]: item["status"] for item in deployment["status"]["conditions"]}
        assert conditions["Available"] == "True"
    job = cluster.get("job", "acme-likeness-migrate")
    assert job["status"]["succeeded"] == 1


def test_the_migrations_ran_before_the_program_started(cluster: Cluster, installed: None) -> None:
    job = cluster.get("job", "acme-likeness-migrate")
    web = cluster.get("deployment", "acme-likeness-web")
    assert job["status"]["completionTime"] <= web["metadata"]["creationTimestamp"]


def test_an_upgrade_migrates_again_and_restarts_pods_for_new_settings(cluster: Cluster, installed: None) -> None:
    def seen() -> tuple[str, str]:
        template = cluster.get("deployment", "acme-likeness-worker")["spec"]["template"]
        job = cluster.get("job", "acme-likeness-migrate")
        return job["metadata"]["uid"], template["metadata"]["annotations"]["checksum/settings"]

    before = seen()
    changed = ("--reuse-values", "--set", "logLevel=debug", "--wait", "--timeout", "400s")
    ok(cluster.helm("upgrade", RELEASE, str(CHART), *changed))
    after = seen()
    assert before[0] != after[0]
    assert before[1] != after[1]
    assert cluster.get("job", "acme-likeness-migrate")["status"]["succeeded"] == 1


def test_the_api_server_takes_the_ray_cluster_strictly(
    cluster: Cluster, namespace: str, rendered: list[dict[str, Any]]
) -> None:
    ray = deepcopy(one(rendered, "RayCluster"))
    ray["metadata"]["name"] = "strictly"
    strictly = ("create", "--validate=strict", "--dry-run=server", "-f", "-")
    ok(cluster.kubectl(*strictly, stdin=ray))

    ray["spec"]["workerGroupSpecs"][0]["minReplica"] = 0
    refused = cluster.kubectl(*strictly, stdin=ray)
    assert refused.returncode != 0
    assert 'unknown field "spec.workerGroupSpecs[0].minReplica"' in refused.stderr


def test_the_ray_cluster_asks_for_a_token_and_scales_from_nothing(rendered: list[dict[str, Any]]) -> None:
    ray = one(rendered, "RayCluster")["spec"]
    assert ray["authOptions"] == {"mode": "token", "secretName": "likeness-ray"}
    assert ray["enableInTreeAutoscaling"] is True
    # Without this an upgrade of the image would leave the head as it was, and both sides must run the same versions.
    assert ray["upgradeStrategy"] == {"type": "Recreate"}
    assert ray["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    # Eight nodes with one GPU and one with eight: the program asks for no more than may ever be there.
    assert one(rendered, "ConfigMap")["data"]["LIKENESS_STUDIOS"] == "16"
    assert {group["groupName"]: group["minReplicas"] for group in ray["workerGroupSpecs"]} == {"l40s": 0, "h200": 0}
    groups = [group["template"]["spec"]["containers"][0] for group in ray["workerGroupSpecs"]]
    containers = [ray["autoscalerOptions"], ray["headGroupSpec"]["template"]["spec"]["containers"][0], *groups]
    for container in containers:
        assert {"name": "RAY_AUTH_MODE", "value": "token"} in container["env"]


def test_pods_satisfy_restricted_and_a_careless_one_is_refused(
    cluster: Cluster, namespace: str, rendered: list[dict[str, Any]]
) -> None:
    create = ("create", "--dry-run=server", "-f", "-")
    for pod in pods(rendered).values():
        ok(cluster.kubectl(*create, stdin=pod))

    careless = deepcopy(pods(rendered)["acme-likeness-web"])
    careless["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    refused = cluster.kubectl(*create, stdin=careless)
    assert refused.returncode != 0
    assert 'violates PodSecurity "restricted' in refused.stderr


def test_every_pod_that_stays_says_whether_it_gets_on(rendered: list[dict[str, Any]]) -> None:
    """A start may take half an hour, after a restore; none is asked whether others are away, but to be sent requests."""
    stay = {name: pod for name, pod in pods(rendered).items() if name.startswith("acme-") and "migrate" not in name}
    for name, pod in stay.items():
        [container] = pod["spec"]["containers"]
        asked = {how: what for how, what in container["livenessProbe"].items() if how in ("httpGet", "exec")}
        assert asked == {"httpGet": {"path": "/livez", "port": "http"}} or ("exec" in asked and "web" not in name)
        starts = container["startupProbe"]
        assert starts["periodSeconds"] * starts["failureThreshold"] >= 1800, name
        assert ("readinessProbe" in container) == name.endswith("web")


@pytest.mark.parametrize("part", ["worker", "privacy", "scheduler"])
def test_a_pod_without_a_port_is_asked_for_the_file_that_it_renews(
    rendered: list[dict[str, Any]], tmp_path: Path, part: str
) -> None:
    [container] = pods(rendered)[f"acme-likeness-{part}"]["spec"]["containers"]
    told = {item["name"]: item.get("value", "") for item in container["env"]}
    mounted = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert str(Path(told["LIKENESS_LIVENESS_FILE"]).parent) in mounted
    assert container["livenessProbe"]["exec"] == container["startupProbe"]["exec"]
    file = tmp_path / "alive"

    def answers() -> bool:
        command = container["livenessProbe"]["exec"]["command"]
        asked = subprocess.run(
            command, env={"PATH": os.environ["PATH"], "LIKENESS_LIVENESS_FILE": str(file)}, capture_output=True, check=False
        )
        return asked.returncode == 0

    assert not answers(), "it has not started"
    Liveness().renew(file)
    assert answers()
    minutes = time.time() - 180
    os.utime(file, (minutes, minutes))
    assert not answers()


def test_no_pod_can_write_its_own_image(rendered: list[dict[str, Any]]) -> None:
    for pod in pods(rendered).values():
        for container in pod["spec"]["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_only_the_head_of_ray_holds_a_service_account_token(rendered: list[dict[str, Any]]) -> None:
    mounts = {name: pod["spec"].get("automountServiceAccountToken", True) for name, pod in pods(rendered).items()}
    assert [name for name, mounted in mounts.items() if mounted] == ["head"]


def test_credentials_come_from_secrets_only_to_those_who_need_them(rendered: list[dict[str, Any]]) -> None:
    held: dict[str, set[str]] = {}
    for name, pod in pods(rendered).items():
        variables = [item for container in pod["spec"]["containers"] for item in container.get("env", [])]
        held[name] = {item["valueFrom"]["secretKeyRef"]["name"] for item in variables if "valueFrom" in item}
    program = {"likeness-database", "likeness-broker", "likeness-objects", "likeness-mail", "likeness-bounces"}
    backstage = program | {"likeness-database-rescan", "likeness-ray"}
    assert held == {
        "acme-likeness-web": program | {"likeness-keycloak"},
        "acme-likeness-worker": backstage,
        "acme-likeness-privacy": backstage,
        "acme-likeness-scheduler": backstage,
        # It gives the two roles the passwords of their addresses; who owns the tables could take them anyway.
        "acme-likeness-migrate": {"likeness-database-owner", "likeness-database", "likeness-database-rescan"},
        "head": {"likeness-ray"},
        "l40s": {"likeness-ray"},
        "h200": {"likeness-ray"},
    }
    assert not any(document["kind"] == "Secret" for document in rendered)


def test_a_ray_pod_holds_rays_token_and_nothing_that_leads_to_data(rendered: list[dict[str, Any]]) -> None:
    """No key folder, no signer, no address of a database or broker, no credential of the bucket, also not as a role."""
    documents = {document["metadata"]["name"]: document for document in rendered if document["kind"] == "ServiceAccount"}
    ray = one(rendered, "RayCluster")["spec"]
    templates = [ray["headGroupSpec"]["template"], *(group["template"] for group in ray["workerGroupSpecs"])]
    assert len(templates) == 3
    for template in templates:
        spec = template["spec"]
        claims = [volume.get("persistentVolumeClaim", {}).get("claimName") for volume in spec["volumes"]]
        assert {claim for claim in claims if claim} <= {"base-models"}
        assert not [volume for volume in spec["volumes"] if "secret" in volume or "projected" in volume]
        for container in spec["containers"]:
            assert "envFrom" not in container
            held = {item["valueFrom"]["secretKeyRef"]["name"] for item in container["env"] if "valueFrom" in item}
            assert held == {"likeness-ray"}
            names = {item["name"] for item in container["env"]}
            assert names <= {"HOME", "RAY_USAGE_STATS_ENABLED", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "LIKENESS_PROFILE",
                             "HF_HOME", "HF_HUB_OFFLINE"}  # fmt: skip
    for group in ray["workerGroupSpecs"]:
        account = documents[group["template"]["spec"]["serviceAccountName"]]
        assert "annotations" not in account["metadata"]
        assert account["automountServiceAccountToken"] is False


def test_only_the_privacy_pod_mounts_the_key_that_signs(rendered: list[dict[str, Any]]) -> None:
    holders, threads = set(), {}
    settings = one(rendered, "ConfigMap")["data"]
    assert "LIKENESS_SIGNER_FOLDER" not in settings
    for name, pod in pods(rendered).items():
        claims = [volume.get("persistentVolumeClaim", {}).get("claimName", "") for volume in pod["spec"]["volumes"]]
        variables = {item["name"]: item.get("value") for item in pod["spec"]["containers"][0]["env"]}
        if any(claim.endswith("-signer") for claim in claims) or "LIKENESS_SIGNER_FOLDER" in variables:
            holders.add(name)
        threads[name] = variables.get("LIKENESS_PRIVACY_THREADS", settings["LIKENESS_PRIVACY_THREADS"])
    assert holders == {"acme-likeness-privacy"}
    # Who erases is who signs, and opens neither photos nor workbooks.
    assert (threads["acme-likeness-worker"], threads["acme-likeness-privacy"]) == ("0", "1")
    privacy = pods(rendered)["acme-likeness-privacy"]["spec"]["containers"][0]
    lanes = {item["name"]: item.get("value") for item in privacy["env"] if item["name"].endswith("_THREADS")}
    assert {name for name, value in lanes.items() if value != "0"} == {"LIKENESS_PRIVACY_THREADS"}


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        (["keys.store=vault", "keys.vault.url=https://vault:8200", "keys.vault.existingSecret=likeness-vault"],
         {"LIKENESS_VAULT_URL": "https://vault:8200", "LIKENESS_VAULT_MOUNT": "transit",
          "LIKENESS_VAULT_TOKEN_FILE": "/var/run/likeness/vault/vault-token"}),
        (["keys.store=aws-kms", "keys.awsKms.key=alias/likeness"], {"LIKENESS_KMS_KEY": "alias/likeness"}),
    ],
)  # fmt: skip
def test_another_key_store_is_told_to_the_program_and_not_to_ray(
    cluster: Cluster, chosen: list[str], told: dict[str, str]
) -> None:
    rendered = render(cluster, *(word for one in chosen for word in ("--set", one)))
    settings = one(rendered, "ConfigMap")["data"]
    assert settings["LIKENESS_KEY_STORE"] == chosen[0].partition("=")[2]
    assert told.items() <= settings.items()
    mounted = {name for name, pod in pods(rendered).items() if any("secret" in v for v in pod["spec"]["volumes"])}
    program = {f"acme-likeness-{part}" for part in ("web", "worker", "privacy", "scheduler")}
    assert mounted == (program if "vault" in chosen[0] else set())


def test_what_is_added_to_the_environment_reaches_the_migrations_too(rendered: list[dict[str, Any]]) -> None:
    """Such as the authority that PostgreSQL's certificate is of: the migrations are the first who ask for it."""
    added = yaml.safe_load(VALUES.read_text())["extraEnv"]
    for name, pod in pods(rendered).items():
        if name.startswith("acme-"):
            assert [one for one in pod["spec"]["containers"][0]["env"] if one in added] == added, name


def test_the_image_names_the_authorities_that_every_pod_believes() -> None:
    """PostgreSQL's library asks for a file in the home otherwise, and Ray's pods take nothing of `extraEnv`."""
    image = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^ENV .*\bSSL_CERT_FILE=(\S+) PGSSLROOTCERT=\1$", image, re.MULTILINE)
    assert " ca-certificates " in image


def test_the_migrations_are_placed_as_the_others_are(cluster: Cluster) -> None:
    taint = {"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}
    chosen = ("migrate.nodeSelector.disk=fast", "migrate.tolerations[0].key=dedicated",
              "migrate.tolerations[0].operator=Exists", "migrate.tolerations[0].effect=NoSchedule")  # fmt: skip
    rendered = render(cluster, *(word for one in chosen for word in ("--set", one)))
    pod = pods(rendered)["acme-likeness-migrate"]["spec"]
    assert (pod["nodeSelector"], pod["tolerations"]) == ({"disk": "fast"}, [taint])


def test_the_chart_sets_only_settings_that_exist(rendered: list[dict[str, Any]]) -> None:
    variables = {
        item["name"] for pod in pods(rendered).values() for c in pod["spec"]["containers"] for item in c["env"]
    }
    variables |= set(one(rendered, "ConfigMap")["data"])
    known = {f"LIKENESS_{name.upper()}" for name in Settings.model_fields}
    ours = {name for name in variables if name.startswith("LIKENESS_")}
    assert ours - known == {"LIKENESS_EXAMPLE"}, "ci/values.yaml sets LIKENESS_EXAMPLE to show that `settings` works"


def test_every_pod_runs_a_command_that_exists(rendered: list[dict[str, Any]]) -> None:
    arguments = {item for pod in pods(rendered).values() for item in pod["spec"]["containers"][0].get("args", [])}
    assert arguments == {"web", "worker", "scheduler", "migrate"}
    assert arguments <= set(main.commands)


def test_versions_agree_with_the_program() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert chart["appVersion"] == project["version"]
    assert f"ray=={values['ray']['version']}" in (ROOT / "constraints.txt").read_text().split()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("web.replicas=two", "replicas"),
        ("publicUrl=headshots.example.com", "publicUrl"),
        ("database.url=postgresql://likeness:password@db/likeness", "url"),
        ("logLevel=loud", "logLevel"),
        ("backupDays=soon", "backupDays"),
        ("counterUrl=file:///no-volume-there", "counterUrl"),
        ("worker.lanes.mail.threads=0", "threads"),
        ("keys.store=drawer", "store"),
        ("ray.workerGroups[0].name=L40S", "name"),
        ("settings.PATH=/tmp", "PATH"),
        ("networkPolicy.ray.egress[0].to=null", "egress"),
        ("networkPolicy.dns.to=null", "dns"),
        ("networkPolicy.dns.port=0", "port"),
        ("networkPolicy.migrate.egress=null", "egress"),
    ],
)
def test_the_schema_refuses_a_wrong_value(cluster: Cluster, wrong: str, named: str) -> None:
    refused = cluster.helm(
        "template", RELEASE, str(CHART), "-f", str(VALUES), "--kube-version", KUBE_VERSION, "--set", wrong
    )
    assert refused.returncode != 0
    assert "don't meet the specifications of the schema" in refused.stderr
    assert named in refused.stderr


@pytest.mark.parametrize("value", ["database", "database.owner", "database.rescan", "broker", "ray.auth"])
def test_a_missing_secret_is_named_in_a_sentence(cluster: Cluster, value: str) -> None:
    refused = cluster.helm(
        "template", RELEASE, str(CHART), "-f", str(VALUES), "--kube-version", KUBE_VERSION,
        "--set", f"{value}.existingSecret=",
    )  # fmt: skip
    assert refused.returncode != 0
    assert f"{value}.existingSecret names the Secret" in refused.stderr


def test_the_chart_demands_what_the_production_profile_needs(rendered: list[dict[str, Any]]) -> None:
    """`likeness check` calls these required; of the processes that it is for none comes up without them."""
    backstage = pods(rendered)["acme-likeness-worker"]["spec"]["containers"][0]
    given = {item["name"] for item in backstage["env"]} | set(one(rendered, "ConfigMap")["data"])
    assert {f"LIKENESS_{name.upper()}" for name in REQUIRED} <= given


def test_what_trains_on_faces_goes_nowhere_but_where_it_is_told(cluster: Cluster, rendered: list[dict[str, Any]]) -> None:
    policy = one(rendered, "NetworkPolicy", "ray-worker")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert all(rule.get("to") for rule in policy["egress"] if {"protocol": "TCP", "port": 443} in rule.get("ports", []))
    assert {"ipBlock": {"cidr": "192.0.2.0/24"}} in [place for rule in policy["egress"] for place in rule.get("to", [])]
    refused = cluster.helm(
        "template", RELEASE, str(CHART), "-f", str(VALUES), "--kube-version", KUBE_VERSION,
        "--set-json", "networkPolicy.ray.egress=[]",
    )  # fmt: skip
    assert "networkPolicy.ray.egress names your bucket" in refused.stderr


def test_names_are_asked_of_the_clusters_own_service_and_of_nobody_else(
    cluster: Cluster, rendered: list[dict[str, Any]]
) -> None:
    """A question for a name can carry anything to whoever answers it."""

    def asked(objects: list[dict[str, Any]], port: int = 53) -> list[tuple[str, Any]]:
        return [
            (policy["metadata"]["name"], rule.get("to"))
            for policy in objects if policy["kind"] == "NetworkPolicy"
            for rule in policy["spec"].get("egress", [])
            if port in [one["port"] for one in rule.get("ports", [])] or not (rule.get("ports") or rule.get("to"))
        ]  # fmt: skip

    usual = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    assert sorted(asked(rendered)) == [(f"acme-likeness-{name}", [usual]) for name in ("migrate", "ray-head", "ray-worker")]
    place = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "openshift-dns"}}}
    said = {"dns": {"to": [place], "port": 5353}, "app": {"egress": [{"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}]}}
    elsewhere = render(cluster, *(f"--set-json=networkPolicy.{name}={json.dumps(one)}" for name, one in said.items()))
    parts = ("migrate", "privacy", "ray-head", "ray-worker", "scheduler", "web", "worker")
    bound = {f"acme-likeness-{name}" for name in parts}
    assert dict(asked(elsewhere, 5353)) == {name: [place] for name in bound}
    to_ray = {
        policy["metadata"]["name"] for policy in elsewhere
        if policy["kind"] == "NetworkPolicy" and "ray-head" in json.dumps(policy["spec"].get("egress", []))
    }  # fmt: skip
    without = {"acme-likeness-web", "acme-likeness-migrate"}
    assert to_ray == bound - without, "the web pods, which everybody reaches, do not reach Ray"


def test_the_migrations_reach_their_database_and_nobody_else(
    cluster: Cluster, rendered: list[dict[str, Any]], installed: None
) -> None:
    """They hold the most powerful of all credentials, and run before anything else of the chart is there."""
    policy, job = one(rendered, "NetworkPolicy", "migrate"), one(rendered, "Job", "migrate")
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    others = [one(rendered, "Deployment", part)["spec"]["template"]["metadata"]["labels"] for part in ("web", "worker")]
    assert not [one for one in others if policy["spec"]["podSelector"]["matchLabels"].items() <= one.items()]
    assert (policy["spec"]["policyTypes"], policy["spec"]["ingress"]) == (["Ingress", "Egress"], [])
    assert policy["spec"]["egress"][1:] == [{"ports": [{"protocol": "TCP", "port": 5432}]}]
    about = [item["metadata"]["annotations"] for item in (policy, job)]
    assert about[0]["helm.sh/hook"] == about[1]["helm.sh/hook"]
    assert int(about[0]["helm.sh/hook-weight"]) < int(about[1].get("helm.sh/hook-weight", "0"))
    # What a hook made, no upgrade takes away: it must not bind the migrations of somebody who has turned it off.
    there = {item["metadata"]["name"] for item in cluster.get("networkpolicies")["items"]}
    assert "acme-likeness-web" in there
    assert "acme-likeness-migrate" not in there

    elsewhere = [{"to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}], "ports": [{"protocol": "TCP", "port": 6432}]}]
    told = render(cluster, f"--set-json=networkPolicy.migrate.egress={json.dumps(elsewhere)}")
    assert one(told, "NetworkPolicy", "migrate")["spec"]["egress"][1:] == elsewhere
    off = render(cluster, "--set", "networkPolicy.enabled=false")
    assert not [document for document in off if document["kind"] == "NetworkPolicy"]


def test_keys_are_moved_in_a_pod_like_those_of_the_workers(cluster: Cluster, installed: None) -> None:
    """As docs/operating/keys.md says: the chart's own values stop the pods, and the API server takes the Job."""
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed: apt-get install jq")
    page = (ROOT / "docs/operating/keys.md").read_text().partition("In Kubernetes")[2]
    [program] = re.findall(r"jq '(.*?)'", page, re.DOTALL)
    worker = json.dumps(cluster.get("deployment", "acme-likeness-worker"))
    made = subprocess.run(["jq", program], input=worker, capture_output=True, text=True, check=False)
    job = json.loads(ok(made))
    ok(cluster.kubectl("create", "--validate=strict", "--dry-run=server", "-f", "-", stdin=job))
    [container] = job["spec"]["template"]["spec"]["containers"]
    keys, move, store = container["args"]
    assert store in main.commands[keys].commands[move].params[0].type.choices  # type: ignore[attr-defined]
    assert not [name for name in container if "Probe" in name]

    named = re.findall(r"--set ([\w.,=]+)", page)
    stopped = render(cluster, *(word for one in named for word in ("--set", one)))
    replicas = {d["metadata"]["name"]: d["spec"]["replicas"] for d in stopped if d["kind"] == "Deployment"}
    assert replicas == {f"acme-likeness-{part}": 0 for part in ("web", "worker", "privacy", "scheduler")}
    [chosen] = re.findall(r"-l '(.*?)'", page)
    running = cluster.get("pods", "-l", chosen)["items"]
    found = {item["metadata"]["labels"]["app.kubernetes.io/component"] for item in running}
    assert found == {"web", "worker", "privacy", "scheduler"}


def test_the_migrations_give_the_programs_roles_their_passwords(rendered: list[dict[str, Any]]) -> None:
    """What the Job runs, with the addresses that its Secrets would hold, against a server that has no role yet."""
    folder = Path(tempfile.mkdtemp(prefix="likeness-migrate-"))  # PostgreSQL under another user has to reach it.
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "postgres")
    try:
        server.start()
        with psycopg.connect(server.url("postgres").replace("+psycopg", ""), autocommit=True) as superuser:
            for role in ("likeness_app", "likeness_rescan"):
                superuser.execute(f"drop role {role}".encode())
            superuser.execute("alter role likeness_owner createrole")
            held = {
                name: {key: server.url(role).replace("@", ":secret@") for key in SECRETS[name]}
                for name, role in ROLES.items()
            }
            [container] = pods(rendered)["acme-likeness-migrate"]["spec"]["containers"]
            told = {"PATH": os.environ["PATH"], "LIKENESS_HOME": str(folder / "home")}
            for item in container["env"]:
                secret = item.get("valueFrom", {}).get("secretKeyRef")
                told[item["name"]] = held[secret["name"]][secret["key"]] if secret else item["value"]
            ran = subprocess.run(
                [LIKENESS, *container["args"]], env=told, capture_output=True, text=True, timeout=300, check=False
            )
            assert ran.returncode == 0, ran.stderr
            asked = "select rolname from pg_authid where rolname like 'likeness_%' and rolpassword is not null order by 1"
            assert [name for (name,) in superuser.execute(asked)] == ["likeness_app", "likeness_rescan"]
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def test_the_install_guide_names_every_secret_that_its_values_ask_for(cluster: Cluster, tmp_path: Path) -> None:
    """docs/operating/install.md, walked: what its file of values installs finds each Secret, and each key of it."""
    page = (ROOT / "docs/operating/install.md").read_text().partition("## Kubernetes")[2]
    values = tmp_path / "heads.yaml"
    values.write_text(textwrap.dedent(re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[0]))
    written = "\n".join(re.findall(r"```sh\n(.*?)```", page, re.DOTALL)).replace("\\\n", " ")
    made = {
        name: set(re.findall(r"--from-literal=([\w-]+)=", rest))
        for name, rest in re.findall(r"create secret generic (\S+)(.*)", written)
    }
    text = ok(cluster.helm("template", "likeness", str(CHART), "-f", str(values), "--kube-version", KUBE_VERSION))
    asked: dict[str, set[str]] = {}
    for pod in pods([document for document in yaml.safe_load_all(text) if document]).values():
        for item in (item for container in pod["spec"]["containers"] for item in container["env"] if "valueFrom" in item):
            secret = item["valueFrom"]["secretKeyRef"]
            asked.setdefault(secret["name"], set()).add(secret["key"])
    assert asked == made
    assert "job/likeness-migrate" in page
    assert "name: likeness-migrate\n" in text


def test_a_web_pod_is_asked_by_check_for_what_is_its_own(rendered: list[dict[str, Any]]) -> None:
    [web] = pods(rendered)["acme-likeness-web"]["spec"]["containers"]
    given = {item["name"] for item in web["env"]} | set(one(rendered, "ConfigMap")["data"])
    assert {f"LIKENESS_{name.upper()}" for name in set(REQUIRED) - BACKSTAGE} <= given
    assert not {f"LIKENESS_{name.upper()}" for name in BACKSTAGE} & given
    # Nobody else is asked whether sign-ins are finished, because the secret for it is in the web pods alone.
    for name, pod in pods(rendered).items():
        variables = {item["name"] for item in pod["spec"]["containers"][0]["env"]}
        assert ("LIKENESS_KEYCLOAK_URL" in variables) == name.endswith("-web")
    assert not [name for name in one(rendered, "ConfigMap")["data"] if "KEYCLOAK" in name]


def test_a_setting_of_ones_own_wins_over_the_charts(cluster: Cluster) -> None:
    """And stands there once: who applies what Helm renders, such as Argo CD, refuses a key that comes twice."""
    text = ok(
        cluster.helm(
            "template", RELEASE, str(CHART), "-f", str(VALUES), "--kube-version", KUBE_VERSION,
            "--set", "settings.LIKENESS_LOG_LEVEL=debug", "--show-only", "templates/configmap.yaml",
        )
    )  # fmt: skip
    assert re.findall("LIKENESS_LOG_LEVEL: (.*)", text) == ["debug"]


def test_a_ray_cluster_of_ones_own_takes_the_share_of_a_gpu_too(cluster: Cluster) -> None:
    own = ("--set", "ray.enabled=false,ray.address=ray://ray.example:10001", "--set-json", "ray.gpuShare=0.5")
    settings = one(render(cluster, *own), "ConfigMap")["data"]
    assert settings["LIKENESS_GPU_SHARE"] == "0.5"


def test_an_operators_own_certificate_of_pictures_is_mounted_by_web_alone(cluster: Cluster) -> None:
    made = pods(render(cluster, "--set", "marks.existingSecret=likeness-marks"))
    holders = {
        name for name, pod in made.items()
        if "likeness-marks" in [volume.get("secret", {}).get("secretName") for volume in pod["spec"]["volumes"]]
    }  # fmt: skip
    assert holders == {"acme-likeness-web"}
    web = made["acme-likeness-web"]["spec"]["containers"][0]
    told = {item["name"]: item.get("value") for item in web["env"]}["LIKENESS_MARKS_CREDENTIAL"]
    [mount] = [one for one in web["volumeMounts"] if one["name"] == "marks"]
    assert (told, mount["readOnly"]) == (f"{mount['mountPath']}/marks.pem", True)


def test_every_value_is_explained() -> None:
    """A `# --` comment stands above each value; quantities and pod security are known from Kubernetes itself."""
    known = ("requests:", "limits:", "resources:", "run", "fsGroup", "seccompProfile:", "- ports:")
    above = ""
    for line in map(str.strip, (CHART / "values.yaml").read_text().splitlines()):
        if line and not line.startswith(("#", "- #", *known)) and not line.endswith(":"):
            assert above.startswith(("#", "- #")), f"{line} has no comment above it"
        above = line


def test_the_alarms_watch_figures_that_exist(rendered: list[dict[str, Any]]) -> None:
    measured = {f"likeness_{name}" for name in FIGURES}
    rules = one(rendered, "PrometheusRule")["spec"]["groups"][0]["rules"]
    assert {rule["alert"] for rule in rules} >= {"LikenessDeletionsLate", "LikenessDeletionsPaused", "LikenessJobsLate"}
    # What somebody has to be woken for, whether something is late already or nothing goes any more.
    watched = " ".join(rule["expr"] for rule in rules)
    assert {"likeness_deletions_late_seconds", "likeness_deletions_paused"} <= set(re.findall(r"likeness_\w+", watched))
    for rule in rules:
        assert set(re.findall(r"likeness_\w+", rule["expr"])) <= measured, rule["alert"]
