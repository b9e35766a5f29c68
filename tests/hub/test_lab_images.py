"""Every lab image under the hub, doing what it is for, and images that know nothing of us, as the member at home."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.places import test_name
from support.site import Site, closing_site
from support.wait import until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]
SHELL = "import subprocess; print(subprocess.check_output({script!r}, shell=True, text=True, stderr=subprocess.STDOUT))"
WHO = "whoami; id -u; id -g; pwd; echo $HOME; echo kept >kept.txt; ls -l kept.txt"
COMMIT = """
set -e
git init -q repository
cd repository
cp ../kept.txt .
git add .
git -c user.name=Anna -c user.email=anna@example.org commit -q -m First
git log --format=%an%n%s
git status --short
"""
TREES = """
import numpy, sklearn.datasets, sklearn.linear_model, xgboost
flowers, kinds = sklearn.datasets.load_iris(return_X_y=True)
print(xgboost.XGBClassifier(n_estimators=5).fit(flowers, kinds).score(flowers, kinds) > 0.9)
print(sklearn.linear_model.LogisticRegression(max_iter=500).fit(flowers, kinds).score(flowers, kinds) > 0.9)
"""
CURVE = """
import os
from tensorboard.summary import Writer
with_curve = Writer(os.path.expanduser("~/runs/first"))
with_curve.add_scalar("loss", 0.5, 1)
with_curve.close()
"""
ENVIRONMENT = """
set -e
python3 -m venv --without-pip --system-site-packages ~/micromamba/envs/spectra
~/micromamba/envs/spectra/bin/python -m ipykernel install --prefix ~/micromamba/envs/spectra >/dev/null
mkdir -p ~/micromamba/envs/spectra/etc/conda/activate.d
echo 'export FROM_ACTIVATION=yes' >~/micromamba/envs/spectra/etc/conda/activate.d/it.sh
"""
INSIDE = "import os, sys; print(sys.prefix, os.environ['CONDA_PREFIX'], os.environ['FROM_ACTIVATION'])"


@pytest.fixture(scope="module")
def gallery(ml_image, conda_image, plain_image, stacks_image, tmp_path_factory, proxy_command, engine,
            request) -> Iterator[Site]:  # fmt: skip
    """One running instance that offers all these images; its settings file is the keeper's."""
    offered = {"ml": ml_image, "conda": conda_image, "plain": plain_image, "stacks": stacks_image}
    images = [{"slug": slug, "title": slug, "image": image} for slug, image in offered.items()]
    site = Site(tmp_path_factory.mktemp("gallery"), test_name(), proxy_command, engine)
    with closing_site(site, request):
        yield site.start(images=images)


@pytest.fixture
def start(gallery):
    """Call it with a name and an image for that person's lab; it is stopped afterwards."""
    started = []

    def make(name: str, slug: str):
        if name not in gallery.people:
            gallery.add_user(name)
        lab = gallery.api.start(name, profile=slug, memory="1G")
        started.append(name)
        return lab

    yield make
    for name in dict.fromkeys(started):
        gallery.api.stop(name)


def shell(lab, script: str) -> list[str]:
    """Lines that a script printed in a lab."""
    return lab.run(SHELL.format(script=script)).split("\n")[:-2]


def is_member_at_home(said: list[str], site: Site, name: str) -> None:
    """Nothing, if these lines of WHO are those of the member under their own uid, in their own home."""
    home = site.root / "users" / name
    uid = str(home.stat().st_uid)
    assert said[:5] == [name, uid, uid, f"/home/{name}", f"/home/{name}"]
    assert said[5].split()[2:4] == [name, name]
    written = home / "kept.txt"
    assert written.read_text() == "kept\n"
    assert (written.stat().st_uid, written.stat().st_gid) == (int(uid), int(uid))


def test_image_of_only_pip_install_runs_as_the_member(gallery, start):
    lab = start("paola", "plain")
    is_member_at_home(shell(lab, WHO), gallery, "paola")


def test_image_in_the_shape_of_docker_stacks_runs_as_the_member_with_group_100(gallery, start):
    lab = start("sara", "stacks")
    is_member_at_home(shell(lab, WHO), gallery, "sara")
    assert shell(lab, COMMIT) == ["Anna", "First"]
    uid = (gallery.root / "users/sara").stat().st_uid
    assert shell(lab, "id") == [f"uid={uid}(sara) gid={uid}(sara) groups={uid}(sara),100(users)"]
    assert shell(lab, "touch /opt/conda/bin/mine /home/jovyan/.cache/mine && ls /opt/conda/bin/mine") == [
        "/opt/conda/bin/mine"
    ]
    assert "start.sh: WARNING" not in gallery.lab_of("sara").logs().decode()


def test_docker_stacks_user_of_the_same_name_is_the_member(gallery, start):
    lab = start("jovyan", "stacks")
    is_member_at_home(shell(lab, WHO), gallery, "jovyan")


def test_lab_ml_learns_and_shows_its_curves(gallery, start, engine, ml_image):
    lab = start("maria", "ml")
    assert lab.run(TREES + CURVE, timeout_s=90) == "True\nTrue\n"
    servers = lab.request("GET", "server-proxy/servers-info").json()["server_processes"]
    assert [each["launcher_entry"]["title"] for each in servers] == ["TensorBoard"]
    assert lab.request("GET", "server-proxy/icon/tensorboard").ok
    page = until(lambda: _ok(lab.request("GET", "tensorboard/")), 60, "TensorBoard")
    assert "<title>TensorBoard</title>" in page.text
    assert until(lambda: lab.request("GET", "tensorboard/data/runs").json(), 30, "a run") == ["first"]
    assert gallery.lab_of("maria").exec_run("lab-health").exit_code == 0


def _ok(answer):
    return answer if answer.status_code == 200 else None


def test_lab_ml_goes_without_a_gpu(start):
    lab = start("marta", "ml")
    assert lab.request("GET", "nvdashboard/accelerators/check").json()["has_gpu"] is False
    assert json.loads(lab.socket("nvdashboard/cpu_resource").recv())


def test_lab_ml_starts_where_nvidias_driver_is_broken(engine, ml_image, nvml_library, tmp_path, instance):
    (tmp_path / "facts").write_text("init 9\n")
    nvml_library.chmod(0o755)  # for the lab's uid
    environment = {"HOME": "/tmp", "LD_LIBRARY_PATH": "/nvml", "MLINFN_TEST_NVML": "/facts"}
    folders = {str(nvml_library): {"bind": "/nvml", "mode": "ro"}, str(tmp_path / "facts"): {"bind": "/facts"}}
    command = ["jupyter", "lab", "--no-browser"]
    lab = engine.containers.run(ml_image, command, name=instance, detach=True, volumes=folders, user="70123:70123",
                                environment=environment, working_dir="/tmp")  # fmt: skip
    until(lambda: lab.exec_run("lab-health").exit_code == 0, 60, "the lab to answer")
    assert "Driver Not Loaded" in lab.logs().decode()


def test_environments_stay_in_the_home_and_are_kernels(gallery, start):
    lab = start("carla", "conda")
    assert [name for name in _kernels(lab) if name.startswith("env-")] == []
    shell(lab, ENVIRONMENT)
    assert _kernels(lab)["env-spectra-python3"].startswith("spectra: Python 3")
    gallery.api.stop("carla")
    lab = start("carla", "conda")
    prefix = "/home/carla/micromamba/envs/spectra"
    with lab.kernel("env-spectra-python3") as kernel:
        assert kernel.run(INSIDE) == f"{prefix} {prefix} yes\n"
    with lab.kernel() as kernel:
        assert kernel.run("import sys; print(sys.prefix)") == "/usr\n"
    assert Path(gallery.root, "users/carla/micromamba/envs/spectra/bin/python").is_symlink()


def _kernels(lab) -> dict[str, str]:
    """Title of each kernel by its name."""
    specs = lab.request("GET", "api/kernelspecs").json()["kernelspecs"]
    return {name: each["spec"]["display_name"] for name, each in specs.items()}


@pytest.mark.parametrize("name", ["lab_image", "ml_image", "conda_image"])
def test_lab_images_of_ours_are_described_not_root_and_watched(request, engine, name):
    config = engine.images.get(request.getfixturevalue(name)).attrs["Config"]
    assert config["User"] == "1000:1000"
    assert config["Healthcheck"]["Test"] == ["CMD", "/usr/local/bin/lab-health"]
    if name != "conda_image":  # labels come from images/build, which cannot have this one here
        labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
        assert labels["title"] in ("mlinfn/lab", "mlinfn/lab-ml")
        assert {"description", "version", "licenses", "base.name"} <= set(labels)
